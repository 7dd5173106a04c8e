"""The way of browsers to the sign-in, and back to the page that needed it."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shotdap.server.http.response import HttpResponse, make_response

SIGN_IN_PATH: Final = "/sign-in"

_LINK_PREFIX: Final = "/k/"
"""Of URLs with a token: who signs in would come back to the same token, and be sent here again."""


class BrowserMiddleware:
    """Sends the user of a browser to the sign-in if a page needs one. It stands around `AccessMiddleware`.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and _is_page_request(scope, Headers(scope=scope)):
            await self._app(scope, receive, _SignInRedirect(scope, receive, send).send)
        else:
            await self._app(scope, receive, send)


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
