"""OPeNDAP: ``/dap/<path>.<suffix>?<constraint>``, DAP2 and DAP4, pages and downloads.

Each suffix is one row of `_HANDLERS`. A response is prepared completely in a thread: the image is found, opened,
selected from, checked against the limits, and computed. Only then is the status line sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap import __version__
from shotdap.catalog import Catalog, NotFound, retry_if_changed
from shotdap.server.http.errors import Problem, answer
from shotdap.server.http.limits import Limits, check_query_length
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response
from shotdap.server.protocols import dap4 as dap4_protocol
from shotdap.server.routes import dap2, dap4, downloads, pages, provenance
from shotdap.server.routes.image_request import ImageRequest
from shotdap.server.routes.listing import describe_path

METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OPTIONS_HEADERS: Final = MappingProxyType(
    {"Allow": ", ".join(METHODS), "XDAP": "4.0", "X-DAP": "4.0", "XDODS-Server": f"shotdap/{__version__}"}
)


def create_dap_routes(catalog: Catalog, limits: Limits, *, compress_data: bool = False) -> list[Route]:
    """Create the routes of both protocols.

    Args:
        catalog: of the images.
        limits: how much one request may ask for.
        compress_data: whether data are compressed too, for clients that accept it; text always is.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        suffix = find_suffix(request.path)

        def prepare() -> HttpResponse:
            check_query_length(request.query, limits.query)
            return retry_if_changed(lambda: _respond_once(request, suffix, catalog, limits))

        response = answer(prepare, partial(render_dap_problem, suffix, request.root_path), request.path)
        return compress_response(response, request, data=compress_data)

    async def serve_dap(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=dict(_OPTIONS_HEADERS))
        return make_response(await run_in_threadpool(respond, HttpRequest.from_starlette(request)))

    return [Route("/dap/{path:path}", serve_dap, methods=list(METHODS))]


def find_suffix(path: str) -> str:
    """Return the suffix that selects the response; empty if the path is to be listed or described."""
    return next((suffix for suffix in _SUFFIXES_BY_LENGTH if path.endswith(suffix)), "")


def render_dap_problem(suffix: str, root_path: str, problem: Problem) -> HttpResponse:
    """Render a problem in the protocol of a suffix, or as a page; in DAP2 if the suffix belongs to none."""
    if suffix in pages.HANDLERS or suffix in pages.SITE_HANDLERS:
        return pages.render_problem_page(problem, root_path)
    return (dap4.render_dap4_problem if suffix in dap4_protocol.MEDIA_TYPES else dap2.render_dap2_problem)(problem)


def _respond_once(request: HttpRequest, suffix: str, catalog: Catalog, limits: Limits) -> HttpResponse:
    """Find the image as it is now, and respond from this snapshot of it."""
    path = request.path.removesuffix(suffix)
    if not suffix and dap4.SERVICES_MEDIA_TYPE in request.headers.get("accept", ""):
        with suppress(NotFound):
            return _HANDLERS[".dsr"](ImageRequest(request, catalog, catalog.image(path), limits, ".dsr"))
    if suffix in _SITE_HANDLERS:
        return _SITE_HANDLERS[suffix](request)
    if not suffix:
        return describe_path(catalog, path, request.query).with_headers({"Vary": "Accept"})
    try:
        image = catalog.image(path)
    except NotFound:  # the suffix may belong to the path: a file may be called ``shot.nc``
        try:
            return describe_path(catalog, request.path, request.query)
        except NotFound as error:
            raise NotFound(f"There is no image at {path!r}.") from error
    if image.path != path:  # each variant has one URL
        query = f"?{request.query}" if request.query else ""
        return HttpResponse.redirect(f"{request.base_url}/dap/{image.path}{suffix}{query}", 308)
    image_request = ImageRequest(request, catalog, image, limits, suffix)
    return image_request.create_validator(suffix).respond(request, lambda: _HANDLERS[suffix](image_request))


_SITE_HANDLERS: Mapping[str, Callable[[HttpRequest], HttpResponse]] = MappingProxyType(
    {**dap2.SITE_HANDLERS, **pages.SITE_HANDLERS}
)
_IMAGE_HANDLERS: Final = {
    **dap2.HANDLERS,
    **dap4.HANDLERS,
    **downloads.HANDLERS,
    **pages.HANDLERS,
    **provenance.HANDLERS,
}
_SERVICES_SUFFIXES: Final = (".dsr", ".dsr.xml")
_HANDLERS: Mapping[str, Callable[[ImageRequest], HttpResponse]] = MappingProxyType(
    {
        **_IMAGE_HANDLERS,
        **dict.fromkeys(
            _SERVICES_SUFFIXES, dap4.create_services_handler({*_IMAGE_HANDLERS, *_SITE_HANDLERS, *_SERVICES_SUFFIXES})
        ),
    }
)
_SUFFIXES_BY_LENGTH: Final = sorted({*_HANDLERS, *_SITE_HANDLERS}, key=len, reverse=True)
