"""The counters of rates: a storage of the library `limits` in the database of access.

To write each request into a database would cost more than to answer it. So a process counts in memory, adds what it has
counted to the counters of the database now and then, and learns from it what others have counted. The one who uses this
storage decides when: `RateLimiter` bounds how much a process may count before it writes.

Windows begin at multiples of their length, a day at midnight (UTC): so all processes have the same windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from limits.storage import Storage
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from shotdap.server.access.access_database import METADATA, AccessDatabase

_COUNTERS: Final = sa.Table(
    "access_counters",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("ends", sa.BigInteger, primary_key=True),  # the end of the window, in seconds since 1970
    sa.Column("amount", sa.BigInteger, nullable=False),
)
_INSERTS: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_MAX_REMEMBERED: Final = 10_000  # counters; more are forgotten once they are written, and read again when needed


@dataclass
class _Window:
    """A counter in its present window."""

    ends: int
    known: int = 0
    """What all processes had written, this one included, when it last wrote."""
    unwritten: int = 0
    """What this process has counted since."""


@dataclass(frozen=True)
class Increment:
    """A count of a key by one process, on its way to the database."""

    key: str
    ends: int
    amount: int


class CounterStorage(Storage):
    """Counters that several processes share. Its state is for one thread; only `write` may run in another.

    Args:
        database: has the counters.
        read_clock: returns the time in seconds since 1970.
    """

    STORAGE_SCHEME = None

    def __init__(self, database: AccessDatabase, read_clock: Callable[[], float]) -> None:
        super().__init__()
        self._database = database
        self._read_clock = read_clock
        self._windows: dict[str, _Window] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        """The exceptions of the database."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count in this process; return the count as far as this process knows it."""
        now = self._read_clock()
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            window = self._windows[key] = _Window((int(now // expiry) + 1) * expiry)
        window.unwritten += amount
        return window.known + window.unwritten

    def get(self, key: str) -> int:
        """Return the count as far as this process knows it."""
        window = self._find_window(key)
        return window.known + window.unwritten if window else 0

    def get_expiry(self, key: str) -> float:
        """Return the end of the window; now if nothing is counted in it."""
        window = self._find_window(key)
        return window.ends if window else self._read_clock()

    def check(self) -> bool:
        """Check whether the database answers."""
        try:
            with self._database.begin_read() as connection:
                connection.execute(sa.select(sa.literal(1)))
        except self.base_exceptions:
            return False
        return True

    def reset(self) -> int:
        """Remove all counters; return their number."""
        self._windows.clear()
        with self._database.begin() as connection:
            return connection.execute(sa.delete(_COUNTERS)).rowcount

    def clear(self, key: str) -> None:
        """Remove a counter."""
        self._windows.pop(key, None)
        with self._database.begin() as connection:
            connection.execute(sa.delete(_COUNTERS).where(_COUNTERS.c.key == key))

    def count_unwritten(self, key: str) -> int:
        """Return what this process has counted and not written."""
        window = self._find_window(key)
        return window.unwritten if window else 0

    def collect_increments(self) -> list[Increment]:
        """Return what is to be written, and forget the windows that are over."""
        now = self._read_clock()
        self._windows = {key: window for key, window in self._windows.items() if window.ends > now}
        if len(self._windows) > _MAX_REMEMBERED:
            self._windows = {key: window for key, window in self._windows.items() if window.unwritten}
        # All processes in the same order: otherwise two of them could wait for each other's rows.
        windows = sorted(self._windows.items())
        return [Increment(key, window.ends, window.unwritten) for key, window in windows if window.unwritten]

    def write(self, increments: Iterable[Increment]) -> list[int]:
        """Add increments to the counters of the database, all or none; return the sums."""
        with self._database.begin() as connection:
            insert = _INSERTS[connection.dialect.name]
            connection.execute(sa.delete(_COUNTERS).where(_COUNTERS.c.ends <= int(self._read_clock())))
            return [_add(connection, insert, each) for each in increments]

    def apply_sums(self, increments: Iterable[Increment], sums: Iterable[int]) -> None:
        """Learn the sums that `write` has returned."""
        for increment, amount in zip(increments, sums, strict=True):
            window = self._windows.get(increment.key)
            if window is not None and window.ends == increment.ends:
                window.known = amount
                window.unwritten -= increment.amount

    def _find_window(self, key: str) -> _Window | None:
        window = self._windows.get(key)
        return window if window is not None and window.ends > self._read_clock() else None


def _add(connection: sa.Connection, insert: Any, increment: Increment) -> int:  # noqa: ANN401 — of either dialect
    statement = insert(_COUNTERS).values(key=increment.key, ends=increment.ends, amount=increment.amount)
    total = statement.on_conflict_do_update(
        index_elements=[_COUNTERS.c.key, _COUNTERS.c.ends],
        set_={"amount": _COUNTERS.c.amount + statement.excluded.amount},
    ).returning(_COUNTERS.c.amount)
    return int(connection.execute(total).scalar_one())
