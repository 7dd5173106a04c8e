"""Background subtraction: the frame taken without light, taken away from the frame of the shot."""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["subtract_background"]


def subtract_background(image: xr.DataArray, background: xr.DataArray) -> xr.DataArray:
    """Subtract the background from an image, pixel by pixel, in float32.

    The formula is ``float32(image) - float32(background)``. Cameras count in uint16, whose own subtraction wraps
    around below zero: 3 - 5 would be 65,534. float32 holds every 16-bit count and every difference of two exactly.
    Nothing is clipped: noise makes some differences negative, and cutting them off would bias every mean.

    Args:
        image: the counts of the shot, of any shape.
        background: the counts without light, of the same dimensions.

    Returns:
        The difference, float32, in the image's units.
    """
    difference = image.astype(np.float32) - background.astype(np.float32)
    return difference.assign_attrs(
        {key: value for key, value in image.attrs.items() if key == "units"},
        long_name="image with its background subtracted",
    )
