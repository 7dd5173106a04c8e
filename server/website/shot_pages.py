"""Pages of shots: one with all its images, and lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import Catalog, Entry, NotFound
from shotdap.catalog.entry import FAILED_HEALTHS
from shotdap.server.access.principal import Scope, get_principal
from shotdap.server.api.facility_names import create_facility_term, format_facility_segment
from shotdap.server.api.responses import quote_path
from shotdap.server.api.shot_listing import ShotCursor, find_neighbours, find_shot, read_shot_page
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pages import render_page
from shotdap.server.website.image_cards import (
    ImageCard,
    build_image_cards,
    build_shot_url,
    get_diagnostic,
    get_facility,
    get_shot,
)
from shotdap.server.website.known_names import KnownNamesCache
from shotdap.server.website.page_response import PageResponder
from shotdap.server.website.recipes.languages import list_shot_recipes
from shotdap.server.website.start_page import build_shot_rows, choose_columns

_PAGE_SIZE: Final = 24  # shots
_KNOWN_FACTS: Final = frozenset({"facility", "shot", "date", "diagnostic", "name"})
_MAX_FACTS: Final = 4
_SIZES: Final = {"s": "small", "m": "", "l": "large"}
_PACKAGES: Final = (
    ("member=nc4", "NetCDF-4 files"),
    ("member=h5", "HDF5 files"),
    ("member=mat", "MATLAB files"),
    ("format=zarr", "Zarr, all in one"),
    ("raw=true", "Files as they are"),
)
"""Queries of data packages, and their names."""


@dataclass(frozen=True)
class Neighbour:
    """The shot before or after."""

    number: int
    url: str


def create_shot_routes(responder: PageResponder, names: KnownNamesCache) -> list[Route]:
    """Create the routes of the pages."""

    async def serve_shot(request: Request) -> Response:
        facility, shot = request.path_params["facility"], request.path_params["shot"]
        return await responder.respond(request, lambda page, catalog: _prepare_shot(page, catalog, facility, shot))

    def prepare_list(request: HttpRequest, catalog: Catalog) -> HttpResponse:
        parameters = request.parameters
        wanted = parameters.get("facility")
        terms = () if wanted is None else (create_facility_term(catalog, wanted),)
        page = read_shot_page(catalog, terms, ShotCursor.decode(parameters.get("cursor")), _PAGE_SIZE)
        columns = choose_columns(page.shots)
        following = None
        if page.next_cursor is not None:
            values = {"facility": wanted, "cursor": str(page.next_cursor)}
            following = f"{request.root_path}/shots?{urlencode({k: v for k, v in values.items() if v is not None})}"
        return render_page(
            "shots.html",
            request,
            section="shots",
            rows=build_shot_rows(request, catalog, page.shots, columns),
            columns=columns,
            following=following,
            facility=wanted,
            facilities=[(name, format_facility_segment(name)) for name in names.get_names(catalog).facilities],
        )

    async def serve_list(request: Request) -> Response:
        return await responder.respond(request, prepare_list)

    return [
        Route("/shots", serve_list, methods=["GET"]),
        Route("/shots/{facility}/{shot:int}", serve_shot, methods=["GET"]),
    ]


def _prepare_shot(request: HttpRequest, catalog: Catalog, facility: str, shot: int) -> HttpResponse:
    try:
        entries = find_shot(catalog, facility, shot)
    except NotFound as error:
        raise NotFound(f"No such shot, or not yours to see: {shot} of {facility!r}.") from error
    name = get_facility(entries[0])
    cards = build_image_cards(request, catalog, entries)
    cards.sort(key=lambda card: (not card.picture, get_diagnostic(card.entry), card.path))  # broken ones last
    neighbouring = find_neighbours(catalog, name, shot)
    neighbours = [get_shot(others[0]) if others else None for others in neighbouring]
    before, after = (
        None if other is None else Neighbour(other, build_shot_url(request, name, other)) for other in neighbours
    )
    dates = [str(each.facts["date"]) for each in entries if each.facts.get("date")]
    folder = f"{format_facility_segment(name)}/{shot}"
    has_folder = all(each.path.startswith(f"{folder}/") for each in entries)
    package_url = f"{request.root_path}/api/v1/packages/{quote_path(folder)}"
    may_pack = Scope.EXPORT in get_principal(request.state).scopes
    return render_page(
        "shot.html",
        request,
        section="shots",
        query=str(shot),
        facility=name,
        segment=format_facility_segment(name),
        shot=shot,
        cards=cards,
        before=before,
        after=after,
        compare_url=_build_compare_url(request, cards, neighbouring[0]),
        date=min(dates, default=""),
        facts=_list_common_facts(entries),
        size_of_files=sum(each.last_good_inspection.size for each in entries if each.last_good_inspection),
        failing=[card for card in cards if card.needs_attention],
        size=_SIZES.get(request.parameters.get("size", "m"), ""),
        sizes=tuple(_SIZES.items()),
        api_url=f"{request.root_path}/api/v1/shots/{quote_path(folder)}",
        packages=[(f"{package_url}?{query}", label) for query, label in _PACKAGES] if may_pack and has_folder else [],
        recipes=list_shot_recipes(f"{request.base_url}/dap/{quote_path(folder)}", folder) if has_folder else [],
    )


def _build_compare_url(request: HttpRequest, cards: Sequence[ImageCard], before: Sequence[Entry]) -> str:
    """Build the URL that compares the first diagnostic that the shot before has, too; empty if there is none."""
    for card in cards:
        others = [each for each in before if get_diagnostic(each) == get_diagnostic(card.entry)]
        chosen = next((each for each in others if each.health not in FAILED_HEALTHS), None)
        if chosen is not None and card.picture and get_diagnostic(card.entry):
            return f"{request.root_path}/compare?{urlencode([('image', card.path), ('image', chosen.path)], safe='/')}"
    return ""


def _list_common_facts(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """List the facts beyond the usual ones that all images of a shot share, such as its campaign."""
    shared = {name: str(value) for name, value in entries[0].facts.items() if name not in _KNOWN_FACTS and str(value)}
    facts = [
        (name, value) for name, value in shared.items() if all(str(each.facts.get(name)) == value for each in entries)
    ]
    return facts[:_MAX_FACTS]
