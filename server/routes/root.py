"""Description of this server as JSON at ``/``."""

from __future__ import annotations

from starlette.responses import Response

from shotdap import __version__
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, make_response


def describe_server(request: HttpRequest) -> Response:
    """Describe the server to a program that asks for ``/``."""
    base = request.base_url
    document = {
        "name": "shotdap",
        "version": __version__,
        "about": "Laser-shot images over OPeNDAP and REST: open one remotely, and only what you slice travels.",
        "catalog": f"{base}/dap/",
        "api": f"{base}/api/v1/version",
        "documentation": f"{base}/api/docs",
        "protocols": {"DAP2": ".dds .das .dods", "DAP4": ".dmr .dmr.xml .dap", "Zarr": "/zarr/"},
        "example": f'xarray.open_dataset("{base}/dap/<path of an image>")',
    }
    return make_response(HttpResponse.from_json(document).with_headers({"Vary": "Accept"}))
