"""Positions of a part of an input in the whole input, for transforms that need them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr


def add_index_coordinates(variable: xr.Variable, read: Mapping[str, range]) -> xr.DataArray:
    """Make an array whose coordinates are the indices of its values in the whole input."""
    indices = {name: xr.Variable((name,), np.arange(each.start, each.stop, each.step)) for name, each in read.items()}
    return xr.DataArray(variable, coords=xr.Coordinates(indices, indexes={}))


def select_bounds(image: xr.DataArray, bounds: Mapping[str, tuple[int, int]]) -> xr.DataArray:
    """Select the part of an array between the first and the last index, in the whole input, along some dimensions."""
    cuts = {}
    for name, (first, last) in bounds.items():
        # Without the coordinate the array is the whole input.
        indices = image.coords[name].values if name in image.coords else np.arange(image.sizes[name])
        cuts[name] = slice(int(np.searchsorted(indices, first)), int(np.searchsorted(indices, last, side="right")))
    return image.isel(cuts)
