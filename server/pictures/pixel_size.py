"""How large a pixel is: what an image's coordinates say, where they say it evenly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.encoders.one_variable import Axes

_STEP_TOLERANCE: Final = 0.02  # how much of a pixel's mean size any one may differ from it
_NO_UNITS: Final = frozenset({"", "1", "pixel", "pixels"})
_MIN_VALUES: Final = 2


@dataclass(frozen=True)
class PixelSize:
    """What a step of one pixel along a dimension is."""

    size: float
    """More than zero, whichever way the coordinate runs."""
    units: str
    coordinate: str
    """The variable that says it; empty where none does, and pixels are counted."""


_UNCALIBRATED: Final = PixelSize(1.0, "pixel", "")


def find_pixel_size(dataset: xr.Dataset, dimension: object) -> PixelSize:
    """The size of a pixel along a dimension, in the units of the first even coordinate that has any; else one pixel."""
    for name, variable in Axes.from_dataset(dataset).iter_axes([dimension]):
        units = str(variable.attrs.get("units", "")).strip()
        size = _compute_mean_step(variable) if units.lower() not in _NO_UNITS else None
        if size is not None:
            return PixelSize(size, units, name)
    return _UNCALIBRATED


def _compute_mean_step(variable: xr.Variable) -> float | None:
    """The mean step between the values; `None` where the steps differ, or there are none."""
    values = np.asarray(variable.values, np.float64)
    if values.size < _MIN_VALUES or not np.isfinite(values).all():
        return None
    mean = (values[-1] - values[0]) / (values.size - 1)
    if mean == 0 or np.abs(np.diff(values) / mean - 1).max() > _STEP_TOLERANCE:
        return None
    return float(abs(mean))
