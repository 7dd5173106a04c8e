"""Search for people: ``/thredds/search.html?q=…``, a form and pages of what it finds."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import BadQuery, Catalog, SearchPage
from shotdap.server.http.errors import to_problem
from shotdap.server.http.response import PreparedResponse, compress_response, make_response
from shotdap.server.pages import render_page
from shotdap.server.protocols import thredds_catalog as thredds
from shotdap.server.routes.thredds import describe_image

__all__ = ["create_search_routes"]

_LOG = logging.getLogger("shotdap.search")
_PAGE_SIZE: Final = 100  # images; each costs a look at its file
_EMPTY_PAGE: Final = SearchPage((), None)
_EXAMPLE_QUERIES: Final = (
    ("diagnostic:P510 shot:103700..103800", "the images of a camera, of a range of shots; both ends belong to it"),
    ("facility:omega diagnostic:P510,SOP", "names in any case; commas stand between alternatives"),
    ("date:2022-03-24", "a day; also a month, a year, or a range such as 2022-03..2022-04"),
    ("SweepSpeed:2 CCD_Exposure:>=0.5", "attributes of the files, as the files spell them"),
    ("name:asbo* -health:missing", "wildcards; a minus sign for what must not hold"),
    ('"laser plasma" streak*', "words of paths and of what the archive says: a phrase, and how a word begins"),
)


@dataclass(frozen=True)
class _SearchProblem:
    """What is wrong with a question."""

    status: int
    sentence: str
    marked: str = ""
    """Where it is wrong, in two lines."""


@dataclass(frozen=True)
class _SearchRequest:
    """A request for a page."""

    catalog: Catalog
    query: str
    after: str | None
    root_path: str
    """What the application is mounted below."""


def create_search_routes(catalog: Catalog) -> list[Route]:
    """The route of the page."""

    async def serve_search(request: Request) -> Response:
        asked = request.query_params
        question = _SearchRequest(catalog, asked.get("q", ""), asked.get("after"), request.scope.get("root_path", ""))
        reply = await run_in_threadpool(_answer_search, question)
        return make_response(
            await run_in_threadpool(compress_response, reply, request.headers.get("accept-encoding", ""))
        )

    return [Route("/thredds/search.html", serve_search, methods=["GET"])]


def build_search_url(query: str, *, root: str = "", after: str | None = None) -> str:
    """The URL of what a query finds, or of one of its pages, without the host."""
    asked = {"q": query} if after is None else {"q": query, "after": after}
    return f"{root}/thredds/search.html?{urlencode(asked, errors='replace')}"


def _answer_search(question: _SearchRequest) -> PreparedResponse:
    try:
        found = (
            question.catalog.search(question.query, after=question.after, limit=_PAGE_SIZE)
            if question.query
            else _EMPTY_PAGE
        )
        return _render_results(question, found)
    except Exception as error:  # noqa: BLE001 — every failure gets an answer
        trouble = to_problem(error)
        if not trouble.expected:
            _LOG.exception("failed to search")
        marked = error.excerpt if isinstance(error, BadQuery) else ""
        sentence = error.sentence if isinstance(error, BadQuery) else trouble.message
        reply = _render_results(question, _EMPTY_PAGE, _SearchProblem(trouble.status, sentence, marked))
        return replace(reply, headers={**reply.headers, **trouble.headers})


def _render_results(
    question: _SearchRequest, found: SearchPage, trouble: _SearchProblem | None = None
) -> PreparedResponse:
    following = (
        None if found.after is None else build_search_url(question.query, root=question.root_path, after=found.after)
    )
    return render_page(
        "search.html",
        200 if trouble is None else trouble.status,
        root=question.root_path,
        query=question.query,
        images=[_named(describe_image(question.catalog, entry)) for entry in found.entries],
        following=following,
        is_later=question.after is not None,
        trouble=trouble,
        examples=_EXAMPLE_QUERIES,
        search_url=build_search_url,
    )


def _named(image: thredds.CatalogImage) -> thredds.CatalogImage:
    """An image under its whole path, for what is found comes from everywhere."""
    return replace(image, name=image.path)
