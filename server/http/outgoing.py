"""Requests of this server to others: over TLS, within a time limit, and without following redirects."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import httpx

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def create_outgoing_client(seconds: float) -> httpx.AsyncClient:
    """Create a client for some requests; a redirect could lead to a server that only this one reaches.

    Args:
        seconds: the time limit for each step of a request; the caller limits the whole of it.
    """
    return httpx.AsyncClient(verify=_load_certificates(), timeout=seconds, follow_redirects=False)


@cache
def _load_certificates() -> ssl.SSLContext:
    """Return the certificates that this machine trusts, those of the laboratory among them."""
    return ssl.create_default_context()


def is_safe_url(url: str) -> bool:
    """Check that nobody between can read or change what is sent to a URL: https, or this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )
