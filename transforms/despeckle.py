"""Despeckling: what single pixels show and their neighbours do not is no light of the target.

Hot pixels, cosmic rays, x-rays that hit the CCD and dust on film are small and far from what surrounds them.

Rules:

1. NaN is passed over: a value is made of the neighbours that are there, and is NaN where none is. So the median and
   the morphological filter fill small holes; `sigma_clip`, which replaces outliers only, leaves them.
2. A saturated pixel counts as its value. To pass it over, mask it first (`mask`).
3. Beyond its edge the image goes on as its own mirror image, d c b a | a b c d | d c b a: SciPy's mode ``reflect``.
"""

from __future__ import annotations

from functools import partial
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
"""How many standard deviations of the noise make an outlier."""

Noise: TypeAlias = Annotated[float, Field(ge=0, le=1e6)]
"""The least standard deviation that noise is taken to have, in the image's units."""

_STEPS: Final = {"opening": ("erosion", "dilation"), "closing": ("dilation", "erosion")}
_ALL_STEPS: Final = _STEPS["opening"] + _STEPS["closing"]


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
    for step in _expand_operation(operation):
        values = values.copy(data=_STEP_FUNCTIONS[step](values.values, size))
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
    clip = partial(_clip_outliers, sigma=sigma, least=least)
    return apply_to_frames(lambda frame: apply_to_windows(clip, frame, size), image)


def compute_rounding_noise(image: xr.DataArray) -> float:
    """The standard deviation that rounding alone gives whole counts, 1/sqrt(12); 0 for floating numbers."""
    return 12**-0.5 if image.dtype.kind in "iu" else 0.0


def _clip_outliers(neighbours: Array, sigma: float, least: float) -> Array:
    pixels = neighbours[..., neighbours.shape[-1] // 2]
    middle = compute_nan_median(neighbours)
    with np.errstate(invalid="ignore"):  # inf - inf
        deviations = np.abs(neighbours - middle[..., np.newaxis])
        limit = sigma * np.maximum(MAD_TO_SIGMA * compute_nan_median(deviations), least)
        return np.where(np.abs(pixels - middle) > limit, middle, pixels)


def _expand_operation(operation: str) -> tuple[str, ...]:
    return _STEPS.get(operation, _ALL_STEPS)


def _erode_image(values: Array, size: int) -> Array:
    """The least value of each pixel's neighbours, NaN passed over (rule 1)."""
    from scipy.ndimage import minimum_filter  # noqa: PLC0415 — 0.3 s, which opening a dataset must not pay

    absent = np.isnan(values)
    if not absent.any():
        return np.asarray(minimum_filter(values, size, axes=(-2, -1)))
    found = minimum_filter(np.where(absent, np.float32(np.inf), values), size, axes=(-2, -1))
    return np.where(minimum_filter(absent, size, axes=(-2, -1)), np.float32(np.nan), found)


def _dilate_image(values: Array, size: int) -> Array:
    """The greatest value, likewise."""
    return -_erode_image(-values, size)


_STEP_FUNCTIONS: Final = {"erosion": _erode_image, "dilation": _dilate_image}


TRANSFORMS = (
    Transform(
        median_filter,
        halo(lambda options: options.size // 2),
        long_name="median of neighbouring pixels",
        memory=WorkingMemory(16, fixed=12 << 20),
    ),
    Transform(
        morphological_filter,
        halo(lambda options: len(_expand_operation(options.operation)) * (options.size // 2)),
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
