"""Frames: a transform that knows one image, applied to each image of a stack for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from shotdap.transforms.geometry import rows_and_columns

__all__ = ["each_frame"]

Array: TypeAlias = NDArray[Any]


def each_frame(function: Callable[[Array], Array], image: xr.DataArray) -> xr.DataArray:
    """Apply a function to each frame, in float32.

    Args:
        function: makes of a frame (rows, columns), float32, one of the same shape.
        image: of any type; what stands before its last two dimensions are frames.

    Returns:
        The results, with the image's dimensions, and without attributes.
    """
    dimensions = [rows_and_columns(image)]
    made: xr.DataArray = xr.apply_ufunc(
        function,
        image.astype(np.float32),
        input_core_dims=dimensions,
        output_core_dims=dimensions,
        vectorize=True,
        keep_attrs=False,
    )
    return made
