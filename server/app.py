"""Where the parts are put together: a catalog and settings into an ASGI application."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from shotdap.catalog import Catalog
from shotdap.config import Settings, load
from shotdap.server import api
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import limits_of
from shotdap.server.http.response import respond
from shotdap.server.protocols.zarr import Options
from shotdap.server.routes import dap, root, search, thredds, zarr
from shotdap.server.routes.listing import json_reply
from shotdap.server.run import CONFIG_VARIABLE

__all__ = ["application", "create_app"]


def create_app(catalog: Catalog, settings: Settings) -> Starlette:
    """The server as an ASGI application."""
    server = settings.server
    limits = limits_of(settings)
    return Starlette(
        routes=[
            *root.routes(),
            *dap.routes(catalog, limits, compress_data=server.compress_data),
            *search.routes(catalog),
            *thredds.routes(catalog),
            *zarr.routes(catalog, limits, _zarr_options(settings)),
            *api.routes(catalog, limits, settings),
        ],
        middleware=[_cross_origin(server.cors_origins)] if server.cors_origins else [],
        exception_handlers={HTTPException: _unanswered},
    )


def _zarr_options(settings: Settings) -> Options:
    """How datasets become Zarr."""
    return Options(settings.zarr.chunk_mib << 20, settings.server.max_answer_mib << 20, settings.zarr.compression)


def _cross_origin(origins: Sequence[str]) -> Middleware:
    """Lets pages of other sites read answers: a laboratory's notebooks in the browser, for one."""
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=dap.METHODS,
        allow_headers=_ASKED_WITH,
        expose_headers=_ANSWERED_WITH,
    )


_ASKED_WITH = ("Authorization", "If-Modified-Since", "If-None-Match", "If-Range", "Range", "XDAP-Accept")
_ANSWERED_WITH = (
    *("Accept-Ranges", "Content-Disposition", "Content-Length", "Content-Range", "ETag", "Link", "Retry-After"),
    *("Content-Description", "XDAP", "X-DAP", "XDODS-Server", "X-DAP-Server"),
)


def application() -> Starlette:
    """The application of one worker process, by the settings that the environment leads to."""
    site = os.environ.get(CONFIG_VARIABLE)
    settings = load(Path(site) if site else None)
    return create_app(settings.open_catalog(), settings)


async def _unanswered(request: Request, error: Exception) -> Response:
    """A request that no route takes, in DAP's words below ``/dap``, as a problem document below ``/api``."""
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    trouble = Problem(status, _SENTENCES.get(status, detail), expected=True)
    path = request.url.path
    if path.startswith("/dap/"):
        reply = dap.error_reply(dap.suffix_of(path), trouble)
    elif path.startswith("/api/"):
        reply = api.problem_reply(trouble)
    else:
        reply = json_reply({"status": status, "message": trouble.message}, status)
    headers = getattr(error, "headers", None) or {}  # a 405 says what is allowed
    return respond(replace(reply, headers={**reply.headers, **headers}))


_SENTENCES = {
    404: "There is nothing here; the catalog is at /dap/.",
    405: "Only GET, HEAD and OPTIONS are answered here.",
}
