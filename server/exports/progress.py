"""How far an export has come."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """How far an export has come."""

    total: int
    done: int
    failed: int
    bytes: int
    """What is written."""
    done_before: int = 0
    """How many were done when this run began."""
    seconds: float = 0.0
    """How long this run has taken until now."""

    @property
    def rate(self) -> float | None:
        """Images a second in this run; `None` while nobody can know."""
        did = self.done + self.failed - self.done_before
        return did / self.seconds if did > 0 and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """How long the others will take at this rate; `None` while nobody can know."""
        rate = self.rate
        return None if rate is None else (self.total - self.done - self.failed) / rate
