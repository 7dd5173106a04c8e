"""The transforms of our laboratory."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field

from shotdap.transforms import Transform, WorkingMemory


def photoelectrons(image: xr.DataArray, *, gain: Annotated[float, Field(gt=0, le=1000)]) -> xr.DataArray:
    """Turn counts into photoelectrons.

    The formula is ``gain * counts``. NaN stays NaN; a saturated pixel counts as its value.

    Args:
        image: counts without their background, of any type and shape.
        gain: photoelectrons for one count, as the camera's data sheet has it.

    Returns:
        Photoelectrons of each pixel, float32.
    """
    return image.astype(np.float32) * np.float32(gain)


TRANSFORMS = (
    Transform(photoelectrons, units="electron", long_name="photoelectrons", memory=WorkingMemory(per_pixel=8)),
)
