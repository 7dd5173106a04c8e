"""Statistics of all values of a variable together: a summary of an image before it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from shotdap.transforms import masks
from shotdap.transforms.decoding import decode_variable
from shotdap.transforms.selection import BadSelection
from shotdap.transforms.statistics import distribution
from shotdap.transforms.virtual.transform import BadOptions

Array = NDArray[Any]

PERCENTILE_LEVELS: Final = (0.5, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 99.5)
"""The levels of a summary's percentiles, in per cent."""

WORKING_BYTES_PER_VALUE: Final = 48
"""Working memory of `compute_summary` for each value, in bytes: decoded numbers, five arrays of float64 and a mask."""


@dataclass(frozen=True)
class Summary:
    """Statistics of the values of a variable. Only finite values count for the moments; NaN if none is finite."""

    count: int
    """The number of all values."""
    missing: int
    """The number of values that are NaN after decoding."""
    infinite: int
    negative: int
    saturated: int | None
    """The number of saturated values; `None` if the saturation level is not known."""
    minimum: float
    maximum: float
    mean: float
    standard_deviation: float
    percentiles: Mapping[float, float]
    """The percentiles by level, in per cent."""
    edges: tuple[float, float]
    """The beginning and the end of the histogram."""
    histogram: Sequence[int]
    """The counts of bins of equal width; empty if no value is finite, one bin if the values are too close for more."""


def compute_summary(variable: xr.Variable, bins: int) -> Summary:
    """Compute statistics of a variable's values, of all frames together.

    Args:
        variable: numbers, of any shape; stored ones are decoded first.
        bins: the number of bins of the histogram, from the least value to the greatest.

    Raises:
        BadSelection: the variable has no numbers.
    """
    if variable.dtype.kind not in "biuf":
        raise BadSelection(f"Statistics are of numbers, and this is of type {variable.dtype.name}.")
    decoded = decode_variable(variable).load()
    values = decoded.values.astype(np.float64).ravel()
    finite = values[np.isfinite(values)]
    infinite = int(np.count_nonzero(np.isinf(values)))
    image = xr.DataArray(finite.reshape(1, -1), dims=("y", "x"))
    moments, percentiles = dict.fromkeys(_MOMENTS, np.nan), dict.fromkeys(PERCENTILE_LEVELS, np.nan)
    if finite.size:
        with np.errstate(all="ignore"):  # the mean of the greatest numbers is infinite
            moments = {name: float(moment(image)) for name, moment in _MOMENTS.items()}
            numbers = distribution.percentiles(image, levels=PERCENTILE_LEVELS).values
        percentiles = dict(zip(PERCENTILE_LEVELS, map(float, numbers), strict=True))
    low, high = moments["minimum"], moments["maximum"]
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    histogram: list[int] = []
    if finite.size:
        with np.errstate(all="ignore"):
            widths = np.diff(np.linspace(low, high, bins + 1))
        if np.all(widths > 0):
            histogram = [int(count) for count in distribution.histogram(image, low=low, high=high, bins=bins).values]
        else:  # the edges of bins are equal numbers, or their distance is infinite
            histogram = [int(finite.size)]
    try:
        saturated = int(masks.count_saturated(xr.DataArray(decoded)))
    except BadOptions:
        saturated = None
    return Summary(
        count=int(values.size),
        missing=int(values.size - finite.size - infinite),
        infinite=infinite,
        negative=int(np.count_nonzero(values < 0)),
        saturated=saturated,
        percentiles=percentiles,
        edges=(low, high),
        histogram=histogram,
        **moments,
    )


_MOMENTS: Final = {
    "minimum": distribution.minimum,
    "maximum": distribution.maximum,
    "mean": distribution.mean_value,
    "standard_deviation": distribution.standard_deviation,
}
