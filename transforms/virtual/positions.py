"""Where the values that a transform was given lie in the whole of its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def add_index_coordinates(variable: xr.Variable, read: Mapping[str, range]) -> xr.DataArray:
    """An array that knows which indices of the whole it holds, as coordinates of its dimensions."""
    known = {name: xr.Variable((name,), np.arange(each.start, each.stop, each.step)) for name, each in read.items()}
    return xr.DataArray(variable, coords=xr.Coordinates(known, indexes={}))


def get_indices(image: xr.DataArray, dimension: str) -> NDArray[Any]:
    """The index of each value along a dimension, in the whole input; counted from 0 where the array is the whole."""
    if dimension in image.coords:
        return np.asarray(image.coords[dimension].values)
    return np.arange(image.sizes[dimension])


def select_bounds(image: xr.DataArray, bounds: Mapping[str, tuple[int, int]]) -> xr.DataArray:
    """The part of an array between the first and the last index, in the whole, along some dimensions."""
    cuts = {}
    for name, (first, last) in bounds.items():
        where = get_indices(image, name)
        cuts[name] = slice(int(np.searchsorted(where, first)), int(np.searchsorted(where, last, side="right")))
    return image.isel(cuts)
