"""The catalog for THREDDS clients and for people, and the original files.

``/thredds/catalog.xml`` and ``.html`` are the top, ``/thredds/catalog/<path>/catalog.xml`` and ``.html`` any folder,
``/fileServer/<path>`` a file's own bytes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from shotdap.catalog import Catalog, Child, Entry, FileHandle, Health, NotFound, Unreadable, retry_if_changed
from shotdap.server.http.conditional import Validator
from shotdap.server.http.errors import Problem, to_problem
from shotdap.server.http.response import PreparedResponse, compress_response, make_response
from shotdap.server.pages import render_page
from shotdap.server.protocols import thredds_catalog as thredds

__all__ = ["create_thredds_routes", "describe_image"]

_LOG = logging.getLogger("shotdap.thredds")
_PASSING: Final = 503
_MAX_COPIED_SIZE: Final = (
    16 << 20
)  # bytes of a file that is copied before it is sent, which may take a slow client minutes
_PAGE_SIZE: Final = 200  # children in one catalog; each image costs a query and a look at its file


@dataclass(frozen=True)
class _LevelRequest:
    """A request for a level."""

    catalog: Catalog
    path: str
    after: str | None
    root_path: str
    """What the application is mounted below."""
    base_url: str
    """The server's URL as the client sees it, without a slash at the end."""


def create_thredds_routes(catalog: Catalog) -> list[Route | Mount]:
    """The routes of the catalog, of the files, and of what the pages are made with."""

    async def serve_level(request: Request) -> Response:
        form = request.url.path.rpartition(".")[2]
        question = _LevelRequest(
            catalog,
            request.path_params.get("path", ""),
            request.query_params.get("after"),
            request.scope.get("root_path", ""),
            str(request.base_url).rstrip("/"),
        )
        reply = await run_in_threadpool(_answer_level, question, form)
        return make_response(
            await run_in_threadpool(compress_response, reply, request.headers.get("accept-encoding", ""))
        )

    async def serve_file(request: Request) -> Response:
        return await run_in_threadpool(_respond_file, catalog, request.path_params["path"], request.headers)

    async def redirect_to_top(request: Request) -> Response:
        return RedirectResponse(thredds.build_catalog_url("", root=request.scope.get("root_path", ""), form="html"))

    levels = [
        Route(f"/thredds/{folder}catalog.{form}", serve_level, methods=["GET"])
        for folder in ("", "catalog/", "catalog/{path:path}/")
        for form in _RENDERERS
    ]
    return [
        Route("/thredds", redirect_to_top, methods=["GET"]),
        Route("/thredds/", redirect_to_top, methods=["GET"]),
        *levels,
        Route("/fileServer/{path:path}", serve_file, methods=["GET"]),
        Mount("/static", StaticFiles(packages=[("shotdap.server", "static")])),
    ]


def _answer_level(question: _LevelRequest, form: str) -> PreparedResponse:
    write, fail = _RENDERERS[form]
    try:
        return write(question, _read_level(question))
    except Exception as error:  # noqa: BLE001 — every failure gets an answer
        return fail(question, _report_problem(error, question.path))


def _report_problem(error: Exception, path: str) -> Problem:
    trouble = to_problem(error)
    if not trouble.expected:
        _LOG.error("failed to answer %s", path, exc_info=error)
    return trouble


def _read_level(question: _LevelRequest) -> thredds.CatalogPage:
    found = question.catalog.list_children(question.path, after=question.after, limit=_PAGE_SIZE)
    return thredds.CatalogPage(
        question.path,
        tuple(thredds.CatalogFolder(child.name, child.path) for child in found.children if child.is_folder),
        tuple(_describe_child_image(question.catalog, child) for child in found.children if not child.is_folder),
        question.after,
        found.after,
    )


def _describe_child_image(catalog: Catalog, child: Child) -> thredds.CatalogImage:
    """An image as it is now: its file may have come or gone since the catalog was built."""
    try:
        return describe_image(catalog, catalog.find_entry(child.path))
    except NotFound as error:
        return thredds.CatalogImage(child.name, child.path, reason=str(error.args[0]))


def describe_image(catalog: Catalog, entry: Entry) -> thredds.CatalogImage:
    """An entry as an image of a page, after a look at its file."""
    size, reason = _probe_file_size(catalog, entry)
    if not reason and entry.health is not Health.MISSING:
        reason = entry.reason
    facts = {
        _FACT_NAMES.get(name, name): str(value) for name, value in entry.facts.items() if name != "date" and str(value)
    }
    name = entry.path.rpartition("/")[2]
    return thredds.CatalogImage(name, entry.path, size, str(entry.facts.get("date", "")), facts, reason)


_FACT_NAMES: Mapping[str, str] = MappingProxyType({"name": "source_file"})


def _probe_file_size(catalog: Catalog, entry: Entry) -> tuple[int | None, str]:
    """How large an entry's file is, or why that cannot be said."""
    try:
        return catalog.get_file_version(entry).size, ""
    except Unreadable as error:
        return None, str(error.args[0])


def _render_xml(question: _LevelRequest, level: thredds.CatalogPage) -> PreparedResponse:
    return PreparedResponse.from_body(thredds.render_catalog(level, root=question.root_path), thredds.MEDIA_TYPE, {})


def _render_html(question: _LevelRequest, level: thredds.CatalogPage) -> PreparedResponse:
    readable = next((image for image in level.images if not image.reason), None)
    return render_page("level.html", level=level, root=question.root_path, host=question.base_url, readable=readable)


def _render_xml_error(_question: _LevelRequest, trouble: Problem) -> PreparedResponse:
    return _prepare_text_error(trouble)


def _render_html_error(question: _LevelRequest, trouble: Problem) -> PreparedResponse:
    reply = render_page("problem.html", trouble.status, trouble=trouble, root=question.root_path)
    return replace(reply, headers={**reply.headers, **trouble.headers})


def _prepare_text_error(trouble: Problem) -> PreparedResponse:
    return PreparedResponse.from_body(
        f"{trouble.message}\n", "text/plain; charset=utf-8", trouble.headers, trouble.status
    )


_RENDERERS: Mapping[
    str,
    tuple[
        Callable[[_LevelRequest, thredds.CatalogPage], PreparedResponse],
        Callable[[_LevelRequest, Problem], PreparedResponse],
    ],
] = MappingProxyType({"xml": (_render_xml, _render_xml_error), "html": (_render_html, _render_html_error)})


def _respond_file(catalog: Catalog, path: str, headers: Headers) -> Response:
    try:
        entry = catalog.find_entry(path)
        held = retry_if_changed(lambda: _hold_file(catalog, entry))
    except Exception as error:  # noqa: BLE001 — every failure gets an answer
        return make_response(_prepare_text_error(_report_problem(error, path)))
    modified = datetime.fromtimestamp(held.version.modified // 10**9, UTC)
    tag = "-".join(f"{part:x}" if isinstance(part, int) else part for part in held.version.fingerprint)
    current = Validator(tag, modified)
    if current.is_not_modified(headers):
        return make_response(current.prepare_not_modified())
    return _VersionedFileResponse(
        held, {**current.headers, "X-Content-Type-Options": "nosniff"}, _derive_download_name(entry)
    )


def _hold_file(catalog: Catalog, entry: Entry) -> FileHandle:
    """The file as it is now: a copy if it is small, so that what happens to the file later does not matter."""
    held = catalog.hold_file(entry)
    return held.copy_to_memory(held.version) if held.version.size <= _MAX_COPIED_SIZE and not held.is_copy else held


class _VersionedFileResponse(FileResponse):
    """The bytes of one version of a file: where it is rewritten in place meanwhile, the connection ends short."""

    def __init__(self, held: FileHandle, headers: Mapping[str, str], name: str) -> None:
        kind = "application/octet-stream"  # an archive may hold anything, a login page even
        super().__init__(os.fspath(held), headers=headers, media_type=kind, filename=name, stat_result=held.stat())
        self._held_file = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, each block after it was made sure that it is of this version."""

        async def send_checked(message: Message) -> None:
            self._held_file.check_unchanged(self._held_file.version)
            await send(message)

        # Without extensions: with one, a server would be given the path, and read the file itself.
        await super().__call__({**scope, "extensions": {}}, receive, send_checked)


def _derive_download_name(entry: Entry) -> str:
    """What the user calls the file, without the folders that it was in."""
    name = PureWindowsPath(str(entry.facts.get("name", ""))).name or Path(entry.path).name
    return name.encode("utf-8", "replace").decode()
