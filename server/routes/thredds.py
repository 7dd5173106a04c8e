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

from shotdap.catalog import Catalog, Child, Entry, Health, HeldFile, NotFound, Unreadable, retry_changed
from shotdap.server.http.conditional import Validator
from shotdap.server.http.errors import Problem, problem
from shotdap.server.http.response import Reply, compressed, respond
from shotdap.server.pages import page
from shotdap.server.protocols import thredds

__all__ = ["image_of", "routes"]

_LOG = logging.getLogger("shotdap.thredds")
_PASSING: Final = 503
_SMALL: Final = 16 << 20  # bytes of a file that is copied before it is sent, which may take a slow client minutes
_PAGE: Final = 200  # children in one catalog; each image costs a query and a look at its file


@dataclass(frozen=True)
class _Question:
    """A request for a level."""

    catalog: Catalog
    path: str
    after: str | None
    root: str
    """What the application is mounted below."""
    host: str
    """The server's URL as the client sees it, without a slash at the end."""


def routes(catalog: Catalog) -> list[Route | Mount]:
    """The routes of the catalog, of the files, and of what the pages are made with."""

    async def level(request: Request) -> Response:
        form = request.url.path.rpartition(".")[2]
        question = _Question(
            catalog,
            request.path_params.get("path", ""),
            request.query_params.get("after"),
            request.scope.get("root_path", ""),
            str(request.base_url).rstrip("/"),
        )
        reply = await run_in_threadpool(_answered, question, form)
        return respond(await run_in_threadpool(compressed, reply, request.headers.get("accept-encoding", "")))

    async def file(request: Request) -> Response:
        return await run_in_threadpool(_file, catalog, request.path_params["path"], request.headers)

    async def top(request: Request) -> Response:
        return RedirectResponse(thredds.catalog_url("", root=request.scope.get("root_path", ""), form="html"))

    levels = [
        Route(f"/thredds/{folder}catalog.{form}", level, methods=["GET"])
        for folder in ("", "catalog/", "catalog/{path:path}/")
        for form in _FORMS
    ]
    return [
        Route("/thredds", top, methods=["GET"]),
        Route("/thredds/", top, methods=["GET"]),
        *levels,
        Route("/fileServer/{path:path}", file, methods=["GET"]),
        Mount("/static", StaticFiles(packages=[("shotdap.server", "static")])),
    ]


def _answered(question: _Question, form: str) -> Reply:
    write, fail = _FORMS[form]
    try:
        return write(question, _level(question))
    except Exception as error:  # noqa: BLE001 — every failure gets an answer
        return fail(question, _trouble(error, question.path))


def _trouble(error: Exception, path: str) -> Problem:
    trouble = problem(error)
    if not trouble.expected:
        _LOG.error("failed to answer %s", path, exc_info=error)
    return trouble


def _level(question: _Question) -> thredds.Level:
    found = question.catalog.children(question.path, after=question.after, limit=_PAGE)
    return thredds.Level(
        question.path,
        tuple(thredds.Folder(child.name, child.path) for child in found.children if child.is_folder),
        tuple(_image(question.catalog, child) for child in found.children if not child.is_folder),
        question.after,
        found.after,
    )


def _image(catalog: Catalog, child: Child) -> thredds.Image:
    """An image as it is now: its file may have come or gone since the catalog was built."""
    try:
        return image_of(catalog, catalog.find(child.path))
    except NotFound as error:
        return thredds.Image(child.name, child.path, reason=str(error.args[0]))


def image_of(catalog: Catalog, entry: Entry) -> thredds.Image:
    """An entry as an image of a page, after a look at its file."""
    size, reason = _size(catalog, entry)
    if not reason and entry.health is not Health.MISSING:
        reason = entry.reason
    facts = {
        _FACT_NAMES.get(name, name): str(value) for name, value in entry.facts.items() if name != "date" and str(value)
    }
    name = entry.path.rpartition("/")[2]
    return thredds.Image(name, entry.path, size, str(entry.facts.get("date", "")), facts, reason)


_FACT_NAMES: Mapping[str, str] = MappingProxyType({"name": "source_file"})


def _size(catalog: Catalog, entry: Entry) -> tuple[int | None, str]:
    """How large an entry's file is, or why that cannot be said."""
    try:
        return catalog.version(entry).size, ""
    except Unreadable as error:
        return None, str(error.args[0])


def _xml(question: _Question, level: thredds.Level) -> Reply:
    return Reply.of(thredds.catalog(level, root=question.root), thredds.MEDIA_TYPE, {})


def _html(question: _Question, level: thredds.Level) -> Reply:
    readable = next((image for image in level.images if not image.reason), None)
    return page("level.html", level=level, root=question.root, host=question.host, readable=readable)


def _xml_error(_question: _Question, trouble: Problem) -> Reply:
    return _in_words(trouble)


def _html_error(question: _Question, trouble: Problem) -> Reply:
    reply = page("problem.html", trouble.status, trouble=trouble, root=question.root)
    return replace(reply, headers={**reply.headers, **trouble.headers})


def _in_words(trouble: Problem) -> Reply:
    return Reply.of(f"{trouble.message}\n", "text/plain; charset=utf-8", trouble.headers, trouble.status)


_FORMS: Mapping[str, tuple[Callable[[_Question, thredds.Level], Reply], Callable[[_Question, Problem], Reply]]] = (
    MappingProxyType({"xml": (_xml, _xml_error), "html": (_html, _html_error)})
)


def _file(catalog: Catalog, path: str, headers: Headers) -> Response:
    try:
        entry = catalog.find(path)
        held = retry_changed(lambda: _held(catalog, entry))
    except Exception as error:  # noqa: BLE001 — every failure gets an answer
        return respond(_in_words(_trouble(error, path)))
    modified = datetime.fromtimestamp(held.version.modified // 10**9, UTC)
    tag = "-".join(f"{part:x}" if isinstance(part, int) else part for part in held.version.fingerprint)
    current = Validator(tag, modified)
    if current.knows(headers):
        return respond(current.not_modified())
    return _OneVersion(held, {**current.headers, "X-Content-Type-Options": "nosniff"}, _download_name(entry))


def _held(catalog: Catalog, entry: Entry) -> HeldFile:
    """The file as it is now: a copy if it is small, so that what happens to the file later does not matter."""
    held = catalog.hold(entry)
    return held.copy(held.version) if held.version.size <= _SMALL and not held.is_copy else held


class _OneVersion(FileResponse):
    """The bytes of one version of a file: where it is rewritten in place meanwhile, the connection ends short."""

    def __init__(self, held: HeldFile, headers: Mapping[str, str], name: str) -> None:
        kind = "application/octet-stream"  # an archive may hold anything, a login page even
        super().__init__(os.fspath(held), headers=headers, media_type=kind, filename=name, stat_result=held.stat())
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, each block after it was made sure that it is of this version."""

        async def send_checked(message: Message) -> None:
            self._held.check(self._held.version)
            await send(message)

        # Without extensions: with one, a server would be given the path, and read the file itself.
        await super().__call__({**scope, "extensions": {}}, receive, send_checked)


def _download_name(entry: Entry) -> str:
    """What the user calls the file, without the folders that it was in."""
    name = PureWindowsPath(str(entry.facts.get("name", ""))).name or Path(entry.path).name
    return name.encode("utf-8", "replace").decode()
