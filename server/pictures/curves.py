"""Small pictures of curves: a one-dimensional variable, or an array of a few curves."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr
from PIL import Image, ImageDraw

from shotdap.server.pictures.colour_maps import sample_colour_map
from shotdap.transforms.decoding import decode_variable

_PLATE: Final = (2, 2, 7)  # the darkest colour of inferno
_MAX_CURVES: Final = 64
_MIN_POINTS: Final = 64
_ASPECT: Final = 0.75  # height by width
_MARGIN: Final = 0.08  # of the width
_SUPERSAMPLING: Final = 3
_LEVELS: Final = (0.55, 0.95)  # of the colour map, from the first curve to the last
_SPATIAL: Final = ("x", "y")
_NUMBERS: Final = "biuf"
_CURVES_NDIM: Final = 2


def are_curves(variable: xr.Variable) -> bool:
    """Check whether a variable is a curve, or an array of a few curves, rather than an image."""
    if variable.dtype.kind not in _NUMBERS or variable.ndim not in {1, _CURVES_NDIM} or not variable.size:
        return False
    if variable.ndim == 1:
        return variable.size > 1
    names = {str(name).partition("_")[0] for name in variable.dims}
    return not names & {*_SPATIAL} and min(variable.shape) <= _MAX_CURVES and max(variable.shape) >= _MIN_POINTS


def get_curves(variable: xr.Variable) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the decoded curves of a variable, one in each row."""
    values = np.atleast_2d(np.asarray(decode_variable(variable).values, np.float64))
    return values if values.shape[0] <= values.shape[1] else values.T


def draw_curves(variable: xr.Variable, size: int) -> Image.Image:
    """Draw the curves of a variable on the plate.

    Args:
        variable: for which `are_curves` is true, in memory.
        size: the width in pixels.
    """
    curves = get_curves(variable)
    wide = size * _SUPERSAMPLING
    high = round(wide * _ASPECT)
    image = Image.new("RGB", (wide, high), _PLATE)
    draw = ImageDraw.Draw(image)
    finite = curves[np.isfinite(curves)]
    low, high_value = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    margin = _MARGIN * wide
    across = np.linspace(margin, wide - margin, curves.shape[1])
    down = high - margin - (curves - low) / ((high_value - low) or 1.0) * (high - 2 * margin)
    colours = sample_colour_map("inferno")
    levels = np.linspace(*_LEVELS, len(curves)) if len(curves) > 1 else np.array(_LEVELS[1:])
    for level, heights in zip(levels, down, strict=True):
        points = [
            (float(each), float(height)) for each, height in zip(across, heights, strict=True) if np.isfinite(height)
        ]
        draw.line(points, tuple(map(int, colours[round(level * 255)])), width=2 * _SUPERSAMPLING, joint="curve")
    return image.resize((size, round(size * _ASPECT)), Image.Resampling.LANCZOS)
