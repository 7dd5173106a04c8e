"""What this server is, as JSON at ``/``, until the pages come."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap import __version__
from shotdap.server.http.response import respond
from shotdap.server.routes.listing import json_reply

__all__ = ["routes"]


def routes() -> list[Route]:
    """The route of the root."""
    return [Route("/", _root, methods=["GET"])]


async def _root(request: Request) -> Response:
    base = str(request.base_url)
    return respond(
        json_reply(
            {
                "name": "shotdap",
                "version": __version__,
                "about": "Laser-shot images over OPeNDAP and REST: open one remotely, and only what you slice travels.",
                "catalog": f"{base}dap/",
                "api": f"{base}api/v1/version",
                "documentation": f"{base}api/docs",
                "protocols": {"DAP2": ".dds .das .dods", "DAP4": ".dmr .dmr.xml .dap", "Zarr": "/zarr/"},
                "example": f'xarray.open_dataset("{base}dap/<path of an image>")',
            }
        )
    )
