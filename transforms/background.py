"""Background subtraction: what the camera counts without light, taken away from the frame of the shot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from shotdap.transforms.geometry import Bounds, check_bounds, find_rows_and_columns
from shotdap.transforms.virtual.footprint import (
    Footprint,
    Sizes,
    WorkingMemory,
    halo,
    pointwise,
    whole,
)
from shotdap.transforms.virtual.positions import select_bounds
from shotdap.transforms.virtual.transform import Options, Transform

Array: TypeAlias = NDArray[Any]


def subtract_background(
    image: xr.DataArray,
    background: xr.DataArray,
    *,
    scale: Annotated[float, Field(ge=-1e6, le=1e6)] = 1,
    clip: bool = False,
    smooth: Annotated[float, Field(ge=0, le=50)] = 0,
) -> xr.DataArray:
    """Subtract the background from an image, pixel by pixel, in float32.

    The formula is ``float32(image) - scale * float32(background)``. Cameras count in uint16, whose own subtraction
    wraps around below zero: 3 - 5 would be 65,534. float32 holds every 16-bit count and every difference of two
    exactly. Nothing is clipped by default: noise makes some differences negative, and cutting them off would
    bias every mean.

    A background has noise of its own, which adds to the image's; smoothing takes most of it away. But it spreads the
    background's hot pixels over their neighbours, and leaves those of the image where they are: despeckle the
    background first (`median_filter`, `sigma_clip`), and mask or despeckle the difference. Where a frame of a camera
    with many hot pixels is subtracted as it is, they cancel; the noisiest of them leave great negative differences.

    Args:
        image: the counts of the shot, of any shape.
        background: the counts without light, of the same dimensions, or without those of the frames.
        scale: what to multiply the background by: the ratio of two exposure times, for one.
        clip: whether differences below zero become zero.
        smooth: the standard deviation, in pixels, of the Gaussian that smooths the background's rows and columns
            (`scipy.ndimage.gaussian_filter`, cut off at 4 standard deviations, mirrored at the edges); 0 for none.

    Returns:
        The difference, float32, in the image's units. NaN where either is NaN; in a background that is smoothed, NaN
        spreads as far as the Gaussian reaches.
    """
    if smooth:
        from scipy.ndimage import gaussian_filter  # noqa: PLC0415 — 0.3 s, which opening a dataset must not pay

        names = find_rows_and_columns(image if image.ndim >= background.ndim else background)
        axes = [background.get_axis_num(name) for name in names if name in background.dims]
        background = background.copy(data=gaussian_filter(background.values.astype(np.float32), smooth, axes=axes))

    def subtract(image: Array, background: Array) -> Array:
        dark = background.astype(np.float32)
        difference = image.astype(np.float32) - (dark if scale == 1 else np.float32(scale) * dark)
        return difference.clip(min=0) if clip else difference

    # One call of NumPy takes less than half the time of xarray's own arithmetic for a slice of 256 x 256 pixels.
    difference: xr.DataArray = xr.apply_ufunc(subtract, image, background, keep_attrs=False)
    return difference


def subtract_region(
    image: xr.DataArray,
    *,
    rows: Bounds | None = None,
    columns: Bounds | None = None,
    statistic: Literal["median", "mean"] = "median",
) -> xr.DataArray:
    """Subtract from each frame the level of a region of it that sees no light.

    The overscan of a CCD is such a region: columns that are read out and were never exposed.

    Args:
        image: counts, of any type; its last two dimensions are rows and columns.
        rows: the first and the last row of the region, both of it; all rows by default, but then name columns.
        columns: likewise.
        statistic: ``median``, which hot pixels and cosmic rays do not move, or ``mean``.

    Returns:
        The image less the level, float32, in its units. NaN is no part of the level; where a frame's region is all
        NaN, so is the frame. A saturated pixel counts as its value.
    """
    names = find_rows_and_columns(image)
    bounds = {name: part for name, part in zip(names, (rows, columns), strict=True) if part is not None}
    region = select_bounds(image, bounds).astype(np.float64)
    level = region.median(names) if statistic == "median" else region.mean(names)
    return (image - level).astype(np.float32)


def _subtract_region_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    if options.rows is None and options.columns is None:
        raise ValueError("it needs the rows or the columns, or both, of a region without light; neither is said")
    check_bounds(inputs[0], options)
    return whole(inputs, options)


_SMOOTHED: Final = halo(lambda options: int(4 * options.smooth + 0.5))  # the reach of SciPy's Gaussian

TRANSFORMS = (
    Transform(
        subtract_background,
        lambda inputs, options: (_SMOOTHED if options.smooth else pointwise)(inputs, options),
        long_name="image with its background subtracted",
        memory=WorkingMemory(16),
    ),
    Transform(
        subtract_region,
        _subtract_region_footprint,
        long_name="image with the level of its region without light subtracted",
        memory=WorkingMemory(20),
    ),
)
