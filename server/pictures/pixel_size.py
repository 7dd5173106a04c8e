"""How large a pixel is: what an image's coordinates say, where they say it evenly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.encoders.one_variable import Axes

__all__ = ["Pixel", "pixel"]

_EVEN: Final = 0.02  # how much of a pixel's mean size any one may differ from it
_NO_UNITS: Final = frozenset({"", "1", "pixel", "pixels"})
_TWO: Final = 2


@dataclass(frozen=True)
class Pixel:
    """What a step of one pixel along a dimension is."""

    size: float
    """More than zero, whichever way the coordinate runs."""
    units: str
    coordinate: str
    """The variable that says it; empty where none does, and pixels are counted."""


_COUNTED: Final = Pixel(1.0, "pixel", "")


def pixel(dataset: xr.Dataset, dimension: object) -> Pixel:
    """The size of a pixel along a dimension, in the units of the first even coordinate that has any; else one pixel."""
    for name, variable in Axes.of(dataset).along([dimension]):
        units = str(variable.attrs.get("units", "")).strip()
        size = _step(variable) if units.lower() not in _NO_UNITS else None
        if size is not None:
            return Pixel(size, units, name)
    return _COUNTED


def _step(variable: xr.Variable) -> float | None:
    """The mean step between the values; `None` where the steps differ, or there are none."""
    values = np.asarray(variable.values, np.float64)
    if values.size < _TWO or not np.isfinite(values).all():
        return None
    mean = (values[-1] - values[0]) / (values.size - 1)
    if mean == 0 or np.abs(np.diff(values) / mean - 1).max() > _EVEN:
        return None
    return float(abs(mean))
