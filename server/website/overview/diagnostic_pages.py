"""Pages of diagnostics: a list of all, and the images of one along the shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final
from urllib.parse import quote, urlencode

import cachebox
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import Catalog, Entry, FacetCounts, NotFound, Unreadable, Visibility, retry_if_changed
from shotdap.catalog.entry import FAILED_HEALTHS
from shotdap.catalog.query import Query
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.facility_names import format_facility_segment
from shotdap.server.api.responses import quote_path
from shotdap.server.api.shot_listing import create_diagnostic_term
from shotdap.server.api.thumbnails import THUMBNAIL_SIZES, build_thumbnail_url
from shotdap.server.http.errors import answer
from shotdap.server.http.limits import Limits, check_query_length
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response
from shotdap.server.pages import render_page, render_problem_page
from shotdap.server.pages.formatting import RANGE_DASH, format_number, format_quantity
from shotdap.server.pictures.curves import are_curves
from shotdap.server.pictures.default_display import choose_thumbnail_display
from shotdap.server.website.image_cards import (
    ImageCard,
    build_diagnostic_url,
    build_image_card,
    build_image_cards,
    find_title,
)
from shotdap.server.website.known_names import KnownNamesCache
from shotdap.server.website.overview.film_strip import Strip, StripParams, read_strip
from shotdap.server.website.page_response import PageResponder
from shotdap.server.website.shown_image import ShownImage
from shotdap.server.website.view_links import Choice
from shotdap.server.website.view_params import parse_view

_COUNT_SECONDS: Final = 20  # counting for a reader who sees only some images takes half a second for a million
_MAX_COUNTS: Final = 1024
_MAX_YEARS: Final = 60
_PICTURED: Final = 60  # diagnostics of the list that have a picture
_BAR_HEIGHT: Final = 100
_DISPLAY_NAMES: Final = ("variable", "cmap", "scaling", "low", "high")
_STRIP_NAMES: Final = ("facility", "shot", "date")
_NUMBERS: Final = "biuf"


@dataclass(frozen=True)
class YearBar:
    """The images of a year."""

    year: str
    count: int
    height: float
    """In percent of the largest."""
    url: str
    is_shown: bool


@dataclass(frozen=True)
class VariableRow:
    """A variable of a diagnostic."""

    name: str
    units: str
    text: str
    is_computed: bool
    url: str
    """Of the strip with it; empty if it is no picture."""
    is_shown: bool


@dataclass(frozen=True)
class Sample:
    """The variables and the range of the newest readable image of a strip, which hold for all of them."""

    variables: Sequence[VariableRow] = ()
    shown: str = ""
    """The name of the variable that is shown."""
    display: Mapping[str, str] = field(default_factory=dict)
    """The parameters of all thumbnails."""
    range_text: str = ""
    """The range of all pictures; empty if each has its own."""
    problem: str = ""
    """The reason why no image could be read."""


def create_diagnostic_routes(
    responder: PageResponder, catalogs: RequestCatalogs, limits: Limits, names: KnownNamesCache
) -> list[Route]:
    """Create the routes of the pages.

    Args:
        responder: answers with pages that need the catalog's database only.
        catalogs: of the images.
        limits: how much one request may ask for.
        names: of the diagnostics.
    """
    counts: cachebox.TTLCache[tuple[Visibility, str], FacetCounts] = cachebox.TTLCache(_MAX_COUNTS, _COUNT_SECONDS)

    async def serve_list(request: Request) -> Response:
        return await responder.respond(request, lambda page, catalog: _prepare_list(page, catalog, names))

    def count_images(catalog: Catalog, name: str) -> FacetCounts:
        key = catalog.visibility, name
        known = counts.get(key)
        if known is None:
            known = counts[key] = catalog.count_facets(Query((create_diagnostic_term(name),)))
        return known

    async def serve_diagnostic(request: Request) -> Response:
        page_request = HttpRequest.from_starlette(request)

        def prepare() -> HttpResponse:
            check_query_length(page_request.query, limits.query)
            catalog = catalogs.open(page_request)
            known = count_images(catalog, page_request.path)
            if not known.total:
                raise NotFound(f"No such diagnostic, or not yours to see: {page_request.path!r}.")
            page = retry_if_changed(lambda: _DiagnosticPage(page_request, catalog, limits, known).respond())
            return compress_response(page, page_request)

        subject = f"/diagnostics/{page_request.path}"
        page = await run_in_threadpool(answer, prepare, partial(render_problem_page, page_request), subject)
        return make_response(page)

    return [
        Route("/diagnostics", serve_list, methods=["GET"]),
        Route("/diagnostics/{path:path}", serve_diagnostic, methods=["GET"]),
    ]


def _prepare_list(request: HttpRequest, catalog: Catalog, names: KnownNamesCache) -> HttpResponse:
    ranked = sorted(names.get_names(catalog).diagnostics.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = []
    for number, (name, count) in enumerate(ranked):
        wanted = Query((create_diagnostic_term(name),))
        entries = catalog.search(wanted, limit=1).entries if number < _PICTURED else ()
        card = build_image_card(request, catalog, entries[0]) if entries else None
        title = find_title(catalog, Entry("", "", {"diagnostic": name}))
        rows.append((name, title, count, build_diagnostic_url(request, name), card))
    return render_page("diagnostics.html", request, section="shots", rows=rows)


class _DiagnosticPage:
    """One answer of the page of a diagnostic.

    Args:
        request: of a browser.
        catalog: as the reader sees it.
        limits: how much one request may ask for.
        counts: of the images of the diagnostic.
    """

    def __init__(self, request: HttpRequest, catalog: Catalog, limits: Limits, counts: FacetCounts) -> None:
        self.request = request
        self.catalog = catalog
        self.limits = limits
        self.counts = counts
        self.texts = {name: text.strip() for name, text in request.parameters.items() if text.strip()}

    def respond(self) -> HttpResponse:
        """Return the page."""
        texts = self.texts
        params = StripParams.parse(texts.get("shot", ""), texts.get("date", ""), texts.get("facility", ""))
        strip = read_strip(self.catalog, self.request.path, params)
        name = strip.diagnostic or self.request.path
        sample = self.read_sample(strip)
        first, last = strip.shots or (None, None)
        stack = f"{self.request.base_url}/dap/{quote_path(strip.stack_path)}" if strip.stack_path else ""
        return render_page(
            "diagnostic.html",
            self.request,
            section="shots",
            query=f"diagnostic:{name}",
            name=name,
            title=find_title(self.catalog, Entry("", "", {"diagnostic": name})),
            total=self.counts.total,
            failing=sum(self.counts.counts["health"].get(health, 0) for health in FAILED_HEALTHS),
            facilities=[
                Choice(each, self.build_url(facility=format_facility_segment(each)), each == strip.facility)
                for each in self.counts.counts["facility"]
                if each
            ],
            years=self.list_years({str(each.facts.get("date", ""))[:4] for each in strip.images}),
            images=self.build_cards(strip, sample),
            sample=sample,
            first=first,
            last=last,
            earlier=strip.earlier_last and self.build_strip_url(shot=f"..{strip.earlier_last}"),
            later=strip.later_last and self.build_strip_url(shot=f"..{strip.later_last}"),
            newest=self.build_strip_url() if params.is_chosen else "",
            kept={key: texts[key] for key in (*_STRIP_NAMES, "variable", "cmap", "scaling") if key in texts},
            texts=texts,
            search_query=strip.query if strip.images else f'diagnostic:"{name}"',
            stack_line=f'import xarray as xr; stack = xr.open_dataset("{stack}")' if stack else "",
        )

    def build_url(self, **changes: str) -> str:
        """Build the URL of this page with other parameters; a facility has its own shots."""
        kept = {key: self.texts.get(key, "") for key in (*_STRIP_NAMES, *_DISPLAY_NAMES)}
        if "facility" in changes:
            kept["shot"] = ""
        return build_diagnostic_url(self.request, self.request.path, **{**kept, **changes})

    def build_strip_url(self, **changes: str) -> str:
        """Build the URL of this page with other shots."""
        return self.build_url(**{"shot": "", "date": "", **changes})

    def list_years(self, shown: set[str]) -> list[YearBar]:
        """List the years with images and those between them, with bars."""
        counts = {int(year): count for year, count in self.counts.counts["year"].items() if year.isdecimal()}
        if not counts:
            return []
        most, last = max(counts.values()), max(counts)
        years = range(max(min(counts), last - _MAX_YEARS + 1), last + 1)
        return [
            YearBar(
                f"{year}",
                counts.get(year, 0),
                round(_BAR_HEIGHT * counts.get(year, 0) / most, 1),
                self.build_strip_url(date=f"{year:04}"),
                f"{year}" in shown,
            )
            for year in years
        ]

    def build_cards(self, strip: Strip, sample: Sample) -> list[ImageCard]:
        """Build the cards of a strip, all pictures with the same variable and range."""
        cards = []
        for card in build_image_cards(self.request, self.catalog, strip.images):
            view = {key: value for key, value in self.texts.items() if key in _DISPLAY_NAMES}
            query = f"?{urlencode(view, quote_via=quote)}" if view else ""
            changed = replace(card, url=f"{card.url}{query}")
            if card.picture and sample.display:
                picture, large = (
                    build_thumbnail_url(self.request, card.fingerprint, card.path, size, **sample.display)
                    for size in THUMBNAIL_SIZES
                )
                changed = replace(changed, picture=picture, large_picture=large)
            cards.append(changed)
        return cards

    def read_sample(self, strip: Strip) -> Sample:
        """Read the newest readable image of a strip.

        Raises:
            BadSelection: it has no such variable.
        """
        problem = ""
        for entry in reversed(strip.images):
            if entry.health in FAILED_HEALTHS:
                problem = problem or entry.reason
                continue
            try:
                return self.describe_sample(entry)
            except Unreadable as error:
                problem = problem or str(error)
                break  # the next one may take as long
        return Sample(problem=problem)

    def describe_sample(self, entry: Entry) -> Sample:
        """Describe the variables of an image, and the range in which it and the others are shown.

        Raises:
            BadSelection: it has no such variable.
            Unreadable: its file cannot be read.
        """
        view = parse_view(urlencode({key: text for key, text in self.texts.items() if key in _DISPLAY_NAMES}))
        image = self.catalog.image(entry.path)
        dataset = image.open_shared()
        shown = ShownImage.from_params(dataset, view, self.limits)
        computed = {name for name, origin in image.list_origins().items() if origin.recipe}
        rows = []
        for key, variable in dataset.variables.items():
            name, is_picture = str(key), variable.dtype.kind in _NUMBERS and variable.ndim > 1
            url = self.build_url(variable=name, low="", high="") if is_picture else ""
            units = str(variable.attrs.get("units", ""))
            text = str(variable.attrs.get("long_name", ""))
            rows.append(VariableRow(name, units, text, name in computed, url, name == shown.name))
        display = {"variable": shown.name} | {key: self.texts[key] for key in ("cmap", "scaling") if key in self.texts}
        if are_curves(shown.whole_variable):
            return Sample(rows, shown.name, display)
        scale = shown.compute_figure(view.rest.change_display(choose_thumbnail_display(shown.whole_variable))).scale
        low, high = f"{scale.low:.6g}", f"{scale.high:.6g}"
        text = f"{format_number(float(low))} {RANGE_DASH} {format_quantity(float(high), shown.units)}"
        return Sample(rows, shown.name, {**display, "low": low, "high": high}, text)
