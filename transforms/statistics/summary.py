"""Statistics of all values of a variable together: what one wants to know of an image before one opens it."""

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
"""The percentages of which a summary has the percentiles."""

WORKING_BYTES_PER_VALUE: Final = 48
"""Working memory of `compute_summary` for each value, in bytes: five arrays of float64 and a mask, and what is decoded."""


@dataclass(frozen=True)
class Summary:
    """What the values of a variable are like. The numbers are of those that are finite; NaN, where none is."""

    count: int
    """Of all values."""
    missing: int
    """NaN once decoded."""
    infinite: int
    negative: int
    saturated: int | None
    """At how many the camera could count no further; `None` where it is not known where that begins."""
    minimum: float
    maximum: float
    mean: float
    standard_deviation: float
    percentiles: Mapping[float, float]
    """By their levels, in per cent."""
    edges: tuple[float, float]
    """Where the histogram begins and ends."""
    histogram: Sequence[int]
    """Of bins of equal width; empty where no value is finite, one bin where the values lie too close for more."""


def compute_summary(variable: xr.Variable, bins: int) -> Summary:
    """Compute statistics of a variable's values, each counting once, whatever frame it is in.

    Args:
        variable: numbers, of any shape; stored ones count as what they mean; see `wrap_decoder_errors`.
        bins: of the histogram, from the least value to the greatest.

    Raises:
        BadSelection: it holds no numbers.
    """
    if variable.dtype.kind not in "biuf":
        raise BadSelection(f"Statistics are of numbers, and this is of type {variable.dtype.name}.")
    decoded = decode_variable(variable).load()
    values = decoded.values.astype(np.float64).ravel()
    finite = values[np.isfinite(values)]
    infinite = int(np.count_nonzero(np.isinf(values)))
    with np.errstate(all="ignore"):  # of the greatest numbers the mean is infinite, and says so
        numbers = _compute_moments(finite)
    least, most = numbers["minimum"], numbers["maximum"]
    return Summary(
        count=int(values.size),
        missing=int(values.size - finite.size - infinite),
        infinite=infinite,
        negative=int(np.count_nonzero(values < 0)),
        saturated=_count_saturated(decoded),
        percentiles=_compute_percentiles(finite),
        edges=_compute_histogram_range(least, most),
        histogram=_compute_histogram(finite, *_compute_histogram_range(least, most), bins),
        **numbers,
    )


def _make_image(values: Array) -> xr.DataArray:
    return xr.DataArray(values.reshape(1, -1), dims=("y", "x"))


def _compute_moments(finite: Array) -> dict[str, float]:
    if not finite.size:
        return dict.fromkeys(_MOMENTS, np.nan)
    image = _make_image(finite)
    return {name: float(moment(image)) for name, moment in _MOMENTS.items()}


_MOMENTS: Final = {
    "minimum": distribution.minimum,
    "maximum": distribution.maximum,
    "mean": distribution.mean_value,
    "standard_deviation": distribution.standard_deviation,
}


def _compute_percentiles(finite: Array) -> dict[float, float]:
    if not finite.size:
        return dict.fromkeys(PERCENTILE_LEVELS, np.nan)
    with np.errstate(all="ignore"):
        found = distribution.percentiles(_make_image(finite), levels=PERCENTILE_LEVELS)
    return dict(zip(PERCENTILE_LEVELS, map(float, found.values), strict=True))


def _compute_histogram_range(least: float, most: float) -> tuple[float, float]:
    """Where a histogram begins and ends; around a value that all are."""
    return (least - 0.5, most + 0.5) if least == most else (least, most)


def _compute_histogram(finite: Array, low: float, high: float, bins: int) -> list[int]:
    if not finite.size:
        return []
    with np.errstate(all="ignore"):
        widths = np.diff(np.linspace(low, high, bins + 1))
    if not np.all(widths > 0):  # closer than numbers can lie, or farther apart
        return [int(finite.size)]
    counts = distribution.histogram(_make_image(finite), low=low, high=high, bins=bins)
    return [int(count) for count in counts.values]


def _count_saturated(decoded: xr.Variable) -> int | None:
    try:
        return int(masks.count_saturated(xr.DataArray(decoded)))
    except BadOptions:
        return None
