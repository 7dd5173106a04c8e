"""Time limits: reading the catalog ends when it has taken too long, or when nobody waits for the result any more.

A limit belongs to the context of the calling code, as threads that a server starts for a request inherit it. It is
checked before each statement, within a statement of SQLite, and for each file of a directory tree. PostgreSQL ends a
statement by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf


class TooSlow(TimeoutError):
    """Reading the catalog took longer than is allowed; the message is a sentence for the client."""


@dataclass
class TimeLimit:
    """The limit of everything that is read within one block."""

    seconds: float
    end: float
    """On the clock of `time.monotonic`."""
    outer: TimeLimit | None = None
    """The limit of the block around it, which holds too."""
    is_cancelled: bool = False

    @property
    def remaining(self) -> float:
        """The seconds until the first of the limits that hold; not positive if it is over."""
        if self.is_cancelled:
            return 0.0
        own = self.end - time.monotonic()
        return own if self.outer is None else min(own, self.outer.remaining)

    def cancel(self) -> None:
        """End what is read within the block, soon; any thread may call this."""
        self.is_cancelled = True

    def make_error(self) -> TooSlow:
        """Return the error for a limit that is over."""
        limit = self
        while limit.outer is not None and limit.outer.end < limit.end:
            limit = limit.outer
        return TooSlow(
            f"Reading the catalog took longer than the {limit.seconds:g} seconds that one request has. Ask for less, by"
            " a facility, a diagnostic, shots or dates, or with fewer wildcards and words; or ask again later, when the"
            " server has less to do."
        )


_CURRENT: ContextVar[TimeLimit | None] = ContextVar("shotdap_time_limit", default=None)


@contextmanager
def limit_time(seconds: float = inf) -> Iterator[TimeLimit]:
    """Limit the time of all reads in a block together; without a number of seconds, only `TimeLimit.cancel` ends them.

    Reads that exceed the limit raise `TooSlow`.
    """
    limit = TimeLimit(seconds, time.monotonic() + seconds, _CURRENT.get())
    token = _CURRENT.set(limit)
    try:
        yield limit
    finally:
        _CURRENT.reset(token)


@contextmanager
def lift_time_limit() -> Iterator[None]:
    """Lift all limits for a block, because what it writes is to be finished."""
    token = _CURRENT.set(None)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def is_time_over() -> bool:
    """Check whether a limit that holds here is over."""
    limit = _CURRENT.get()
    return limit is not None and limit.remaining <= 0


def check_time_limit() -> None:
    """Check the limits that hold here.

    Raises:
        TooSlow: one of them is over.
    """
    limit = _CURRENT.get()
    if limit is not None and limit.remaining <= 0:
        raise limit.make_error()
