"""Rules for browsers: where a request must come from if credentials are sent unasked, and how their users sign in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shotdap.server.access.authentication import SESSION_COOKIE, parse_cookies
from shotdap.server.http.errors import Problem
from shotdap.server.http.response import HttpResponse, make_response
from shotdap.server.problem_format import make_refusal

SIGN_IN_PATH: Final = "/login"

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_LINK_PREFIX: Final = "/k/"
"""Of URLs with a token: who signs in would come back to the same token, and be sent here again."""
_FOREIGN: Final = "A page of another site may not change anything here; use this server's own pages, or send a token."


class BrowserMiddleware:
    """Refuses changes that a page of another site makes with a user's credentials; sends users to the sign-in.

    It stands around `AccessMiddleware`. A browser sends a cookie, and a password that it was once told, with every
    request, whichever page made it: so a request that changes something must name a page of this server as its origin.
    Bearer tokens are exempt, as no browser sends them by itself.

    Args:
        app: the application.
        public_url: of this server, as browsers know it.
        trusted_origins: of sites whose pages may send a user's token as a password.
    """

    def __init__(self, app: ASGIApp, public_url: str, trusted_origins: Collection[str] = ()) -> None:
        self._app = app
        self._origin = get_origin(public_url)
        self._trusted_origins = {self._origin, *trusted_origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["method"] not in _SAFE_METHODS and self._is_foreign(headers):
            await make_refusal(Problem(403, _FOREIGN, expected=True), scope)(scope, receive, send)
        elif _is_page_request(scope, headers):
            await self._app(scope, receive, _SignInRedirect(scope, receive, send).send)
        else:
            await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        kind = headers.get("authorization", "").partition(" ")[0].lower()
        origin = headers.get("origin")
        if kind == "basic":  # programs name no origin
            return origin is not None and origin not in self._trusted_origins
        return not kind and SESSION_COOKIE in parse_cookies(headers) and origin != self._origin


class _SignInRedirect:
    """Sends an answer, unless it is 401: then a redirect to the sign-in, which leads back to the requested page."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._is_redirected = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 401:  # noqa: PLR2004 — Unauthorized
            self._is_redirected = True
            scope = self._scope
            root: str = scope.get("root_path", "")
            query = scope["query_string"].decode("latin-1")
            page = quote(scope["path"], safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else "")
            location = f"{root}{SIGN_IN_PATH}?next={quote(page, safe='/')}"
            headers = {"Cache-Control": "no-store", "Vary": "Accept, Authorization, Cookie"}
            response = make_response(HttpResponse.redirect(location, 303).with_headers(headers))
            await response(scope, self._receive, self._send)
        elif not self._is_redirected:
            await self._send(message)


def get_origin(url: str) -> str:
    """Return the origin of a URL as browsers write it: ``https://images.example.org``, without a usual port."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in {None, usual} else "")


def _is_page_request(scope: Scope, headers: Headers) -> bool:
    """Check whether a user's browser asks for a page to show: Java asks for text/html, too, whatever the program."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return (
        scope["method"] == "GET"
        and "text/html" in headers.get("accept", "")
        and "authorization" not in headers
        and headers.get("sec-fetch-mode", "navigate") == "navigate"
        and "java/" not in headers.get("user-agent", "").lower()
        and not path.startswith(_LINK_PREFIX)
    )
