"""Despeckling: what single pixels show and their neighbours do not is no light of the target.

Hot pixels, cosmic rays, x-rays that hit the CCD and dust on film are small and far from what surrounds them.

Rules:

1. NaN is passed over: a value is made of the neighbours that are there, and is NaN where none is. So the median and
   the morphological filter fill small holes; `sigma_clip`, which replaces outliers only, leaves them.
2. A saturated pixel counts as its value. To pass it over, mask it first (`mask`).
3. Beyond its edge the image goes on as its own mirror image, d c b a | a b c d | d c b a: SciPy's mode ``reflect``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from shotdap.transforms.frames import apply_to_frames
from shotdap.transforms.neighbours import (
    MAD_TO_SIGMA,
    SmallWindowSize,
    WindowSize,
    apply_to_windows,
    compute_nan_median,
)
from shotdap.transforms.virtual.footprint import WorkingMemory, halo
from shotdap.transforms.virtual.transform import Transform

Array: TypeAlias = NDArray[Any]

Sigmas: TypeAlias = Annotated[float, Field(ge=1, le=1000)]
"""The distance of an outlier, in standard deviations of the noise."""

Noise: TypeAlias = Annotated[float, Field(ge=0, le=1e6)]
"""The least standard deviation that is assumed for the noise, in the image's units."""

_STEPS: Final = {"opening": (1, -1), "closing": (-1, 1), "both": (1, -1, -1, 1)}
"""The steps of an operation, by sign: 1 is an erosion, -1 a dilation, which is the erosion of the negative image."""


def median_filter(image: xr.DataArray, *, size: WindowSize = 3) -> xr.DataArray:
    """Replace each pixel by the median of its neighbours.

    As `scipy.ndimage.median_filter`, but with NaN passed over. What is smaller than half the square goes; straight
    edges stay where they are; noise is smoothed, and resolution is lost.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        size: how many pixels wide and high the square of neighbours is, itself included; odd.

    Returns:
        The medians, float32, in the image's units. NaN where all neighbours are.
    """
    return apply_to_frames(lambda frame: apply_to_windows(compute_nan_median, frame, size), image)


def morphological_filter(
    image: xr.DataArray, *, size: WindowSize = 3, operation: Literal["opening", "closing", "both"] = "opening"
) -> xr.DataArray:
    """Take away spots that are smaller than a square: bright ones by an opening, dark ones by a closing.

    An opening is the greatest value, in a square, of the least values in squares; a closing is the least of the
    greatest (Serra, Image Analysis and Mathematical Morphology, 1982; `scipy.ndimage.grey_opening`). What is left
    needs no noise to be known, but it is biased: an opening of noise is darker than its mean, a closing brighter.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        size: how many pixels wide and high the square is; odd.
        operation: ``opening`` for bright spots, ``closing`` for dark ones, ``both`` for an opening and then a closing.

    Returns:
        The filtered image, float32, in the image's units. NaN where there is nothing else to take.
    """
    values = image.astype(np.float32)
    for sign in _STEPS[operation]:
        values = values.copy(data=sign * _erode_image(sign * values.values, size))
    return values


def sigma_clip(image: xr.DataArray, *, sigma: Sigmas = 5, size: SmallWindowSize = 5, noise: Noise = 0) -> xr.DataArray:
    """Replace the pixels that are far from the median of their neighbours by that median; leave all others alone.

    A pixel is far if ``abs(pixel - median) > sigma * max(1.4826 * MAD, noise)``, where MAD is the median, over the
    same neighbours, of ``abs(neighbour - median)``; 1.4826 MAD is the standard deviation of normal noise. As it is
    estimated from few pixels, normal noise has more outliers than a normal distribution says: of 5 x 5 neighbours at
    5 sigma, one pixel in about two thousand. Where more than half of the neighbours are equal, MAD is 0, and every
    other value is far; whole counts (an image of an integer type) are never taken to be surer than their rounding,
    1/sqrt(12), and for other images `noise` can say how sure they are.

    Args:
        image: of any type; its last two dimensions are rows and columns.
        sigma: how many standard deviations are far.
        size: how many pixels wide and high the square of neighbours is, the pixel itself included; odd.
        noise: the least standard deviation to take, in the image's units.

    Returns:
        The image, float32, in its units, with outliers replaced. NaN stays NaN.
    """
    least = max(noise, compute_rounding_noise(image))

    def clip_outliers(neighbours: Array) -> Array:
        pixels = neighbours[..., neighbours.shape[-1] // 2]
        median = compute_nan_median(neighbours)
        with np.errstate(invalid="ignore"):  # inf - inf
            deviations = np.abs(neighbours - median[..., np.newaxis])
            limit = sigma * np.maximum(MAD_TO_SIGMA * compute_nan_median(deviations), least)
            return np.where(np.abs(pixels - median) > limit, median, pixels)

    return apply_to_frames(lambda frame: apply_to_windows(clip_outliers, frame, size), image)


def compute_rounding_noise(image: xr.DataArray) -> float:
    """Return the standard deviation of whole counts by rounding alone, 1/sqrt(12); 0 for floating numbers."""
    return 12**-0.5 if image.dtype.kind in "iu" else 0.0


def _erode_image(values: Array, size: int) -> Array:
    """Take the least value of each pixel's neighbours, NaN passed over (rule 1)."""
    from scipy.ndimage import minimum_filter  # noqa: PLC0415 — 0.3 s, which opening a dataset must not pay

    absent = np.isnan(values)
    if not absent.any():
        return np.asarray(minimum_filter(values, size, axes=(-2, -1)))
    least = minimum_filter(np.where(absent, np.float32(np.inf), values), size, axes=(-2, -1))
    return np.where(minimum_filter(absent, size, axes=(-2, -1)), np.float32(np.nan), least)


TRANSFORMS = (
    Transform(
        median_filter,
        halo(lambda options: options.size // 2),
        long_name="median of neighbouring pixels",
        memory=WorkingMemory(16, fixed=12 << 20),
    ),
    Transform(
        morphological_filter,
        halo(lambda options: len(_STEPS[options.operation]) * (options.size // 2)),
        long_name="image without small spots",
        memory=WorkingMemory(18),
    ),
    Transform(
        sigma_clip,
        halo(lambda options: options.size // 2),
        long_name="image without outliers",
        memory=WorkingMemory(16, fixed=16 << 20),
    ),
)
