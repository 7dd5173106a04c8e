"""The phase of fringes: how a VISAR's picture becomes a velocity history.

Strategy: the Fourier-transform method. Across the fringes a picture is ``B + A cos(2π f y + φ)``; of its spectrum along
y only the positive frequencies about the carrier f are kept, which leaves ``A/2 exp(i (2π f y + φ))``. Its angle is the
phase, but for whole turns; those are found by following it in time. The phase of a reference, taken without the shock,
takes off the carrier and whatever the optics bend.

A turn of the phase, 2π, is one fringe: the velocity is the phase over 2π times the etalon's velocity per fringe.

Sources: M. Takeda, H. Ina, S. Kobayashi, J. Opt. Soc. Am. 72, 156 (1982), for the method; P. M. Celliers et al., Rev.
Sci. Instrum. 75, 4916 (2004), for line-imaging VISARs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray
from pydantic import Field

from shotdap.transforms.geometry import iter_bands
from shotdap.transforms.lineouts import ProfileAxis
from shotdap.transforms.virtual.footprint import Footprint, Sizes, WorkingMemory, find_image_dimensions, whole
from shotdap.transforms.virtual.transform import Options, Transform

Values: TypeAlias = NDArray[np.float64]

_SpatialFrequency: TypeAlias = Annotated[float, Field(gt=0, lt=0.5)]
_Instant: TypeAlias = Annotated[int, Field(ge=0)]


def visar_phase(
    image: xr.DataArray,
    *,
    low: _SpatialFrequency = 0.015,
    high: _SpatialFrequency = 0.06,
    along: ProfileAxis = "columns",
    origin: _Instant = 0,
) -> xr.DataArray:
    """Measure the phase of fringes, by Fourier filtering, followed in time.

    For each instant: the fast Fourier transform across the fringes (`scipy.fft.rfft`); frequencies from `low` to `high`
    are kept; of the inverse transform the angle. It is unwrapped along time (`numpy.unwrap`): no step from one instant
    to the next is more than half a turn. The phase grows where fringes move towards the first row.

    The phase holds the carrier too, and from row to row it may be off by whole turns; `visar_phase_shift` is free of
    both. Where there are no fringes it is noise, and follows noise: see `fringe_contrast`. An image with overscan is
    cropped before, since an edge of the picture holds all frequencies. NaN spoils its whole instant, which becomes NaN,
    and the phase is followed across it. Saturated fringes are flat on top: their harmonics lie outside of the band,
    so the phase is nearly right; the contrast is not.

    Args:
        image: counts, of any type; its last two dimensions are rows and columns. Frames are handled each for itself.
        low: the lowest frequency of the fringes, in cycles per pixel: the inverse of the widest fringe.
        high: the highest; the band must hold the carrier and not twice the carrier.
        along: what time runs along: from column to column, or from row to row.
        origin: the instant from which the phase is followed, where it lies between -π and π: one with light.

    Returns:
        The phase in radians, float32.
    """
    wave = partial(_filter_fringes, low=low, high=high)
    phase = _apply_to_instants(lambda counts: np.angle(wave(counts)), along, np.float64, image)
    return _unwrap_frames(phase, origin, image)


def visar_phase_shift(  # noqa: PLR0913 — each option is one thing to say of fringes
    image: xr.DataArray,
    reference: xr.DataArray,
    *,
    low: _SpatialFrequency = 0.015,
    high: _SpatialFrequency = 0.06,
    along: ProfileAxis = "columns",
    origin: _Instant = 0,
    rotated: bool = False,
) -> xr.DataArray:
    """Measure how far fringes have moved since the reference was taken: what is proportional to the velocity.

    Both images are filtered as in `visar_phase`, which gives the waves S and R. The shift is the angle of
    ``S conj(R)``, unwrapped along time. So what both have in common, the carrier and the bent optics, is taken off
    before anything is unwrapped. The rules for NaN, saturation and darkness are those of `visar_phase`.

    Args:
        image: counts, of any type; its last two dimensions are rows and columns. Frames are handled each for itself.
        reference: the fringes without the shock, of the same dimensions, or without those of the frames.
        low: the lowest frequency of the fringes, in cycles per pixel: the inverse of the widest fringe.
        high: the highest; the band must hold the carrier and not twice the carrier.
        along: what time runs along: from column to column, or from row to row.
        origin: the instant from which the shift is followed, where it lies between -π and π: one with light, before
            anything moves.
        rotated: whether the reference was read out the other way round, and is turned by 180 degrees before.

    Returns:
        The shift in radians, float32; it grows where fringes move towards the first row. One turn, 2π, is one fringe.
    """
    turned = reference.copy(data=reference.values[..., ::-1, ::-1]) if rotated else reference
    wave = partial(_filter_fringes, low=low, high=high)

    def compute_shift(counts: Values, before: Values) -> Values:
        return np.asarray(np.angle(wave(counts) * np.conj(wave(before))))

    return _unwrap_frames(_apply_to_instants(compute_shift, along, np.float64, image, turned), origin, image)


def fringe_contrast(
    image: xr.DataArray,
    *,
    low: _SpatialFrequency = 0.015,
    high: _SpatialFrequency = 0.06,
    along: ProfileAxis = "columns",
) -> xr.DataArray:
    """Measure the contrast of fringes: how far their phase can be trusted.

    The formula is ``A / B``: the amplitude of what lies from `low` to `high`, over the mean, what lies below `low`. It
    is 1 for fringes that go down to zero, and near 0 where there are none; at the edges of the light, where the mean is
    not known well, it may be more than 1, or missing. The background must have been subtracted.

    Args:
        image: counts, of any type; its last two dimensions are rows and columns. Frames are handled each for itself.
        low: the lowest frequency of the fringes, in cycles per pixel.
        high: the highest.
        along: what time runs along: from column to column, or from row to row.

    Returns:
        The contrast, float32; NaN where the mean is not above zero, and in instants that hold a NaN.
    """
    from scipy.fft import irfft, rfft, rfftfreq  # noqa: PLC0415 — scipy.fft takes 0.2 s to import

    def compute_contrast(counts: Values) -> Values:
        across = counts.shape[-1]
        mean = np.asarray(irfft(np.asarray(rfft(counts)) * (rfftfreq(across) < low), n=across))
        return np.asarray(
            np.divide(abs(_filter_fringes(counts, low, high)), mean, out=np.full_like(mean, np.nan), where=mean > 0)
        )

    return _apply_to_instants(compute_contrast, along, np.float32, image).transpose(*image.dims)


def _apply_to_instants(
    function: Callable[..., Values], along: ProfileAxis, dtype: DTypeLike, image: xr.DataArray, *others: xr.DataArray
) -> xr.DataArray:
    """Apply a function to the instants of images, in bands: a spectrum of all takes 16 bytes a pixel.

    Args:
        function: of the instants of each image (instants, pixels across the fringes), float64; returns as many values.
        along: the direction of time.
        dtype: the type of the results.
        image: has the dimensions of the result.
        others: of the image's dimensions, or without those of the frames.

    Returns:
        The values, with the dimensions of the image transposed so that time is the last but one.
    """
    *frames, rows, columns = image.dims
    transposed = image.transpose(*frames, *((columns, rows) if along == "columns" else (rows, columns)))
    inputs = [transposed.values]
    for each in others:
        other = each.transpose(*(name for name in transposed.dims if name in each.dims))
        new = tuple(axis for axis, name in enumerate(transposed.dims) if name not in each.dims)
        inputs.append(np.broadcast_to(np.expand_dims(other.values, new), transposed.shape))
    result = np.empty(transposed.shape, dtype)
    for frame in np.ndindex(transposed.shape[:-2]):
        for band in iter_bands(transposed.shape[-2]):
            result[frame][band] = function(*(each[frame][band].astype(np.float64) for each in inputs))
    return xr.DataArray(result, transposed.coords, transposed.dims)


def _filter_fringes(instants: Values, low: float, high: float) -> NDArray[np.complex128]:
    """Compute the wave ``A exp(i (2π f y + φ))`` of the fringes, which cross the last dimension, for each instant."""
    from scipy.fft import ifft, rfft, rfftfreq  # noqa: PLC0415 — scipy.fft takes 0.2 s to import

    across = instants.shape[-1]
    frequencies = rfftfreq(across)
    band = np.where((frequencies >= low) & (frequencies <= high), 2, 0)  # 2: the other half is at negative frequencies
    return np.asarray(ifft(rfft(instants) * band, n=across))


def _unwrap_frames(phase: xr.DataArray, origin: int, image: xr.DataArray) -> xr.DataArray:
    """Unwrap phases along time, starting at one instant, and restore the order of the image's dimensions.

    Instants with a NaN are passed over. Memory is needed for one band of pixels at a time.
    """
    result = np.full(phase.shape, np.nan, np.float32)
    for index in np.ndindex(phase.shape[:-2]):
        frame = phase.values[index]
        known = np.flatnonzero(~np.isnan(frame).any(axis=1))
        if len(known):
            start = np.argmin(np.abs(known - origin))
            for band in iter_bands(frame.shape[1]):
                wrapped = frame[known, band]
                unwrapped = np.unwrap(wrapped, axis=0)
                result[index][known, band] = unwrapped + (wrapped[start] - unwrapped[start])
    return phase.copy(data=result).transpose(*image.dims)


def _visar_phase_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    footprint = _fringes_footprint(inputs, options)
    rows, columns = find_image_dimensions(footprint.sizes)
    time = columns if options.along == "columns" else rows
    if options.origin >= footprint.sizes[time]:
        raise ValueError(f"{time} ends with {footprint.sizes[time] - 1}, and the origin {options.origin} is beyond it")
    return footprint


def _fringes_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    for sizes in inputs:
        find_image_dimensions(sizes)
    if options.low >= options.high:
        raise ValueError(f"low must be less than high; they are {options.low} and {options.high} cycles per pixel")
    return whole(inputs, options)


_MEMORY: Final = WorkingMemory(16, fixed=16 << 20)

TRANSFORMS = (
    Transform(visar_phase, _visar_phase_footprint, units="radian", long_name="phase of the fringes", memory=_MEMORY),
    Transform(
        visar_phase_shift,
        _visar_phase_footprint,
        units="radian",
        long_name="phase of the fringes since the reference",
        memory=_MEMORY,
    ),
    Transform(fringe_contrast, _fringes_footprint, units="1", long_name="contrast of the fringes", memory=_MEMORY),
)
