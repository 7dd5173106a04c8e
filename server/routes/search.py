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
from shotdap.server.http.errors import problem
from shotdap.server.http.response import Reply, compressed, respond
from shotdap.server.pages import page
from shotdap.server.protocols import thredds
from shotdap.server.routes.thredds import image_of

__all__ = ["routes"]

_LOG = logging.getLogger("shotdap.search")
_PAGE: Final = 100  # images; each costs a look at its file
_NOTHING: Final = SearchPage((), None)
_EXAMPLES: Final = (
    ("diagnostic:P510 shot:103700..103800", "the images of a camera, of a range of shots; both ends belong to it"),
    ("facility:omega diagnostic:P510,SOP", "names in any case; commas stand between alternatives"),
    ("date:2022-03-24", "a day; also a month, a year, or a range such as 2022-03..2022-04"),
    ("SweepSpeed:2 CCD_Exposure:>=0.5", "attributes of the files, as the files spell them"),
    ("name:asbo* -health:missing", "wildcards; a minus sign for what must not hold"),
    ('"laser plasma" streak*', "words of paths and of what the archive says: a phrase, and how a word begins"),
)


@dataclass(frozen=True)
class _Trouble:
    """What is wrong with a question."""

    status: int
    sentence: str
    marked: str = ""
    """Where it is wrong, in two lines."""


@dataclass(frozen=True)
class _Question:
    """A request for a page."""

    catalog: Catalog
    query: str
    after: str | None
    root: str
    """What the application is mounted below."""


def routes(catalog: Catalog) -> list[Route]:
    """The route of the page."""

    async def search(request: Request) -> Response:
        asked = request.query_params
        question = _Question(catalog, asked.get("q", ""), asked.get("after"), request.scope.get("root_path", ""))
        reply = await run_in_threadpool(_answered, question)
        return respond(await run_in_threadpool(compressed, reply, request.headers.get("accept-encoding", "")))

    return [Route("/thredds/search.html", search, methods=["GET"])]


def search_url(query: str, *, root: str = "", after: str | None = None) -> str:
    """The URL of what a query finds, or of one of its pages, without the host."""
    asked = {"q": query} if after is None else {"q": query, "after": after}
    return f"{root}/thredds/search.html?{urlencode(asked, errors='replace')}"


def _answered(question: _Question) -> Reply:
    try:
        found = (
            question.catalog.search(question.query, after=question.after, limit=_PAGE) if question.query else _NOTHING
        )
        return _page(question, found)
    except Exception as error:  # noqa: BLE001 — every failure gets an answer
        trouble = problem(error)
        if not trouble.expected:
            _LOG.exception("failed to search")
        marked = error.marked if isinstance(error, BadQuery) else ""
        sentence = error.sentence if isinstance(error, BadQuery) else trouble.message
        reply = _page(question, _NOTHING, _Trouble(trouble.status, sentence, marked))
        return replace(reply, headers={**reply.headers, **trouble.headers})


def _page(question: _Question, found: SearchPage, trouble: _Trouble | None = None) -> Reply:
    following = None if found.after is None else search_url(question.query, root=question.root, after=found.after)
    return page(
        "search.html",
        200 if trouble is None else trouble.status,
        root=question.root,
        query=question.query,
        images=[_named(image_of(question.catalog, entry)) for entry in found.entries],
        following=following,
        is_later=question.after is not None,
        trouble=trouble,
        examples=_EXAMPLES,
        search_url=search_url,
    )


def _named(image: thredds.Image) -> thredds.Image:
    """An image under its whole path, for what is found comes from everywhere."""
    return replace(image, name=image.path)
