"""Size of a pixel, from coordinates with constant steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from shotdap.server.encoders.one_variable import Axes

_STEP_TOLERANCE: Final = 0.02  # largest relative difference of one step from the mean step
NO_UNITS: Final = frozenset({"", "1", "pixel", "pixels"})
"""Units that say nothing of a length."""
_MIN_VALUES: Final = 2


@dataclass(frozen=True)
class PixelSize:
    """The step from one pixel to the next along a dimension."""

    size: float
    """Positive, also where the coordinate decreases."""
    units: str
    coordinate: str
    """Name of the coordinate; empty if there is none and the unit is one pixel."""


def find_pixel_size(dataset: xr.Dataset, dimension: object) -> PixelSize:
    """Return the step along a dimension, of its first coordinate with units and constant steps; else one pixel."""
    for name, variable in Axes.from_dataset(dataset).iter_axes([dimension]):
        units = str(variable.attrs.get("units", "")).strip()
        if units.lower() in NO_UNITS:
            continue
        values = np.asarray(variable.values, np.float64)
        if values.size < _MIN_VALUES or not np.isfinite(values).all():
            continue
        mean = (values[-1] - values[0]) / (values.size - 1)
        if mean != 0 and np.abs(np.diff(values) / mean - 1).max() <= _STEP_TOLERANCE:
            return PixelSize(float(abs(mean)), units, name)
    return PixelSize(1.0, "pixel", "")
