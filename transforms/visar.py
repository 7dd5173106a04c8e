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

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from shotdap.transforms.footprint import Footprint, Sizes, image_dimensions, whole
from shotdap.transforms.transform import Options, Transform

__all__ = ["TRANSFORMS", "fringe_contrast", "visar_phase", "visar_phase_shift"]

Phase: TypeAlias = NDArray[np.floating[Any]]

Along: TypeAlias = Literal["columns", "rows"]
Frequency: TypeAlias = Annotated[float, Field(gt=0, lt=0.5)]
Instant: TypeAlias = Annotated[int, Field(ge=0)]


def visar_phase(
    image: xr.DataArray,
    *,
    low: Frequency = 0.015,
    high: Frequency = 0.06,
    along: Along = "columns",
    origin: Instant = 0,
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
    return _followed(_fringes(image, low, high, along), origin).transpose(*image.dims)


def visar_phase_shift(  # noqa: PLR0913 — each option is one thing to say of fringes
    image: xr.DataArray,
    reference: xr.DataArray,
    *,
    low: Frequency = 0.015,
    high: Frequency = 0.06,
    along: Along = "columns",
    origin: Instant = 0,
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
    shift = _fringes(image, low, high, along) * np.conj(_fringes(turned, low, high, along))
    return _followed(shift, origin).transpose(*image.dims)


def fringe_contrast(
    image: xr.DataArray, *, low: Frequency = 0.015, high: Frequency = 0.06, along: Along = "columns"
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
    mean = _mean(image, low, along)
    contrast = abs(_fringes(image, low, high, along)) / mean.where(mean > 0)
    return contrast.astype(np.float32).transpose(*image.dims)


def _fringes(image: xr.DataArray, low: float, high: float, along: Along) -> xr.DataArray:
    """The wave ``A exp(i (2π f y + φ))`` of the fringes, instant by instant: fringes lie across the last dimension."""
    from scipy.fft import ifft  # noqa: PLC0415 — scipy.fft takes 0.2 s to import

    instants = _instants(image, along)
    spectrum, frequencies = _spectrum(instants)
    band = np.where((frequencies >= low) & (frequencies <= high), 2, 0)  # 2: the other half is at negative frequencies
    return instants.copy(data=ifft(spectrum * band, n=instants.shape[-1]))


def _mean(image: xr.DataArray, low: float, along: Along) -> xr.DataArray:
    """What varies more slowly than the fringes, instant by instant."""
    from scipy.fft import irfft  # noqa: PLC0415 — scipy.fft takes 0.2 s to import

    instants = _instants(image, along)
    spectrum, frequencies = _spectrum(instants)
    return instants.copy(data=irfft(spectrum * (frequencies < low), n=instants.shape[-1]))


def _spectrum(instants: xr.DataArray) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """The spectrum of each instant, and its frequencies in cycles per pixel."""
    from scipy.fft import rfft, rfftfreq  # noqa: PLC0415 — scipy.fft takes 0.2 s to import

    return np.asarray(rfft(instants.values.astype(np.float64))), np.asarray(rfftfreq(instants.shape[-1]), np.float64)


def _instants(image: xr.DataArray, along: Along) -> xr.DataArray:
    """An image with its instants one after the other: time is the last dimension but one."""
    *frames, rows, columns = image.dims
    return image.transpose(*frames, columns, rows) if along == "columns" else image.transpose(*frames, rows, columns)


def _followed(wave: xr.DataArray, origin: int) -> xr.DataArray:
    """The angle of a wave, unwrapped along time, away from one instant."""
    phase = np.angle(wave.values)
    frames = [_unwrapped(frame, origin) for frame in phase.reshape(-1, *phase.shape[-2:])]
    return wave.copy(data=np.stack(frames).reshape(phase.shape).astype(np.float32))


def _unwrapped(phase: Phase, origin: int) -> Phase:
    """The phases of a frame, unwrapped along time; instants that are NaN are passed over."""
    known = np.flatnonzero(~np.isnan(phase).any(axis=1))
    unwrapped = np.full_like(phase, np.nan)
    if len(known):
        followed = np.unwrap(phase[known], axis=0)
        at = np.argmin(np.abs(known - origin))
        unwrapped[known] = followed + (phase[known[at]] - followed[at])
    return unwrapped


def _of_phase(inputs: Sequence[Sizes], options: Options) -> Footprint:
    footprint = _of_fringes(inputs, options)
    rows, columns = image_dimensions(footprint.sizes)
    time = columns if options.along == "columns" else rows
    if options.origin >= footprint.sizes[time]:
        raise ValueError(f"{time} ends with {footprint.sizes[time] - 1}, and the origin {options.origin} is beyond it")
    return footprint


def _of_fringes(inputs: Sequence[Sizes], options: Options) -> Footprint:
    for sizes in inputs:
        image_dimensions(sizes)
    if options.low >= options.high:
        raise ValueError(f"low must be less than high; they are {options.low} and {options.high} cycles per pixel")
    return whole(inputs, options)


TRANSFORMS = (
    Transform(visar_phase, _of_phase, units="radian", long_name="phase of the fringes"),
    Transform(visar_phase_shift, _of_phase, units="radian", long_name="phase of the fringes since the reference"),
    Transform(fringe_contrast, _of_fringes, units="1", long_name="contrast of the fringes"),
)
