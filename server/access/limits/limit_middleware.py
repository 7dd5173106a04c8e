"""Keeps the limits of users, and of what occupies a server for long: packages, and streams of events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shotdap.config.settings import LimitSettings
from shotdap.server.access.limits.rate_limiter import Admission, LimitExceeded, RateLimiter, find_user
from shotdap.server.access.limits.shared_counts import SharedCounts
from shotdap.server.access.principal import get_principal
from shotdap.server.http.errors import Problem
from shotdap.server.problem_format import make_refusal

_UNLIMITED_PATHS: Final = frozenset({"/health", "/ready"})
_COUNTED_SIZE: Final = 16 << 20  # bytes of a long answer that are counted before its end
_RETRY_AFTER: Final = {"Retry-After": "30"}  # seconds; packages take minutes


@dataclass(frozen=True)
class _Occupation:
    """A kind of request that occupies the server for long."""

    kind: str
    path: re.Pattern[str]
    name: str
    """Of several of them, in a sentence."""
    setting: str
    """The limit for all users; that for one of them is called alike, with an ending."""
    get_limits: Callable[[LimitSettings], tuple[int, int]]
    """Returns the limit for all users, and that for one of them."""


_OCCUPATIONS: Final = (
    _Occupation(
        "package",
        re.compile(r"/api/v1/packages/.*"),
        "packages",
        "limits.packages",
        lambda limits: (limits.packages, limits.packages_per_user),
    ),
    _Occupation(
        "follower",
        re.compile(r"/api/v1/(exports/[^/]+/events|changes/stream)"),
        "streams of events",
        "limits.followers",
        lambda limits: (limits.followers, limits.followers_per_user),
    ),
)


class LimitMiddleware:
    """Answers a request only as far as limits allow. The request has its principal, and the client's address, already.

    Args:
        app: the application.
        limiter: the limits of users.
        settings: the limits of what occupies the server.
        counts: of what occupies the server now.
    """

    def __init__(self, app: ASGIApp, limiter: RateLimiter, settings: LimitSettings, counts: SharedCounts) -> None:
        self._app = app
        self._limiter = limiter
        self._settings = settings
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if scope["type"] != "http" or path in _UNLIMITED_PATHS:
            await self._app(scope, receive, send)
            return
        principal = get_principal(scope.get("state", {}))
        client = scope.get("client")
        address = client[0] if client else ""
        try:
            admission = await self._limiter.admit(principal, address)
        except LimitExceeded as refusal:
            await make_refusal(refusal.problem, scope)(scope, receive, send)
            return
        sender = _CountingSender(send, admission)
        try:
            with self._occupy(path, find_user(principal, address)):
                await self._app(scope, receive, sender.send)
        except LimitExceeded as refusal:
            await make_refusal(refusal.problem, scope)(scope, receive, sender.send)
        finally:
            sender.finish()
            admission.close()

    @contextmanager
    def _occupy(self, path: str, user: str) -> Iterator[None]:
        """Count a request that occupies the server, while the block lasts.

        Raises:
            LimitExceeded: there are as many as may be at once.
        """
        occupation = next((each for each in _OCCUPATIONS if each.path.fullmatch(path)), None)
        if occupation is None:
            yield
            return
        most, most_per_user = occupation.get_limits(self._settings)
        name, setting = occupation.name, occupation.setting
        with (
            self._hold(
                (occupation.kind, user),
                most_per_user,
                429,
                f"{most_per_user} {name} are sent to you now, as many as may be at once ({setting}_per_user).",
            ),
            self._hold(
                (occupation.kind, ""), most, 503, f"{most} {name} are sent now, as many as may be at once ({setting})."
            ),
        ):
            yield

    @contextmanager
    def _hold(self, thing: tuple[str, str], limit: int, status: int, message: str) -> Iterator[None]:
        if not limit:
            yield
            return
        if not self._counts.try_add(thing, limit):
            raise LimitExceeded(
                Problem(status, f"{message} Ask again later.", expected=True, extra_headers=_RETRY_AFTER)
            )
        try:
            yield
        finally:
            self._counts.remove(thing)


class _CountingSender:
    """Sends an answer with the headers of its admission, and counts its bytes."""

    def __init__(self, send: Send, admission: Admission) -> None:
        self._send = send
        self._admission = admission
        self._uncounted = 0

    async def send(self, message: Message) -> None:
        """Send a message of the answer."""
        if message["type"] == "http.response.start":
            headers = [(name.lower().encode(), value.encode()) for name, value in self._admission.headers.items()]
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await self._send(message)
        self._uncounted += len(message.get("body", b""))
        if self._uncounted >= _COUNTED_SIZE:
            self.finish()

    def finish(self) -> None:
        """Count what is not counted yet."""
        self._admission.count(self._uncounted)
        self._uncounted = 0
