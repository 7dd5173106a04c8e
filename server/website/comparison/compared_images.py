"""Images that are compared: each with its picture in the range of all, its lineout, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from shotdap.catalog import Catalog, NotFound, Unreadable
from shotdap.catalog.entry import FAILED_HEALTHS
from shotdap.server.api.responses import quote_path
from shotdap.server.http.limits import Limits
from shotdap.server.http.request import HttpRequest
from shotdap.server.pages.image_page import format_attributes
from shotdap.server.pictures.curves import are_curves
from shotdap.server.pictures.figure import Figure, RegionStatistics, Tick, compute_region, draw_curve
from shotdap.server.pictures.levels import Display, Scale
from shotdap.server.pictures.ticks import compute_ticks, format_number
from shotdap.server.website.image_cards import ImageCard, build_image_card
from shotdap.server.website.shown_image import IMAGE_NDIM, ShownImage
from shotdap.server.website.view_params import ViewParams
from shotdap.transforms import MARK, BadSelection

MIN_IMAGES: Final = 2
MAX_IMAGES: Final = 4
"""The most images that are compared at once."""

_LIMIT_PERCENTILE: Final = 99.5  # of the absolute difference: the end of its range
_RESULT_COLOURS: Final = "RdBu_r"
_MAX_ATTRIBUTES: Final = 200
_LEVELS: Final = 256  # of a scale of which only the ticks are drawn

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class ReadableImage:
    """An image of which there is a picture."""

    shown: ShownImage
    figure: Figure
    statistics: RegionStatistics
    """Of the region if there is one, else of all that is shown."""


@dataclass(frozen=True)
class ComparedImage:
    """One of the images that are compared."""

    path: str
    """Public path, with the steps of a variant."""
    card: ImageCard
    readable: ReadableImage | None = None
    """`None` if it cannot be read."""
    reason: str = ""
    """Why it cannot be read."""
    label: str = ""
    """A short name, which no other image of the comparison has: the number of its shot if that is enough."""


@dataclass(frozen=True)
class DifferentAttribute:
    """An attribute that the images do not all have alike."""

    name: str
    values: Sequence[str]
    """Of each image; empty if it has none."""


def open_compared(
    request: HttpRequest, catalog: Catalog, paths: Sequence[str], params: ViewParams, limits: Limits
) -> list[ComparedImage]:
    """Open images, and compute the figure of each.

    Raises:
        BadSelection: there are too few or too many, or the view does not fit one of them.
        NotFound: one does not exist, or may not be seen.
    """
    if not MIN_IMAGES <= len(paths) <= MAX_IMAGES:
        raise BadSelection(
            f"Two to {MAX_IMAGES} images are compared: image=PATH&image=PATH. Here {len(paths)} are named."
        )
    images = [_open_image(request, catalog, path, params, limits) for path in paths]
    for labels in (
        [str(each.card.shot or each.card.name) for each in images],
        [f"{each.card.name} {each.card.shot or ''}".rstrip() for each in images],
        [each.path.rpartition("/")[2] for each in images],
    ):
        if len({*labels}) == len(images):
            return [replace(each, label=label) for each, label in zip(images, labels, strict=True)]
    return [replace(each, label=f"image {number}") for number, each in enumerate(images, 1)]


def _open_image(request: HttpRequest, catalog: Catalog, path: str, params: ViewParams, limits: Limits) -> ComparedImage:
    base = path.partition(f"/{MARK}")[0]
    try:
        entry = catalog.find_entry(base)
    except NotFound as error:
        raise NotFound(f"No such image, or not yours to see: {base!r}.") from error
    card = build_image_card(request, catalog, entry)
    try:
        if entry.health in FAILED_HEALTHS:
            raise Unreadable(entry.reason)  # noqa: TRY301 — the same as for what is found out now
        dataset = catalog.image(path).open_shared()
    except Unreadable as error:
        return ComparedImage(path, card, reason=str(error))
    shown = ShownImage.from_params(dataset, params, limits)
    if are_curves(shown.whole_variable):
        raise BadSelection(f"Images are compared here; {shown.name} of {path} is a curve.")
    figure = shown.compute_figure(shown.display)
    statistics = shown.compute_region() or compute_region(shown.load({}).values)
    return ComparedImage(path, card, ReadableImage(shown, figure, statistics))


def choose_common_display(images: Sequence[ReadableImage]) -> Display:
    """Choose how all images are shown: as the first one, in a range that holds that of each."""
    return replace(
        images[0].shown.display,
        low=min(each.figure.scale.low for each in images),
        high=max(each.figure.scale.high for each in images),
    )


def build_picture_url(request: HttpRequest, path: str, image: ReadableImage, display: Display) -> str:
    """Build the URL of the picture of an image in the range of all of them."""
    query = image.shown.build_picture_query(None, display) | {"low": repr(display.low), "high": repr(display.high)}
    return f"{request.root_path}/api/v1/images/{quote_path(path)}?{urlencode(query)}"


@dataclass(frozen=True)
class ComparedLineouts:
    """The lineouts of all images in one plot."""

    title: str
    """Of the axis across: a coordinate if all images have it, else pixels."""
    ticks: Sequence[Tick]
    height_ticks: Sequence[Tick]
    """From the top."""
    low: float
    high: float
    curves: Sequence[str]
    """Of each image, in a box of 100 by 100, for SVG."""


def draw_lineouts(images: Sequence[ReadableImage]) -> ComparedLineouts:
    """Draw the lineouts across the pictures over one another, on one scale."""
    axes = [each.figure.across for each in images]
    has_coordinate = axes[0].is_physical and all(each.title == axes[0].title for each in axes)
    places = [each.coordinates if has_coordinate else each.offsets for each in axes]
    finite = np.concatenate(places)
    across = Scale(float(finite.min()), float(finite.max()), "linear", _LEVELS)
    low = min(each.figure.below.low for each in images)
    high = max(each.figure.below.high for each in images)
    height = Scale(low, high, "linear", _LEVELS)
    curves = []
    for image, own in zip(images, places, strict=True):
        curve = image.figure.below.curve
        at = np.interp(np.linspace(0, own.size - 1, curve.size), np.arange(own.size), own)
        curves.append(draw_curve(curve, low, high, across.normalize_values(at) if across.low < across.high else None))
    return ComparedLineouts(
        axes[0].title if has_coordinate else "pixel",
        [Tick(format_number(value), 100 * place) for value, place in compute_ticks(across, 7)],
        [Tick(format_number(value), 100 * (1 - place)) for value, place in compute_ticks(height, 3)],
        low,
        high,
        curves,
    )


def list_different_attributes(images: Sequence[ReadableImage]) -> tuple[Sequence[DifferentAttribute], int]:
    """List the attributes that differ, of the images and of what is shown of them; and count those that are equal."""
    tables = [
        dict([*format_attributes(each.shown.dataset.attrs), *format_attributes(each.shown.whole_variable.attrs)])
        for each in images
    ]
    names = dict.fromkeys(name for table in tables for name in table)
    rows = [DifferentAttribute(name, [table.get(name, "") for table in tables]) for name in names]
    different = [row for row in rows if len({*row.values}) > 1]
    return different[:_MAX_ATTRIBUTES], len(rows) - len(different)


@dataclass(frozen=True)
class Difference:
    """The first image minus the second one, or divided by it, pixel by pixel, as it is displayed."""

    dataset: xr.Dataset
    """With the one variable."""
    display: Display
    """Symmetric about no difference."""
    statistics: RegionStatistics
    """Of the region of the first image if there is one, else of all."""
    alignment: str
    """How images of different sizes are aligned; empty for the same size."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its rows and columns."""
        (variable,) = self.dataset.variables.values()
        return variable.shape


def compute_difference(images: Sequence[ReadableImage], *, is_ratio: bool, size: int) -> Difference:
    """Compute the difference of the first two images, or their ratio.

    Args:
        images: at least two.
        is_ratio: whether it is the ratio; where the second one is 0, it is missing.
        size: the largest number of pixels of the longer side of its picture.

    Raises:
        BadSelection: their units differ, so that a difference means nothing; or nothing of them is at the same place.
    """
    first, second = images[:2]
    if not is_ratio and first.shown.units != second.shown.units:
        raise BadSelection(
            f"{first.shown.name} is in {first.shown.units or '1'}, {second.shown.name} in {second.shown.units or '1'}:"
            " there is no difference of these. Ask for show=side or show=ratio."
        )
    ours, theirs = (_load_displayed(each.shown) for each in (first, second))
    is_counted, alignment = _mask_region(first.shown), ""
    if ours.shape != theirs.shape:
        (own_rows, other_rows), (own_columns, other_columns), alignment = _align(first.figure, second.figure)
        ours, is_counted = (pixels[np.ix_(own_rows, own_columns)] for pixels in (ours, is_counted))
        theirs = theirs[np.ix_(other_rows, other_columns)]
    if is_ratio:
        with np.errstate(divide="ignore", invalid="ignore"):
            result = np.where(theirs == 0, np.nan, ours / theirs)
    else:
        result = ours - theirs
    neutral = 1.0 if is_ratio else 0.0
    distances = np.abs(result[np.isfinite(result)] - neutral)
    limit = (float(np.percentile(distances, _LIMIT_PERCENTILE)) if distances.size else 0.0) or 1.0
    name = "ratio" if is_ratio else "difference"
    attributes: Mapping[str, str] = {"units": "1" if is_ratio else first.shown.units or "1"}
    return Difference(
        xr.Dataset({name: xr.Variable(("y", "x"), result, attributes)}),
        Display(_RESULT_COLOURS, low=neutral - limit, high=neutral + limit, size=size, quality=85),
        compute_region(result[is_counted]),
        alignment,
    )


def _load_displayed(shown: ShownImage) -> Array:
    values = np.asarray(shown.load({}).values, np.float64)
    return shown.orientation.turn_pixels(values.reshape(values.shape[-IMAGE_NDIM:]))


def _mask_region(shown: ShownImage) -> NDArray[np.bool_]:
    """Return which pixels of a picture are in the region, as they are displayed; all without one."""
    sides = shown.slices[-IMAGE_NDIM:]
    region = shown.params.region or [(each.start, each.stop) for each in sides]
    inside = [
        (start <= np.arange(each.start, each.stop)) & (np.arange(each.start, each.stop) < stop)
        for each, (start, stop) in zip(sides, region, strict=True)
    ]
    return shown.orientation.turn_pixels(np.logical_and.outer(*inside))


_Indices: TypeAlias = "tuple[NDArray[np.intp], NDArray[np.intp]]"


def _align(first: Figure, second: Figure) -> tuple[_Indices, _Indices, str]:
    """Return the rows of two pictures that are at the same place, the columns, and how they are aligned.

    Raises:
        BadSelection: there are none.
    """
    with_coordinate, matches = [], []
    for own, other in ((first.down, second.down), (first.across, second.across)):
        has_coordinate = own.is_physical and own.title == other.title
        with_coordinate += [own.title.partition(" / ")[0]] if has_coordinate else []
        places = (own.coordinates, other.coordinates) if has_coordinate else (own.offsets, other.offsets)
        matches.append(match_places(*places))
        if not matches[-1][0].size:
            raise BadSelection(f"The sizes differ, and nothing of the images is at the same {own.title}.")
    rows, columns = matches
    if len(with_coordinate) == IMAGE_NDIM:
        return rows, columns, "aligned at their coordinates"
    if with_coordinate:
        return rows, columns, f"aligned at {with_coordinate[0]}, and else from the first pixel on"
    return rows, columns, "compared from the first pixel on"


def match_places(ours: Array, theirs: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match places along two axes: the indices of ours that have one of theirs within half a step, and those of theirs.

    Args:
        ours: at least one, finite.
        theirs: likewise, which go up or go down.
    """
    order = np.argsort(theirs)
    sorted_theirs = theirs[order]
    nearest = np.searchsorted((sorted_theirs[1:] + sorted_theirs[:-1]) / 2, ours)
    half_step = np.abs(np.diff(sorted_theirs)).max(initial=0.0) / 2
    is_near = np.abs(sorted_theirs[nearest] - ours) <= half_step * (1 + 1e-9)
    return np.flatnonzero(is_near), order[nearest[is_near]]
