"""Search page: ``/thredds/search.html?q=…``, a form and the pages of the result."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import SearchPage
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.http.errors import Problem, answer, handle_error
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response
from shotdap.server.pages import render_page
from shotdap.server.routes.thredds import describe_image
from shotdap.server.search_threads import SearchThreads

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


def create_search_routes(catalogs: RequestCatalogs, search_threads: SearchThreads) -> list[Route]:
    """Create the route of the page."""

    async def serve_search(request: Request) -> Response:
        search_request = HttpRequest.from_starlette(request)
        catalog = catalogs.open(search_request)
        query, after = search_request.parameters.get("q", ""), search_request.parameters.get("after")

        def render_result(page: SearchPage, problem: Problem | None = None) -> HttpResponse:
            root = search_request.root_path
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

        async def search() -> SearchPage:
            if not query:
                return _EMPTY_PAGE
            find_page = partial(catalog.search, query, after=after, limit=_PAGE_SIZE)
            return await search_threads.run(request.receive, find_page, query)

        def respond(result: SearchPage | Exception) -> HttpResponse:
            render_problem, subject = partial(render_result, _EMPTY_PAGE), f"the search for {query!r}"
            if isinstance(result, Exception):
                response = handle_error(result, render_problem, subject)
            else:
                response = answer(lambda: render_result(result), render_problem, subject)
            return compress_response(response, search_request)

        result: SearchPage | Exception
        try:
            result = await search()
        except Exception as error:  # noqa: BLE001 — every failure gets a response
            result = error
        return make_response(await run_in_threadpool(respond, result))  # looks at files, which searches do not wait for

    return [Route("/thredds/search.html", serve_search, methods=["GET"])]


def _build_search_url(query: str, *, root: str = "", after: str | None = None) -> str:
    """Build the URL of the result of a query, or of one of its pages, without the host."""
    parameters = {"q": query} if after is None else {"q": query, "after": after}
    return f"{root}/thredds/search.html?{urlencode(parameters, errors='replace')}"
