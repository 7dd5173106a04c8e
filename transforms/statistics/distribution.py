"""How the values of an image are distributed: extremes, moments, percentiles, and the histogram.

Each frame has its own, and each needs the frame entire. NaN is left out everywhere, and of a frame that holds nothing
else every number is NaN (and every count 0). Saturated counts are taken as they are: mask them first where they matter.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated, TypeAlias

import numpy as np
import xarray as xr
from pydantic import Field

from shotdap.transforms.geometry import find_rows_and_columns
from shotdap.transforms.virtual.footprint import Along, Footprint, Sizes, WorkingMemory, find_image_dimensions
from shotdap.transforms.virtual.transform import Options, Transform

_Percentage: TypeAlias = Annotated[float, Field(ge=0, le=100)]
_Edge: TypeAlias = Annotated[float, Field(ge=-1e12, le=1e12)]


def minimum(image: xr.DataArray) -> xr.DataArray:
    """Find the least value of an image, NaN left out.

    Args:
        image: of any type; its last two dimensions are rows and columns.

    Returns:
        One number for each frame, float64, in the image's units.
    """
    return image.astype(np.float64).min(find_rows_and_columns(image))


def maximum(image: xr.DataArray) -> xr.DataArray:
    """Find the greatest value of an image, NaN left out.

    Args:
        image: of any type; its last two dimensions are rows and columns.

    Returns:
        One number for each frame, float64, in the image's units. Where the camera is saturated it measures no light.
    """
    return image.astype(np.float64).max(find_rows_and_columns(image))


def mean_value(image: xr.DataArray) -> xr.DataArray:
    """Take the mean of an image, NaN left out.

    Args:
        image: of any type; its last two dimensions are rows and columns.

    Returns:
        One number for each frame, float64, in the image's units.
    """
    return image.astype(np.float64).mean(find_rows_and_columns(image))


def median_value(image: xr.DataArray) -> xr.DataArray:
    """Take the median of an image, NaN left out.

    Args:
        image: of any type; its last two dimensions are rows and columns.

    Returns:
        One number for each frame, float64, in the image's units; between the middle two of an even number of values.
    """
    return percentiles(image, levels=(50,)).squeeze("percentile", drop=True)


def standard_deviation(image: xr.DataArray) -> xr.DataArray:
    """Take the standard deviation of an image's values, NaN left out.

    It is the root of the mean squared distance from the mean: the sum is divided by the number of pixels (``ddof=0``).

    Args:
        image: of any type; its last two dimensions are rows and columns.

    Returns:
        One number for each frame, float64, in the image's units.
    """
    return image.astype(np.float64).std(find_rows_and_columns(image))


def percentiles(
    image: xr.DataArray,
    *,
    levels: Annotated[tuple[_Percentage, ...], Field(min_length=1, max_length=32)] = (1, 5, 50, 95, 99),
) -> xr.DataArray:
    """Find the values below which given percentages of an image's pixels lie, NaN left out.

    Between two values of the image it is interpolated linearly, as by ``numpy.nanpercentile``.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        levels: percentages, in any order; at most 32.

    Returns:
        A value for each level, along the new last dimension ``percentile``; float64, in the image's units.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # of nothing, the percentiles are NaN
        values = np.nanpercentile(image.astype(np.float64), levels, image.get_axis_num(find_rows_and_columns(image)))
    return xr.DataArray(np.moveaxis(values, 0, -1), dims=(*image.dims[:-2], "percentile"))


def histogram(
    image: xr.DataArray, *, low: _Edge = 0, high: _Edge = 65_536, bins: Annotated[int, Field(ge=1, le=4096)] = 256
) -> xr.DataArray:
    """Count an image's pixels by their values, in bins of equal width.

    A bin holds its lower edge and not its upper one; the last holds both, as by ``numpy.histogram``. What lies below
    ``low`` or above ``high`` is not counted, nor is NaN: the counts add up to fewer than the pixels where there is any.
    Counts of a camera are whole numbers: a width that is none makes bins uneven.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        low: the lower edge of the first bin, in the image's units.
        high: the upper edge of the last one.
        bins: how many.

    Returns:
        The number of pixels in each bin, along the new last dimension ``bin``, whose coordinate is the bins' middles;
        int32.
    """
    frames = image.values.reshape(-1, image.shape[-2] * image.shape[-1])
    counts = [np.histogram(frame, bins, (low, high))[0] for frame in frames]
    return xr.DataArray(np.reshape(counts, (*image.shape[:-2], bins)), dims=(*image.dims[:-2], "bin"))


def _compute_bin_centres(options: Options) -> Sequence[float]:
    edges = np.linspace(options.low, options.high, options.bins + 1)
    return list((edges[:-1] + edges[1:]) / 2)


def _select_frame_dimensions(sizes: Sizes) -> dict[str, Along | int]:
    """Select the dimensions before the image's rows and columns, along which a result has a value for each frame."""
    pixels = find_image_dimensions(sizes)
    return {name: Along(name, size) for name, size in sizes.items() if name not in pixels}


def _histogram_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    if options.low >= options.high:
        raise ValueError(f"a histogram goes up, and high, {options.high:g}, is not greater than low, {options.low:g}")
    return Footprint(_select_frame_dimensions(inputs[0]) | {"bin": options.bins}, is_whole=True)


TRANSFORMS = (
    *(
        Transform(
            function,
            lambda inputs, _options: Footprint(_select_frame_dimensions(inputs[0]), is_whole=True),
            dtype="float64",
            long_name=f"{name} of the image",
            memory=WorkingMemory(per_pixel),
        )
        for function, name, per_pixel in (
            (minimum, "least value", 8),
            (maximum, "greatest value", 8),
            (mean_value, "mean", 18),
            (median_value, "median", 17),
            (standard_deviation, "standard deviation", 18),
        )
    ),
    Transform(
        percentiles,
        lambda inputs, options: Footprint(
            _select_frame_dimensions(inputs[0]) | {"percentile": len(options.levels)}, is_whole=True
        ),
        dtype="float64",
        long_name="percentiles of the image",
        coordinates={"percentile": lambda options: options.levels},
        memory=WorkingMemory(17),
    ),
    Transform(
        histogram,
        _histogram_footprint,
        dtype="int32",
        units="1",
        long_name="number of pixels",
        coordinates={"bin": _compute_bin_centres},
        memory=WorkingMemory(8, fixed=4 << 20),  # a copy, where the image is a view that does not lie in one piece
    ),
)
