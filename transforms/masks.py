"""Masks: which pixels of an image say nothing of the light, flagged, counted, and taken out.

Flags are CF flag variables (CF conventions, section 3.5): uint8, with the values and their meanings in attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from shotdap.transforms.despeckle import Noise, Sigmas, compute_rounding_noise
from shotdap.transforms.frames import apply_to_frames
from shotdap.transforms.neighbours import MAD_TO_SIGMA, SmallWindowSize, apply_to_windows, compute_nan_median
from shotdap.transforms.virtual.footprint import Footprint, WorkingMemory, whole
from shotdap.transforms.virtual.transform import BadOptions, Options, Transform, require_numbers

Array: TypeAlias = NDArray[Any]

_SaturationLevel: TypeAlias = Annotated[float, Field(ge=-1e12, le=1e12)]
"""The count from which a camera is saturated."""

_GOOD, _HOT, _DEAD = map(np.uint8, range(3))


def saturated(image: xr.DataArray, *, level: _SaturationLevel | None = None) -> xr.DataArray:
    """Flag the pixels at which the camera could count no further.

    Args:
        image: counts as the camera gave them; subtract nothing first.
        level: the count from which a pixel is saturated. By default what the image's attribute ``saturation`` says,
            and without one the greatest number of its integer type: 65,535 of uint16. A camera that counts to 4,095
            in uint16 needs the attribute or the option.

    Returns:
        uint8: 1 where the image is at `level` or above, else 0; 0 where it is NaN.

    Raises:
        ValueError: the level is not known: floating numbers without option and attribute.
    """
    flags = image >= _resolve_saturation_level(image, level)
    return flags.astype(np.uint8).drop_attrs()  # the units are those of counts


def bad_pixels(
    background: xr.DataArray, *, sigma: Sigmas = 8, size: SmallWindowSize = 5, noise: Noise = 0
) -> xr.DataArray:
    """Flag the hot and the dead pixels of a frame that was taken without light.

    A pixel is bad if it is farther from the median of its neighbours than `sigma` times the noise: above it is hot,
    below it is dead. The noise is that of the whole frame, ``1.4826 * median(abs(pixel - median of neighbours))``,
    but not below `noise`, nor, for an image of an integer type, below 1/sqrt(12), the rounding of whole counts. (The
    noise of 25 neighbours alone would be so uncertain that good frames had dozens of bad pixels.)

    A pixel that does not respond to light but has its bias cannot be found without light.

    Args:
        background: counts without light, of any type; its last two dimensions are rows and columns.
        sigma: how many standard deviations of the noise are bad.
        size: how many pixels wide and high the square of neighbours is, the pixel itself included; odd.
        noise: the least standard deviation to take, in the background's units.

    Returns:
        uint8: 0 good, 1 hot, 2 dead. NaN is not flagged; it is passed over as a neighbour.
    """
    least = max(noise, compute_rounding_noise(background))

    def classify_pixels(frame: Array) -> Array:
        with np.errstate(invalid="ignore"):  # inf - inf
            deviations = frame - apply_to_windows(compute_nan_median, frame, size)
        finite = np.abs(deviations[~np.isnan(deviations)])
        limit = sigma * max(MAD_TO_SIGMA * float(np.median(finite)) if finite.size else 0, least)
        return np.select([deviations > limit, deviations < -limit], [_HOT, _DEAD], _GOOD)

    return apply_to_frames(classify_pixels, background, np.uint8)


def mask(image: xr.DataArray, flags: xr.DataArray) -> xr.DataArray:
    """Take out of an image what is flagged, so that nobody counts with it.

    Args:
        image: of any shape and type.
        flags: of the same dimensions, or without those of the frames; 0 is good.

    Returns:
        The image, float32, in its units; NaN where the flag is not 0.
    """
    return image.astype(np.float32).where(flags == 0)


def count_saturated(image: xr.DataArray, *, level: _SaturationLevel | None = None) -> xr.DataArray:
    """Count the pixels that are saturated.

    Args:
        image: counts as the camera gave them.
        level: the count from which a pixel is saturated; by default as for `saturated`.

    Returns:
        How many pixels of all frames are at `level` or above, int32, without dimensions.

    Raises:
        BadOptions: the level is not known: floating numbers without option and attribute.
    """
    return (image >= _resolve_saturation_level(image, level)).sum(dtype=np.int32)


def count_negative(image: xr.DataArray) -> xr.DataArray:
    """Count the pixels below zero.

    Args:
        image: of any shape and type.

    Returns:
        How many pixels of all frames are negative, int32, without dimensions; NaN is not.
    """
    return (image < 0).sum(dtype=np.int32)


def count_missing(image: xr.DataArray) -> xr.DataArray:
    """Count the pixels that are missing.

    Args:
        image: of any shape and type.

    Returns:
        How many pixels of all frames are NaN, int32, without dimensions; integers never are.
    """
    return image.isnull().sum(dtype=np.int32)


def _require_saturation_level(inputs: Sequence[xr.Variable], options: Options) -> None:
    """Check, before anything is read, that the saturation of an image is known."""
    require_numbers(inputs, options)
    _resolve_saturation_level(inputs[0], options.level)


def _resolve_saturation_level(image: xr.DataArray | xr.Variable, level: float | None) -> float:
    if level is not None:
        return level
    if "saturation" in image.attrs:
        attribute = image.attrs["saturation"]
        values = np.ravel(np.asarray(attribute))
        if values.size != 1 or values.dtype.kind not in "iuf" or not np.isfinite(values[0]):
            raise BadOptions(
                f"The image's attribute saturation is {attribute!r}, which is no number. Use the option level."
            )
        return float(values[0])
    if image.dtype.kind in "iu":
        return int(np.iinfo(image.dtype).max)
    raise BadOptions(
        f"Where the image is saturated is not known: numbers of type {image.dtype} have no greatest count, and it has "
        "no attribute saturation. Say it by the option level."
    )


def _make_flag_attributes(*meanings: str) -> Mapping[str, Any]:
    return {"flag_values": np.arange(len(meanings), dtype=np.uint8), "flag_meanings": " ".join(meanings)}


_NO_UNITS: Final = ""  # flags have no units (CF conventions, section 3.1)

TRANSFORMS = (
    Transform(
        saturated,
        dtype="uint8",
        units=_NO_UNITS,
        long_name="saturated pixels",
        attributes=_make_flag_attributes("not_saturated", "saturated"),
        fits=_require_saturation_level,
        memory=WorkingMemory(2),
    ),
    Transform(
        bad_pixels,
        whole,
        dtype="uint8",
        units=_NO_UNITS,
        long_name="pixels that are bad without light",
        attributes=_make_flag_attributes("good", "hot", "dead"),
        memory=WorkingMemory(20, fixed=12 << 20),
    ),
    Transform(mask, long_name="image without flagged pixels", memory=WorkingMemory(10)),
    *(
        Transform(
            function,
            lambda _inputs, _options: Footprint({}, is_whole=True),
            dtype="int32",
            units="1",
            long_name=name,
            fits=fits,
            memory=WorkingMemory(1),
        )
        for function, name, fits in (
            (count_saturated, "number of saturated pixels", _require_saturation_level),
            (count_negative, "number of pixels below zero", require_numbers),
            (count_missing, "number of missing pixels", require_numbers),
        )
    ),
)
