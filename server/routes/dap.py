"""OPeNDAP: ``/dap/<path>.<suffix>?<constraint>``, DAP2 and DAP4, pages and downloads.

Each suffix is one row of `_HANDLERS`. A response is prepared completely: the image is found, opened, selected from,
checked against the limits, and computed. Only then is the status line sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap import __version__
from shotdap.catalog import LATEST, Catalog, NotFound, require_process, retry_if_changed
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.encoders.netcdf import classic, netcdf4
from shotdap.server.http.errors import Problem, answer
from shotdap.server.http.limits import Limits, check_query_length
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, RunFunction, compress_response, run_in_thread
from shotdap.server.pages import describe_page_version, render_problem_page
from shotdap.server.protocols import dap4 as dap4_protocol
from shotdap.server.routes import dap2, dap4, downloads, pages
from shotdap.server.routes.image_request import ImageRequest
from shotdap.server.routes.json_listing import describe_path
from shotdap.server.routes.prov_document import respond_provenance
from shotdap.transforms import MARK

METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OPTIONS_HEADERS: Final = MappingProxyType(
    {"Allow": ", ".join(METHODS), "XDAP": "4.0", "X-DAP": "4.0", "XDODS-Server": f"shotdap/{__version__}"}
)


def create_dap_routes(
    catalogs: RequestCatalogs, limits: Limits, run: RunFunction = run_in_thread, *, compress_data: bool = False
) -> list[Route]:
    """Create the routes of both protocols.

    Args:
        catalogs: of the images.
        limits: how much one request may ask for.
        run: prepares the response to a request for structure or values; other responses are prepared in a thread.
        compress_data: whether data are compressed too, for clients that accept it; text always is.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        suffix = find_suffix(request.path)

        def prepare() -> HttpResponse:
            check_query_length(request.query, limits.query)
            try:
                return retry_if_changed(lambda: _respond_once(request, suffix, catalogs.open(request), limits))
            except NotFound:
                if LATEST not in request.path.split("/"):
                    raise
                return _redirect_to_latest(request, suffix, catalogs.open(request))

        response = answer(prepare, partial(render_dap_problem, suffix, request), f"/dap/{request.path}")
        return compress_response(response, request, data=compress_data)

    async def serve_dap(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=dict(_OPTIONS_HEADERS))
        suffix = find_suffix(request.path_params["path"])
        return await (run if suffix in _FREQUENT_SUFFIXES else run_in_thread)(request, respond)

    return [Route("/dap/{path:path}", serve_dap, methods=list(METHODS))]


def find_suffix(path: str) -> str:
    """Return the suffix that selects the response; empty if the path is to be listed or described."""
    return next((suffix for suffix in _SUFFIXES_BY_LENGTH if path.endswith(suffix)), "")


def render_dap_problem(suffix: str, request: HttpRequest, problem: Problem) -> HttpResponse:
    """Render a problem in the protocol of a suffix, or as a page; in DAP2 if the suffix belongs to none."""
    if suffix in _PAGE_SUFFIXES:
        return render_problem_page(request, problem)
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
    if f"/{MARK}" in path:  # a variant, to be built step by step; or many images
        require_process()
    try:
        image = catalog.image(path)
    except NotFound:  # the suffix may belong to the path: a file may be called ``shot.nc``
        try:
            return describe_path(catalog, request.path, request.query)
        except NotFound as error:
            raise NotFound(f"There is no image at {path!r}.") from error
    if image.entry is None:  # many files to look at
        require_process()
    if image.path != path:  # each variant has one URL
        query = f"?{request.query}" if request.query else ""
        return HttpResponse.redirect(f"{request.base_url}/dap/{image.path}{suffix}{query}", 308)
    image_request = ImageRequest(request, catalog, image, limits, suffix)
    kind = f"{suffix} {describe_page_version(request)}" if suffix in _PAGE_SUFFIXES else suffix
    return image_request.create_validator(kind).respond(request, lambda: _HANDLERS[suffix](image_request))


def _redirect_to_latest(request: HttpRequest, suffix: str, catalog: Catalog) -> HttpResponse:
    """Redirect to the newest image, but not a client that asks for one dataset by several requests.

    Between two of them another image may become the newest: its values would belong to the structure of the former.
    """
    require_process()  # it may take a search of the whole catalog
    path = catalog.find_latest(request.path.removesuffix(suffix))
    if suffix in _PIECEWISE_SUFFIXES:
        raise NotFound(
            f"What is the latest may change between the requests of a client. Open {request.base_url}/dap/{path}, which"
            f" is the latest now."
        )
    query = f"?{request.query}" if request.query else ""
    location = f"{request.base_url}/dap/{path}{suffix}{query}"
    return HttpResponse.redirect(location, 307).with_headers({"Cache-Control": "no-store"})


_SITE_HANDLERS: Mapping[str, Callable[[HttpRequest], HttpResponse]] = MappingProxyType(
    {".ver": dap2.respond_version, ".help": pages.respond_help}
)
"""By the suffix of the URL; for any path, as no image is needed."""

_IMAGE_HANDLERS: Final[dict[str, Callable[[ImageRequest], HttpResponse]]] = {
    ".dds": dap2.respond_dds,
    ".das": dap2.respond_das,
    ".dods": dap2.respond_dods,
    ".ascii": dap2.respond_ascii,
    ".asc": dap2.respond_ascii,
    ".dmr": dap4.respond_dmr,
    ".dmr.xml": dap4.respond_dmr,
    ".dap": dap4.respond_dap,
    ".nc": partial(downloads.respond_download, classic.encode),
    ".nc4": partial(downloads.respond_download, netcdf4.encode),
    ".html": pages.respond_form,
    ".info": pages.respond_info,
    ".dmr.html": pages.respond_dmr_page,
    ".prov": lambda image_request: respond_provenance(image_request, unquote(image_request.request.query)),
}
_FREQUENT_SUFFIXES: Final = frozenset({".dds", ".das", ".dods", ".dmr", ".dmr.xml", ".dap"})
_PIECEWISE_SUFFIXES: Final = _FREQUENT_SUFFIXES | {".ascii", ".asc", ".dsr", ".dsr.xml"}
_PAGE_SUFFIXES: Final = frozenset({".html", ".info", ".dmr.html", ".help"})
_SERVICES_SUFFIXES: Final = (".dsr", ".dsr.xml")
_SUFFIXES_BY_LENGTH: Final = sorted({*_SITE_HANDLERS, *_IMAGE_HANDLERS, *_SERVICES_SUFFIXES}, key=len, reverse=True)
_HANDLERS: Mapping[str, Callable[[ImageRequest], HttpResponse]] = MappingProxyType(
    {
        **_IMAGE_HANDLERS,
        **dict.fromkeys(_SERVICES_SUFFIXES, partial(dap4.respond_services, frozenset(_SUFFIXES_BY_LENGTH))),
    }
)
"""By the suffix of the URL."""
