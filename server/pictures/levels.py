"""How an image is shown: which of its variables, in which colours, over which range of values.

Strategy: values become *levels*, whole numbers from 0 (as dark as it gets) to the last; a level is a place in a colour
map, or a grey. `Scale` says how, and what a level means in return, so that whoever has the picture can have the values.

Rules:

1. A picture has the rows and columns of the array, the first row on top: a pixel of the picture is that pixel of the
   data. Nothing is turned, whatever the camera's ``ImageDisplay`` says (attributes ``display_rotation``,
   ``display_flip``); who wants it turned asks for the transform ``rotate_flip``.
2. A missing value, NaN, is no level but has one of its own behind the last. Infinities are beyond the ends of the
   range, and look like them.
3. Stored numbers are shown as what they mean: they are decoded first; see `wrap_decoder_errors`.
4. Where `low` or `high` is not given it is a percentile: of every eighth row and column where both sides have 512
   pixels or more, which takes 0.8 ms instead of 25 for 2048 x 2048 and is as good for the eye. Such a number is no
   statistic of the image; what is in the picture's metadata is what was used.
5. A smaller picture is made by averages over areas, of the values and not of the levels, missing ones left out.
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
"""How values become brightness between the ends of the range."""

_PREFERRED_NAMES: Final = ("result", "background_subtracted", "image")
"""What is shown of an image where nobody says what, the first that there is."""

_IMAGE_NDIM: Final = 2  # dimensions
_COLOUR_NDIM: Final = 3  # dimensions of an image whose last one is its bands
_BAND_DIMENSION: Final = "band"  # that dimension, as readers call it
_RGB_BAND_COUNT: Final = 3
_BAND_COUNTS: Final = (3, 4)  # red, green, blue, and what of them is transparent

_SAMPLING_STEP: Final = 8
_SAMPLING_MIN_SIDE: Final = 512  # pixels of the shorter side from which every eighth is enough
_LOG_STEEPNESS: Final = 1000.0  # of the logarithm, as in SAOImage DS9
_LOOKUP_MAX_ITEMSIZE: Final = 2  # bytes of integers that there are so few of that each one's level is computed once
_FLOAT32_EXACT_DTYPES: Final = frozenset(
    map(np.dtype, ("f2", "f4", "u1", "u2", "i1", "i2", "?"))
)  # float32 holds these
_FLOAT32_MIN_RELATIVE_WIDTH: Final = (
    1e-3  # a range that is a smaller part of its ends is beyond float32, and so is one that is not within:
)
_FLOAT32_MIN_WIDTH: Final = 1e-30
_FLOAT32_MAX_WIDTH: Final = 1e30
_MAX_SIDE: Final = 65_535  # of a side, as JPEG and PNG's readers have it
_QUALITY_RANGE: Final = range(1, 101)


@dataclass(frozen=True)
class Display:
    """How values become a picture.

    Raises:
        BadSelection: a number is out of its range, or there is no such colour map or colour.
    """

    colours: str = GREY
    """A colour map, as `cmap` knows it: ``viridis``, ``gray``, ``cmocean:thermal``."""
    scaling: Scaling = "linear"
    low: float | None = None
    """The value that is darkest; `None` for the lower percentile."""
    high: float | None = None
    """The value that is brightest; `None` for the upper percentile."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    bits: Literal[8, 16] = 8
    """Of each pixel of a PNG: 8, in colours, or 16, in greys."""
    size: int | None = None
    """Pixels of the longer side, at most; `None` for as many as the image has."""
    quality: int = 90
    """Of a JPEG, of 100."""
    colour_bar: bool = False
    scale_bar: bool = False
    missing: str | None = None
    """The colour of what is missing, ``red`` or ``#ff0000``; `None` for transparent, and white where nothing can be."""

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


def _require(is_so: bool, sentence: str) -> None:  # noqa: FBT001 — what is insisted on
    if not is_so:
        raise BadSelection(sentence)


def find_default_image(dataset: xr.Dataset) -> str:
    """The name of the variable that is shown of an image where nobody says which.

    Raises:
        BadSelection: it has no variable with two dimensions.
    """
    return find_image_variable(dataset.variables)


def find_image_variable(variables: Mapping[Any, xr.Variable]) -> str:
    """Return the name of the variable that is shown of some; see `find_default_image`."""
    images = [str(name) for name, variable in variables.items() if _is_image(variable)]
    preferred = (name for wanted in _PREFERRED_NAMES for name in images if name.rpartition("/")[2] == wanted)
    for name in (*preferred, *images):
        return name
    raise BadSelection("There is no image here: no variable has rows and columns of numbers.")


def _is_image(variable: xr.Variable) -> bool:
    return variable.ndim >= _IMAGE_NDIM and variable.dtype.kind in "biuf" and min(variable.shape[-_IMAGE_NDIM:]) > 1


@dataclass(frozen=True)
class _Stretch:
    """How a place in the range, from 0 to 1, becomes brightness, from 0 to 1."""

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    inverse_formula: str
    """The way back, of ``t``, in the words of Python."""


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
    """How values became levels, and what a level means."""

    low: float
    """The value of level 0; what is less has it too."""
    high: float
    """The value of the last level; what is more has it too."""
    scaling: Scaling
    level_count: int
    """How many there are: 256, 65536, or one less, where the last is what is missing."""

    @property
    def dtype(self) -> np.dtype[np.uint8 | np.uint16]:
        """Of levels."""
        return np.dtype(np.uint8 if self.level_count <= 1 << 8 else np.uint16)

    @property
    def is_identity(self) -> bool:
        """Whether the levels are the values."""
        return (self.low, self.high, self.scaling) == (0, self.level_count - 1, "linear")

    @property
    def formula(self) -> str:
        """The value of a level, in the words of Python."""
        if self.is_identity:
            return "value = level"
        back = _STRETCHES[self.scaling].inverse_formula
        return (
            f"value = {self.low!r} + ({self.high!r} - {self.low!r}) * {back}, where t = level / {self.level_count - 1}"
        )

    def normalize_values(self, values: Array) -> Array:
        """Where values lie in the range: 0 at its low end and 1 at its high end, beyond them outside; NaN stays."""
        width = self.high - self.low
        if not math.isfinite(width):  # as wide as float64 itself
            return np.asarray((values * 0.25 - self.low * 0.25) / (self.high * 0.25 - self.low * 0.25))
        dtype = np.float32 if values.dtype in _FLOAT32_EXACT_DTYPES and self._is_float32_precise else np.float64
        with np.errstate(over="ignore"):
            places = np.subtract(values, self.low, dtype=dtype)
            places /= dtype(width)
        return np.asarray(places)

    @property
    def _is_float32_precise(self) -> bool:
        """Whether float32 tells the levels apart."""
        width = self.high - self.low
        return _FLOAT32_MIN_WIDTH < width < _FLOAT32_MAX_WIDTH and width > _FLOAT32_MIN_RELATIVE_WIDTH * max(
            abs(self.low), abs(self.high)
        )

    def compute_brightness(self, values: Array) -> Array:
        """How bright values are, from 0 to 1."""
        return self._stretch_normalized(self.normalize_values(values))

    def compute_normalized_levels(self, places: Array) -> Levels:
        """The levels at places; any level where there is NaN."""
        with np.errstate(invalid="ignore"):
            levels: Levels = np.rint(self._stretch_normalized(places) * (self.level_count - 1)).astype(self.dtype)
        return levels

    def _stretch_normalized(self, places: Array) -> Array:
        return np.asarray(_STRETCHES[self.scaling].forward(np.clip(places, 0, 1)))

    def compute_levels(self, values: Array) -> Levels:
        """The levels of values, of any real type; any level where there is NaN."""
        if values.dtype.kind in "biu" and values.dtype.itemsize <= _LOOKUP_MAX_ITEMSIZE:
            return self._look_up_levels(values)
        return self.compute_normalized_levels(self.normalize_values(values))

    def decode_levels(self, levels: Array) -> NDArray[np.float64]:
        """What levels mean: the values in the middle of what they stand for; float64."""
        levels = np.asarray(levels, np.float64)
        if self.is_identity:
            return levels
        place = _STRETCHES[self.scaling].inverse(levels / (self.level_count - 1))
        return np.asarray(self.low * (1 - place) + self.high * place)

    def _look_up_levels(self, values: Array) -> Levels:
        """The levels by a table of all values that there can be."""
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        unsigned = np.dtype(f"u{native.dtype.itemsize}")
        every = np.arange(1 << 8 * unsigned.itemsize, dtype=unsigned)
        table = self.compute_normalized_levels(
            self.normalize_values(every if native.dtype.kind == "b" else every.view(native.dtype))
        )
        return np.take(table, native.view(unsigned))


@dataclass(frozen=True, eq=False)  # arrays have no single truth
class Picture:
    """An image's levels, and how they came to be."""

    levels: Levels
    """``[rows, columns]``, or ``[rows, columns, 3]`` in red, green and blue."""
    missing: NDArray[np.bool_] | None
    """Which pixels are missing; their level is the one behind the last. `None` where none is."""
    scale: Scale
    shape: tuple[int, int]
    """The image's rows and columns, before any average was taken."""

    @property
    def is_coloured(self) -> bool:
        """Whether it has colours of its own."""
        return self.levels.ndim == _COLOUR_NDIM

    @property
    def is_downsampled(self) -> bool:
        """Whether it has fewer pixels than the image."""
        return self.levels.shape[:2] != self.shape


def render_picture(image: xr.Variable, display: Display) -> Picture:
    """Make a picture of an image.

    Args:
        image: numbers in memory, ``[rows, columns]`` or, with bands of colours behind, ``[rows, columns, 3 or 4]``,
            whose fourth is left out; dimensions of length one before them count for nothing. Unsigned integers that
            fit into 16 bits stay as they are where 16 are wanted and no range is given.
        display: in which way.

    Raises:
        BadSelection: it is no image of real numbers, has no pixel, or has more than one frame.
    """
    values = _extract_pixels(decode_variable(image))
    shape = values.shape[0], values.shape[1]
    smaller = _fit_shape(shape, display.size)
    last = (1 << display.bits) - 1
    if _can_show_unscaled(values, display):
        scale = Scale(0.0, float(last), "linear", last + 1)
        if smaller == shape:
            return Picture(values.astype(scale.dtype, copy=False), None, scale, shape)
    else:
        scale = Scale(*_resolve_range(values, display), display.scaling, last + 1)
    places = _downsample_pixels(scale.normalize_values(values), smaller) if smaller != shape else None
    missing = _find_missing(values if places is None else places)
    if missing is not None:
        scale = replace(scale, level_count=scale.level_count - 1)
    levels = scale.compute_levels(values) if places is None else scale.compute_normalized_levels(places)
    if missing is None:
        return Picture(levels, None, scale, shape)
    levels[missing] = scale.level_count
    return Picture(levels, np.asarray(missing.any(-1)) if missing.ndim == _COLOUR_NDIM else missing, scale, shape)


def _find_missing(values: Array) -> NDArray[np.bool_] | None:
    missing = np.isnan(values) if values.dtype.kind == "f" else None
    return missing if missing is not None and missing.any() else None


def _extract_pixels(image: xr.Variable) -> Array:
    values = np.asarray(image.values)
    if values.dtype.kind not in "biuf":
        raise BadSelection(f"A picture shows real numbers, not {values.dtype}.")
    is_coloured = (
        image.dims[-1:] == (_BAND_DIMENSION,) and image.shape[-1] in _BAND_COUNTS and image.ndim >= _COLOUR_NDIM
    )
    kept = _COLOUR_NDIM if is_coloured else _IMAGE_NDIM
    before = image.shape[: max(0, image.ndim - kept)]
    if image.ndim < kept or any(size != 1 for size in before):
        said = ", ".join(f"{name} ({size})" for name, size in image.sizes.items()) or "none"
        raise BadSelection(f"A picture has two dimensions, rows and columns; these are {said}. Ask for one frame.")
    values = values.reshape(image.shape[len(before) :])
    if not values.size:
        raise BadSelection("There is no picture of nothing: no pixel was asked for.")
    return values[..., :_RGB_BAND_COUNT] if is_coloured else values


def _can_show_unscaled(values: Array, display: Display) -> bool:
    """Whether the values can be shown as they are: those of a camera, in 16 bits, and colours, in 8."""
    is_natural = display.bits == 16 or (values.ndim == _COLOUR_NDIM and values.dtype.itemsize == 1)  # noqa: PLR2004
    is_short = values.dtype.kind in "bu" and values.dtype.itemsize <= _LOOKUP_MAX_ITEMSIZE
    return is_natural and is_short and display.scaling == "linear" and display.low is None and display.high is None


def _resolve_range(values: Array, display: Display) -> tuple[float, float]:
    if display.low is not None and display.high is not None:
        return float(display.low), float(display.high)
    ends = _estimate_percentiles(values, display.percentiles)
    low, high = _apply_requested_limits(ends, display)
    if low < high:
        return low, high
    finite = values[np.isfinite(values)]
    ends = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low, high = _apply_requested_limits(ends, display)
    return (low, high) if low < high else _widen_range(low, high, display)


def _apply_requested_limits(ends: tuple[float, float], display: Display) -> tuple[float, float]:
    """The ends of the range, those that were asked for in their places."""
    low, high = (
        end if asked is None else float(asked) for end, asked in zip(ends, (display.low, display.high), strict=True)
    )
    return low, high


def _widen_range(low: float, high: float, display: Display) -> tuple[float, float]:
    """A range where there is none: that of a constant, which is grey, or beyond an end that was given."""
    if display.low is not None:
        return low, low + _compute_min_width(low)
    if display.high is not None:
        return high - _compute_min_width(high), high
    return low - _compute_min_width(low) / 2, low + _compute_min_width(low) / 2


def _compute_min_width(value: float) -> float:
    """One, or as much as makes a difference to a large number."""
    return max(1.0, abs(value) * 1e-6)


def _estimate_percentiles(values: Array, levels: tuple[float, float]) -> tuple[float, float]:
    step = _SAMPLING_STEP if min(values.shape[:2]) >= _SAMPLING_MIN_SIDE else 1
    sample = values[::step, ::step]
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample.astype(np.float64), levels) if sample.size else (0.0, 0.0)
    return float(low), float(high)


def _fit_shape(shape: tuple[int, int], size: int | None) -> tuple[int, int]:
    longer = max(shape)
    if size is None or size >= longer:
        return shape
    rows, columns = (max(1, round(side * size / longer)) for side in shape)
    return rows, columns


def _downsample_pixels(places: Array, shape: tuple[int, int]) -> Array:
    """Means over areas, by Pillow; what is not finite is left out, and where there is nothing else it is NaN."""
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
