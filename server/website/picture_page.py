"""Page of an image: its picture with axes, range, lineouts and region, and the lines and the notebook that open that.

Everything is in the URL. Without a script the server draws the picture; the viewer takes its place where it can run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import xarray as xr
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import Catalog, Entry, Image, NotFound, Unreadable, retry_if_changed
from shotdap.catalog.entry import FAILED_HEALTHS
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.facility_names import format_facility_segment
from shotdap.server.api.responses import format_disposition, quote_path
from shotdap.server.http.errors import answer
from shotdap.server.http.limits import Limits, check_query_length
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response
from shotdap.server.pages import render_page, render_problem_page
from shotdap.server.pages.assets import find_viewer
from shotdap.server.pages.image_page import format_attributes
from shotdap.server.pictures.colour_maps import sample_colour_map
from shotdap.server.pictures.curves import are_curves
from shotdap.server.pictures.default_display import COLOUR_MAPS, find_shown_variable
from shotdap.server.website.image_cards import (
    build_image_card,
    build_image_url,
    build_shot_url,
    get_diagnostic,
    get_facility,
    get_shot,
)
from shotdap.server.website.making import list_making_steps, list_transform_choices
from shotdap.server.website.recipes.languages import PYTHON, list_recipes
from shotdap.server.website.recipes.notebook import MEDIA_TYPE as NOTEBOOK_TYPE
from shotdap.server.website.recipes.notebook import build_notebook
from shotdap.server.website.shown_image import ShownImage
from shotdap.server.website.view_links import ViewLinks, list_downloads
from shotdap.server.website.view_params import has_noise, parse_view
from shotdap.transforms import MARK, BadSelection, BadVariant

_BAR_COLOURS: Final = 40
_NOTEBOOKS: Final = "/notebooks"
_PNG_PARAMETERS: Final = {"format": "png", "colour_bar": "true", "download": "true"}


def create_picture_routes(catalogs: RequestCatalogs, limits: Limits) -> list[Route]:
    """Create the routes of the page, and of the notebook of what it shows.

    Args:
        catalogs: of the images.
        limits: how much one request may ask for.
    """

    def create_route(folder: str, respond: Callable[[_ImagePage], HttpResponse]) -> Route:
        async def serve(request: Request) -> Response:
            page_request = HttpRequest.from_starlette(request)

            def prepare() -> HttpResponse:
                check_query_length(page_request.query, limits.query)
                page = retry_if_changed(lambda: respond(_ImagePage(page_request, catalogs.open(page_request), limits)))
                return compress_response(page, page_request)

            subject = f"{folder}/{page_request.path}"
            page = await run_in_threadpool(answer, prepare, partial(render_problem_page, page_request), subject)
            return make_response(page)

        return Route(f"{folder}/{{path:path}}", serve, methods=["GET"])

    return [create_route("/images", _ImagePage.respond), create_route(_NOTEBOOKS, _ImagePage.respond_notebook)]


class _ImagePage:
    """One answer of the page.

    Args:
        request: of a browser.
        catalog: as the reader sees it.
        limits: how much one request may ask for.
    """

    def __init__(self, request: HttpRequest, catalog: Catalog, limits: Limits) -> None:
        base, mark, segment = request.path.partition(f"/{MARK}")
        self.request = request
        self.catalog = catalog
        self.limits = limits
        self.links = ViewLinks(request, base, f"{MARK}{segment}" if mark else "", parse_view(request.query))

    def respond(self) -> HttpResponse:
        """Return the page, or a redirect to its usual URL."""
        entry, params = self.find_entry(), self.links.params
        problem = ""
        if params.new_step:
            try:
                return self.redirect_to_step(params.new_step)
            except (BadVariant, BadSelection) as error:
                problem = str(error)
        elif has_noise(self.request.query):
            return HttpResponse.redirect(self.links.build_url(), HTTPStatus.SEE_OTHER)
        try:
            if entry.health in FAILED_HEALTHS:
                raise Unreadable(entry.reason)  # noqa: TRY301 — the same page as for what is found out now
            image = self.catalog.image(self.path)
            dataset = image.open_shared()
        except Unreadable as error:
            description = self.describe_entry(entry)
            return render_page("broken_image.html", self.request, **description, reason=str(error))
        return self.render(entry, image, dataset, problem)

    def respond_notebook(self) -> HttpResponse:
        """Return the notebook of what the page shows."""
        entry, links = self.find_entry(), self.links
        image = self.catalog.image(self.path)
        shown = ShownImage.from_params(image.open_shared(), links.params, self.limits)
        part = shown.describe_part(self.request, image)
        figure = None if are_curves(shown.whole_variable) else shown.compute_figure(shown.display)
        card = build_image_card(self.request, self.catalog, entry)
        page_url = f"{self.request.base_url}/images/{quote_path(image.path)}{links.params.build_query()}"
        python = next(each for each in list_recipes(part) if each.key == PYTHON)
        document = build_notebook(
            title=card.alt, page_url=page_url, recipe=python, shown=shown, part=part, figure=figure
        )
        name = f"{links.base.rpartition('/')[2]}_{shown.name}.ipynb"
        headers = {"Content-Disposition": format_disposition("attachment", name), "Cache-Control": "no-cache"}
        return HttpResponse.from_body(document, NOTEBOOK_TYPE, headers)

    @property
    def path(self) -> str:
        """The path of the image, or of its variant."""
        return "/".join(filter(None, (self.links.base, self.links.segment)))

    def find_entry(self) -> Entry:
        """Find the image.

        Raises:
            NotFound: there is none, or it may not be seen.
        """
        try:
            return self.catalog.find_entry(self.links.base)
        except NotFound as error:
            raise NotFound(f"No such image, or not yours to see: {self.links.base!r}.") from error

    def redirect_to_step(self, step: str) -> HttpResponse:
        """Return a redirect to the page with a further step.

        Raises:
            BadVariant, BadSelection: the step does not fit.
        """
        base, params = self.links.base, self.links.params
        chain = self.links.segment
        if not chain:
            chain = f"{MARK}{params.variable_name or find_shown_variable(self.catalog.open(base))}"
        image = self.catalog.image(f"{base}/{chain}{MARK}{step}")
        image.open_shared()
        query = params.build_query(variable=None, low=None, high=None)
        return HttpResponse.redirect(f"{build_image_url(self.request, image.path)}{query}", HTTPStatus.SEE_OTHER)

    def render(self, entry: Entry, image: Image, dataset: xr.Dataset, problem: str) -> HttpResponse:
        """Render the page of an image that can be read."""
        links, params = self.links, self.links.params
        shown = ShownImage.from_params(dataset, params, self.limits)
        display = shown.display
        is_curve = are_curves(shown.whole_variable)
        figure = None if is_curve else shown.compute_figure(display)
        curve = shown.compute_curves() if is_curve else None
        rest_url = f"{self.request.root_path}/api/v1/images/{quote_path(image.path)}"
        picture_query = shown.build_picture_query(figure, display)
        origin = image.list_origins().get(shown.name)
        colours = sample_colour_map(display.colours, _BAR_COLOURS).tolist()
        return render_page(
            "image.html",
            self.request,
            **self.describe_entry(entry),
            image_path=image.path,
            problem=problem,
            shown=shown,
            figure=figure,
            curve=curve,
            curve_choices=links.list_curves(curve) if curve else [],
            csv_url=f"{rest_url}?{urlencode({**shown.part_query, 'format': 'csv', 'download': 'true'})}",
            region=None if is_curve else shown.compute_region(),
            params=params,
            display=display,
            variables=links.list_variables(image, shown),
            chain=links.list_chain(),
            transforms=list_transform_choices(dataset),
            scalings=links.list_scalings(display),
            orientations=links.list_orientations(shown),
            presets=links.list_presets(figure) if figure else [],
            colour_maps=COLOUR_MAPS,
            bar_colours=[f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours],
            recipes=list_recipes(shown.describe_part(self.request, image)),
            notebook_url=f"{self.request.root_path}{_NOTEBOOKS}/{quote_path(image.path)}{params.build_query()}",
            making=list_making_steps(origin) if origin else (),
            attributes=format_attributes(dataset.attrs),
            variable_attributes=format_attributes(shown.whole_variable.attrs),
            downloads=list_downloads(rest_url, shown),
            picture_url=f"{rest_url}?{urlencode(picture_query)}",
            png_url=f"{rest_url}?{urlencode(picture_query | _PNG_PARAMETERS)}",
            viewer=find_viewer() if figure else "",
            viewer_source=f"{self.request.root_path}/api/v1/images/{quote_path(links.base)}",
            viewer_path=links.base,
            viewer_variable="" if links.segment or params.variable_name else shown.name,
        )

    def describe_entry(self, entry: Entry) -> dict[str, Any]:
        """Describe what the page says of any image, also of one that cannot be read."""
        facility, shot = get_facility(entry), get_shot(entry)
        before, after = self.links.find_other_shots(self.catalog, entry)
        root, path = self.request.root_path, quote_path(self.request.path)
        return {
            "section": "shots",
            "query": f"{shot} {get_diagnostic(entry)}".strip() if shot is not None else "",
            "card": build_image_card(self.request, self.catalog, entry),
            "facility": facility,
            "facility_query": format_facility_segment(facility) if facility else "",
            "shot": shot,
            "shot_url": build_shot_url(self.request, facility, shot) if shot is not None and facility else "",
            "before": before,
            "after": after,
            "file_url": f"{root}/fileServer/{quote_path(entry.path)}",
            "dap_url": f"{root}/dap/{path}",
            "api_url": f"{root}/api/v1/images/{path}",
            "facts": [(name, str(value)) for name, value in entry.facts.items() if str(value)],
        }
