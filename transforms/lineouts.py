"""Lineouts: one number for each column or row of an image, made of a band of the other.

A mean is float64: it has more digits than the counts it is made of, and is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
import xarray as xr
from pydantic import Field

from shotdap.transforms.geometry import rows_and_columns
from shotdap.transforms.statistics import sums
from shotdap.transforms.virtual.footprint import Along, Footprint, Footprints, Sizes, WorkingMemory, image_dimensions
from shotdap.transforms.virtual.positions import within
from shotdap.transforms.virtual.transform import Options, Transform

__all__ = ["TRANSFORMS", "Axis", "column_mean", "lineout", "row_mean"]

Axis: TypeAlias = Literal["columns", "rows"]
"""What a profile has one value for each of."""

Index: TypeAlias = Annotated[int, Field(ge=0)]


def lineout(
    image: xr.DataArray,
    *,
    along: Axis = "columns",
    first: Index = 0,
    last: Index | None = None,
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
    across = _across(rows_and_columns(image), along)
    band = within(image, {across: (first, np.iinfo(np.int64).max if last is None else last)})
    return _STATISTICS[statistic](band, (across,))


def _median(image: xr.DataArray, over: Sequence[str]) -> xr.DataArray:
    return image.astype(np.float64).median(over, skipna=True)


_STATISTICS = {"mean": sums.mean, "median": _median, "sum": sums.total}


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


def _across(dimensions: tuple[str, str], along: Axis) -> str:
    """The dimension that a profile does not have."""
    return dimensions[0] if along == "columns" else dimensions[1]


def _profile(sizes: Sizes, across: str, band: range) -> Footprint:
    return Footprint({name: Along(name, size) for name, size in sizes.items() if name != across}, bands={across: band})


def _banded(inputs: Sequence[Sizes], options: Options) -> Footprint:
    (sizes,) = inputs
    across = _across(image_dimensions(sizes), options.along)
    last = sizes[across] - 1 if options.last is None else options.last
    if last >= sizes[across]:
        raise ValueError(f"{across} ends with {sizes[across] - 1}, and {last} is beyond it")
    if options.first > last:
        raise ValueError(f"the band begins at {options.first} and ends at {last}: first must not be greater than last")
    return _profile(sizes, across, range(options.first, last + 1))


def _full(along: Axis) -> Footprints:
    def footprint(inputs: Sequence[Sizes], _options: Options) -> Footprint:
        (sizes,) = inputs
        across = _across(image_dimensions(sizes), along)
        return _profile(sizes, across, range(sizes[across]))

    return footprint


_MEMORY: Final = WorkingMemory(10)
_OF_MEDIAN: Final = WorkingMemory(36)  # NumPy masks what is NaN, where the median is of fewer than 600 values

TRANSFORMS = (
    Transform(lineout, _banded, dtype="float64", long_name="profile of a band", knows_indices=True, memory=_OF_MEDIAN),
    Transform(row_mean, _full("rows"), dtype="float64", long_name="mean of each row", memory=_MEMORY),
    Transform(column_mean, _full("columns"), dtype="float64", long_name="mean of each column", memory=_MEMORY),
)
