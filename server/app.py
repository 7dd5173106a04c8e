"""The ASGI application: connects a catalog and settings to the routes of all protocols."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

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
from shotdap.server.http.errors import render_json_problem, respond_with_problem, to_problem
from shotdap.server.http.limits import create_limits
from shotdap.server.http.response import make_response
from shotdap.server.protocols.zarr import ZarrOptions
from shotdap.server.routes import dap, root, search, thredds, zarr

_CORS_REQUEST_HEADERS: Final = (
    "Authorization",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "Range",
    "XDAP-Accept",
)
_CORS_RESPONSE_HEADERS: Final = (
    *("Accept-Ranges", "Content-Disposition", "Content-Length", "Content-Range", "ETag", "Link", "Retry-After"),
    *("Content-Description", "XDAP", "X-DAP", "XDODS-Server", "X-DAP-Server"),
)
_STATUS_MESSAGES: Final = {
    404: "There is nothing here; the catalog is at /dap/.",
    405: "Only GET, HEAD and OPTIONS are answered here.",
}


def create_app(catalog: Catalog, settings: Settings) -> Starlette:
    """Create the server as an ASGI application."""
    server = settings.server
    limits = create_limits(settings)
    zarr_options = ZarrOptions(settings.zarr.chunk_mib << 20, limits.answer, settings.zarr.compression)
    cors = Middleware(  # lets pages of other sites read responses, such as a laboratory's notebooks in the browser
        CORSMiddleware,
        allow_origins=server.cors_origins,
        allow_methods=dap.METHODS,
        allow_headers=_CORS_REQUEST_HEADERS,
        expose_headers=_CORS_RESPONSE_HEADERS,
    )
    return Starlette(
        routes=[
            *root.create_root_routes(),
            *dap.create_dap_routes(catalog, limits, compress_data=server.compress_data),
            *search.create_search_routes(catalog),
            *thredds.create_thredds_routes(catalog),
            *zarr.create_zarr_routes(catalog, limits, zarr_options),
            *api.create_rest_routes(catalog, limits, settings),
        ],
        middleware=[cors] if server.cors_origins else [],
        exception_handlers={HTTPException: _handle_http_error},
    )


def application() -> Starlette:
    """Create the application of one worker process from the settings that the environment names."""
    file = os.environ.get(CONFIG_VARIABLE)
    settings = load_settings(Path(file) if file else None)
    return create_app(Site(settings).open_catalog(), settings)


async def _handle_http_error(request: Request, error: Exception) -> Response:
    """Refuse a request that no route takes, in the format of the protocol that its path belongs to."""
    problem = to_problem(error)
    problem = replace(problem, message=_STATUS_MESSAGES.get(problem.status, problem.message))
    path = request.url.path
    if path.startswith("/dap/"):
        response = respond_with_problem(problem, partial(dap.render_dap_problem, dap.find_suffix(path), ""))
    else:
        render_problem = api.render_problem if path.startswith("/api/") else render_json_problem
        response = respond_with_problem(problem, render_problem)
    return make_response(response)
