"""Where the parts are put together: a catalog and settings into an ASGI application."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from shotdap.catalog import Catalog
from shotdap.config import Settings, load_settings
from shotdap.server import api
from shotdap.server.http.errors import render_json_problem, respond_with_problem, to_problem
from shotdap.server.http.limits import create_limits
from shotdap.server.http.response import make_response
from shotdap.server.protocols.zarr import ZarrOptions
from shotdap.server.routes import dap, root, search, thredds, zarr
from shotdap.server.run import CONFIG_VARIABLE

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
    """The application of one worker process, by the settings that the environment leads to."""
    site = os.environ.get(CONFIG_VARIABLE)
    settings = load_settings(Path(site) if site else None)
    return create_app(settings.open_catalog(), settings)


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


_STATUS_MESSAGES = {
    404: "There is nothing here; the catalog is at /dap/.",
    405: "Only GET, HEAD and OPTIONS are answered here.",
}
