"""Where the parts are put together: a catalog and settings into an ASGI application."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shotdap.catalog import Catalog
from shotdap.config import Settings, load
from shotdap.server.errors import Problem
from shotdap.server.listing import json_reply
from shotdap.server.replies import respond
from shotdap.server.routes import dap, root

__all__ = ["CONFIG_VARIABLE", "application", "create_app"]

CONFIG_VARIABLE = "SHOTDAP_CONFIG"
"""The environment variable that leads each worker process to the site's settings."""


def create_app(catalog: Catalog, settings: Settings) -> Starlette:
    """The server as an ASGI application."""
    limits = dap.Limits(settings.server.max_answer_mib << 20, settings.server.max_query_kib << 10)
    return Starlette(
        routes=[*root.routes(), *dap.routes(catalog, limits)],
        exception_handlers={HTTPException: _unanswered},
    )


def application() -> Starlette:
    """The application of one worker process, by the settings that the environment leads to."""
    site = os.environ.get(CONFIG_VARIABLE)
    settings = load(Path(site) if site else None)
    return create_app(settings.open_catalog(), settings)


async def _unanswered(request: Request, error: Exception) -> Response:
    """A request that no route takes, in DAP's words below ``/dap``."""
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    trouble = Problem(status, _SENTENCES.get(status, detail), expected=True)
    path = request.url.path
    if path.startswith("/dap/"):
        return respond(dap.error_reply(dap.suffix_of(path), trouble))
    return respond(json_reply({"status": status, "message": trouble.message}, status))


_SENTENCES = {
    404: "There is nothing here; the catalog is at /dap/.",
    405: "Only GET and HEAD are answered here.",
}
