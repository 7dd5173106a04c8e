"""Sums and means over dimensions whose bits do not depend on the part of the other dimensions that is read.

NumPy chooses the order of additions by the shape of the whole array, and the last bit of a sum of floating-point
numbers depends on that order. Here each dimension is added up one index after the other, in float64: the values of a
slice are added in the same order as those of the whole, as rule 1 of `footprint` requires.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def sum_over(image: xr.DataArray, over: Iterable[str]) -> xr.DataArray:
    """Sum over some dimensions: float64. A sum with a NaN is NaN."""
    return _sum_sequentially(image, image.values, over)


def average_over(image: xr.DataArray, over: Iterable[str]) -> xr.DataArray:
    """Take the mean over some dimensions, NaN left out: float64. The mean of nothing is NaN."""
    over = tuple(over)
    present = ~np.isnan(image.values)
    if present.all():
        return sum_over(image, over) / np.prod([image.sizes[name] for name in over])
    with np.errstate(invalid="ignore"):  # 0/0 is the mean of nothing
        return _sum_sequentially(image, np.where(present, image.values, 0), over) / _sum_sequentially(
            image, present, over
        )


def _sum_sequentially(image: xr.DataArray, values: NDArray[Any], over: Iterable[str]) -> xr.DataArray:
    axes = sorted(image.get_axis_num(tuple(over)), reverse=True)
    with np.errstate(invalid="ignore"):  # inf - inf is NaN
        for axis in axes:
            slices = np.moveaxis(values, axis, 0)
            values = reduce(np.add, slices, np.zeros(slices.shape[1:]))
    return xr.DataArray(
        values.astype(np.float64, copy=False), dims=[name for axis, name in enumerate(image.dims) if axis not in axes]
    )
