"""Record each request in the audit: outermost, so that refused and broken ones are recorded, too."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from shotdap.server.access.audit.audit_log import AuditLog, AuditRecord
from shotdap.server.access.audit.redaction import is_secret_name, redact_secrets
from shotdap.server.access.authentication import (
    NotSignedIn,
    decode_password,
    find_path_token,
    get_own_path,
    mount_at_path_token,
    parse_cookies,
)
from shotdap.server.access.principal import get_principal
from shotdap.server.routes.dap import find_suffix

REQUEST_ID_HEADER: Final = b"x-request-id"

_ID_BYTES: Final = 8
_FAILED: Final = 500
_API_PREFIX: Final = "/api/v1/"
_PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((".dds", ".das", ".dods", ".asc", ".ascii", ".ver"), "dap2"),
        **dict.fromkeys((".dmr", ".dmr.xml", ".dap", ".dsr", ".dsr.xml"), "dap4"),
    }
)
"""By the suffix of DAP; pages and files are just ``dap``."""


class AuditMiddleware:
    """Records each request in the audit, and gives its answer the number of the record.

    Args:
        app: the application; it sets the principal in the request's state.
        log: the audit; it is closed when the application ends.
    """

    def __init__(self, app: ASGIApp, log: AuditLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._close_at_end(send))
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})  # the application may copy the scope, but shares this
        exchange = _Exchange(scope, send)
        try:
            await self._app(scope, receive, exchange.send)
        finally:
            self._log.record(_make_record(scope, exchange))

    def _close_at_end(self, send: Send) -> Send:
        async def close_and_send(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await asyncio.to_thread(self._log.close)
            await send(message)

        return close_and_send


class _Exchange:
    """A request whose answer is watched.

    Args:
        scope: of the request; what it says about the path is kept, as mounted applications change it.
        send: sends to the client.
    """

    def __init__(self, scope: AsgiScope, send: Send) -> None:
        self._send = send
        self._is_head = scope["method"] == "HEAD"
        self.path = get_own_path(mount_at_path_token(scope))
        self.path_token = find_path_token(scope)
        self._began = time.perf_counter()
        self.time = datetime.now(UTC)
        self.id = secrets.token_hex(_ID_BYTES)
        self.status = _FAILED  # of an application that ends without an answer
        self.bytes = 0
        self.is_complete = False

    @property
    def seconds(self) -> float:
        """Time since the request began."""
        return time.perf_counter() - self._began

    async def send(self, message: Message) -> None:
        """Send a message to the client."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), (REQUEST_ID_HEADER, self.id.encode())]}
        await self._send(message)
        if message["type"] == "http.response.body":
            self.bytes += 0 if self._is_head else len(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)


def _make_record(scope: AsgiScope, exchange: _Exchange) -> AuditRecord:
    principal = get_principal(scope["state"])
    known = {exchange.path_token, *find_credentials(scope)}
    protocol, path, suffix = split_target(exchange.path)
    client = scope.get("client")
    return AuditRecord(
        time=exchange.time.isoformat(timespec="milliseconds"),
        request=exchange.id,
        user=principal.name,
        token=principal.token_id,
        address=client[0] if client else "",
        method=scope["method"],
        protocol=protocol,
        path=redact_secrets(path, known),
        suffix=suffix,
        query=redact_secrets(scope["query_string"].decode("latin-1"), known),
        status=exchange.status,
        bytes=exchange.bytes,
        seconds=round(exchange.seconds, 6),
        client=redact_secrets(Headers(scope=scope).get("user-agent", ""), known),
        complete=exchange.is_complete,
    )


def split_target(path: str) -> tuple[str, str, str]:
    """Split the path of a URL into the protocol, the public path, and the suffix of DAP.

    Args:
        path: below the path at which the application is mounted.
    """
    if path.startswith("/dap/"):
        suffix = find_suffix(path)
        return _PROTOCOLS.get(suffix, "dap"), path.removeprefix("/dap/").removesuffix(suffix), suffix
    if path.startswith(_API_PREFIX):
        resource, _, rest = path.removeprefix(_API_PREFIX).partition("/")
        return f"api/{resource}", rest, ""
    protocol, _, rest = path.removeprefix("/").partition("/")
    return protocol, rest, ""


def find_credentials(scope: AsgiScope) -> Collection[str]:
    """Return what the headers of a request have as credentials, so that it can be masked wherever else it is."""
    return {each for each in _iter_credentials(scope) if each}


def _iter_credentials(scope: AsgiScope) -> Iterator[str]:
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name == "cookie":
            yield from parse_cookies(value).values()
        elif name in {"authorization", "proxy-authorization"}:
            kind, _, text = value.partition(" ")
            yield text.strip()
            if kind.lower() == "basic":
                with suppress(NotSignedIn):  # it is masked as it is, above
                    yield decode_password(text.strip())
        elif is_secret_name(name):
            yield value
