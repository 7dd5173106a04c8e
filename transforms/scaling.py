"""Other scales for the values of an image: of its own size, logarithmic, and of its root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from shotdap.transforms.geometry import find_rows_and_columns
from shotdap.transforms.virtual.footprint import WorkingMemory, whole
from shotdap.transforms.virtual.transform import Transform

_DIVISORS: Final[Mapping[str, Callable[[xr.DataArray, tuple[str, str]], xr.DataArray]]] = MappingProxyType(
    {
        "maximum": lambda image, over: image.max(over),
        "mean": lambda image, over: image.mean(over),
        "sum": lambda image, over: image.sum(over),
        "range": lambda image, over: image.max(over) - image.min(over),
    }
)
"""The size that each frame is divided by."""


def normalise(image: xr.DataArray, *, by: Literal["maximum", "mean", "sum", "range"] = "maximum") -> xr.DataArray:
    """Divide an image by its own size, each frame by its own.

    ``maximum`` makes the greatest value 1, ``mean`` the mean 1, and ``sum`` the sum 1; ``range`` takes the least value
    away first, and so gives 0 to 1. NaN is left out of all of these, and stays NaN. Where what would be divided by is
    not above 0 (of a dark frame, of a constant one with ``range``) the frame is NaN: no scale would be true of it.
    Saturated counts are taken as they are; mask them first, or they are the maximum.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        by: ``maximum``, ``mean``, ``sum`` or ``range``.

    Returns:
        The image in units of its size, float32.
    """
    values, over = image.astype(np.float64), find_rows_and_columns(image)
    size = _DIVISORS[by](values, over)
    return (values - values.min(over) if by == "range" else values) / size.where(size > 0)


def log10(image: xr.DataArray, *, floor: Annotated[float, Field(ge=0, le=1e30)] = 0) -> xr.DataArray:
    """Take the decimal logarithm of an image.

    Values at the floor or below it have none, and become NaN: a number in their place would pass for a measurement.
    NaN stays NaN. Saturated counts are taken as they are.

    Args:
        image: of any type and shape.
        floor: in the image's units; what is not above it is NaN.

    Returns:
        log10 of the values in the image's units, float32.
    """
    values = image.astype(np.float64)
    return image.copy(data=np.log10(values.where(values > floor).values))


def square_root(image: xr.DataArray, *, signed: bool = False) -> xr.DataArray:
    """Take the square root of an image, which makes the noise of counted photons the same everywhere.

    Values below 0 become NaN; or, where the root is signed, minus the root of what they are below 0, which keeps the
    noise around 0 of a difference symmetric. NaN stays NaN. Saturated counts are taken as they are.

    Args:
        image: of any type and shape.
        signed: whether values below 0 have a root, which is below 0.

    Returns:
        The roots, float32; they have no units of their own.
    """
    values = image.values.astype(np.float64)
    roots = np.sqrt(np.abs(values))
    return image.copy(data=np.copysign(roots, values) if signed else np.where(values < 0, np.nan, roots))


TRANSFORMS = (
    Transform(normalise, whole, units="1", long_name="image in units of its own size", memory=WorkingMemory(25)),
    Transform(log10, units="1", long_name="decimal logarithm of an image", memory=WorkingMemory(25)),
    Transform(square_root, units="", long_name="square root of an image", memory=WorkingMemory(25)),
)
