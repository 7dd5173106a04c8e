"""Figure of an image: axes, range, histogram, lineouts and statistics, as numbers that a page draws.

Positions are fractions: 0 at the left or top edge of the picture, 1 at the right or bottom edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from shotdap.server.pictures.levels import Display, Scale, resolve_range
from shotdap.server.pictures.pixel_size import NO_UNITS
from shotdap.server.pictures.ticks import compute_ticks, format_number
from shotdap.transforms.decoding import decode_variable

Array: TypeAlias = NDArray[Any]
Band: TypeAlias = tuple[int, int]
"""The first pixel of a band and the one after the last."""

_TICKS: Final = 7
_BINS: Final = 64
_MAX_COUNTED: Final = 1 << 17  # values of which the histogram is made
_SHORT_BYTES: Final = 4
_MAX_POINTS: Final = 300  # of a curve: as many as pixels that it is drawn over
_TIME_LIMIT: Final = 2000  # ps of span from which a time axis is in ns
_PERCENT: Final = 100
_SIGMAS: Final = 3
_SIGMA_PRESET: Final = "3 \u03c3"
_LEVELS: Final = 256
_TITLE_SEPARATOR: Final = " / "  # between a name and its unit


@dataclass(frozen=True)
class Tick:
    """A tick of an axis."""

    label: str
    percent: float
    """Its position, in per cent."""


@dataclass(frozen=True)
class Axis:
    """One side of a picture."""

    dimension: str
    title: str
    """The name and the unit: ``time / ns``."""
    start: int
    """The first pixel that is shown."""
    stop: int
    """The pixel after the last one."""
    size: int
    """Pixels of the whole dimension."""
    coordinates: Array
    """The coordinate of each shown pixel, from the left or the top, in the units of the title."""
    is_reversed: bool = False
    """True if the last pixel is at the left or at the top."""

    @property
    def length(self) -> int:
        """The number of shown pixels."""
        return self.stop - self.start

    @property
    def is_physical(self) -> bool:
        """True for a coordinate with units, false for pixels."""
        return _TITLE_SEPARATOR in self.title

    @property
    def offsets(self) -> Array:
        """The distance of each shown pixel from the first one, from the left or the top, in pixels."""
        return np.arange(self.length, dtype=np.float64)[:: -1 if self.is_reversed else 1]

    @property
    def ticks(self) -> Sequence[Tick]:
        """Round values at their true places, also on an axis that is not linear."""
        values = self.coordinates
        if values.size < 2 or not np.isfinite(values[[0, -1]]).all() or values[0] == values[-1]:  # noqa: PLR2004
            return ()
        low, high = sorted((float(values[0]), float(values[-1])))
        places = np.arange(values.size)
        order = slice(None) if values[-1] > values[0] else slice(None, None, -1)
        rounds = [value for value, _ in compute_ticks(Scale(low, high, "linear", _LEVELS), _TICKS)]
        at = np.interp(rounds, values[order], places[order])
        return [
            Tick(format_number(value), _PERCENT * (place + 0.5) / values.size)
            for value, place in zip(rounds, at, strict=True)
        ]

    def find_place(self, first: int, stop: int) -> tuple[int, int]:
        """Return where some pixels of the whole dimension begin and end, in pixels from the left or the top."""
        return (self.stop - stop, self.stop - first) if self.is_reversed else (first - self.start, stop - self.start)

    def find_pixel(self, place: int) -> int:
        """Return the pixel of the whole dimension at a place from the left or the top."""
        return self.stop - 1 - place if self.is_reversed else self.start + place

    def get_coordinate(self, index: int) -> float:
        """Return the coordinate of a pixel of the whole dimension."""
        place = self.find_place(index, index + 1)[0]
        return float(self.coordinates[min(max(place, 0), self.coordinates.size - 1)])


@dataclass(frozen=True)
class Lineout:
    """The mean of a band, along one side of the picture."""

    over: str
    """What the mean is made of: ``rows`` or ``columns``."""
    band: Band
    """The first of them, and the one after the last."""
    curve: Array
    points: str
    """Of the curve, in a box of 100 by 100, for SVG."""
    low: float
    high: float
    peak: float
    peak_index: int
    """In pixels of the whole dimension."""


@dataclass(frozen=True)
class RegionStatistics:
    """Statistics of the values in a region, at full resolution."""

    mean: float
    standard_deviation: float
    minimum: float
    maximum: float
    median: float
    total: float
    count: int
    missing: int


@dataclass(frozen=True)
class Figure:
    """An image as a page shows it."""

    down: Axis
    across: Axis
    is_swapped: bool
    """True if the stored rows lie across the picture."""
    units: str
    scale: Scale
    presets: Mapping[str, tuple[float, float]]
    """Ranges to choose from, by name."""
    bar_ticks: Sequence[Tick]
    """Of the colour bar, from below."""
    histogram: str
    """A polygon in a box of 100 by 100: counts to the right, from the darkest value at the bottom."""
    below: Lineout
    """The lineout across the picture."""
    right: Lineout
    """The lineout down the picture."""
    brightest: tuple[int, int]
    """The pixel of the greatest value along `down`, and along `across`."""
    constant: float | None
    """The only value, if all are equal."""
    missing: int

    def find_box(self, rows: Band | None, columns: Band | None) -> tuple[int, int, int, int]:
        """Return the left edge, the top edge, the width and the height of a part of the picture, in pixels.

        Args:
            rows: as they are stored; `None` for all that are shown.
            columns: likewise.
        """
        down, across = (columns, rows) if self.is_swapped else (rows, columns)
        top, bottom = self.down.find_place(*down) if down else (0, self.down.length)
        left, right = self.across.find_place(*across) if across else (0, self.across.length)
        return left, top, right - left, bottom - top


def make_axis(dataset: xr.Dataset, dimension: str, start: int, stop: int, *, is_reversed: bool = False) -> Axis:
    """Make the axis of a dimension: along a physical coordinate if there is one, else in pixels.

    Args:
        dataset: with the coordinates, in memory or small enough to be read.
        dimension: its name.
        start: the first pixel.
        stop: the one after the last.
        is_reversed: whether the last pixel is at the left or at the top.
    """
    size = dataset.sizes[dimension]
    for name, coordinate in dataset.coords.variables.items():
        units = str(coordinate.attrs.get("units", ""))
        is_axis = coordinate.dims == (dimension,) and coordinate.dtype.kind in "iuf"
        if not is_axis or units.lower() in NO_UNITS:
            continue
        values = np.asarray(decode_variable(coordinate[start:stop]).values, np.float64)
        steps = np.diff(values)
        if not (np.isfinite(values).all() and values.size > 1 and ((steps > 0).all() or (steps < 0).all())):
            continue
        if units == "ps" and abs(values[-1] - values[0]) >= _TIME_LIMIT:
            values, units = values / 1000, "ns"
        title = f"{str(name).rpartition('/')[2]}{_TITLE_SEPARATOR}{units}"
        return Axis(dimension, title, start, stop, size, values[:: -1 if is_reversed else 1], is_reversed)
    title = {"y": "row", "x": "column"}.get(dimension.partition("_")[0], dimension)
    pixels = np.arange(start, stop, dtype=np.float64)[:: -1 if is_reversed else 1]
    return Axis(dimension, title, start, stop, size, pixels, is_reversed)


def compute_figure(  # noqa: PLR0913 — keywords
    values: Array,
    *,
    axes: tuple[Axis, Axis],
    is_swapped: bool,
    units: str,
    display: Display,
    bands: tuple[Band | None, Band | None],
) -> Figure:
    """Compute the figure of an image.

    Args:
        values: the shown pixels, or every nth of them, in memory and as they are displayed.
        axes: down the picture, and across it.
        is_swapped: whether the stored rows lie across the picture.
        units: of the values.
        display: the scaling, and the range as far as it is given.
        bands: of pixels along each axis over which the lineouts are means; `None` for all that are shown.
    """
    down, across = axes
    pixels = np.asarray(values, np.float64 if values.dtype.itemsize > _SHORT_BYTES else np.float32)
    finite = pixels[np.isfinite(pixels)]
    low, high = resolve_range(pixels, display)
    scale = Scale(low, high, display.scaling, _LEVELS)
    sample = finite[:: max(1, finite.size // _MAX_COUNTED)]
    mean, deviation = (float(sample.mean()), float(sample.std())) if finite.size else (0.0, 0.0)
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    wide = _SIGMAS * deviation
    presets = {"all": (least, most), _SIGMA_PRESET: (max(least, mean - wide), min(most, mean + wide))}
    flat = int(np.nanargmax(pixels)) if finite.size else 0
    row, column = divmod(flat, pixels.shape[1])
    steps = [each.length / count for each, count in zip(axes, pixels.shape, strict=True)]
    names = ("columns", "rows") if is_swapped else ("rows", "columns")
    return Figure(
        down,
        across,
        is_swapped,
        "" if units == "1" else units,
        scale,
        {name: pair for name, pair in presets.items() if pair[0] < pair[1]},
        [Tick(format_number(value), _PERCENT * (1 - place)) for value, place in compute_ticks(scale, _TICKS)],
        _draw_histogram(sample, scale),
        _compute_lineout(names[0], pixels, bands[0], (down, across), steps),
        _compute_lineout(names[1], pixels.T, bands[1], (across, down), steps[::-1]),
        (down.find_pixel(int(row * steps[0])), across.find_pixel(int(column * steps[1]))),
        least if finite.size and least == most else None,
        int(pixels.size - finite.size),
    )


def compute_region(values: Array) -> RegionStatistics:
    """Compute statistics of a region; of no finite value they are NaN."""
    pixels = np.asarray(values, np.float64)
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return RegionStatistics(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0, pixels.size)
    return RegionStatistics(
        float(finite.mean()),
        float(finite.std()),
        float(finite.min()),
        float(finite.max()),
        float(np.median(finite)),
        float(finite.sum()),
        finite.size,
        pixels.size - finite.size,
    )


def draw_curve(heights: Array, low: float, high: float, along: Array | None = None) -> str:
    """Draw a curve in a box of 100 by 100, the least value at the bottom, as points for SVG.

    Args:
        heights: of the curve.
        low: the value at the bottom.
        high: the value at the top.
        along: the place of each value, from 0 at the left to 1 at the right; evenly spaced by default.
    """
    heights = _thin_out(np.asarray(heights, np.float64))
    across = np.linspace(0, _PERCENT, heights.size) if heights.size > 1 else np.array([_PERCENT / 2])
    if along is not None:
        across = _PERCENT * _thin_out(np.asarray(along, np.float64))
    down = _PERCENT * (1 - (heights - low) / ((high - low) or 1.0))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True) if math.isfinite(y))


def _compute_lineout(
    over: str, pixels: Array, band: Band | None, axes: tuple[Axis, Axis], steps: Sequence[float]
) -> Lineout:
    """Compute the mean over a band along the first axis, as a curve along the second one."""
    first, last = band or (axes[0].start, axes[0].stop)
    places = axes[0].find_place(first, last)
    begin = max(0, int(places[0] / steps[0]))
    end = max(begin + 1, math.ceil(places[1] / steps[0]))
    chosen = pixels[begin:end]
    with np.errstate(invalid="ignore", over="ignore"):
        curve = chosen.mean(axis=0, dtype=np.float64)
    if not np.isfinite(curve).all():
        known = np.isfinite(chosen)
        with np.errstate(invalid="ignore", divide="ignore"):
            curve = np.where(known, chosen, 0).sum(axis=0, dtype=np.float64) / known.sum(axis=0)
    finite = curve[np.isfinite(curve)]
    low, high = (min(0.0, float(finite.min())), float(finite.max())) if finite.size else (0.0, 1.0)
    peak_place = int(np.nanargmax(curve)) if finite.size else 0
    peak_index = axes[1].find_pixel(int(peak_place * steps[1]))
    return Lineout(over, (first, last), curve, draw_curve(curve, low, high), low, high, high, peak_index)


def _draw_histogram(finite: Array, scale: Scale) -> str:
    """Draw the logarithmic counts of values within the range, in the scale of the picture."""
    if not finite.size:
        return ""
    places = scale.compute_brightness(finite)
    counts = np.log1p(np.histogram(places, _BINS, (0, 1))[0])
    widths = _PERCENT * counts / (counts.max() or 1)
    edges = np.linspace(_PERCENT, 0, _BINS + 1)
    points = ["0,100"]
    for width, bottom, top in zip(widths, edges[:-1], edges[1:], strict=True):
        points += [f"{width:.1f},{bottom:.2f}", f"{width:.1f},{top:.2f}"]
    return " ".join([*points, "0,0"])


def _thin_out(curve: Array) -> Array:
    """Reduce a curve to as many points as are drawn; each is the mean of its neighbours."""
    if curve.size <= _MAX_POINTS:
        return curve
    factor = -(-curve.size // _MAX_POINTS)
    whole = curve[: curve.size // factor * factor].reshape(-1, factor)
    with np.errstate(invalid="ignore"):
        return np.asarray(whole.mean(axis=1))
