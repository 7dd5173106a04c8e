"""Lineouts: one number for each column or row of an image, made of a band of the other.

A mean is float64: it has more digits than the counts it is made of, and is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
import xarray as xr
from pydantic import Field

from shotdap.transforms.geometry import find_rows_and_columns
from shotdap.transforms.statistics import sums
from shotdap.transforms.virtual.footprint import (
    Along,
    Footprint,
    FootprintFunction,
    Sizes,
    WorkingMemory,
    find_image_dimensions,
)
from shotdap.transforms.virtual.positions import select_bounds
from shotdap.transforms.virtual.transform import Options, Transform

ProfileAxis: TypeAlias = Literal["columns", "rows"]
"""The pixels with one value each in a profile; the steps of a wedge, or time, run along them."""

_PixelIndex: TypeAlias = Annotated[int, Field(ge=0)]


def lineout(
    image: xr.DataArray,
    *,
    along: ProfileAxis = "columns",
    first: _PixelIndex = 0,
    last: _PixelIndex | None = None,
    statistic: Literal["mean", "median", "sum"] = "mean",
) -> xr.DataArray:
    """Take a profile of a band of an image.

    ``along="columns"`` gives one value for each column, made of the band's rows; ``along="rows"`` one for each row,
    made of its columns. Only the band is read. Mean and median leave NaN out, and are NaN where there is nothing else.
    A sum is NaN where the band holds one, since what is missing would make it too small. Saturated counts are taken as
    they are.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        along: ``columns`` or ``rows``.
        first: the first row (or column) of the band, counted from 0.
        last: the last one, which belongs to it; by default the image's.
        statistic: ``mean``, ``median`` or ``sum``.

    Returns:
        The profile of each frame, float64, in the image's units.
    """
    across = _find_reduced_dimension(find_rows_and_columns(image), along)
    band = select_bounds(image, {across: (first, np.iinfo(np.int64).max if last is None else last)})
    if statistic == "median":
        return band.astype(np.float64).median((across,), skipna=True)
    return (sums.average_over if statistic == "mean" else sums.sum_over)(band, (across,))


def row_mean(image: xr.DataArray) -> xr.DataArray:
    """Take the mean of each row: one value for each row, made of all its columns.

    NaN is left out; a row of which nothing is left is NaN. Saturated counts are taken as they are.

    Args:
        image: of any type; its last two dimensions are rows and columns.

    Returns:
        The means of each frame, float64, in the image's units.
    """
    return lineout(image, along="rows")


def column_mean(image: xr.DataArray) -> xr.DataArray:
    """Take the mean of each column: one value for each column, made of all its rows.

    NaN is left out; a column of which nothing is left is NaN. Saturated counts are taken as they are.

    Args:
        image: of any type; its last two dimensions are rows and columns.

    Returns:
        The means of each frame, float64, in the image's units.
    """
    return lineout(image, along="columns")


def _find_reduced_dimension(dimensions: tuple[str, str], along: ProfileAxis) -> str:
    """Return the dimension that a profile does not have."""
    return dimensions[0] if along == "columns" else dimensions[1]


def _profile_footprint(sizes: Sizes, across: str, band: range) -> Footprint:
    return Footprint(
        {name: Along(name, size) for name, size in sizes.items() if name != across}, reduced_ranges={across: band}
    )


def _lineout_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    (sizes,) = inputs
    across = _find_reduced_dimension(find_image_dimensions(sizes), options.along)
    last = sizes[across] - 1 if options.last is None else options.last
    if last >= sizes[across]:
        raise ValueError(f"{across} ends with {sizes[across] - 1}, and {last} is beyond it")
    if options.first > last:
        raise ValueError(f"the band begins at {options.first} and ends at {last}: first must not be greater than last")
    return _profile_footprint(sizes, across, range(options.first, last + 1))


def _make_full_footprint(along: ProfileAxis) -> FootprintFunction:
    def compute_footprint(inputs: Sequence[Sizes], _options: Options) -> Footprint:
        (sizes,) = inputs
        across = _find_reduced_dimension(find_image_dimensions(sizes), along)
        return _profile_footprint(sizes, across, range(sizes[across]))

    return compute_footprint


_MEAN_MEMORY: Final = WorkingMemory(10)
_MEDIAN_MEMORY: Final = WorkingMemory(36)  # NumPy makes masked arrays for the median of fewer than 600 values

TRANSFORMS = (
    Transform(
        lineout,
        _lineout_footprint,
        dtype="float64",
        long_name="profile of a band",
        knows_indices=True,
        memory=_MEDIAN_MEMORY,
    ),
    Transform(
        row_mean, _make_full_footprint("rows"), dtype="float64", long_name="mean of each row", memory=_MEAN_MEMORY
    ),
    Transform(
        column_mean,
        _make_full_footprint("columns"),
        dtype="float64",
        long_name="mean of each column",
        memory=_MEAN_MEMORY,
    ),
)
