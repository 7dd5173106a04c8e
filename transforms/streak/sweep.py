"""Sweeps: time as a polynomial of the pixel, fitted to the peaks of a comb.

Strategy: outliers are found first, by a fit that they influence little (the loss grows with the error, not with its
square); the other peaks are then fitted by least squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.polynomial import Legendre, Polynomial
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray
from scipy.optimize import least_squares

from shotdap.transforms.neighbours import MAD_TO_SIGMA
from shotdap.transforms.streak.comb import Profile, count_periods, is_evenly_spaced

_OUTLIER_SIGMAS: Final = 5.0  # standard deviations
_MIN_OUTLIER_ERROR: Final = 0.02  # of a period: a peak with a smaller error is no outlier, however well others fit
_MAX_RMS_RESIDUAL: Final = 0.25  # of a period: with a residual of more, peaks may have been miscounted


@dataclass(frozen=True, eq=False)
class Sweep:
    """A polynomial from pixels to picoseconds."""

    polynomial: Polynomial
    """The polynomial, scaled to the pixels of the peaks; the time is 0 near the first fitted peak."""
    centres: Profile
    """The pixels of the fitted peaks."""
    inliers: NDArray[np.bool_]
    """For all peaks, whether they were fitted."""
    residuals: Profile
    """The times of the fitted peaks minus those of the polynomial, in ps."""

    @property
    def rms_residual(self) -> float:
        """The RMS of the residuals, in ps."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    def compute_coefficients(self, origin: float | None, start: float) -> Profile:
        """Compute the coefficients of 1, x, x², … for the time `start` at the pixel `origin`, or at the first peak."""
        coefficients = np.zeros(self.polynomial.degree() + 1)
        converted = self.polynomial.convert().coef  # without zeros at its end
        coefficients[: len(converted)] = converted
        coefficients[0] += start - self.polynomial(self.centres[0] if origin is None else origin)
        return coefficients


def fit_sweep(centres: Profile, period: float, order: int) -> Sweep | None:
    """Fit a polynomial through the peaks of a comb.

    Args:
        centres: their pixels, ascending.
        period: picoseconds from one to the next.
        order: of the polynomial.

    Returns:
        The sweep; `None` if fewer than order + 2 peaks are near one line, if these are irregular, or if time would not
        increase from the first to the last.
    """
    if len(centres) < order + 2 or (np.diff(centres) <= 0).any():
        return None
    times = np.asarray(period * count_periods(centres), np.float64)
    start = Legendre.fit(centres, times, order)
    terms = legvander(start.mapparms()[0] + start.mapparms()[1] * centres, order)
    robust = least_squares(  # errors much larger than the scale count by their size, not by its square
        lambda coefficients: terms @ coefficients - times,
        start.coef,
        loss="soft_l1",
        f_scale=_MIN_OUTLIER_ERROR * period,
    )
    errors = np.abs(np.asarray(times - terms @ robust.x))
    used = errors <= max(_OUTLIER_SIGMAS * MAD_TO_SIGMA * float(np.median(errors)), _MIN_OUTLIER_ERROR * period)
    if used.sum() < order + 2 or not is_evenly_spaced(centres[used]):
        return None
    line = Polynomial.fit(centres[used], times[used], order)
    sweep = Sweep(line, centres[used], used, times[used] - line(centres[used]))
    pixels = np.linspace(sweep.centres[0], sweep.centres[-1], 1000)
    is_increasing = (line.deriv()(pixels) > 0).all()
    return sweep if is_increasing and sweep.rms_residual <= _MAX_RMS_RESIDUAL * period else None
