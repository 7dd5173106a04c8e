"""Refuses changes that a page of another site makes a browser ask for, with what the browser sends unasked.

A browser sends a cookie, and a password that it was once told, with every request, whichever page made it. To a server
that is open to everybody, it lends its place in the network. So a request that changes something, and that comes from a
page, has to come from a page of this server. A program names no page. Bearer tokens and tokens in the path are exempt:
a page that sends one knows it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shotdap.server.access.authentication import SESSION_COOKIE, find_path_token, parse_cookies
from shotdap.server.http.errors import Problem
from shotdap.server.problem_format import make_refusal

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
"""Bodies that a form of any page can send; with a stranger's token, it would sign somebody in as them."""
_OWN_PAGES: Final = frozenset({"same-origin", "none"})  # `none`: the user has typed the URL
_FOREIGN: Final = "A page of another site may not change anything here; use this server's own pages, or send a token."


class OriginMiddleware:
    """Lets only pages of this server change something with credentials that browsers send by themselves.

    It stands around `AccessMiddleware`: what is refused is not even checked for credentials.

    Args:
        app: the application.
        public_url: of this server, as browsers know it; if it is empty, a request's own scheme and host count.
        trusted_origins: of sites whose pages may send a user's token as a password.
    """

    def __init__(self, app: ASGIApp, public_url: str = "", trusted_origins: Collection[str] = ()) -> None:
        self._app = app
        self._public_origin = get_origin(public_url) if public_url else ""
        self._trusted_origins = frozenset(trusted_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS and self._is_foreign(scope):
            await make_refusal(Problem(403, _FOREIGN, expected=True), scope)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        kind = headers.get("authorization", "").partition(" ")[0].lower()
        if kind == "bearer" or find_path_token(scope):
            return False
        origin = headers.get("origin")
        own = self._public_origin or get_origin(f"{scope['scheme']}://{headers.get('host', '')}")
        is_form = headers.get("content-type", "").partition(";")[0].strip().lower() in _FORM_TYPES
        cookies = parse_cookies(headers.get("cookie", ""))
        if not kind and (is_form or SESSION_COOKIE in cookies):  # browsers, which name the origin
            return origin != own
        if origin in {own, *self._trusted_origins}:
            return False
        # Behind a proxy that the site does not list, the server does not know its own scheme; the browser does.
        site = headers.get("sec-fetch-site")
        return site not in _OWN_PAGES if site else origin is not None


def get_origin(url: str) -> str:
    """Return the origin of a URL as browsers write it: ``https://images.example.org``, without a usual port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a request may name any host; its origin is nobody's
        return ""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, usual} else "")
