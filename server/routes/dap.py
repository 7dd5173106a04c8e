"""OPeNDAP: ``/dap/<path>.<suffix>?<constraint>``, DAP2 and DAP4, pages and downloads.

Each suffix is one row of `_HANDLERS`. An answer is made whole in a thread: found, opened, narrowed, checked against the
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
from shotdap.catalog import Catalog, NotFound, retry_if_changed
from shotdap.server.http.conditional import create_request_validator
from shotdap.server.http.errors import Problem, QueryTooLong, to_problem
from shotdap.server.http.limits import Limits
from shotdap.server.http.response import PreparedResponse, compress_response, make_response
from shotdap.server.protocols import dap4 as dap4_protocol
from shotdap.server.routes import dap2, dap4, downloads, pages, provenance
from shotdap.server.routes.image_request import ImageRequest
from shotdap.server.routes.listing import describe_path

__all__ = ["METHODS", "create_dap_routes", "find_suffix", "prepare_error"]

_LOG = logging.getLogger("shotdap.dap")

METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OPTIONS_HEADERS: Final = MappingProxyType(
    {"Allow": ", ".join(METHODS), "XDAP": "4.0", "X-DAP": "4.0", "XDODS-Server": f"shotdap/{__version__}"}
)


def create_dap_routes(catalog: Catalog, limits: Limits, *, compress_data: bool = False) -> list[Route]:
    """The routes of both protocols.

    Args:
        catalog: where the images are.
        limits: how much one request may ask for.
        compress_data: whether data are compressed too, for clients that take them so; text always is.
    """

    async def serve_dap(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=dict(_OPTIONS_HEADERS))
        question = _parse_request(request, catalog, limits)
        return make_response(
            await run_in_threadpool(_respond_compressed, question, request.headers, compress_data=compress_data)
        )

    return [Route("/dap/{path:path}", serve_dap, methods=list(METHODS))]


def _parse_request(request: Request, catalog: Catalog, limits: Limits) -> ImageRequest:
    path: str = request.path_params["path"]
    suffix = find_suffix(path)
    return ImageRequest(
        catalog,
        limits,
        path.removesuffix(suffix),
        suffix,
        request.scope["query_string"].decode("latin-1"),
        str(request.base_url).rstrip("/"),
        request.scope.get("root_path", ""),
        only_headers=request.method == "HEAD",
    )


def prepare_error(suffix: str, trouble: Problem, root: str = "") -> PreparedResponse:
    """A failure in words of the protocol that a suffix belongs to, DAP2's where it belongs to none; or as a page."""
    if suffix in pages.HANDLERS:
        reply = pages.prepare_error_page(trouble, root)
    else:
        reply = (dap4.prepare_dap4_error if suffix in dap4_protocol.MEDIA_TYPES else dap2.prepare_dap2_error)(trouble)
    return replace(reply, headers={**reply.headers, **trouble.headers})


def find_suffix(path: str) -> str:
    """The suffix that names the answer; empty where what stands at the path is to be listed or described."""
    return next((suffix for suffix in _SUFFIXES_BY_LENGTH if path.endswith(suffix)), "")


def _respond_compressed(question: ImageRequest, headers: Mapping[str, str], *, compress_data: bool) -> PreparedResponse:
    """The reply as the client takes it."""
    return compress_response(_handle_request(question, headers), headers.get("accept-encoding", ""), data=compress_data)


def _handle_request(question: ImageRequest, headers: Mapping[str, str]) -> PreparedResponse:
    try:
        _check_query_length(question.query, question.limits.query)
        return retry_if_changed(
            lambda: _answer_or_not_modified(replace(question), headers)
        )  # a new question looks at files anew
    except Exception as error:  # noqa: BLE001 — every failure gets an answer in the protocol's words
        trouble = to_problem(error)
        if not trouble.expected:
            _LOG.exception("failed to answer %s%s", question.path, question.suffix)
        return prepare_error(question.suffix, trouble, question.root_path)


def _check_query_length(query: str, limit: int) -> None:
    if len(query) > limit:
        raise QueryTooLong(f"The query string has {len(query):,} bytes; {limit:,} are taken at most.")


def _answer_or_not_modified(question: ImageRequest, headers: Mapping[str, str]) -> PreparedResponse:
    """The answer, or the news that the client has it already."""
    if not question.suffix and dap4.SERVICES_MEDIA_TYPE in headers.get("accept", ""):
        with suppress(NotFound):
            return _HANDLERS[".dsr"](replace(question, suffix=".dsr"))
    if question.suffix in _NON_IMAGE_SUFFIXES:
        return _HANDLERS[question.suffix](question)
    try:
        path = question.address.path
    except NotFound:
        return _list_suffixed_path(question)
    if path != question.path:
        return _redirect_to_canonical(question, path)
    current = create_request_validator(question)
    return (
        current.prepare_not_modified()
        if current.is_not_modified(headers)
        else current.add_headers(_HANDLERS[question.suffix](question))
    )


def _redirect_to_canonical(question: ImageRequest, path: str) -> PreparedResponse:
    """Where a variant is that was asked for in another way than the one to write it: one URL for each result."""
    query = f"?{question.query}" if question.query else ""
    return PreparedResponse("", 0, (), {"Location": f"{question.base_url}/dap/{path}{question.suffix}{query}"}, 308)


def _list_suffixed_path(question: ImageRequest) -> PreparedResponse:
    """What stands at a path that only looks as if it ended in a suffix: a file may be called ``shot.nc``."""
    try:
        return describe_path(question.catalog, question.path + question.suffix, question.query)
    except NotFound as error:
        raise NotFound(f"There is no image at {question.path!r}.") from error


def _answer_listing(question: ImageRequest) -> PreparedResponse:
    reply = describe_path(question.catalog, question.path, question.query)
    return replace(reply, headers={**reply.headers, "Vary": "Accept"})


_IMAGE_HANDLERS: Final = {
    **dap2.HANDLERS,
    **dap4.HANDLERS,
    **downloads.HANDLERS,
    **pages.HANDLERS,
    **provenance.HANDLERS,
}
_SERVICES_SUFFIXES: Final = (".dsr", ".dsr.xml")
_HANDLERS: Mapping[str, Callable[[ImageRequest], PreparedResponse]] = MappingProxyType(
    {
        "": _answer_listing,
        **_IMAGE_HANDLERS,
        **dict.fromkeys(_SERVICES_SUFFIXES, dap4.create_services_handler({*_IMAGE_HANDLERS, *_SERVICES_SUFFIXES})),
    }
)
_NON_IMAGE_SUFFIXES: Final = frozenset({"", ".ver", ".help"})
_SUFFIXES_BY_LENGTH = sorted(_HANDLERS, key=len, reverse=True)
