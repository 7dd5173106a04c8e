"""Levels of a picture: how values become brightness, and which variable of an image is shown.

Strategy: values become *levels*, integers from 0 (darkest) to the last (brightest); a level is a position in a colour
map, or a grey. `Scale` converts in both directions, so that the values can be recovered from the picture.

Rules:

1. A picture has the rows and columns of the array, the first row on top: a pixel of the picture is that pixel of the
   data. Only with ``orientation=displayed`` is it turned as the camera's ``ImageDisplay`` says; see `orientation`.
2. A missing value, NaN, has a level of its own after the last. Infinities are outside the range, and are shown like its
   ends.
3. Stored numbers are decoded before they are shown; see `decode_variable`.
4. If `low` or `high` is not given, it is a percentile, or for an overview a multiple of the noise: of every eighth row
   and column if both sides have 512 pixels or more, which takes 0.8 ms instead of 25 for 2048 x 2048 and is as good for
   the eye. Such a number is no statistic of the image; the metadata of the picture contain the range that was used.
5. A smaller picture contains means over areas: of the values, not of the levels, and without the missing ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from shotdap.server.pictures.colour_maps import GREY, check_colour_map, parse_colour
from shotdap.transforms.decoding import decode_variable
from shotdap.transforms.selection import BadSelection

Array: TypeAlias = NDArray[Any]
Levels: TypeAlias = NDArray[np.uint8 | np.uint16]

Scaling: TypeAlias = Literal["linear", "sqrt", "log"]
"""Function from values to brightness between the ends of the range."""

Autoscale: TypeAlias = Literal["percentiles", "noise"]
"""Rule for the ends of the range: percentiles; or the top of the noise and a high percentile, so that what is empty is
black."""

DisplayOrientation: TypeAlias = Literal["stored", "displayed"]
"""The first row of the array on top; or turned as the image's attributes tell."""

_PREFERRED_NAMES: Final = ("result", "background_subtracted", "image")
"""Variables that are shown by default; the first that exists."""

IMAGE_NDIM: Final = 2
"""Dimensions of an image without colours: rows and columns."""
_COLOUR_NDIM: Final = 3  # the last dimension is the bands
BAND_DIMENSION: Final = "band"
"""Name of the dimension of colours in all readers."""
_RGB_BAND_COUNT: Final = 3
_BAND_COUNTS: Final = (3, 4)  # red, green, blue, and perhaps transparency

_SAMPLING_STEP: Final = 8
_SAMPLING_MIN_SIDE: Final = 512  # pixels of the shorter side
_LOG_STEEPNESS: Final = 1000.0  # of the logarithm, as in SAOImage DS9
_LOOKUP_MAX_ITEMSIZE: Final = 2  # bytes of integers whose levels come from a table
_FLOAT32_EXACT_DTYPES: Final = frozenset(map(np.dtype, ("f2", "f4", "u1", "u2", "i1", "i2", "?")))
"""Types whose values float32 represents exactly."""
_FLOAT32_MIN_RELATIVE_WIDTH: Final = 1e-3  # width of a range relative to its ends, below which float32 is too coarse
_FLOAT32_MIN_WIDTH: Final = 1e-30
_FLOAT32_MAX_WIDTH: Final = 1e30
_MAX_SIDE: Final = 65_535  # pixels; the limit of JPEG and of programs that read PNG
_QUALITY_RANGE: Final = range(1, 101)
_NOISE_PERCENTILE: Final = 99.7
_NOISE_WIDTHS: Final = 1.5  # standard deviations above the median, at which the noise ends
_NOISE_SHARE: Final = 0.25  # of the range above the median, at most
_DEVIATIONS_PER_MAD: Final = 1.4826  # of a normal distribution: its standard deviation, in median absolute deviations


@dataclass(frozen=True)
class Display:
    """Parameters of a picture.

    Raises:
        BadSelection: a number is out of its range, or a colour map or colour does not exist.
    """

    colours: str = GREY
    """A colour map, as `cmap` knows it: ``viridis``, ``gray``, ``cmocean:thermal``."""
    scaling: Scaling = "linear"
    low: float | None = None
    """The value that is darkest; `None` for the lower percentile."""
    high: float | None = None
    """The value that is brightest; `None` for the upper percentile."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    autoscale: Autoscale = "percentiles"
    """The rule for an end of the range that is not given."""
    bits: Literal[8, 16] = 8
    """Bits of a pixel in a PNG: 8, in colours, or 16, in greys."""
    size: int | None = None
    """Largest number of pixels of the longer side; `None` for that of the image."""
    quality: int = 90
    """Quality of a JPEG or WebP, 1 to 100."""
    colour_bar: bool = False
    scale_bar: bool = False
    orientation: DisplayOrientation = "stored"
    missing: str | None = None
    """The colour of missing values, ``red`` or ``#ff0000``; `None` for transparent, or white if the format has no
    transparency."""

    def __post_init__(self) -> None:
        _require(self.scaling in get_args(Scaling), f"There is no scaling {self.scaling!r}; linear, sqrt and log are.")
        _require(all(end is None or math.isfinite(end) for end in (self.low, self.high)), "low and high are numbers.")
        _require(
            self.low is None or self.high is None or self.low < self.high,
            f"low must be less than high; {self.low!r} and {self.high!r} are not.",
        )
        lower, upper = self.percentiles
        _require(0 <= lower < upper <= 100, "Percentiles are two numbers from 0 to 100, the lower one first.")  # noqa: PLR2004
        _require(self.bits in {8, 16}, f"A pixel has 8 bits or 16, not {self.bits}.")
        _require(self.size is None or 1 <= self.size <= _MAX_SIDE, f"size is 1 to {_MAX_SIDE:,} pixels.")
        _require(self.quality in _QUALITY_RANGE, f"quality is 1 to 100, not {self.quality}.")
        check_colour_map(self.colours)
        if self.missing is not None:
            parse_colour(self.missing)


def _require(condition: bool, sentence: str) -> None:  # noqa: FBT001 — the condition of an assertion
    if not condition:
        raise BadSelection(sentence)


def find_default_image(dataset: xr.Dataset) -> str:
    """Return the name of the variable that is shown by default.

    Raises:
        BadSelection: no variable has two dimensions.
    """
    return find_image_variable(dataset.variables)


def find_image_variable(variables: Mapping[Any, xr.Variable]) -> str:
    """Return the name of the variable, among these, that is shown by default; see `find_default_image`."""
    images = [
        str(name)
        for name, variable in variables.items()
        if variable.ndim >= IMAGE_NDIM and variable.dtype.kind in "biuf" and min(variable.shape[-IMAGE_NDIM:]) > 1
    ]
    preferred = (name for local in _PREFERRED_NAMES for name in images if name.rpartition("/")[2] == local)
    for name in (*preferred, *images):
        return name
    raise BadSelection("There is no image here: no variable has rows and columns of numbers.")


@dataclass(frozen=True)
class _Stretch:
    """A function from a position in the range, 0 to 1, to brightness, 0 to 1."""

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    inverse_formula: str
    """The inverse of ``t``, as a Python expression."""


_STRETCHES: Final[Mapping[Scaling, _Stretch]] = {
    "linear": _Stretch(lambda place: place, lambda t: t, "t"),
    "sqrt": _Stretch(np.sqrt, np.square, "t**2"),
    "log": _Stretch(
        lambda place: np.log1p(place * _LOG_STEEPNESS) / math.log1p(_LOG_STEEPNESS),
        lambda t: np.expm1(t * math.log1p(_LOG_STEEPNESS)) / _LOG_STEEPNESS,
        "(1001**t - 1) / 1000",
    ),
}


@dataclass(frozen=True)
class Scale:
    """Conversion between values and levels."""

    low: float
    """The value of level 0; smaller values have this level, too."""
    high: float
    """The value of the last level; larger values have this level, too."""
    scaling: Scaling
    level_count: int
    """256, 65536, or one less where the last level is for missing values."""

    @property
    def dtype(self) -> np.dtype[np.uint8 | np.uint16]:
        """The type of levels."""
        return np.dtype(np.uint8 if self.level_count <= 1 << 8 else np.uint16)

    @property
    def is_identity(self) -> bool:
        """True if the levels are the values."""
        return (self.low, self.high, self.scaling) == (0, self.level_count - 1, "linear")

    @property
    def formula(self) -> str:
        """The value of a level, as a Python expression."""
        if self.is_identity:
            return "value = level"
        back = _STRETCHES[self.scaling].inverse_formula
        return (
            f"value = {self.low!r} + ({self.high!r} - {self.low!r}) * {back}, where t = level / {self.level_count - 1}"
        )

    def normalize_values(self, values: Array) -> Array:
        """Return positions in the range: 0 at its low end, 1 at its high end, less or more outside; NaN stays NaN."""
        width = self.high - self.low
        if not math.isfinite(width):  # as wide as float64 itself
            return np.asarray((values * 0.25 - self.low * 0.25) / (self.high * 0.25 - self.low * 0.25))
        is_precise = _FLOAT32_MIN_WIDTH < width < _FLOAT32_MAX_WIDTH and width > _FLOAT32_MIN_RELATIVE_WIDTH * max(
            abs(self.low), abs(self.high)
        )
        dtype = np.float32 if is_precise and values.dtype in _FLOAT32_EXACT_DTYPES else np.float64
        with np.errstate(over="ignore"):
            positions = np.subtract(values, self.low, dtype=dtype)
            positions /= dtype(width)
        return np.asarray(positions)

    def compute_brightness(self, values: Array) -> Array:
        """Return the brightness of values, from 0 to 1."""
        return self._stretch_normalized(self.normalize_values(values))

    def compute_levels_at(self, positions: Array) -> Levels:
        """Return the levels at positions in the range; any level for NaN."""
        with np.errstate(invalid="ignore"):
            levels: Levels = np.rint(self._stretch_normalized(positions) * (self.level_count - 1)).astype(self.dtype)
        return levels

    def _stretch_normalized(self, positions: Array) -> Array:
        return np.asarray(_STRETCHES[self.scaling].forward(np.clip(positions, 0, 1)))

    def compute_levels(self, values: Array) -> Levels:
        """Return the levels of real values; any level for NaN. Levels of short integers come from a table of all."""
        if values.dtype.kind not in "biu" or values.dtype.itemsize > _LOOKUP_MAX_ITEMSIZE:
            return self.compute_levels_at(self.normalize_values(values))
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        unsigned = np.dtype(f"u{native.dtype.itemsize}")
        every = np.arange(1 << 8 * unsigned.itemsize, dtype=unsigned)
        table = self.compute_levels_at(
            self.normalize_values(every if native.dtype.kind == "b" else every.view(native.dtype))
        )
        return np.take(table, native.view(unsigned))

    def decode_levels(self, levels: Array) -> NDArray[np.float64]:
        """Return the values that levels mean, each in the middle of those that have the level; float64."""
        levels = np.asarray(levels, np.float64)
        if self.is_identity:
            return levels
        place = _STRETCHES[self.scaling].inverse(levels / (self.level_count - 1))
        return np.asarray(self.low * (1 - place) + self.high * place)


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class Picture:
    """The levels of an image, and their scale."""

    levels: Levels
    """``[rows, columns]``, or ``[rows, columns, 3]`` in red, green and blue."""
    missing: NDArray[np.bool_] | None
    """True for missing pixels, whose level is the one after the last; `None` if none is missing."""
    scale: Scale
    shape: tuple[int, int]
    """The rows and columns of the image, before it was reduced."""

    @property
    def is_coloured(self) -> bool:
        """True if the image itself has colours."""
        return self.levels.ndim == _COLOUR_NDIM

    @property
    def is_downsampled(self) -> bool:
        """True if the picture has fewer pixels than the image."""
        return self.levels.shape[:2] != self.shape


def compute_picture(image: xr.Variable, display: Display) -> Picture:
    """Compute the levels of an image.

    Args:
        image: numbers in memory, ``[rows, columns]``, or ``[rows, columns, 3 or 4]`` with bands of colours, of which
            the fourth is ignored; leading dimensions of length one are ignored, too. Unsigned integers of at most 16
            bits are not changed in a picture of 16 bits without a range.
        display: the parameters of the picture.

    Raises:
        BadSelection: the variable is no image of real numbers, has no pixel, or has several frames.
    """
    values = _extract_pixels(decode_variable(image))
    shape = values.shape[0], values.shape[1]
    longer = max(shape)
    size = min(display.size or longer, longer)
    rows, columns = (max(1, round(side * size / longer)) for side in shape)
    last = (1 << display.bits) - 1
    has_range = display.scaling != "linear" or display.low is not None or display.high is not None
    is_natural = display.bits == 16 or (values.ndim == _COLOUR_NDIM and values.dtype.itemsize == 1)  # noqa: PLR2004
    is_short = values.dtype.kind in "bu" and values.dtype.itemsize <= _LOOKUP_MAX_ITEMSIZE
    if is_natural and is_short and not has_range:  # the values themselves are the levels
        scale = Scale(0.0, float(last), "linear", last + 1)
        if size == longer:
            return Picture(values.astype(scale.dtype, copy=False), None, scale, shape)
    else:
        scale = Scale(*resolve_range(values, display), display.scaling, last + 1)
    places = _downsample_pixels(scale.normalize_values(values), (rows, columns)) if size < longer else None
    pixels = values if places is None else places
    missing = np.isnan(pixels) if pixels.dtype.kind == "f" else np.zeros((), bool)
    has_missing = bool(missing.any())
    if has_missing:
        scale = replace(scale, level_count=scale.level_count - 1)
    levels = scale.compute_levels(values) if places is None else scale.compute_levels_at(places)
    if not has_missing:
        return Picture(levels, None, scale, shape)
    levels[missing] = scale.level_count
    return Picture(levels, np.asarray(missing.any(-1)) if missing.ndim == _COLOUR_NDIM else missing, scale, shape)


def _extract_pixels(image: xr.Variable) -> Array:
    """Return the pixels of one frame, ``[rows, columns]`` or ``[rows, columns, 3]``, or refuse the image."""
    values = np.asarray(image.values)
    if values.dtype.kind not in "biuf":
        raise BadSelection(f"A picture shows real numbers, not {values.dtype}.")
    is_coloured = (
        image.dims[-1:] == (BAND_DIMENSION,) and image.shape[-1] in _BAND_COUNTS and image.ndim >= _COLOUR_NDIM
    )
    ndim = _COLOUR_NDIM if is_coloured else IMAGE_NDIM
    before = image.shape[: max(0, image.ndim - ndim)]
    if image.ndim < ndim or any(size != 1 for size in before):
        sizes = ", ".join(f"{name} ({size})" for name, size in image.sizes.items()) or "none"
        raise BadSelection(f"A picture has two dimensions, rows and columns; these are {sizes}. Ask for one frame.")
    values = values.reshape(image.shape[len(before) :])
    if not values.size:
        raise BadSelection("There is no picture of nothing: no pixel was asked for.")
    return values[..., :_RGB_BAND_COUNT] if is_coloured else values


def resolve_range(values: Array, display: Display) -> tuple[float, float]:
    """Return the ends of the range: as requested, or percentiles, or the extremes, or a range around a constant."""
    if display.low is not None and display.high is not None:
        return float(display.low), float(display.high)
    step = _SAMPLING_STEP if min(values.shape[:2]) >= _SAMPLING_MIN_SIDE else 1
    sample = values[::step, ::step]
    sample = sample[np.isfinite(sample)]
    low, high = _compute_range(sample.astype(np.float64), display) if sample.size else (0.0, 0.0)
    low, high = _apply_requested_limits(low, high, display)
    if low < high:
        return low, high
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low, high = _apply_requested_limits(low, high, display)
    if low < high:
        return low, high
    if display.low is not None:
        return low, low + _compute_min_width(low)
    if display.high is not None:
        return high - _compute_min_width(high), high
    return low - _compute_min_width(low) / 2, low + _compute_min_width(low) / 2


def _compute_range(values: Array, display: Display) -> tuple[float, float]:
    """Compute the ends of the range from finite values."""
    if display.autoscale == "noise":
        median = float(np.median(values))
        deviation = _DEVIATIONS_PER_MAD * float(np.median(np.abs(values - median)))
        low, high = median + _NOISE_WIDTHS * deviation, float(np.percentile(values, _NOISE_PERCENTILE))
        if low < high and low - median <= _NOISE_SHARE * (high - median):  # else what varies is the image itself
            return low, high
    low, high = np.percentile(values, display.percentiles)
    return float(low), float(high)


def _apply_requested_limits(low: float, high: float, display: Display) -> tuple[float, float]:
    return low if display.low is None else float(display.low), high if display.high is None else float(display.high)


def _compute_min_width(value: float) -> float:
    """Return 1, or a millionth of a large number: adding 1 could leave it as it is."""
    return max(1.0, abs(value) * 1e-6)


def _downsample_pixels(places: Array, shape: tuple[int, int]) -> Array:
    """Compute means over areas, by Pillow, of finite values; NaN if an area has none."""
    if places.ndim == _COLOUR_NDIM:
        return np.stack([_downsample_pixels(places[..., band], shape) for band in range(places.shape[-1])], axis=-1)
    finite = np.isfinite(places)
    if finite.all():
        return _apply_box_filter(places, shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _apply_box_filter(np.where(finite, places, 0), shape) / _apply_box_filter(finite, shape)


def _apply_box_filter(values: Array, shape: tuple[int, int]) -> Array:
    with np.errstate(over="ignore"):
        narrowed = np.ascontiguousarray(values, np.float32)
    return np.asarray(Image.fromarray(narrowed).resize((shape[1], shape[0]), Image.Resampling.BOX))
