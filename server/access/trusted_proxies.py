"""The proxies that a site lists: only what they say about a client counts.

The header ``X-Forwarded-For`` has the addresses that a request has come from, each added by the proxy that it came to.
So it is read from its end: the first address that is not that of a listed proxy is the client's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from starlette.types import Scope

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LOCAL_NAME: Final = "localhost"

_SCHEMES: Final = frozenset({"http", "https"})
_IPV6_CLIENT_BITS: Final = 64  # whoever has one address of IPv6 has as many as they like of this network
_REMEMBERED: Final = 4096  # addresses


class TrustedProxies:
    """The proxies of a site, by their addresses.

    Args:
        networks: their networks.
    """

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._judge = lru_cache(_REMEMBERED)(self._contains)

    def __contains__(self, address: str) -> bool:
        return bool(self._networks) and self._judge(address)

    def apply_headers(self, scope: Scope) -> None:
        """Replace client, scheme and host of a request by those that its proxy gives, in place, if it is listed."""
        client = scope.get("client")
        if not self._networks or client is None or client[0] not in self:
            return
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name.startswith(b"x-forwarded-"):
                headers.setdefault(name, []).extend(each.strip() for each in value.decode("latin-1").split(","))
        addresses = headers.get(b"x-forwarded-for")
        if addresses:
            scope["client"] = (self._find_client(addresses, client[0]), 0)
        schemes = headers.get(b"x-forwarded-proto")
        if schemes and schemes[-1].lower() in _SCHEMES:
            scope["scheme"] = schemes[-1].lower()
        hosts = headers.get(b"x-forwarded-host")
        if hosts:
            others = [header for header in scope["headers"] if header[0] != b"host"]
            scope["headers"] = [(b"host", hosts[-1].encode("latin-1")), *others]

    def _find_client(self, addresses: Sequence[str], proxy: str) -> str:
        """Return the last address that is not that of a proxy; the last readable one if there is none."""
        found = proxy
        for text in reversed(addresses):
            address = _parse_address(text)
            if address is None:
                break
            found = str(address)
            if found not in self:
                break
        return found

    def _contains(self, address: str) -> bool:
        parsed = _parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


@lru_cache(_REMEMBERED)
def find_client_network(address: str) -> str:
    """Return what limits count as one client: an address of IPv4, or a network of 64 bits of IPv6."""
    parsed = _parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_CLIENT_BITS), strict=False))
    return str(parsed or address)


@lru_cache(_REMEMBERED)
def is_loopback(address: str) -> bool:
    """Check whether an address is that of the machine itself."""
    parsed = _parse_address(address)
    return parsed is not None and parsed.is_loopback


def is_local_host(host: str) -> bool:
    """Check whether a server that listens at a host is reached from the machine itself only."""
    return host == LOCAL_NAME or is_loopback(host)


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address, with a port or without: ``10.1.0.7``, ``10.1.0.7:4711``, ``[fd00::7]:4711``."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
