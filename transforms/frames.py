"""Frames: apply a function of one image to each image of a stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from shotdap.transforms.geometry import find_rows_and_columns

Array: TypeAlias = NDArray[Any]


def apply_to_frames(
    function: Callable[[Array], Array], image: xr.DataArray, dtype: DTypeLike = np.float32
) -> xr.DataArray:
    """Apply a function to each frame, in float32; working memory is needed for one frame at a time.

    Args:
        function: of a frame (rows, columns), float32; returns an array of the same shape.
        image: of any type; the dimensions before its last two are frames.
        dtype: the type of the results.

    Returns:
        The results, with the image's dimensions and coordinates, and without attributes.
    """
    find_rows_and_columns(image)
    values = np.asarray(image.values)
    result = np.empty(values.shape, dtype)
    for frame in np.ndindex(values.shape[:-2]):
        result[frame] = function(values[frame].astype(np.float32))
    return xr.DataArray(result, image.coords, image.dims)
