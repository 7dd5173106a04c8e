"""Rates that the workers of a server count together: the counters, and when a worker writes what it has counted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from math import ceil
from typing import Final

from limits import RateLimitItem
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.limits.counter_storage import CounterStorage

_LOG: Final = logging.getLogger("shotdap.access")
_BATCH_SHARE: Final = 0.05
_WRITE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 5.0  # after which a database that did not answer is tried again
_MAX_REMEMBERED: Final = 4096


@lru_cache(_MAX_REMEMBERED)
def _name_counter(item: RateLimitItem, key: str) -> str:
    return item.key_for(key)  # takes longer than to count


class RateCounters:
    """The counters of one worker. It is for one event loop.

    A worker writes its counts at least once a second, and before it has counted `_BATCH_SHARE` of a limit, divided by
    the number of workers: so all of them together exceed a limit by a twentieth at most, or by one for each worker if
    that is more. While the database does not answer, each worker goes by what it knows.

    Args:
        database: has the counters.
        workers: the number of workers of the server.
        read_clock: returns the time in seconds since 1970.
    """

    def __init__(self, database: AccessDatabase, workers: int, read_clock: Callable[[], float] = time.time) -> None:
        self._workers = workers
        self._read_clock = read_clock
        self._storage = CounterStorage(database, read_clock)
        self._strategy = FixedWindowRateLimiter(self._storage)
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause_end = 0.0

    async def try_count(self, item: RateLimitItem, key: str) -> bool:
        """Count one; return whether it is within the limit, as far as this worker can know."""
        while self._is_full(item, key):
            await self._write()
        is_within = self._strategy.hit(item, key)
        self._write_later()
        return is_within

    async def count_shared(self, item: RateLimitItem, key: str) -> None:
        """Count one, and have all workers know soon: for what happens seldom."""
        await self.try_count(item, key)
        await self._write()

    def count_later(self, item: RateLimitItem, key: str, amount: int) -> None:
        """Count something that has happened already."""
        self._storage.incr(_name_counter(item, key), item.get_expiry(), amount)
        self._write_later()
        if self._is_full(item, key):
            self._start_writing()

    def is_within(self, item: RateLimitItem, key: str) -> bool:
        """Check whether one more would be within the limit, as far as this worker knows."""
        return self._storage.get(_name_counter(item, key)) < item.amount

    def describe_window(self, item: RateLimitItem, key: str) -> tuple[int, int]:
        """Return how many are left, and the seconds until the limit is renewed, rounded up."""
        ends, left = self._strategy.get_window_stats(item, key)
        return left, max(1, ceil(ends - self._read_clock()))

    async def close(self) -> None:
        """Write what is not written yet."""
        if self._timer is not None:
            self._timer.cancel()
        await self._write()

    def _is_full(self, item: RateLimitItem, key: str) -> bool:
        """Check whether this worker has to write a count before it goes on, and can."""
        batch = max(1, int(item.amount * _BATCH_SHARE / self._workers))
        return self._storage.count_unwritten(_name_counter(item, key)) >= batch and time.monotonic() >= self._pause_end

    def _write_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_WRITE_SECONDS, self._start_writing)

    def _start_writing(self) -> asyncio.Task[None]:
        """Start to write all counts, unless that goes on already."""
        if self._writing is None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            self._writing = asyncio.get_running_loop().create_task(self._write_once())
        return self._writing

    async def _write(self) -> None:
        await asyncio.shield(self._start_writing())  # a client that leaves ends only its own wait

    async def _write_once(self) -> None:
        increments = self._storage.collect_increments()
        try:
            if increments:
                self._storage.apply_sums(increments, await run_in_threadpool(self._storage.write, increments))
        except (SQLAlchemyError, OSError) as error:
            self._pause_end = time.monotonic() + _PAUSE_SECONDS
            _LOG.warning("Limits are not shared between workers now; their database does not answer: %s", error)
        finally:
            self._writing = None
