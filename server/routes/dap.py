"""OPeNDAP: ``/dap/<path>.<suffix>?<constraint>``, DAP2 and DAP4, pages and downloads.

Each suffix is one row of `_ANSWERS`. An answer is made whole in a thread: found, opened, narrowed, checked against the
limit and computed. Only then does its status line go out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap import __version__
from shotdap.catalog import Catalog, NotFound, retry_changed
from shotdap.server.http.conditional import validator
from shotdap.server.http.errors import Problem, QueryTooLong, problem
from shotdap.server.http.limits import Limits
from shotdap.server.http.response import Reply, compressed, respond
from shotdap.server.protocols import dap4 as dap4_protocol
from shotdap.server.routes import dap2, dap4, downloads, pages, provenance
from shotdap.server.routes.image_request import Question
from shotdap.server.routes.listing import listing

__all__ = ["METHODS", "error_reply", "routes", "suffix_of"]

_LOG = logging.getLogger("shotdap.dap")

METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OPTIONS: Final = MappingProxyType(
    {"Allow": ", ".join(METHODS), "XDAP": "4.0", "X-DAP": "4.0", "XDODS-Server": f"shotdap/{__version__}"}
)


def routes(catalog: Catalog, limits: Limits, *, compress_data: bool = False) -> list[Route]:
    """The routes of both protocols.

    Args:
        catalog: where the images are.
        limits: how much one request may ask for.
        compress_data: whether data are compressed too, for clients that take them so; text always is.
    """

    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=dict(_OPTIONS))
        question = _question(request, catalog, limits)
        return respond(await run_in_threadpool(_made, question, request.headers, compress_data=compress_data))

    return [Route("/dap/{path:path}", answer, methods=list(METHODS))]


def _question(request: Request, catalog: Catalog, limits: Limits) -> Question:
    path: str = request.path_params["path"]
    suffix = suffix_of(path)
    return Question(
        catalog,
        limits,
        path.removesuffix(suffix),
        suffix,
        request.scope["query_string"].decode("latin-1"),
        str(request.base_url).rstrip("/"),
        request.scope.get("root_path", ""),
        only_headers=request.method == "HEAD",
    )


def error_reply(suffix: str, trouble: Problem, root: str = "") -> Reply:
    """A failure in words of the protocol that a suffix belongs to, DAP2's where it belongs to none; or as a page."""
    if suffix in pages.ANSWERS:
        reply = pages.error(trouble, root)
    else:
        reply = (dap4.error if suffix in dap4_protocol.MEDIA_TYPES else dap2.error)(trouble)
    return replace(reply, headers={**reply.headers, **trouble.headers})


def suffix_of(path: str) -> str:
    """The suffix that names the answer; empty where what stands at the path is to be listed or described."""
    return next((suffix for suffix in _LONGEST_FIRST if path.endswith(suffix)), "")


def _made(question: Question, headers: Mapping[str, str], *, compress_data: bool) -> Reply:
    """The reply as the client takes it."""
    return compressed(_answered(question, headers), headers.get("accept-encoding", ""), data=compress_data)


def _answered(question: Question, headers: Mapping[str, str]) -> Reply:
    try:
        _check_length(question.query, question.limits.query)
        return retry_changed(lambda: _validated(replace(question), headers))  # a new question looks at files anew
    except Exception as error:  # noqa: BLE001 — every failure gets an answer in the protocol's words
        trouble = problem(error)
        if not trouble.expected:
            _LOG.exception("failed to answer %s%s", question.path, question.suffix)
        return error_reply(question.suffix, trouble, question.root)


def _check_length(query: str, limit: int) -> None:
    if len(query) > limit:
        raise QueryTooLong(f"The query string has {len(query):,} bytes; {limit:,} are taken at most.")


def _validated(question: Question, headers: Mapping[str, str]) -> Reply:
    """The answer, or the news that the client has it already."""
    if not question.suffix and dap4.SERVICES_TYPE in headers.get("accept", ""):
        with suppress(NotFound):
            return _ANSWERS[".dsr"](replace(question, suffix=".dsr"))
    if question.suffix in _NOT_OF_AN_IMAGE:
        return _ANSWERS[question.suffix](question)
    try:
        path = question.address.path
    except NotFound:
        return _called_so(question)
    if path != question.path:
        return _moved(question, path)
    current = validator(question)
    return current.not_modified() if current.knows(headers) else current.on(_ANSWERS[question.suffix](question))


def _moved(question: Question, path: str) -> Reply:
    """Where a variant is that was asked for in another way than the one to write it: one URL for each result."""
    query = f"?{question.query}" if question.query else ""
    return Reply("", 0, (), {"Location": f"{question.host}/dap/{path}{question.suffix}{query}"}, 308)


def _called_so(question: Question) -> Reply:
    """What stands at a path that only looks as if it ended in a suffix: a file may be called ``shot.nc``."""
    try:
        return listing(question.catalog, question.path + question.suffix, question.query)
    except NotFound as error:
        raise NotFound(f"There is no image at {question.path!r}.") from error


def _described(question: Question) -> Reply:
    reply = listing(question.catalog, question.path, question.query)
    return replace(reply, headers={**reply.headers, "Vary": "Accept"})


_OF_AN_IMAGE: Final = {**dap2.ANSWERS, **dap4.ANSWERS, **downloads.ANSWERS, **pages.ANSWERS, **provenance.ANSWERS}
_SERVICES: Final = (".dsr", ".dsr.xml")
_ANSWERS: Mapping[str, Callable[[Question], Reply]] = MappingProxyType(
    {"": _described, **_OF_AN_IMAGE, **dict.fromkeys(_SERVICES, dap4.services({*_OF_AN_IMAGE, *_SERVICES}))}
)
_NOT_OF_AN_IMAGE: Final = frozenset({"", ".ver", ".help"})
_LONGEST_FIRST = sorted(_ANSWERS, key=len, reverse=True)
