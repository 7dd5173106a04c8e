"""When each pixel of a streak was: time axes from the comb that the camera recorded, or from its nominal sweep.

Strategy: three steps, each a variable that can be looked at. `comb_peaks` finds the peaks, in pixels; `comb_fit` lays
a polynomial through them, and states what is left over; `comb_time` evaluates that at pixels. Where no comb is found,
or one that cannot be told from another, all three are missing: see the rules of `combs`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray
from pydantic import Field

from shotdap.transforms.geometry import Bounds
from shotdap.transforms.virtual.footprint import (
    Along,
    Footprint,
    Sizes,
    WorkingMemory,
    find_image_dimensions,
    pointwise,
    whole,
)
from shotdap.transforms.virtual.transform import Options, Transform

FIDUCIAL_PERIOD: Final = 548.24
"""Picoseconds between two peaks of OMEGA's fiducial laser."""

_SOP_WINDOWS: Final = (96.0, 46.0, 17.0, 6.0)
"""Nanoseconds that the sweeps 1 to 4 of OMEGA's streaked optical pyrometer (SOP) take, nominally."""

_Profile: TypeAlias = NDArray[np.float64]

_Period: TypeAlias = Annotated[float, Field(gt=0, le=1e6)]
_Frequency: TypeAlias = Annotated[float, Field(gt=0, le=1e4)]
_PolynomialOrder: TypeAlias = Annotated[int, Field(ge=1, le=9)]

_QUALITY_TERMS: Final = 4  # terms of a fit after its coefficients: residual, number of peaks, first and last peak
_PIXELS_PER_PEAK: Final = 4  # pixels for each peak; `comb` does not separate closer ones


def comb_peaks(
    image: xr.DataArray,
    *,
    band: Bounds | None = None,
    along: Literal["columns", "rows"] = "columns",
    height: Annotated[int, Field(ge=1, le=256)] = 16,
) -> xr.DataArray:
    """Find the peaks of a comb: equal times, which a streak camera records beside the picture.

    The band is looked through in strips of some rows, each overlapping half of the next. A strip's profile is the
    median of its rows. `scipy.signal.find_peaks` finds what stands out of it; a peak's centre is half way between the
    points at half its height. Of the strips that hold five regular peaks or more, the one with most light counts.

    A background that varies slowly does no harm, and neither do hot pixels, a missing peak, or saturated peaks, whose
    flat tops have a middle too. NaN is left out of the medians, as is infinity; a strip of which a whole column is NaN
    is passed over. Nothing is found where there is no comb, and where strips hold combs whose spacings differ by more
    than 4 %: then the band must say which is meant. ROSS cameras record two combs: see `comb_fit`.

    Args:
        image: counts, of any type; its last two dimensions are rows and columns. Frames are handled each for itself.
        band: the first and the last of the rows among which the comb is looked for (of the columns, where time runs
            along rows); all by default.
        along: what time runs along: from column to column, or from row to row.
        height: how many rows (or columns) a strip has; not more than the comb is high.

    Returns:
        Where the peaks are, in pixels and parts of a pixel, ascending, float64; NaN behind the last. There is room for
        one peak every four pixels.
    """
    from shotdap.transforms.streak.comb import find_comb  # noqa: PLC0415 — scipy.signal takes 0.7 s to import

    rows, columns = _order_dimensions(image.dims, along)
    picture = image if band is None else image.isel({rows: slice(band[0], band[1] + 1)})
    room = image.sizes[columns] // _PIXELS_PER_PEAK

    def find_centres(counts: NDArray[Any]) -> _Profile:
        comb = find_comb(np.where(np.isfinite(counts), counts, np.nan).astype(np.float64, copy=False), height)
        centres = comb.centres[:room] if comb else np.empty(0)
        return np.pad(centres, (0, room - len(centres)), constant_values=np.nan)

    return _apply_along_dimensions(find_centres, picture, [rows, columns], "peak")


def comb_fit(  # noqa: PLR0913 — each option is one thing to say of a comb
    peaks: xr.DataArray,
    *,
    period: _Period = FIDUCIAL_PERIOD,
    frequency: _Frequency | None = None,
    order: _PolynomialOrder = 2,
    origin: Annotated[float, Field(ge=-1e5, le=1e5)] | None = None,
    start: Annotated[float, Field(ge=-1e9, le=1e9)] = 0,
) -> xr.DataArray:
    """Fit a polynomial through the peaks of a comb: time in picoseconds as a function of the pixel.

    The formula is ``t = c + b x + a x² + …``, by least squares (`numpy.polynomial.Polynomial.fit`). The peaks are
    numbered by their distances, so one that is missing leaves a gap. Peaks that are off by more than five standard
    deviations (as the median deviation from a robust fit, `scipy.optimize.least_squares`, tells them), and by more than
    2 % of the period, are left out.

    The period decides the scale of the axis. OMEGA's fiducial laser has 548.24 ps; the comb generator of a ROSS camera
    has 500 ps at 2 GHz, and the attribute ``OCM_CombFrequency`` says its frequency.

    Args:
        peaks: pixels, ascending, of the comb's peaks; NaN is left out.
        period: picoseconds from one peak to the next.
        frequency: of the comb, in GHz; where it is given, the period is 1000 / frequency.
        order: of the polynomial.
        origin: the pixel where the time is `start`; where the fitted line has its first peak, by default.
        start: the time there, in picoseconds.

    Returns:
        float64, order + 5 terms: the coefficients of 1, x, x², … in ps/pixel^k; the residual, which is the RMS of what
        the fit leaves over, in ps; how many peaks it was fitted to; the first and the last of these, in pixels. All are
        NaN, and the peaks 0, where there are fewer than order + 2 peaks, where they are irregular or miss a third,
        where the residual is more than a quarter of the period, or where time would not increase from the first peak to
        the last.
    """
    from shotdap.transforms.streak.sweep import fit_sweep  # noqa: PLC0415 — scipy.optimize takes 0.5 s to import

    def fit_terms(pixels: _Profile) -> _Profile:
        sweep = fit_sweep(pixels[~np.isnan(pixels)], 1000 / frequency if frequency else period, order)
        if sweep is None:
            return np.array([*[np.nan] * (order + 2), 0, np.nan, np.nan])
        quality = (sweep.rms_residual, len(sweep.centres), sweep.centres[0], sweep.centres[-1])
        return np.array([*sweep.compute_coefficients(origin, start), *quality])

    return _apply_along_dimensions(fit_terms, peaks, [peaks.dims[-1]], "term")


def comb_residuals(
    peaks: xr.DataArray,
    *,
    period: _Period = FIDUCIAL_PERIOD,
    frequency: _Frequency | None = None,
    order: _PolynomialOrder = 2,
) -> xr.DataArray:
    """Say how far each peak of a comb is from the fit: to judge a time axis by.

    Args:
        peaks: pixels, ascending, of the comb's peaks; NaN is left out.
        period: picoseconds from one peak to the next.
        frequency: of the comb, in GHz; where it is given, the period is 1000 / frequency.
        order: of the polynomial, as in `comb_fit`.

    Returns:
        The peak's time less the fit's there, in ps, float64; NaN for peaks that the fit rejected, and all NaN where
        nothing can be fitted.
    """
    from shotdap.transforms.streak.sweep import fit_sweep  # noqa: PLC0415 — scipy.optimize takes 0.5 s to import

    def compute_residuals(pixels: _Profile) -> _Profile:
        peaks = np.flatnonzero(~np.isnan(pixels))
        sweep = fit_sweep(pixels[peaks], 1000 / frequency if frequency else period, order)
        residuals = np.full(len(pixels), np.nan)
        if sweep is not None:
            residuals[peaks[sweep.inliers]] = sweep.residuals
        return residuals

    return _apply_along_dimensions(compute_residuals, peaks, [peaks.dims[-1]], peaks.dims[-1])


def comb_time(
    columns: xr.DataArray, fit: xr.DataArray, *, beyond: Annotated[float, Field(ge=0)] | None = None
) -> xr.DataArray:
    """Evaluate the fit of a comb at pixels: the time axis of a streak.

    The formula is ``t = c + b x + a x² + …``. Outside of the peaks it is an extrapolation, the wilder the higher the
    order: one of order 5 through eight peaks is off by microseconds at the far end of a picture.

    Args:
        columns: the numbers of the pixels along which time runs: of columns, or of rows.
        fit: the terms that `comb_fit` gives.
        beyond: how many pixels before the first peak and behind the last there is still a time; everywhere by default.

    Returns:
        Time in ps, float64; NaN where there is no fit, and farther beyond the peaks.
    """
    terms = fit.dims[-1]
    coefficients = np.moveaxis(fit.values[..., :-_QUALITY_TERMS], -1, 0)
    pixels = xr.DataArray(columns.values.astype(np.float64), dims=columns.dims)
    times = xr.DataArray(polyval(pixels.values, coefficients), dims=(*fit.dims[:-1], *columns.dims))
    if beyond is None:
        return times
    first, last = fit.isel({terms: -2}), fit.isel({terms: -1})
    return times.where((pixels >= first - beyond) & (pixels <= last + beyond))


def nominal_time(
    columns: xr.DataArray,
    *,
    speed: Annotated[int, Field(ge=1)],
    windows_ns: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=16)] = _SOP_WINDOWS,
    pixels: Annotated[int, Field(ge=1, le=65_536)] = 1049,
    origin: Annotated[float, Field(ge=-1e5, le=1e5)] = 0,
) -> xr.DataArray:
    """Tell the time along a streak by the camera's nominal sweep, as if it were linear.

    The formula is ``t = (x - origin) * window / pixels``. It is a first guess: real sweeps differ from their nominal
    windows by some 10 %, and bend. A comb tells more.

    Args:
        columns: the numbers of the pixels along which time runs.
        speed: which sweep, counted from 1: the attribute ``SweepSpeed`` of ROSS cameras.
        windows_ns: for each sweep how long it takes, in ns; by default those of OMEGA's SOP, and no other camera's.
        pixels: how many pixels it takes that for: those of the active area.
        origin: the pixel where time is zero.

    Returns:
        Time in ns, float64.
    """
    return (columns.astype(np.float64) - origin) * (windows_ns[speed - 1] / pixels)


def _apply_along_dimensions(
    function: Callable[[NDArray[Any]], _Profile], array: xr.DataArray, dimensions: Sequence[Hashable], new: Hashable
) -> xr.DataArray:
    """Apply a function to each frame of an array; it reduces some dimensions to a new one."""
    result: xr.DataArray = xr.apply_ufunc(
        function,
        array.compute(),  # a notebook may have a dask array
        input_core_dims=[dimensions],
        output_core_dims=[[new]],
        vectorize=True,
        keep_attrs=False,
    )
    return result


def _order_dimensions(dimensions: Sequence[Hashable], along: str) -> tuple[Hashable, Hashable]:
    """Return the dimension across the comb, and the dimension of time."""
    rows, columns = dimensions[-2:]
    return (rows, columns) if along == "columns" else (columns, rows)


def _comb_peaks_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    (sizes,) = inputs
    find_image_dimensions(sizes)
    high, time = map(str, _order_dimensions(list(sizes), options.along))
    if options.band is not None and options.band[1] >= sizes[high]:
        raise ValueError(f"{high} ends with {sizes[high] - 1}, and {options.band[1]} is beyond it")
    return Footprint({**_drop_dimensions(sizes, [high, time]), "peak": sizes[time] // _PIXELS_PER_PEAK}, is_whole=True)


def _comb_fit_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    (sizes,) = inputs
    if not sizes:
        raise ValueError("it needs the peaks of a comb, as comb_peaks gives them; this is one number")
    return Footprint(
        {**_drop_dimensions(sizes, list(sizes)[-1:]), "term": options.order + 1 + _QUALITY_TERMS}, is_whole=True
    )


def _comb_time_footprint(inputs: Sequence[Sizes], _options: Options) -> Footprint:
    columns, fit = inputs
    terms = list(fit)[-1] if fit else ""
    if len(columns) != 1 or fit.get(terms, 0) < 2 + _QUALITY_TERMS or set(fit) & set(columns):
        raise ValueError("it needs the numbers of pixels, along one dimension, and the terms that comb_fit gives")
    return Footprint({name: Along(name, size) for name, size in {**dict(list(fit.items())[:-1]), **columns}.items()})


def _nominal_time_footprint(inputs: Sequence[Sizes], options: Options) -> Footprint:
    if options.speed > len(options.windows_ns):
        raise ValueError(f"there are {len(options.windows_ns)} sweeps in windows_ns, and speed is {options.speed}")
    return pointwise(inputs, options)


def _drop_dimensions(sizes: Sizes, gone: Sequence[str]) -> dict[str, Along | int]:
    return {name: Along(name, size) for name, size in sizes.items() if name not in gone}


_FIT_MEMORY: Final = WorkingMemory(1024)  # of each peak; a comb has a few hundred

TRANSFORMS = (
    Transform(
        comb_peaks,
        _comb_peaks_footprint,
        dtype="float64",
        units="pixel",
        long_name="peaks of the comb",
        memory=WorkingMemory(20),
    ),
    Transform(
        comb_fit,
        _comb_fit_footprint,
        dtype="float64",
        units="",  # each term has its own
        long_name="polynomial from pixels to picoseconds, fitted to the comb",
        attributes={"terms": "coefficients of 1 x x^2 ..., RMS residual (ps), peaks, first and last peak (pixel)"},
        memory=_FIT_MEMORY,
    ),
    Transform(
        comb_residuals,
        whole,
        dtype="float64",
        units="ps",
        long_name="times of the comb less the fitted ones",
        memory=_FIT_MEMORY,
    ),
    Transform(
        comb_time,
        _comb_time_footprint,
        dtype="float64",
        units="ps",
        long_name="time, measured by the comb",
        memory=WorkingMemory(64),
    ),
    Transform(
        nominal_time,
        _nominal_time_footprint,
        dtype="float64",
        units="ns",
        long_name="time by the nominal sweep",
        memory=WorkingMemory(32),
    ),
)
