"""What pictures are made of: profiles along one axis, and windows about one point."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Light: TypeAlias = NDArray[np.float32]
Profile: TypeAlias = NDArray[np.floating[Any]]


def as_light(counts: Any) -> Light:  # noqa: ANN401 - NumPy's arithmetic is Any to a type checker
    """Give float32, which every picture is made in."""
    return np.asarray(counts, np.float32)


def number_rows(shape: tuple[int, int]) -> Light:
    """Number the rows: ``[rows, 1]``."""
    return np.arange(shape[0], dtype=np.float32)[:, None]


def number_columns(shape: tuple[int, int]) -> Light:
    """Number the columns: ``[1, columns]``."""
    return np.arange(shape[1], dtype=np.float32)[None, :]


def draw_gaussian(x: Light, centre: float | Light, width: float) -> Light:
    """Give a Gaussian of height 1; `width` is its standard deviation."""
    return as_light(np.exp(-0.5 * np.square((x - centre) / width)))


def draw_super_gaussian(x: Light, centre: float | Light, half_width: float, order: int = 8) -> Light:
    """Give a super-Gaussian: 1 inside, 0 outside, the steeper the higher the (even) order."""
    return as_light(np.exp(-(((x - centre) / half_width) ** order)))


def sum_gaussians(x: Light, centres: Profile, width: float) -> Light:
    """Sum Gaussians along the columns: ``[1, columns]``."""
    return as_light(draw_gaussian(x, as_light(centres)[:, None], width).sum(axis=0, keepdims=True))


def smooth_step(x: Light, rise: float) -> Light:
    """Rise from 0 to 1 about 0, most of it within ±`rise`."""
    return as_light(0.5 * (1 + np.tanh(x / rise)))


def cut_window(shape: tuple[int, int], row: float, column: float, reach: float) -> tuple[tuple[slice, slice], Light]:
    """Give the window of a picture about a point, and how far (pixels) each of its pixels is from the point.

    What is small is drawn in such a window: a whole picture of exponentials for each speck would take seconds.
    """
    window = tuple(
        slice(max(0, int(centre - reach)), min(size, int(centre + reach) + 2))
        for centre, size in zip((row, column), shape, strict=True)
    )
    y, x = number_rows(shape)[window[0]], number_columns(shape)[:, window[1]]
    return (window[0], window[1]), as_light(np.hypot(y - row, x - column))
