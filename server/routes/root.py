"""What this server is, as JSON at ``/``, until the pages come."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap import __version__
from shotdap.server.http.response import make_response
from shotdap.server.routes.listing import prepare_json

__all__ = ["create_root_routes"]


def create_root_routes() -> list[Route]:
    """The route of the root."""
    return [Route("/", _serve_root, methods=["GET"])]


async def _serve_root(request: Request) -> Response:
    base = str(request.base_url)
    return make_response(
        prepare_json(
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
