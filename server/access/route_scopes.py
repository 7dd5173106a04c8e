"""What a principal needs for each URL: the only table of it. A URL that is not in the table needs `Scope.ADMIN`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shotdap.server.access.principal import Scope

PUBLIC: Final = None
"""Nobody has to sign in."""

_SHORT_LINK: Final = "/{shot:int}"  # the number of a shot, and nothing else

_SCOPES: Mapping[str, Scope | None] = MappingProxyType(
    {
        "/": PUBLIC,
        "/health": PUBLIC,
        "/ready": PUBLIC,
        "/static": PUBLIC,
        "/sign-in": PUBLIC,
        "/search": Scope.READ,
        "/latest": Scope.READ,
        _SHORT_LINK: Scope.READ,
        "/live": Scope.READ,
        "/shots": Scope.READ,
        "/diagnostics": Scope.READ,
        "/status": Scope.ADMIN,
        "/images/": Scope.READ,
        "/notebooks/": Scope.READ,
        "/compare": Scope.READ,
        "/tokens": Scope.READ,
        "/exports": Scope.EXPORT,
        "/calls": Scope.READ,
        "/login": PUBLIC,
        "/logout": PUBLIC,
        "/dap/": Scope.READ,
        "/zarr/": Scope.READ,
        "/thredds": Scope.READ,
        "/fileServer/": Scope.READ,
        "/api/docs": PUBLIC,
        "/api/image/get/": Scope.READ,
        "/api/v1/attributes/": Scope.READ,
        "/api/v1/changes": Scope.READ,
        "/api/v1/diagnostics": Scope.READ,
        "/api/v1/exports": Scope.EXPORT,
        "/api/v1/facets": Scope.READ,
        "/api/v1/failures": Scope.READ,
        "/api/v1/facilities": Scope.READ,
        "/api/v1/formats": PUBLIC,
        "/api/v1/health": PUBLIC,
        "/api/v1/image/get/": Scope.READ,
        "/api/v1/images": Scope.READ,
        "/api/v1/openapi.json": PUBLIC,
        "/api/v1/packages/": Scope.EXPORT,
        "/api/v1/provenance/": Scope.READ,
        "/api/v1/shots": Scope.READ,
        "/api/v1/sign-in": PUBLIC,
        "/api/v1/statistics/": Scope.READ,
        "/api/v1/thumbnails/": Scope.READ,
        "/api/v1/tokens": Scope.READ,
        "/api/v1/transforms": PUBLIC,
        "/api/v1/version": PUBLIC,
    }
)
"""By the beginning of the path, below the path at which the application is mounted; one without a slash at its end is a
whole segment. None is the beginning of another one."""

_BEGINNINGS: Final = tuple(
    (
        scope,
        tuple(f"{each}/" for each, needed in _SCOPES.items() if needed == scope and not each.endswith("/")),
        tuple(each for each, needed in _SCOPES.items() if needed == scope and each.endswith("/") and each != "/"),
    )
    for scope in dict.fromkeys(_SCOPES.values())
)
"""The same for each scope: the beginnings that are whole segments, and the others."""


def find_scope(path: str) -> Scope | None:
    """Return what a principal needs for a path; `PUBLIC` if nothing.

    Args:
        path: of the URL, below the path at which the application is mounted.
    """
    if path[1:].isdecimal():
        path = _SHORT_LINK
    if path == "/":
        return _SCOPES[path]
    for scope, segments, others in _BEGINNINGS:
        if f"{path}/".startswith(segments) or path.startswith(others):
            return scope
    return Scope.ADMIN
