"""The elements of pictures: profiles along one axis, and windows around one point."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Light: TypeAlias = NDArray[np.float32]
Profile: TypeAlias = NDArray[np.floating[Any]]


def as_light(counts: Any) -> Light:  # noqa: ANN401 - NumPy's arithmetic is Any to a type checker
    """Convert to float32, the type of every light."""
    return np.asarray(counts, np.float32)


def number_rows(shape: tuple[int, int]) -> Light:
    """Return the numbers of the rows: ``[rows, 1]``."""
    return np.arange(shape[0], dtype=np.float32)[:, None]


def number_columns(shape: tuple[int, int]) -> Light:
    """Return the numbers of the columns: ``[1, columns]``."""
    return np.arange(shape[1], dtype=np.float32)[None, :]


def draw_gaussian(x: Light, centre: float | Light, width: float) -> Light:
    """Return a Gaussian of height 1; `width` is its standard deviation."""
    return as_light(np.exp(-0.5 * np.square((x - centre) / width)))


def draw_super_gaussian(x: Light, centre: float | Light, half_width: float, order: int = 8) -> Light:
    """Return a super-Gaussian: 1 inside, 0 outside, the steeper the higher the (even) order."""
    return as_light(np.exp(-(((x - centre) / half_width) ** order)))


def sum_gaussians(x: Light, centres: Profile, width: float) -> Light:
    """Return the sum of Gaussians along the columns: ``[1, columns]``."""
    return as_light(draw_gaussian(x, as_light(centres)[:, None], width).sum(axis=0, keepdims=True))


def smooth_step(x: Light, rise: float) -> Light:
    """Return a smooth step from 0 to 1 at 0, most of it within ±`rise`."""
    return as_light(0.5 * (1 + np.tanh(x / rise)))


def cut_window(shape: tuple[int, int], row: float, column: float, reach: float) -> tuple[tuple[slice, slice], Light]:
    """Return the window of a picture around a point, and the distance (pixels) of each of its pixels from the point.

    Small objects are drawn in such a window: a complete picture of exponentials for each speck would take seconds.
    """
    window = tuple(
        slice(max(0, int(centre - reach)), min(size, int(centre + reach) + 2))
        for centre, size in zip((row, column), shape, strict=True)
    )
    y, x = number_rows(shape)[window[0]], number_columns(shape)[:, window[1]]
    return (window[0], window[1]), as_light(np.hypot(y - row, x - column))
