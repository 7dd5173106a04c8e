"""What the search box suggests while a reader types: what the text means, how much it finds, and the newest matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import BadQuery, Catalog, SearchPage
from shotdap.catalog.query import Query
from shotdap.server.http.errors import to_problem
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pages import render_page
from shotdap.server.pages.formatting import format_count
from shotdap.server.website.image_cards import build_image_cards, get_shot
from shotdap.server.website.known_names import KnownNames, KnownNamesCache
from shotdap.server.website.page_response import PageResponder
from shotdap.server.website.search_facets import build_search_url, list_chips
from shotdap.server.website.search_text import get_single_shot, parse_search_text

_SAMPLE: Final = 100  # matches that are counted one by one, for every key that is typed
_NEWEST: Final = 3
_COMPLETIONS: Final = 3
_COUNTED_FIELDS: Final = frozenset({"facility", "diagnostic", "health"})
_EMPTY_PAGE: Final = SearchPage((), None)


@dataclass(frozen=True)
class Completion:
    """A diagnostic whose name begins like the last word."""

    name: str
    count: int
    url: str
    """Of the search with the whole name."""


def create_suggestion_routes(responder: PageResponder, names: KnownNamesCache) -> list[Route]:
    """Create the route of the suggestions: a part of a page, for a script."""

    def prepare(request: HttpRequest, catalog: Catalog) -> HttpResponse:
        text, known = request.parameters.get("q", "").strip(), names.get_names(catalog)
        query, page, problem = Query(()), _EMPTY_PAGE, None
        try:
            query = parse_search_text(text, known)
            page = catalog.search(query, limit=_SAMPLE) if query.terms else page
        except BadQuery as error:
            problem = to_problem(error)
        return render_page(
            "suggestions.html",
            request,
            chips=list_chips(request, query),
            problem=problem,
            label=_describe_result(catalog, query, page) if query.terms and problem is None else "",
            url=build_search_url(request, text),
            completions=_list_completions(request, text, known),
            images=build_image_cards(request, catalog, page.entries[:_NEWEST]),
        )

    async def serve_suggestions(request: Request) -> Response:
        return await responder.respond(request, prepare, request.query_params.get("q", ""))

    return [Route("/search/suggestions", serve_suggestions, methods=["GET"])]


def _describe_result(catalog: Catalog, query: Query, page: SearchPage) -> str:
    """Say how much a search finds: ``Show 14 images of 12 shots``; empty if nothing matches."""
    count = len(page.entries)
    if page.after is not None:
        if count < _SAMPLE:
            return "Search further; what matches is rare"
        if catalog.visibility.is_everything and all(term.name in _COUNTED_FIELDS for term in query.terms):
            return f"Show {format_count(catalog.count_facets(query).total)} images"
        return f"Show more than {_SAMPLE} images"
    if not count:
        return ""
    images = f"{count} image{'' if count == 1 else 's'}"
    if (shot := get_single_shot(query)) is not None:
        return f"Go to shot {shot} with {images}"
    shots = {number for each in page.entries if (number := get_shot(each)) is not None}
    return f"Show {images}{f' of {len(shots)} shots' if len(shots) > 1 else ''}"


def _list_completions(request: HttpRequest, text: str, known: KnownNames) -> Sequence[Completion]:
    """List the diagnostics with most images whose names begin like the last word of a text."""
    before, space, word = text.rpartition(" ")
    start = word.lower()
    if not start or known.find_diagnostic(word):
        return ()
    found = [(name, count) for name, count in known.diagnostics.items() if name.lower().startswith(start)]
    ranked = sorted(found, key=lambda pair: (-pair[1], pair[0]))[:_COMPLETIONS]
    return [Completion(name, count, build_search_url(request, f"{before}{space}{name}")) for name, count in ranked]
