"""Search page: pictures of the images that a query finds, with what it means, and counts by facet."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shotdap.catalog import BadQuery, Catalog, FacetCounts, SearchPage, Unsearchable
from shotdap.catalog.query import Pattern, Query
from shotdap.server.http.errors import Problem, to_problem
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pages import render_page
from shotdap.server.website.image_cards import build_diagnostic_url, build_image_cards, build_image_url
from shotdap.server.website.known_names import KnownNamesCache
from shotdap.server.website.page_response import PageResponder
from shotdap.server.website.search_facets import build_search_url, list_chips, list_facets
from shotdap.server.website.search_text import get_single_shot, parse_search_text
from shotdap.server.website.start_page import find_shot_page

_PAGE_SIZE: Final = 60  # images
_EMPTY_QUERY: Final = Query(())
_EMPTY_PAGE: Final = SearchPage((), None)
_EXAMPLE_QUERIES: Final = (
    ("103741", "a shot; Enter leads to its page"),
    ("P510 103700..103800", "the images of a diagnostic, of a range of shots; both ends belong to it"),
    ("facility:omega diagnostic:P510,SOP", "names in any case; commas stand between alternatives"),
    ("2022-03-24", "a day; date:2022-03..2022-04 is a range of months, date:>=2022 all since a year"),
    ("SweepSpeed:2 CCD_Exposure:>=0.5", "attributes of the files, as the files spell them"),
    ("name:asbo* -health:missing", "wildcards; a minus sign for what must not hold"),
    ('"laser plasma" streak*', "words of paths and of what the archive says: a phrase, and how a word begins"),
)


@dataclass(frozen=True)
class _Result:
    """The result of a search, as far as there is one."""

    query: Query = _EMPTY_QUERY
    page: SearchPage = _EMPTY_PAGE
    counts: FacetCounts | None = None
    problem: Problem | None = None


def create_search_routes(responder: PageResponder, names: KnownNamesCache) -> list[Route]:
    """Create the routes of the page."""

    def respond(request: HttpRequest, catalog: Catalog) -> HttpResponse:
        text = request.parameters.get("q", "").strip()
        try:
            query = parse_search_text(text, names.get_names(catalog))
            target = _find_only_target(request, catalog, query)
            return target or _render_result(request, catalog, _search(request, catalog, query))
        except BadQuery as error:
            return _render_result(request, catalog, _Result(problem=to_problem(error)))

    async def serve_search(request: Request) -> Response:
        return await responder.respond(request, respond, request.query_params.get("q", ""))

    async def redirect_old_search(request: Request) -> Response:
        page_request = HttpRequest.from_starlette(request)
        query = page_request.query.replace("after=", "cursor=")
        return RedirectResponse(f"{page_request.root_path}/search{f'?{query}' if query else ''}", 308)

    return [
        Route("/search", serve_search, methods=["GET"]),
        Route("/thredds/search.html", redirect_old_search, methods=["GET"]),
    ]


def _find_only_target(request: HttpRequest, catalog: Catalog, query: Query) -> HttpResponse | None:
    """Return a redirect to the only shot or image that a query with the number of a shot means.

    Raises:
        BadQuery: a name in the query is that of nothing.
    """
    if {"cursor", "view"} & {*request.parameters} or not any(term.name == "shot" for term in query.terms):
        return None
    shot, page = get_single_shot(query), catalog.search(query, limit=2)
    if shot is not None:
        return find_shot_page(request, catalog, shot) if page.entries else None
    if len(page.entries) != 1 or page.after is not None:
        return None
    return HttpResponse.redirect(build_image_url(request, page.entries[0].path), HTTPStatus.FOUND)


def _search(request: HttpRequest, catalog: Catalog, query: Query) -> _Result:
    if not query.terms:
        return _Result()
    page = catalog.search(query, after=request.parameters.get("cursor"), limit=_PAGE_SIZE)
    counts = None
    with suppress(Unsearchable):  # a directory tree counts nothing
        counts = catalog.count_facets(query)
    return _Result(query, page, counts)


def _build_diagnostic_url(request: HttpRequest, query: Query) -> str:
    """Build the URL of the page of the only diagnostic that a query names; empty if it names none, or several."""
    terms = [term for term in query.terms if term.name == "diagnostic" and not term.is_negated]
    values = terms[0].values if len(terms) == 1 else ()
    pattern = values[0] if len(values) == 1 else None
    is_name = isinstance(pattern, Pattern) and not set("*?") & set(pattern.text)
    return build_diagnostic_url(request, pattern.text) if is_name and isinstance(pattern, Pattern) else ""


def _render_result(request: HttpRequest, catalog: Catalog, result: _Result) -> HttpResponse:
    text, view = request.parameters.get("q", "").strip(), request.parameters.get("view")
    query, page, counts, problem = result.query, result.page, result.counts, result.problem
    return render_page(
        "search.html",
        request,
        problem.status if problem else HTTPStatus.OK,
        section="shots",
        query=text,
        problem=problem,
        images=build_image_cards(request, catalog, page.entries),
        diagnostic_url=_build_diagnostic_url(request, query) if page.entries else "",
        following=page.after and build_search_url(request, text, cursor=page.after, view=view),
        is_later="cursor" in request.parameters,
        is_list=view == "list",
        list_url=build_search_url(request, text, view="list"),
        pictures_url=build_search_url(request, text, view="pictures"),
        total=counts.total if counts else None,
        is_complete=counts.is_complete if counts else True,
        chips=list_chips(request, query),
        facets=list_facets(request, query, counts) if counts else {},
        examples=_EXAMPLE_QUERIES,
        api_url=f"{request.root_path}/api/v1/images?{urlencode({'q': str(query)}, errors='replace')}",
    )
