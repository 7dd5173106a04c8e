"""Workload of each URL: the only table that says where a request is answered.

A route that is not in the table, or a method that no route has, is light: the server refuses it by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qs

from shotdap.server.routes.dap import find_suffix


class Workload(Enum):
    """Where a request is answered."""

    LIGHT = "light"
    """By the server process, in the event loop or a thread: asks at most the catalog's database."""
    STREAM = "stream"
    """By the server process, which sends while it reads or waits: too large, or too long, to be an answer in memory."""
    MEMORY = "memory"
    """In the event loop, if everything is in memory that the answer needs; otherwise as one that is heavy."""
    HEAVY = "heavy"
    """By an answer process: opens files of the archive, and computes."""


WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    {
        "/": Workload.LIGHT,
        "/health": Workload.LIGHT,
        "/ready": Workload.LIGHT,
        "/dap/{path:path}": Workload.HEAVY,  # a folder, an image, a page or a download; suffixes are below
        "/thredds": Workload.LIGHT,
        "/thredds/": Workload.LIGHT,
        "/thredds/search.html": Workload.LIGHT,
        "/thredds/catalog.xml": Workload.LIGHT,
        "/thredds/catalog.html": Workload.LIGHT,
        "/thredds/catalog/catalog.xml": Workload.LIGHT,
        "/thredds/catalog/catalog.html": Workload.LIGHT,
        "/thredds/catalog/{path:path}/catalog.xml": Workload.LIGHT,
        "/thredds/catalog/{path:path}/catalog.html": Workload.LIGHT,
        "/fileServer/{path:path}": Workload.STREAM,
        "/static/{path:path}": Workload.LIGHT,
        "/images/{path:path}": Workload.HEAVY,  # reads pixels, for the numbers on the page
        "/notebooks/{path:path}": Workload.HEAVY,  # likewise, for the range
        "/compare": Workload.HEAVY,  # reads pixels of several images
        "/compare/picture": Workload.HEAVY,
        "/exports": Workload.HEAVY,  # opens an image of an order, before it is taken and for its preview
        "/calls": Workload.HEAVY,  # opens the images of the requests, to say what would work
        "/search": Workload.LIGHT,
        "/search/suggestions": Workload.LIGHT,
        "/latest": Workload.LIGHT,
        "/live": Workload.LIGHT,
        "/{shot:int}": Workload.LIGHT,
        "/status": Workload.LIGHT,
        "/diagnostics": Workload.LIGHT,
        "/diagnostics/{path:path}": Workload.HEAVY,  # reads pixels, for the common range of its pictures
        "/shots": Workload.LIGHT,
        "/shots/{facility}/{shot:int}": Workload.LIGHT,
        "/zarr/{path:path}": Workload.MEMORY,
        "/api/docs": Workload.LIGHT,
        "/api/docs/files": Workload.LIGHT,
        "/api/image/get/{kind}": Workload.HEAVY,
        "/api/v1/attributes/{path:path}": Workload.HEAVY,
        "/api/v1/changes": Workload.LIGHT,
        "/api/v1/changes/stream": Workload.STREAM,
        "/api/v1/diagnostics": Workload.LIGHT,
        "/api/v1/exports": Workload.LIGHT,  # a list; an order is below
        "/api/v1/exports/{id}": Workload.LIGHT,
        "/api/v1/exports/{id}/events": Workload.STREAM,
        "/api/v1/exports/{id}/manifest": Workload.LIGHT,
        "/api/v1/exports/{id}/result": Workload.STREAM,
        "/api/v1/facets": Workload.LIGHT,
        "/api/v1/facilities": Workload.LIGHT,
        "/api/v1/failures": Workload.HEAVY,  # opens the images of the requests, to say what would work
        "/api/v1/formats": Workload.LIGHT,
        "/api/v1/health": Workload.LIGHT,
        "/api/v1/health/ready": Workload.LIGHT,
        "/api/v1/image/get/{kind}": Workload.HEAVY,
        "/api/v1/images": Workload.LIGHT,
        "/api/v1/images/{path:path}": Workload.HEAVY,
        "/api/v1/openapi.json": Workload.LIGHT,
        "/api/v1/packages/{path:path}": Workload.STREAM,  # but one that is a single file is encoded in memory
        "/api/v1/provenance/{path:path}": Workload.HEAVY,
        "/api/v1/shots": Workload.LIGHT,
        "/api/v1/shots/{facility}/{shot}": Workload.LIGHT,
        "/api/v1/shots/{facility}/{shot}/package": Workload.LIGHT,
        "/api/v1/sign-in": Workload.LIGHT,
        "/api/v1/statistics/{path:path}": Workload.HEAVY,
        "/api/v1/thumbnails/{path:path}": Workload.HEAVY,
        "/api/v1/tokens": Workload.LIGHT,
        "/api/v1/transforms": Workload.LIGHT,
        "/api/v1/transforms/{name}": Workload.LIGHT,
        "/api/v1/version": Workload.LIGHT,
    }
)
"""By the route of GET and HEAD."""

_DAP_PREFIX: Final = "/dap/"
_DAP_WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    {
        **dict.fromkeys((".dds", ".das", ".dods", ".dmr", ".dmr.xml", ".dap"), Workload.MEMORY),
        **dict.fromkeys((".ver", ".help"), Workload.LIGHT),
    }
)
"""By the suffix, where that differs from the route's."""

_PACKAGE_PREFIX: Final = "/api/v1/packages/"
_STREAMED_PACKAGES: Final = frozenset({"zip", "zarr"})
_ORDER_PATHS: Final = frozenset({"/api/v1/exports", "/exports", "/exports/again"})
"""An order opens images before it is taken."""

_COSTLY: Final = frozenset({Workload.MEMORY, Workload.HEAVY})
_COSTLY_PREFIXES: Final = tuple(
    (route.partition("{")[0], workload) for route, workload in WORKLOADS.items() if workload in _COSTLY
)
"""A costly route has one parameter, at its end: so its prefix suffices."""


def find_workload(method: str, path: str, query: bytes = b"") -> Workload:
    """Return the workload of a request.

    Args:
        method: of HTTP.
        path: of the URL, below the path at which the application is mounted.
        query: of the URL.
    """
    if method == "POST" and path in _ORDER_PATHS:
        return Workload.HEAVY
    if method not in {"GET", "HEAD"}:
        return Workload.LIGHT
    if path.startswith(_DAP_PREFIX):
        return _DAP_WORKLOADS.get(find_suffix(path), WORKLOADS["/dap/{path:path}"])
    if path.startswith(_PACKAGE_PREFIX):
        containers = parse_qs(query.decode("latin-1")).get("format", ["zip"])
        return Workload.STREAM if _STREAMED_PACKAGES.issuperset(containers) else Workload.HEAVY
    return next((workload for prefix, workload in _COSTLY_PREFIXES if path.startswith(prefix)), Workload.LIGHT)


def is_forwarded(method: str, path: str, query: bytes = b"") -> bool:
    """Check whether a request is always answered by an answer process."""
    return find_workload(method, path, query) is Workload.HEAVY
