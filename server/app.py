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
from shotdap.config import Settings, Site, load_settings
from shotdap.config.settings import CONFIG_VARIABLE
from shotdap.server import api
from shotdap.server.http.errors import Problem
from shotdap.server.http.limits import create_limits
from shotdap.server.http.response import make_response
from shotdap.server.protocols.zarr import ZarrOptions
from shotdap.server.routes import dap, root, search, thredds, zarr
from shotdap.server.routes.listing import prepare_json

__all__ = ["application", "create_app"]


def create_app(catalog: Catalog, settings: Settings) -> Starlette:
    """The server as an ASGI application."""
    server = settings.server
    limits = create_limits(settings)
    return Starlette(
        routes=[
            *root.create_root_routes(),
            *dap.create_dap_routes(catalog, limits, compress_data=server.compress_data),
            *search.create_search_routes(catalog),
            *thredds.create_thredds_routes(catalog),
            *zarr.create_zarr_routes(catalog, limits, _zarr_options(settings)),
            *api.create_rest_routes(catalog, limits, settings),
        ],
        middleware=[_create_cors_middleware(server.cors_origins)] if server.cors_origins else [],
        exception_handlers={HTTPException: _handle_http_error},
    )


def _zarr_options(settings: Settings) -> ZarrOptions:
    """How datasets become Zarr."""
    return ZarrOptions(settings.zarr.chunk_mib << 20, settings.server.max_answer_mib << 20, settings.zarr.compression)


def _create_cors_middleware(origins: Sequence[str]) -> Middleware:
    """Lets pages of other sites read answers: a laboratory's notebooks in the browser, for one."""
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=dap.METHODS,
        allow_headers=_CORS_REQUEST_HEADERS,
        expose_headers=_CORS_RESPONSE_HEADERS,
    )


_CORS_REQUEST_HEADERS = ("Authorization", "If-Modified-Since", "If-None-Match", "If-Range", "Range", "XDAP-Accept")
_CORS_RESPONSE_HEADERS = (
    *("Accept-Ranges", "Content-Disposition", "Content-Length", "Content-Range", "ETag", "Link", "Retry-After"),
    *("Content-Description", "XDAP", "X-DAP", "XDODS-Server", "X-DAP-Server"),
)


def application() -> Starlette:
    """Create the application of one worker process, by the settings that the environment leads to."""
    file = os.environ.get(CONFIG_VARIABLE)
    settings = load_settings(Path(file) if file else None)
    return create_app(Site(settings).open_catalog(), settings)


async def _handle_http_error(request: Request, error: Exception) -> Response:
    """A request that no route takes, in DAP's words below ``/dap``, as a problem document below ``/api``."""
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    trouble = Problem(status, _STATUS_MESSAGES.get(status, detail), expected=True)
    path = request.url.path
    if path.startswith("/dap/"):
        reply = dap.prepare_error(dap.find_suffix(path), trouble)
    elif path.startswith("/api/"):
        reply = api.prepare_problem(trouble)
    else:
        reply = prepare_json({"status": status, "message": trouble.message}, status)
    headers = getattr(error, "headers", None) or {}  # a 405 says what is allowed
    return make_response(replace(reply, headers={**reply.headers, **headers}))


_STATUS_MESSAGES = {
    404: "There is nothing here; the catalog is at /dap/.",
    405: "Only GET, HEAD and OPTIONS are answered here.",
}
