"""The threads that searches run in: a few of their own, so that no other request ever waits behind searches.

Most searches take milliseconds, a few take seconds. A search first runs as a quick one, for a short time. One that
takes longer starts again among the slow ones, and is remembered, so that quick searches do not wait behind slow ones.
Waiting is bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.types import Receive

from shotdap.catalog import Overloaded, TooSlow
from shotdap.catalog.time_limit import TimeLimit, check_time_limit, limit_time

_Result = TypeVar("_Result")

_QUICK_THREADS: Final = 2
_SLOW_THREADS: Final = 1  # Python runs one thread at a time: more searches at once would each be slower
_QUICK_SECONDS: Final = 0.5
_WAIT_SECONDS: Final = 5.0  # clients are told to ask again after as many seconds
_MAX_WAITING: Final = 256  # searches of each kind
_MAX_REMEMBERED: Final = 1000  # queries that were slow


class SearchThreads:
    """Threads for searches, in one server process.

    Args:
        seconds: the time limit of one search, once it runs.
        wait_seconds: the longest time that it waits for a thread.
    """

    def __init__(self, seconds: float, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._seconds = seconds
        self._wait_seconds = wait_seconds
        self._quick = _Lane(_QUICK_THREADS)
        self._slow = _Lane(_SLOW_THREADS)
        self._slow_queries: dict[str, None] = {}
        """Queries that were slow, the oldest first."""

    async def run(self, receive: Receive, search: Callable[[], _Result], query: str = "") -> _Result:
        """Run a search, and end it if its client leaves.

        Args:
            receive: receives the messages of the request, whose body is empty.
            search: reads the catalog; it may be called twice.
            query: the query, for a search that may be slow.

        Raises:
            Overloaded: no thread became free for it in time.
            TooSlow: it took longer than the time limit, or its client has left.
        """
        wait_end = time.monotonic() + self._wait_seconds
        with limit_time() as limit:
            watcher = asyncio.ensure_future(_cancel_when_client_leaves(receive, limit))
            try:
                if query not in self._slow_queries:
                    with suppress(TooSlow):
                        return await self._quick.run(min(_QUICK_SECONDS, self._seconds), wait_end, search)
                    check_time_limit()
                    if query:
                        self._slow_queries[query] = None
                    if len(self._slow_queries) > _MAX_REMEMBERED:
                        del self._slow_queries[next(iter(self._slow_queries))]
                begin = time.monotonic()
                result = await self._slow.run(self._seconds, wait_end, search)
                if time.monotonic() - begin < _QUICK_SECONDS:  # only then it was slow, because of others
                    self._slow_queries.pop(query, None)
                return result
            finally:
                watcher.cancel()


class _Lane:
    """Some threads, and the searches that wait for one of them."""

    def __init__(self, threads: int) -> None:
        self._free = asyncio.Semaphore(threads)
        self._threads = CapacityLimiter(threads)
        self._waiting = 0

    async def run(self, seconds: float, wait_end: float, search: Callable[[], _Result]) -> _Result:
        """Run a search in a thread that becomes free before a time on the clock of `time.monotonic`."""
        if self._waiting >= _MAX_WAITING:
            raise Overloaded("Too many searches wait already; ask again later.")
        self._waiting += 1
        try:
            async with asyncio.timeout(max(0.0, wait_end - time.monotonic())):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded("The server is busy with other searches; ask again later.") from None
        finally:
            self._waiting -= 1
        try:
            with limit_time(seconds):
                return await run_sync(search, limiter=self._threads)
        finally:
            self._free.release()


async def _cancel_when_client_leaves(receive: Receive, limit: TimeLimit) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    limit.cancel()
