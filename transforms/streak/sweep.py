"""Sweeps: time as a polynomial of the pixel, laid through the peaks of a comb.

Strategy: peaks that are off are found first, by a fit that they pull little (the loss grows with the error, not with
its square); the others are then fitted by least squares, as is usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.polynomial import Legendre, Polynomial
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray
from scipy.optimize import least_squares

from shotdap.transforms.streak.comb import Profile, count_periods, is_evenly_spaced

_MAD_TO_SIGMA: Final = 1.4826  # the standard deviation over the median deviation, of a normal law
_OUTLIER_SIGMAS: Final = 5.0  # standard deviations
_MIN_OUTLIER_ERROR: Final = 0.02  # of a period: what is off by less is no outlier, however well the others fit
_MAX_RMS_RESIDUAL: Final = 0.25  # of a period: with a residual of more, peaks may have been miscounted


@dataclass(frozen=True, eq=False)
class Sweep:
    """A polynomial from pixels to picoseconds."""

    polynomial: Polynomial
    """The time is 0 near the first peak that was fitted; the polynomial is scaled to the pixels of the peaks."""
    centres: Profile
    """The pixels of the peaks that it was fitted to."""
    inliers: NDArray[np.bool_]
    """Which peaks these are, of all."""
    residuals: Profile
    """Their times less the fitted ones, in ps."""

    @property
    def rms_residual(self) -> float:
        """The RMS of the residuals, in ps."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    def compute_coefficients(self, origin: float | None, start: float) -> Profile:
        """Of 1, x, x², …, the time being `start` at the pixel `origin`: by default, at the first peak."""
        coefficients = np.zeros(self.polynomial.degree() + 1)
        converted = self.polynomial.convert().coef  # without the zeros that it ends with
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
        The sweep; `None` where fewer than order + 2 peaks are near one line, where these are irregular, or where time
        would not increase from the first to the last.
    """
    if len(centres) < order + 2 or (np.diff(centres) <= 0).any():
        return None
    times = np.asarray(period * count_periods(centres), np.float64)
    off = np.abs(_compute_robust_residuals(centres, times, order, _MIN_OUTLIER_ERROR * period))
    used = off <= max(_OUTLIER_SIGMAS * _MAD_TO_SIGMA * float(np.median(off)), _MIN_OUTLIER_ERROR * period)
    if used.sum() < order + 2 or not is_evenly_spaced(centres[used]):
        return None
    line = Polynomial.fit(centres[used], times[used], order)
    sweep = Sweep(line, centres[used], used, times[used] - line(centres[used]))
    return sweep if sweep.rms_residual <= _MAX_RMS_RESIDUAL * period and _is_increasing(sweep) else None


def _compute_robust_residuals(centres: Profile, times: Profile, order: int, scale: float) -> Profile:
    """What a fit leaves over in which errors much larger than the scale count by their size, not its square."""
    start = Legendre.fit(centres, times, order)
    terms = legvander(start.mapparms()[0] + start.mapparms()[1] * centres, order)
    fit = least_squares(
        lambda coefficients: terms @ coefficients - times,
        start.coef,
        loss="soft_l1",
        f_scale=scale,
    )
    return np.asarray(times - terms @ fit.x)


def _is_increasing(sweep: Sweep) -> bool:
    """Whether time goes on from the first peak to the last."""
    between = np.linspace(sweep.centres[0], sweep.centres[-1], 1000)
    return bool((sweep.polynomial.deriv()(between) > 0).all())
