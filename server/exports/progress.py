"""Progress of an export."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Counts of the images of an export."""

    total: int
    done: int
    failed: int
    bytes: int
    """Bytes written."""
    done_before: int = 0
    """Images that earlier runs have done."""
    seconds: float = 0.0
    """Duration of this run so far."""

    @property
    def rate(self) -> float | None:
        """Images per second in this run; `None` while unknown."""
        count = self.done + self.failed - self.done_before
        return count / self.seconds if count > 0 and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Time for the remaining images at this rate; `None` while unknown."""
        rate = self.rate
        return None if rate is None else (self.total - self.done - self.failed) / rate
