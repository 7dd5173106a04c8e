"""Search page: ``/thredds/search.html?q=…``, a form and the pages of the result."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import Catalog, SearchPage
from shotdap.server.http.errors import Problem, answer
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response
from shotdap.server.pages import render_page
from shotdap.server.routes.thredds import describe_image

_PAGE_SIZE: Final = 100  # images; the file of each is looked at
_EMPTY_PAGE: Final = SearchPage((), None)
_EXAMPLE_QUERIES: Final = (
    ("diagnostic:P510 shot:103700..103800", "the images of a camera, of a range of shots; both ends belong to it"),
    ("facility:omega diagnostic:P510,SOP", "names in any case; commas stand between alternatives"),
    ("date:2022-03-24", "a day; also a month, a year, or a range such as 2022-03..2022-04"),
    ("SweepSpeed:2 CCD_Exposure:>=0.5", "attributes of the files, as the files spell them"),
    ("name:asbo* -health:missing", "wildcards; a minus sign for what must not hold"),
    ('"laser plasma" streak*', "words of paths and of what the archive says: a phrase, and how a word begins"),
)


def create_search_routes(catalog: Catalog) -> list[Route]:
    """Create the route of the page."""

    def respond(request: HttpRequest) -> HttpResponse:
        query, after = request.parameters.get("q", ""), request.parameters.get("after")

        def render_result(page: SearchPage, problem: Problem | None = None) -> HttpResponse:
            root = request.root_path
            next_url = None if page.after is None else _build_search_url(query, root=root, after=page.after)
            images = [describe_image(catalog, entry) for entry in page.entries]
            return render_page(
                "search.html",
                problem.status if problem else 200,
                root=root,
                query=query,
                images=[replace(image, name=image.path) for image in images],  # they are of many folders
                following=next_url,
                is_later=after is not None,
                problem=problem,
                examples=_EXAMPLE_QUERIES,
                search_url=_build_search_url,
            )

        def search() -> HttpResponse:
            return render_result(catalog.search(query, after=after, limit=_PAGE_SIZE) if query else _EMPTY_PAGE)

        response = answer(search, lambda problem: render_result(_EMPTY_PAGE, problem), f"the search for {query!r}")
        return compress_response(response, request)

    async def serve_search(request: Request) -> Response:
        return make_response(await run_in_threadpool(respond, HttpRequest.from_starlette(request)))

    return [Route("/thredds/search.html", serve_search, methods=["GET"])]


def _build_search_url(query: str, *, root: str = "", after: str | None = None) -> str:
    """Build the URL of the result of a query, or of one of its pages, without the host."""
    parameters = {"q": query} if after is None else {"q": query, "after": after}
    return f"{root}/thredds/search.html?{urlencode(parameters, errors='replace')}"
