"""A request on its way to an answer process, and the answer on its way back; pickle carries both."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from starlette.requests import Request

from shotdap.catalog.reading.frame_store import SpooledBody
from shotdap.server.access.principal import PRINCIPAL_KEY, Principal, get_principal

MAX_INLINE_BODY: Final = 256 << 10
"""Bytes of the body of an answer that returns with its headers; a larger one is spooled."""

_UNFORWARDED_HEADERS: Final = frozenset({b"origin"})
"""Headers that middleware of the server process answers: CORS would be answered twice."""

RawHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class ForwardedRequest:
    """A request, as far as another process needs it to answer it alike."""

    method: str
    http_version: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    headers: RawHeaders
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    principal: Principal
    body: bytes = b""

    @classmethod
    async def from_starlette(cls, request: Request) -> ForwardedRequest:
        """Convert a request of Starlette; receive its body, which `HttpProtocol` bounds, unless it is one without.

        Raises:
            ClientDisconnect: the client left before it had sent the body.
        """
        scope, body = request.scope, bytearray()
        if request.method not in {"GET", "HEAD"}:
            async for part in request.stream():
                body += part
        return cls(
            scope["method"],
            scope.get("http_version", "1.1"),
            scope["scheme"],
            scope["path"],
            scope.get("raw_path") or scope["path"].encode(),
            scope["query_string"],
            scope.get("root_path", ""),
            tuple((name, value) for name, value in scope["headers"] if name not in _UNFORWARDED_HEADERS),
            _to_tuple(scope.get("client")),
            _to_tuple(scope.get("server")),
            get_principal(scope.get("state", {})),
            bytes(body),
        )

    def create_scope(self) -> MutableMapping[str, Any]:
        """Create the ASGI scope of the request."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self.http_version,
            "method": self.method,
            "scheme": self.scheme,
            "path": self.path,
            "raw_path": self.raw_path,
            "query_string": self.query_string,
            "root_path": self.root_path,
            "headers": list(self.headers),
            "client": self.client,
            "server": self.server,
            "state": {PRINCIPAL_KEY: self.principal},
        }


def _to_tuple(address: Any) -> Any:  # noqa: ANN401 — a list or tuple of a server
    return None if address is None else tuple(address)


@dataclass(frozen=True)
class ForwardedAnswer:
    """The answer to a forwarded request."""

    status: int
    headers: RawHeaders
    body: bytes | SpooledBody
