"""Start page: the search box, and the latest shots with a picture of each diagnostic in its own column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shotdap.catalog import Catalog, Entry, NotFound
from shotdap.catalog.query import Query
from shotdap.server.access.principal import get_principal
from shotdap.server.api.facility_names import create_facility_term, format_facility_segment
from shotdap.server.api.shot_listing import ShotKey, create_shot_term, read_latest_shots
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pages import render_page
from shotdap.server.routes.root import describe_server
from shotdap.server.website.image_cards import (
    ImageCard,
    build_image_card,
    build_image_cards,
    build_shot_url,
    find_title,
    get_diagnostic,
    get_facility,
    rank_entry,
)
from shotdap.server.website.known_names import KnownNamesCache
from shotdap.server.website.live.arrivals import find_arriving_shot
from shotdap.server.website.page_response import PageResponder

_SHOTS: Final = 12
_COLUMNS: Final = 7
_OTHER_IMAGES: Final = 24  # of an archive without shots
_LISTED_DIAGNOSTICS: Final = 12


@dataclass(frozen=True)
class ShotRow:
    """A shot in the list of the latest ones."""

    facility: str
    number: int
    url: str
    date: str
    count: int
    failing: int
    """How many of its images need attention."""
    slots: Sequence[ImageCard | None]
    """The image of each column's diagnostic; `None` if there is none."""


def create_start_routes(responder: PageResponder, names: KnownNamesCache) -> list[Route]:
    """Create the routes of the start page and of short links to shots."""

    def prepare_start(request: HttpRequest, catalog: Catalog) -> HttpResponse:
        known, wanted = names.get_names(catalog), request.parameters.get("facility")
        terms = () if wanted is None else (create_facility_term(catalog, wanted),)
        shots = dict(read_latest_shots(catalog, terms, _SHOTS + 1))
        columns = choose_columns(shots)
        arriving = find_arriving_shot(request, catalog, shots)
        if arriving:
            del shots[arriving.facility, arriving.number]
        shots = dict(list(shots.items())[:_SHOTS])
        rows = build_shot_rows(request, catalog, shots, columns)
        others = [] if rows else build_image_cards(request, catalog, catalog.search("", limit=_OTHER_IMAGES).entries)
        diagnostics = sorted(known.diagnostics.items(), key=lambda pair: -pair[1])[:_LISTED_DIAGNOSTICS]
        return render_page(
            "start.html",
            request,
            section="shots",
            arriving=arriving,
            rows=rows,
            columns=columns,
            others=others,
            facilities=[(name, format_facility_segment(name)) for name in known.facilities],
            facility=wanted,
            diagnostics=diagnostics,
            titles={name: find_title(catalog, Entry("", "", {"diagnostic": name})) for name, _ in diagnostics},
            newest=rows[0].number if rows else None,
        )

    async def serve_start(request: Request) -> Response:
        page_request = HttpRequest.from_starlette(request)
        if not page_request.wants_page:
            return describe_server(page_request)
        if not get_principal(page_request.state).scopes:
            return RedirectResponse(f"{page_request.root_path}/sign-in", 303, {"Cache-Control": "no-store"})
        return await responder.respond(request, prepare_start)

    async def redirect_to_shot(request: Request) -> Response:
        shot: int = request.path_params["shot"]
        return await responder.respond(request, lambda page, catalog: find_shot_page(page, catalog, shot))

    def redirect_to_latest(request: HttpRequest, catalog: Catalog) -> HttpResponse:
        wanted = request.parameters.get("facility")
        terms = () if wanted is None else (create_facility_term(catalog, wanted),)
        for facility, shot in read_latest_shots(catalog, terms, 1):
            location = build_shot_url(request, facility, shot)
            return HttpResponse.redirect(location, 302).with_headers({"Cache-Control": "no-store"})
        raise NotFound("There is no shot yet.")

    async def serve_latest(request: Request) -> Response:
        return await responder.respond(request, redirect_to_latest)

    return [
        Route("/", serve_start, methods=["GET"]),
        Route("/latest", serve_latest, methods=["GET"]),
        Route("/{shot:int}", redirect_to_shot, methods=["GET"]),
    ]


def find_shot_page(request: HttpRequest, catalog: Catalog, shot: int) -> HttpResponse:
    """Return a redirect to the page of a shot; if several facilities have it, a page with all of them.

    Raises:
        NotFound: no image of it exists.
    """
    entries = catalog.search(Query((create_shot_term(shot, shot),)), limit=1000).entries
    shots: dict[ShotKey, list[Entry]] = {}
    for entry in entries:
        shots.setdefault((get_facility(entry), shot), []).append(entry)
    if not shots:
        raise NotFound(f"No such shot, or not yours to see: {shot}.")
    if len(shots) == 1:
        return HttpResponse.redirect(build_shot_url(request, *next(iter(shots))), 302)
    columns = choose_columns(shots)
    rows = build_shot_rows(request, catalog, shots, columns)
    return render_page("which_shot.html", request, rows=rows, columns=columns, shot=shot, query=str(shot))


def choose_columns(shots: Mapping[ShotKey, Sequence[Entry]]) -> Sequence[str]:
    """Choose the diagnostics with most readable images of some shots, the newest first, in the order of their names."""
    entries = [each for entries in shots.values() for each in entries if get_diagnostic(each)]
    counts = Counter(get_diagnostic(each) for each in entries)  # in the order of the shots
    readable = Counter(get_diagnostic(each) for each in entries if not each.reason)
    ranked = sorted(counts, key=lambda name: (-readable[name], -counts[name]))  # stable: else in the order of the shots
    return sorted(ranked[:_COLUMNS])


def build_shot_rows(
    request: HttpRequest, catalog: Catalog, shots: Mapping[ShotKey, Sequence[Entry]], columns: Sequence[str]
) -> list[ShotRow]:
    """Build the rows of some shots, each with an image of each column's diagnostic."""
    rows = []
    for (facility, number), entries in shots.items():
        by_diagnostic = {get_diagnostic(each): each for each in sorted(entries, key=rank_entry, reverse=True)}
        chosen = [by_diagnostic.get(name) for name in columns]
        slots = [None if entry is None else build_image_card(request, catalog, entry) for entry in chosen]
        dates = [str(each.facts["date"]) for each in entries if each.facts.get("date")]
        failing = sum(build_image_card(request, catalog, each).needs_attention for each in entries)
        url = build_shot_url(request, facility, number)
        rows.append(ShotRow(facility, number, url, min(dates, default=""), len(entries), failing, slots))
    return rows
