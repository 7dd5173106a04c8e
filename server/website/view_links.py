"""Links from the page of an image to other views of it: each is a plain URL, with the rest of the view kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from shotdap.catalog import Catalog, Entry, Image
from shotdap.server.api.shot_listing import create_diagnostic_term, find_neighbours
from shotdap.server.http.request import HttpRequest
from shotdap.server.pages.formatting import TIMES
from shotdap.server.pictures.curve_figure import CurveFigure
from shotdap.server.pictures.figure import Figure
from shotdap.server.pictures.levels import Display
from shotdap.server.pictures.orientation import AS_STORED, Orientation
from shotdap.server.website.image_cards import build_image_url, get_diagnostic, get_facility, get_shot
from shotdap.server.website.shown_image import IMAGE_NDIM, RESULT, ShownImage
from shotdap.server.website.view_params import ViewParams
from shotdap.transforms import MARK, parse_variant

_SCALINGS: Final = (("linear", "linear"), ("sqrt", "√"), ("log", "log"))
_NUMBERS: Final = "biuf"
_DOWNLOADS: Final = (
    ("nc4", "NetCDF-4"),
    ("h5", "HDF5, as NeXus has it"),
    ("mat", "MATLAB"),
    ("tiff", "TIFF"),
    ("npz", "NumPy"),
    ("csv", "CSV"),
)
_ONLY_CURVES: Final = "csv"
_ONLY_IMAGES: Final = "tiff"
_PATH_CHARACTERS: Final = "/:,~"  # that need no encoding in a query


@dataclass(frozen=True)
class Choice:
    """One of several values, and the URL of the page with it."""

    label: str
    url: str
    is_chosen: bool = False
    is_computed: bool = False
    title: str = ""
    shape: str = ""
    """Of a variable: the sizes of its dimensions."""


@dataclass(frozen=True)
class OtherShot:
    """The image of the same diagnostic of another shot: the URL of its page, and that which compares it with this."""

    label: str
    url: str
    compare_url: str


@dataclass(frozen=True)
class ChainStep:
    """A step of the chain, and the URL of the page without it."""

    name: str
    options: Mapping[str, str]
    url_without: str


@dataclass(frozen=True)
class ViewLinks:
    """The links of one view of an image."""

    request: HttpRequest
    base: str
    """The path of the image, without a variant."""
    segment: str
    """The variant; empty without one."""
    params: ViewParams

    def build_url(self, **changes: str | None) -> str:
        """Build the URL of this view with other parameters."""
        return f"{build_image_url(self.request, self.request.path)}{self.params.build_query(**changes)}"

    def list_scalings(self, display: Display) -> list[Choice]:
        """List the scalings."""
        return [Choice(label, self.build_url(scaling=name), name == display.scaling) for name, label in _SCALINGS]

    def list_curves(self, figure: CurveFigure) -> list[Choice]:
        """List the curves to choose from; the chosen one leads back to all."""
        wanted = self.params.curve
        return [
            Choice(str(index), self.build_url(curve=None if index == wanted else str(index)), index == wanted)
            for index in (figure.indices if len(figure.indices) > 1 else ())
        ]

    def list_orientations(self, shown: ShownImage) -> list[Choice]:
        """List the orientations to choose from; none if the image is displayed as it is stored."""
        if Orientation.from_attributes(shown.dataset.attrs) == AS_STORED:
            return []
        is_stored = shown.orientation == AS_STORED
        return [
            Choice("displayed", self.build_url(orientation=None), not is_stored),
            Choice("as stored", self.build_url(orientation="stored"), is_stored),
        ]

    def list_presets(self, figure: Figure) -> list[Choice]:
        """List the ranges to choose from; the last is the usual one."""
        presets = [
            Choice(name, self.build_url(low=f"{low:.6g}", high=f"{high:.6g}"))
            for name, (low, high) in figure.presets.items()
        ]
        is_usual = not {"low", "high"} & {*self.params.texts}
        return [*presets, Choice("99.5 %", self.build_url(low=None, high=None), is_usual)]

    def list_variables(self, image: Image, shown: ShownImage) -> list[Choice]:
        """List the variables to choose from; a chain of steps begins with the chosen one."""
        virtual = {name for name, origin in image.list_origins().items() if origin.recipe}
        variables = shown.dataset.variables
        steps = [str(each) for each in parse_variant(self.segment)] if self.segment else []
        has_start = bool(steps) and steps[0].partition("-")[0] in variables
        transforms, chosen = (steps[1:], steps[0].partition("-")[0]) if has_start else (steps, shown.name)
        choices = []
        for name in map(str, shown.dataset.data_vars):
            variable = variables[name]
            if variable.dtype.kind not in _NUMBERS or not variable.ndim or name == RESULT:
                continue
            chain = f"/{MARK}{MARK.join((name, *transforms))}" if transforms else ""
            query = self.params.build_query(variable=None if transforms else name, low=None, high=None, region=None)
            if variable.ndim < IMAGE_NDIM:
                query = f"?variable={name}"
            url = f"{build_image_url(self.request, f'{self.base}{chain}')}{query}"
            title = str(variable.attrs.get("long_name", ""))
            shape = f" {TIMES} ".join(map(str, variable.shape))
            choices.append(Choice(name, url, name == chosen, name in virtual, title, shape))
        return choices

    def list_chain(self) -> list[ChainStep]:
        """List the steps of the chain."""
        steps = parse_variant(self.segment) if self.segment else ()
        query = self.params.build_query(low=None, high=None)
        chain = []
        for number, step in enumerate(steps):
            rest = [str(each) for place, each in enumerate(steps) if place != number]
            path = f"{self.base}/{MARK}{MARK.join(rest)}" if rest else self.base
            chain.append(ChainStep(step.name, step.options, f"{build_image_url(self.request, path)}{query}"))
        return chain

    def find_other_shots(self, catalog: Catalog, entry: Entry) -> list[OtherShot | None]:
        """Find the image of the same diagnostic of the shot before, and of the next one; the view stays the same."""
        facility, shot, diagnostic = get_facility(entry), get_shot(entry), get_diagnostic(entry)
        if not facility or shot is None or not diagnostic:
            return [None, None]
        links: list[OtherShot | None] = []
        for entries in find_neighbours(catalog, facility, shot, create_diagnostic_term(diagnostic)):
            if not entries:
                links.append(None)
                continue
            other = str(get_shot(entries[0]))
            wanted = entry.path.rpartition("/")[2].replace(str(shot), other)
            chosen = next((each for each in entries if each.path.rpartition("/")[2] == wanted), entries[0])
            paths = ["/".join(filter(None, (path, self.segment))) for path in (self.base, chosen.path)]
            query = self.params.build_query()
            images = urlencode([("image", path) for path in paths], safe=_PATH_CHARACTERS, quote_via=quote)
            compare_url = f"{self.request.root_path}/compare?{images}{query.replace('?', '&', 1)}"
            links.append(OtherShot(other, f"{build_image_url(self.request, paths[1])}{query}", compare_url))
        return links


def list_downloads(rest_url: str, shown: ShownImage) -> list[tuple[str, str]]:
    """List the URLs of files with what is shown, each with its name.

    Args:
        rest_url: of the image in the REST API.
        shown: what is shown.
    """
    left_out = _ONLY_IMAGES if shown.whole_variable.ndim == 1 else _ONLY_CURVES
    return [
        (f"{rest_url}?{urlencode({**shown.part_query, 'format': name, 'download': 'true'})}", label)
        for name, label in _DOWNLOADS
        if name != left_out
    ]
