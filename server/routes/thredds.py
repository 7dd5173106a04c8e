"""The catalog for THREDDS clients and as pages, and the original files.

``/thredds/catalog.xml`` and ``.html`` are the top, ``/thredds/catalog/<path>/catalog.xml`` and ``.html`` any folder,
``/fileServer/<path>`` is a file as it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shotdap.catalog import Catalog, Entry, FileHandle, Health, NotFound, Unreadable, retry_if_changed
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.responses import quote_path
from shotdap.server.http.conditional import Validator
from shotdap.server.http.errors import answer, handle_error, render_text_problem
from shotdap.server.http.file_response import format_attachment, respond_with_file
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response
from shotdap.server.pages import render_page, render_problem_page
from shotdap.server.protocols import thredds_catalog as thredds

_MAX_COPIED_SIZE: Final = 16 << 20  # bytes of a file that is copied before it is sent; a slow client may take minutes
_PAGE_SIZE: Final = 200  # children in one catalog; each image costs a query and a look at its file
_FORMATS: Final = ("xml", "html")
_FACT_NAMES: Mapping[str, str] = MappingProxyType({"name": "source_file"})


def create_thredds_routes(catalogs: RequestCatalogs) -> list[Route]:
    """Create the routes of the catalog and of the original files."""

    def respond_level(request: HttpRequest, output_format: str) -> HttpResponse:
        root = request.root_path

        wanted = request.parameters.get("dataset", "/")
        folder = wanted.strip("/") or request.path

        def render_xml() -> HttpResponse:
            catalog = catalogs.open(request)
            if wanted.endswith("/"):
                body = thredds.render_catalog(_read_level(catalog, folder, request), root=root)
            else:
                body = thredds.render_dataset(describe_image(catalog, catalog.find_entry(wanted)), root=root)
            return HttpResponse.from_body(body, thredds.MEDIA_TYPE)

        def render_html() -> HttpResponse:
            if not wanted.endswith("/"):
                return HttpResponse.redirect(f"{root}/images/{quote_path(wanted)}", HTTPStatus.FOUND)
            level = _read_level(catalogs.open(request), folder, request)
            readable = next((image for image in level.images if not image.reason), None)
            return render_page("level.html", request, level=level, readable=readable)

        subject = f"/thredds/{request.path}"
        if output_format == "html":
            response = answer(render_html, partial(render_problem_page, request), subject)
        else:
            response = answer(render_xml, render_text_problem, subject)
        return compress_response(response, request)

    async def serve_level(request: Request) -> Response:
        output_format = request.url.path.rpartition(".")[2]
        return make_response(await run_in_threadpool(respond_level, HttpRequest.from_starlette(request), output_format))

    async def serve_file(request: Request) -> Response:
        file_request = HttpRequest.from_starlette(request)
        return await run_in_threadpool(_respond_file, catalogs.open(file_request), file_request)

    async def redirect_to_top(request: Request) -> Response:
        root = HttpRequest.from_starlette(request).root_path
        return RedirectResponse(thredds.build_catalog_url("", root=root, form="html"))

    levels = [
        Route(f"/thredds/{folder}catalog.{output_format}", serve_level, methods=["GET"])
        for folder in ("", "catalog/", "catalog/{path:path}/")
        for output_format in _FORMATS
    ]
    return [
        Route("/thredds", redirect_to_top, methods=["GET"]),
        Route("/thredds/", redirect_to_top, methods=["GET"]),
        *levels,
        Route("/fileServer/{path:path}", serve_file, methods=["GET"]),
    ]


def _read_level(catalog: Catalog, path: str, request: HttpRequest) -> thredds.CatalogPage:
    """Read one page of the children of a folder; images as they are now, as files may come and go meanwhile."""
    after = request.parameters.get("after")
    page = catalog.list_children(path, after=after, limit=_PAGE_SIZE)
    folders, images = [], []
    for child in page.children:
        if child.is_folder:
            folders.append(thredds.CatalogFolder(child.name, child.path))
            continue
        try:
            images.append(describe_image(catalog, catalog.find_entry(child.path)))
        except NotFound as error:
            images.append(thredds.CatalogImage(child.name, child.path, reason=str(error.args[0])))
    return thredds.CatalogPage(path, tuple(folders), tuple(images), after, page.after)


def describe_image(catalog: Catalog, entry: Entry) -> thredds.CatalogImage:
    """Describe an entry as an image of a page, with the size of its file as it is now."""
    size, reason = None, ""
    try:
        size = catalog.get_file_version(entry).size
    except Unreadable as error:
        reason = str(error.args[0])
    if not reason and entry.health is not Health.MISSING:
        reason = entry.reason
    facts = {
        _FACT_NAMES.get(name, name): str(value) for name, value in entry.facts.items() if name != "date" and str(value)
    }
    name = entry.path.rpartition("/")[2]
    return thredds.CatalogImage(name, entry.path, size, str(entry.facts.get("date", "")), facts, reason)


def _respond_file(catalog: Catalog, request: HttpRequest) -> Response:
    try:
        return _send_file(catalog, request)
    except Exception as error:  # noqa: BLE001 — every failure gets a response
        return make_response(handle_error(error, render_text_problem, request.path))


def _send_file(catalog: Catalog, request: HttpRequest) -> Response:
    entry = catalog.find_entry(request.path)

    def open_handle() -> FileHandle:
        file = catalog.open_file_handle(entry)
        is_small = file.version.size <= _MAX_COPIED_SIZE  # later changes of the file do not matter to a copy
        return file.copy_to_memory(file.version) if is_small and not file.is_copy else file

    file = retry_if_changed(open_handle)
    version = file.version
    tag = "-".join(f"{part:x}" if isinstance(part, int) else part for part in version.fingerprint)
    validator = Validator(tag, datetime.fromtimestamp(version.modified // 10**9, UTC))
    if validator.is_not_modified(request):
        return make_response(validator.prepare_not_modified())
    # The name under which the client stores the file: without the folders that the archive had it in.
    name = PureWindowsPath(str(entry.facts.get("name", ""))).name or Path(entry.path).name
    headers = {**validator.headers, "Content-Disposition": format_attachment(name.encode("utf-8", "replace").decode())}
    check_unchanged = partial(file.check_unchanged, version)
    # An archive may contain anything, even a login page.
    return respond_with_file(request, file, "application/octet-stream", headers, check_unchanged)
