"""Figure of curves: their axes, the mean and a chosen one, and a table of numbers, as a page shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shotdap.server.pictures.figure import Array, Axis, Tick, draw_curve
from shotdap.server.pictures.levels import Scale
from shotdap.server.pictures.ticks import compute_ticks, format_number

MAX_ROWS: Final = 200
"""The most rows of a table of numbers."""

_MAX_COLUMNS: Final = 6  # of more curves, only the mean and the chosen one are in the table
_TICKS: Final = 6
_LEVELS: Final = 256
_PERCENT: Final = 100


@dataclass(frozen=True)
class CurveSummary:
    """Numbers of one curve."""

    label: str
    minimum: float
    maximum: float
    mean: float
    peak_place: float
    """The coordinate of the maximum."""


@dataclass(frozen=True)
class CurveFigure:
    """Curves as a page draws them."""

    axis: Axis
    low: float
    high: float
    ticks: Sequence[Tick]
    """Of the values, from the top."""
    curves: Sequence[str]
    """Points in a box of 100 by 100, for SVG."""
    mean: str
    """The mean of several curves; empty of one."""
    chosen: str
    """The chosen curve; empty if there is none."""
    indices: range
    """Of the curves."""
    summaries: Sequence[CurveSummary]
    columns: Sequence[str]
    """Names of the columns of the table, after the coordinate."""
    rows: Sequence[tuple[float, Sequence[float]]]
    """The first rows of the table: the coordinate, and the values."""


def compute_curves(curves: Array, axis: Axis, first: int, chosen: int | None) -> CurveFigure:
    """Compute the figure of curves.

    Args:
        curves: one in each row.
        axis: along them.
        first: the index of the first curve.
        chosen: the row of the curve that is drawn before the others; `None` for none.
    """
    finite = curves[np.isfinite(curves)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    named: dict[str, Array] = {}
    if len(curves) > 1:
        known = np.isfinite(curves)
        with np.errstate(invalid="ignore", divide="ignore"):
            named[f"mean of {len(curves)}"] = np.where(known, curves, 0).sum(axis=0) / known.sum(axis=0)
    shown = range(len(curves)) if len(curves) <= _MAX_COLUMNS else () if chosen is None else (chosen,)
    named |= {f"curve {first + each}" if len(curves) > 1 else "value": curves[each] for each in shown}
    scale = Scale(low, high, "linear", _LEVELS)
    coordinates = axis.coordinates
    return CurveFigure(
        axis,
        low,
        high,
        [Tick(format_number(value), _PERCENT * (1 - place)) for value, place in compute_ticks(scale, _TICKS)]
        if low < high
        else [],
        [draw_curve(curve, low, high) for curve in curves],
        draw_curve(next(iter(named.values())), low, high) if len(curves) > 1 else "",
        "" if chosen is None else draw_curve(curves[chosen], low, high),
        range(first, first + len(curves)),
        [_summarize(label, curve, coordinates) for label, curve in named.items()],
        list(named),
        [
            (float(coordinates[place]), [float(curve[place]) for curve in named.values()])
            for place in range(min(MAX_ROWS, coordinates.size))
        ],
    )


def _summarize(label: str, curve: Array, coordinates: Array) -> CurveSummary:
    finite = curve[np.isfinite(curve)]
    if not finite.size:
        return CurveSummary(label, math.nan, math.nan, math.nan, math.nan)
    place = float(coordinates[int(np.nanargmax(np.where(np.isfinite(curve), curve, np.nan)))])
    return CurveSummary(label, float(finite.min()), float(finite.max()), float(finite.mean()), place)
