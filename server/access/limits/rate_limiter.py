"""Limits of a user: requests a minute, requests at once, and bytes a day; the same whatever the number of workers.

A user is whoever signed in, or else the client's address, of IPv6 a network of 64 bits. Nobody who has not signed in is
limited on the machine itself.

Requests and bytes are counted in the database of access (`RateCounters`), requests at once in memory that the workers
of a server share. Bytes are counted when they were sent: the answers that are on their way when a limit is reached come
in addition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute

from shotdap.config.settings import LimitSettings
from shotdap.server.access.limits.rate_counters import RateCounters
from shotdap.server.access.limits.shared_counts import SharedCounts
from shotdap.server.access.principal import Principal
from shotdap.server.access.trusted_proxies import find_client_network, is_loopback
from shotdap.server.http.errors import Problem

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
        settings: the limits.
        counters: of requests and bytes.
        counts: of requests at once.
    """

    def __init__(self, settings: LimitSettings, counters: RateCounters, counts: SharedCounts) -> None:
        self._counters = counters
        self._counts = counts
        self._most_at_once = settings.concurrent_requests
        per_minute, per_day = settings.requests_per_minute, settings.mib_per_day << 20
        self._requests = RateLimitItemPerMinute(per_minute, namespace="requests") if per_minute else None
        self._bytes = RateLimitItemPerDay(per_day, namespace="bytes") if per_day else None

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
        limit = self._most_at_once
        if limit and not self._counts.try_add((_CONCURRENCY_KIND, user), limit):
            message = (
                f"{limit:,} of your requests are being answered, as many as may be at once"
                " (limits.concurrent_requests). Wait for one of them."
            )
            raise LimitExceeded(Problem(429, message, expected=True, extra_headers={"Retry-After": "1"}))
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
            self._counters.count_later(self._bytes, user, size)

    def end_request(self, user: str) -> None:
        """End a request of a user."""
        if self._most_at_once:
            self._counts.remove((_CONCURRENCY_KIND, user))

    async def _count_request(self, user: str) -> Mapping[str, str]:
        """Count a request; return the headers that tell how many are left."""
        item = self._requests
        if item is None:
            return {}
        is_within = await self._counters.try_count(item, user)
        headers = self._describe_limit(item, user)
        if is_within:
            return headers
        message = f"You may make {item.amount:,} requests in a minute (limits.requests_per_minute)."
        raise _exceed(message, headers)

    def _check_bytes(self, user: str) -> None:
        item = self._bytes
        if item is not None and not self._counters.is_within(item, user):
            message = (
                f"You were sent {item.amount >> 20:,} MiB today, as much as one may be sent in a day"
                " (limits.mib_per_day). The next day begins at midnight, UTC."
            )
            raise _exceed(message, self._describe_limit(item, user))

    def _describe_limit(self, item: RateLimitItem, user: str) -> dict[str, str]:
        left, seconds = self._counters.describe_window(item, user)
        return {"RateLimit-Limit": f"{item.amount}", "RateLimit-Remaining": f"{left}", "RateLimit-Reset": f"{seconds}"}


def _exceed(message: str, headers: Mapping[str, str]) -> LimitExceeded:
    """Return the exception for a limit that is renewed at a time that its headers tell."""
    headers = {**headers, "Retry-After": headers["RateLimit-Reset"]}
    return LimitExceeded(Problem(429, message, expected=True, extra_headers=headers))
