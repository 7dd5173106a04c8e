"""Live page, for a wall: the newest shot while its images arrive.

All of it is in the URL: the facility, the diagnostic that is pinned, the shot that is held while another one arrives.
The page's script only fetches the page again when the stream of changes says that something has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import Catalog, NotFound
from shotdap.catalog.query import Pattern, Term
from shotdap.server.api.facility_names import create_facility_term, format_facility_segment
from shotdap.server.api.shot_listing import MAX_SHOT, create_diagnostic_term, create_shot_term, read_latest_shots
from shotdap.server.api.thumbnails import build_thumbnail_url
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse
from shotdap.server.pages import render_page
from shotdap.server.website.image_cards import ImageCard, build_image_card, rank_entry
from shotdap.server.website.known_names import KnownNamesCache
from shotdap.server.website.live.arrivals import Arrival, ArrivingShot, read_arriving_shot, read_newest_shot
from shotdap.server.website.page_response import PageResponder

_STRIP_SHOTS: Final = 9
_SMALL_PICTURES: Final = 4
_HUGE_SIZE: Final = 1024  # pixels: the largest thumbnail


def create_live_routes(responder: PageResponder, names: KnownNamesCache) -> list[Route]:
    """Create the route of the page."""

    def prepare_live(request: HttpRequest, catalog: Catalog) -> HttpResponse:
        parameters = request.parameters
        wanted, pin = parameters.get("facility") or None, parameters.get("pin", "")
        projector = "1" if parameters.get("projector") == "1" else ""
        terms = () if wanted is None else (create_facility_term(catalog, wanted),)
        newest = read_newest_shot(request, catalog, terms)
        shot = newest and _find_held_shot(request, catalog, newest, parameters.get("shot", ""))
        large = _choose_large(shot, pin) if shot else None
        huge_picture = ""
        if large and large.card and large.card.picture:
            huge_picture = build_thumbnail_url(request, large.card.fingerprint, large.card.path, _HUGE_SIZE)
        facility = wanted or (format_facility_segment(shot.facility) if shot else None)

        def build_url(**changes: str | None) -> str:
            values = {"facility": wanted, "pin": pin, "projector": projector, **changes}
            query = urlencode({name: value for name, value in values.items() if value})
            return f"{request.root_path}/live{f'?{query}' if query else ''}"

        is_held = bool(pin or parameters.get("shot"))
        held = build_url(facility=facility, shot=str(shot.number)) if shot and is_held else build_url()
        return render_page(
            "live.html",
            request,
            section="live",
            shot=shot,
            newer=newest if newest and shot and newest.number != shot.number else None,
            newer_url=build_url(facility=facility),
            large=large,
            huge_picture=huge_picture,
            small=[each for each in shot.arrived if each is not large][:_SMALL_PICTURES] if shot else [],
            strip=_build_strip(request, catalog, shot, large.diagnostic) if shot and large else [],
            pin=pin,
            projector=projector,
            facility=wanted,
            facilities=[(name, format_facility_segment(name)) for name in names.get_names(catalog).facilities],
            held_url=held,
            build_url=build_url,
            own_facility=facility,
        )

    async def serve_live(request: Request) -> Response:
        return await responder.respond(request, prepare_live)

    return [Route("/live", serve_live, methods=["GET"])]


def _find_held_shot(request: HttpRequest, catalog: Catalog, newest: ArrivingShot, wanted: str) -> ArrivingShot:
    """Return the shot that the page holds: the newest one, unless the URL names another one of its facility.

    Raises:
        NotFound: there is no such shot.
    """
    if not wanted or wanted == str(newest.number):
        return newest
    if not wanted.isascii() or not wanted.isdecimal() or int(wanted[:20]) > MAX_SHOT:
        raise NotFound(f"shot={wanted[:40]!r} is not the number of a shot.")
    try:
        return read_arriving_shot(request, catalog, newest.facility, int(wanted))
    except NotFound as error:
        raise NotFound(f"No such shot, or not yours to see: {wanted} of {newest.facility!r}.") from error


def _choose_large(shot: ArrivingShot, pin: str) -> Arrival | None:
    """Choose what is shown large: the pinned diagnostic, arrived or not; else the last arrival that has a picture."""
    if not pin:
        readable = (each for each in shot.arrived if each.card and each.card.picture)
        return next(readable, next(iter(shot.arrived), None))
    known = {each.diagnostic.lower(): each for each in (*shot.arrived, *shot.awaited)}
    return known.get(pin.lower(), Arrival(pin))


def _build_strip(request: HttpRequest, catalog: Catalog, shot: ArrivingShot, diagnostic: str) -> Sequence[ImageCard]:
    """Build the cards of a diagnostic in the last shots of the facility up to this one, the oldest first."""
    terms = (
        Term("facility", (Pattern(shot.facility, is_quoted=True),)),
        create_diagnostic_term(diagnostic),
        create_shot_term(None, shot.number),
    )
    shots = read_latest_shots(catalog, terms, _STRIP_SHOTS)
    return [build_image_card(request, catalog, min(entries, key=rank_entry)) for entries in shots.values()][::-1]
