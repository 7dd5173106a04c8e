"""Headers that keep browsers from using an answer otherwise than it is meant."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
)
"""Headers of each answer that has no others of these names. An answer that is no page needs nothing of a page."""

PAGE_POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""The ``Content-Security-Policy`` of pages: scripts and styles are files of this server, never text of the page."""

_RAW_HEADERS: Final = tuple((name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items())
_TRANSPORT_HEADER: Final = (b"strict-transport-security", b"max-age=31536000")  # seconds: a year


class SecurityHeadersMiddleware:
    """Adds the headers to each answer; over https, also the one that keeps browsers from asking over http again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                names = {name.lower() for name, _ in headers}
                # The scheme is looked up now, as a listed proxy may have given another one meanwhile.
                wanted = (*_RAW_HEADERS, _TRANSPORT_HEADER) if scope["scheme"] == "https" else _RAW_HEADERS
                message = {**message, "headers": headers + [each for each in wanted if each[0] not in names]}
            await send(message)

        await self._app(scope, receive, send_secured)
