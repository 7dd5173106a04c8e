"""Image plates: from what the scanner wrote to the luminescence that the plate held when it was exposed."""

from __future__ import annotations

import math
from typing import Annotated, Final

import numpy as np
import xarray as xr
from pydantic import Field

from shotdap.transforms.virtual.footprint import WorkingMemory
from shotdap.transforms.virtual.transform import Transform

_FADING: Final = ((0.436, 1134.0), (0.403, 98_500.0), (0.161, math.inf))
"""Parts of the luminescence, and the time (s) in which each falls to 1/e, from the laboratory's analysis."""


def photostimulated_luminescence(
    raw: xr.DataArray,
    *,
    resolution: Annotated[float, Field(ge=1, le=1000)] = 25,
    sensitivity: Annotated[float, Field(ge=1, le=1_000_000)] = 4000,
    latitude: Annotated[float, Field(ge=1, le=10)] = 5,
    bits: Annotated[int, Field(ge=8, le=16)] = 16,
) -> xr.DataArray:
    """Turn the raw values of an image plate scanner into photostimulated luminescence (PSL).

    The formula is that of Fuji's BAS scanners, as in Maddox et al., Rev. Sci. Instrum. 82, 023111 (2011):
    PSL = (R/100)² (4000/S) 10^(L (QL/(2^G - 1) - 1/2)), where QL is the raw value. By convention QL = 0, which says
    that nothing was seen, gives 0 and not what the formula has for it. The highest value, 2^G - 1, is saturated: it
    gives NaN, as do values that the scanner cannot have written (below 0 or above the highest), and NaN itself.

    Args:
        raw: the scanner's values, QL, of any shape.
        resolution: R, the size of a pixel in the scanner's settings, um.
        sensitivity: S, of the scanner's photomultiplier as it was set: 400, 1000, 4000, 10000, …
        latitude: L, the decades that the scale spans: 4 or 5.
        bits: G, of a raw value: 16, or 8.

    Returns:
        PSL of each pixel, float32.
    """
    highest = 2**bits - 1
    values = raw.astype(np.float64)
    scale = (resolution / 100) ** 2 * 4000 / sensitivity
    luminescence: xr.DataArray = scale * 10 ** (latitude * (values.clip(0, highest) / highest - 0.5))
    return luminescence.where((values > 0) & (values < highest)).where(values != 0, 0)


def fading_corrected(image: xr.DataArray, *, delay: Annotated[float, Field(ge=0, le=1e9)]) -> xr.DataArray:
    """Give what an image plate held when it was exposed, from what it held when it was scanned.

    The luminescence fades while the plate waits. It is divided by what is left of it,
    f(t) = 0.436 exp(-t/1134) + 0.403 exp(-t/98500) + 0.161, t in seconds: 1 at once, 0.82 after ten minutes, 0.16 in
    the end. The three parts are those of the laboratory's analysis; other phosphors and temperatures fade otherwise.
    NaN stays NaN.

    Args:
        image: PSL, of any shape; not the scanner's raw values, which are logarithmic.
        delay: from the exposure to the scan, s. It has no default: no time would be right for another plate.

    Returns:
        The corrected image, float32, in the image's units.
    """
    left: float = sum(part * math.exp(-delay / time) for part, time in _FADING)
    return image.astype(np.float64) / left


TRANSFORMS = (
    Transform(
        photostimulated_luminescence,
        units="1",
        long_name="photostimulated luminescence (PSL)",
        memory=WorkingMemory(34),
    ),
    Transform(fading_corrected, long_name="image plate as it was when exposed", memory=WorkingMemory(16)),
)
