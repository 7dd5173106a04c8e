"""Page that compares two to four images; everything is in its URL, and it needs no script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotdap.catalog import Catalog, Unreadable, retry_if_changed
from shotdap.server.access.request_catalog import RequestCatalogs
from shotdap.server.api.responses import quote_path
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.http.errors import answer, render_text_problem
from shotdap.server.http.limits import Limits, check_query_length
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import HttpResponse, compress_response, make_response
from shotdap.server.pages import render_page, render_problem_page
from shotdap.server.pages.assets import find_viewer
from shotdap.server.pictures.default_display import COLOUR_MAPS
from shotdap.server.website.comparison.compared_images import (
    MIN_IMAGES,
    ComparedImage,
    ReadableImage,
    build_picture_url,
    choose_common_display,
    compute_difference,
    draw_lineouts,
    list_different_attributes,
    open_compared,
)
from shotdap.server.website.image_cards import build_image_url
from shotdap.server.website.view_links import Choice
from shotdap.server.website.view_params import ViewParams, has_noise, parse_view
from shotdap.transforms import BadSelection

COMPARE_PATH: Final = "/compare"

_IMAGE: Final = "image"
_SHOW: Final = "show"
_WAYS: Final = (("side", "Side by side"), ("difference", "Difference"), ("ratio", "Ratio"), ("blink", "Blink"))
_COMPUTED: Final = frozenset({"difference", "ratio"})
_PICTURE_SIZE: Final = 1024  # pixels of the longer side
_SAFE: Final = "/:,~"


@dataclass(frozen=True)
class _View:
    """The parsed query of a comparison."""

    request: HttpRequest
    paths: Sequence[str]
    way: str
    params: ViewParams

    @classmethod
    def from_request(cls, request: HttpRequest) -> _View:
        """Parse the query of a request.

        Raises:
            BadSelection: a value is invalid.
        """
        pairs = parse_qsl(request.query, keep_blank_values=True, errors="replace")
        paths = [text.strip().strip("/") for name, text in pairs if name == _IMAGE and text.strip()]
        params = parse_view(urlencode([(name, text) for name, text in pairs if name != _IMAGE]))
        way = params.texts.get(_SHOW, "side")
        if way not in dict(_WAYS):
            raise BadSelection(f"show={way[:60]!r}: it is one of {', '.join(name for name, _ in _WAYS)}.")
        return cls(request, tuple(dict.fromkeys(paths)), way, params)

    def build_url(self, base: str = COMPARE_PATH, paths: Sequence[str] = (), **changes: str | None) -> str:
        """Build the URL of this view with other parameters, without the host."""
        images = urlencode([(_IMAGE, path) for path in paths or self.paths], safe=_SAFE, quote_via=quote)
        return f"{self.request.root_path}{base}?{images}{self.params.build_query(**changes).replace('?', '&', 1)}"

    def build_way_url(self, name: str, shown: str) -> str:
        """Build the URL of another way to compare; the range of a difference or a ratio is none of images.

        Args:
            name: of the way.
            shown: the way that the page shows.
        """
        show = None if name == _WAYS[0][0] else name
        return (
            self.build_url(show=show)
            if {name, shown}.isdisjoint(_COMPUTED)
            else self.build_url(show=show, low=None, high=None)
        )


def create_compare_routes(catalogs: RequestCatalogs, limits: Limits) -> list[Route]:
    """Create the routes of the page, and of the picture of a difference.

    Args:
        catalogs: of the images.
        limits: how much one request may ask for.
    """

    def make_route(path: str, prepare: Callable[[_Comparison], HttpResponse], *, is_page: bool) -> Route:
        async def serve(request: Request) -> Response:
            page_request = HttpRequest.from_starlette(request)

            def respond() -> HttpResponse:
                check_query_length(page_request.query, limits.query)
                catalog = catalogs.open(page_request)
                response = retry_if_changed(lambda: prepare(_Comparison(page_request, catalog, limits)))
                return compress_response(response, page_request) if is_page else response

            render_problem = partial(render_problem_page, page_request) if is_page else render_text_problem
            return make_response(await run_in_threadpool(answer, respond, render_problem, path))

        return Route(path, serve, methods=["GET"])

    return [
        make_route(COMPARE_PATH, _Comparison.respond, is_page=True),
        make_route(f"{COMPARE_PATH}/picture", _Comparison.respond_picture, is_page=False),
    ]


class _Comparison:
    """One answer.

    Args:
        request: of a browser.
        catalog: as the reader sees it.
        limits: how much one request may ask for.
    """

    def __init__(self, request: HttpRequest, catalog: Catalog, limits: Limits) -> None:
        self._request = request
        self._catalog = catalog
        self._limits = limits
        self._view = _View.from_request(request)

    @cached_property
    def _images(self) -> list[ComparedImage]:
        view = self._view
        return open_compared(self._request, self._catalog, view.paths, view.params, self._limits)

    def respond(self) -> HttpResponse:
        """Return the page, or a redirect to its usual URL."""
        view = self._view
        if has_noise(self._request.query):
            return HttpResponse.redirect(view.build_url(), 303)
        images = self._images
        readable = [each.readable for each in images if each.readable]
        way = view.way if len(readable) == len(images) else "side"
        display = choose_common_display(readable) if readable else None
        difference = None
        if way in _COMPUTED:
            difference = compute_difference(readable, is_ratio=way == "ratio", size=_PICTURE_SIZE)
        pictures = [
            build_picture_url(self._request, each.path, each.readable, display) if each.readable and display else ""
            for each in images
        ]
        different, equal = list_different_attributes(readable)
        own_query = view.params.build_query(show=None)
        removable = view.paths if len(images) > MIN_IMAGES else ()
        return render_page(
            "compare.html",
            self._request,
            section="shots",
            images=images,
            readable=readable,
            pictures=pictures,
            image_urls=[f"{build_image_url(self._request, path)}{own_query}" for path in view.paths],
            without_urls=[view.build_url(paths=[path for path in view.paths if path != out]) for out in removable],
            way=way,
            ways=[Choice(label, view.build_way_url(name, way), name == way) for name, label in _WAYS],
            params=view.params,
            display=display,
            colour_maps=COLOUR_MAPS,
            lineouts=draw_lineouts(readable) if readable else None,
            difference=difference,
            difference_url=view.build_url(f"{COMPARE_PATH}/picture") if difference else "",
            different=different,
            equal=equal,
            viewer=find_viewer() if len(readable) == len(images) == MIN_IMAGES else "",
            sources=[f"{self._request.root_path}/api/v1/images/{quote_path(path)}" for path in view.paths],
        )

    def respond_picture(self) -> HttpResponse:
        """Return the picture of the difference or the ratio."""
        if self._view.way not in _COMPUTED:
            raise BadSelection("This is a picture of what is computed: show=difference or show=ratio.")
        readable: list[ReadableImage] = []
        for each in self._images:
            if each.readable is None:
                raise Unreadable(each.reason)
            readable.append(each.readable)
        difference = compute_difference(readable, is_ratio=self._view.way == "ratio", size=_PICTURE_SIZE)
        webp = FORMATS["webp"]
        encoded = webp.encode(difference.dataset, difference.display)
        return HttpResponse(webp.media_type, encoded.size, encoded.blocks, {"Cache-Control": "no-cache"})
