"""The bounds of what a client may send, and hold, over its connections; `HttpProtocol` keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from shotdap.config import Settings
from shotdap.server.access.trusted_proxies import TrustedProxies


@dataclass(frozen=True)
class ConnectionBounds:
    """Bounds of a connection, and of each of its requests."""

    url: int
    """Bytes of the URL."""
    headers: int
    """The number of headers."""
    header_bytes: int
    """Bytes of their names and values."""
    body: int
    """Bytes of the body."""
    header_seconds: float
    """The time for the request line and the headers."""
    body_seconds: float
    """The time for the body."""
    idle_seconds: float
    """The time after a response until the next request begins."""
    connections_per_address: int
    """Connections of one address; 0 for any number."""
    proxies: TrustedProxies
    """Whose connections are not counted."""

    @classmethod
    def from_settings(cls, settings: Settings) -> ConnectionBounds:
        """Return the bounds of a site."""
        limits = settings.limits
        return cls(
            limits.url_kib << 10,
            limits.headers,
            limits.headers_kib << 10,
            limits.body_kib << 10,
            limits.header_seconds,
            limits.body_seconds,
            limits.idle_seconds,
            limits.connections_per_address,
            TrustedProxies(settings.server.trusted_proxies),
        )
