"""Limits of a user: requests a minute, requests at once, and bytes a day; the same whatever the number of workers.

A user is whoever signed in, or else the client's address, of IPv6 a network of 64 bits. Nobody who has not signed in is
limited on the machine itself.

Requests and bytes are counted in the database of access, requests at once in memory that the workers of a server share.
A worker writes its counts at least once a second, and before it has counted `_BATCH_SHARE` of a limit, divided by the
number of workers: so all of them together exceed a limit by a twentieth at most, or by one request for each worker if
that is more. Bytes are counted when they were sent: the answers that are on their way when a limit is reached come in
addition. While the database does not answer, each worker goes by what it knows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from shotdap.config import Settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.limits.counter_storage import CounterStorage
from shotdap.server.access.limits.shared_counts import SharedCounts
from shotdap.server.access.principal import Principal
from shotdap.server.access.trusted_proxies import find_client_network, is_loopback
from shotdap.server.http.errors import Problem

_LOG: Final = logging.getLogger("shotdap.access")
_BATCH_SHARE: Final = 0.05
_WRITE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 5.0  # after which a database that did not answer is tried again
_CONCURRENCY_KIND: Final = "request"


class LimitExceeded(Exception):
    """A user has had as much as they may have; the problem is what the client is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def find_user(principal: Principal, address: str) -> str:
    """Return whose requests are counted together.

    Args:
        principal: who makes the request.
        address: of the client.
    """
    return f"user:{principal.name}" if principal.name else f"address:{find_client_network(address)}"


@dataclass
class Admission:
    """A request that was admitted, until `close` is called."""

    limiter: RateLimiter
    user: str | None
    """Whose limits count; `None` for nobody's."""
    headers: Mapping[str, str]
    """The headers of the answer: the limit of requests, what is left of it, and the seconds until it is renewed."""

    def count(self, size: int) -> None:
        """Count bytes of the answer that were sent."""
        if self.user is not None:
            self.limiter.count_bytes(self.user, size)

    def close(self) -> None:
        """End the request."""
        if self.user is not None:
            self.limiter.end_request(self.user)


class RateLimiter:
    """The limits of the users of a server, in one of its workers.

    Args:
        settings: of the site.
        database: has the counters.
        counts: of requests at once.
        read_clock: returns the time in seconds since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        database: AccessDatabase,
        counts: SharedCounts,
        read_clock: Callable[[], float] = time.time,
    ) -> None:
        limits = settings.limits
        self._counts = counts
        self._read_clock = read_clock
        self._workers = settings.server.workers
        self._most_at_once = limits.concurrent_requests
        per_minute, per_day = limits.requests_per_minute, limits.mib_per_day << 20
        self._requests = RateLimitItemPerMinute(per_minute, namespace="requests") if per_minute else None
        self._bytes = RateLimitItemPerDay(per_day, namespace="bytes") if per_day else None
        self._storage = CounterStorage(database, read_clock)
        self._strategy = FixedWindowRateLimiter(self._storage)
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause_end = 0.0

    async def admit(self, principal: Principal, address: str) -> Admission:
        """Admit a request, and count it.

        Args:
            principal: who makes it.
            address: of the client.

        Raises:
            LimitExceeded: a limit does not allow it.
        """
        if not principal.name and is_loopback(address):
            return Admission(self, None, {})
        user = find_user(principal, address)
        self._begin_request(user)
        try:
            headers = await self._count_request(user)
            self._check_bytes(user)
        except BaseException:
            self.end_request(user)
            raise
        return Admission(self, user, headers)

    def count_bytes(self, user: str, size: int) -> None:
        """Count bytes that were sent to a user."""
        if self._bytes and size:
            self._strategy.hit(self._bytes, user, cost=size)
            self._write_later()
            if self._is_full(self._bytes, user):
                self._start_writing()

    def end_request(self, user: str) -> None:
        """End a request of a user."""
        if self._most_at_once:
            self._counts.remove((_CONCURRENCY_KIND, user))

    async def close(self) -> None:
        """Write what is not written yet."""
        if self._timer is not None:
            self._timer.cancel()
        await self._write()

    def _begin_request(self, user: str) -> None:
        limit = self._most_at_once
        if limit and not self._counts.try_add((_CONCURRENCY_KIND, user), limit):
            message = (
                f"{limit:,} of your requests are being answered, as many as may be at once"
                " (limits.concurrent_requests). Wait for one of them."
            )
            raise LimitExceeded(Problem(429, message, expected=True, extra_headers={"Retry-After": "1"}))

    async def _count_request(self, user: str) -> Mapping[str, str]:
        """Count a request; return the headers that tell how many are left."""
        item = self._requests
        if item is None:
            return {}
        while self._is_full(item, user):
            await self._write()
        is_within = self._strategy.hit(item, user)
        self._write_later()
        headers = self._describe_limit(item, user)
        if is_within:
            return headers
        message = f"You may make {item.amount:,} requests in a minute (limits.requests_per_minute)."
        raise _exceed(message, headers)

    def _check_bytes(self, user: str) -> None:
        item = self._bytes
        if item is not None and not self._strategy.test(item, user):
            message = (
                f"You were sent {item.amount >> 20:,} MiB today, as much as one may be sent in a day"
                " (limits.mib_per_day). The next day begins at midnight, UTC."
            )
            raise _exceed(message, self._describe_limit(item, user))

    def _describe_limit(self, item: RateLimitItem, user: str) -> dict[str, str]:
        ends, left = self._strategy.get_window_stats(item, user)
        seconds = max(1, ceil(ends - self._read_clock()))
        return {"RateLimit-Limit": f"{item.amount}", "RateLimit-Remaining": f"{left}", "RateLimit-Reset": f"{seconds}"}

    def _is_full(self, item: RateLimitItem, user: str) -> bool:
        """Check whether this worker has to write its count of a user before it goes on, and can."""
        batch = max(1, int(item.amount * _BATCH_SHARE / self._workers))
        return self._storage.count_unwritten(item.key_for(user)) >= batch and time.monotonic() >= self._pause_end

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


def _exceed(message: str, headers: Mapping[str, str]) -> LimitExceeded:
    """Return the exception for a limit that is renewed at a time that its headers tell."""
    headers = {**headers, "Retry-After": headers["RateLimit-Reset"]}
    return LimitExceeded(Problem(429, message, expected=True, extra_headers=headers))
