"""Combs: rows of peaks at equal times, which streak cameras record beside the picture.

Strategy: the spacing is estimated first, from the autocorrelation of a profile; the search for peaks is then scaled to
it, so the same code finds combs with spacings of 10 and of 90 pixels. Peaks are numbered by their distances, each
measured in the spacing *near it*, because no sweep is quite linear; so a missing peak leaves a gap in the numbers and
changes nothing else.

Rule 1: an uncertain comb is no comb. A missing time axis is noticed; a wrong one is believed.
Rule 2: of two different combs none is chosen. OMEGA's streak cameras record two, the laser's fiducial (548.24 ps) and
the camera's own comb generator (500 ps at 2 GHz), and confusing them is an error of 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter, percentile_filter, white_tophat
from scipy.signal import correlate, find_peaks

from shotdap.transforms.neighbours import MAD_TO_SIGMA

Profile: TypeAlias = NDArray[np.float64]

_MIN_AUTOCORRELATION_PROMINENCE: Final = 0.3  # of its second maximum: 0.5 to 1.5 for real combs, 0.2 for noise
_MIN_SPACING: Final = 4  # pixels between two peaks; closer ones are not told apart
_MIN_PEAKS: Final = 5  # peaks: four spacings that agree are no accident
_MIN_PEAK_DISTANCE: Final = 0.65  # of the spacing: of two peaks that are closer, the higher one counts
_MIN_SIGNAL_TO_NOISE: Final = 5.0  # standard deviations of the noise that a peak stands out by
_MIN_RELATIVE_PROMINENCE: Final = 0.25  # of the `_MIN_PEAKS`-th strongest peak; a comb's differ by less than 3 times
_MAX_IRREGULARITY: Final = 0.1  # of a spacing, the RMS error of the spacings; 0.29 if peaks were scattered at random
_MAX_END_ERROR: Final = 0.15  # of a spacing: a peak at an end that is farther off is cut by the edge, or a stray one
_MAX_GAP: Final = 3  # spacings; across more than that, peaks cannot be counted safely
_MAX_MISSING_FRACTION: Final = 1 / 3  # of the peaks; with fewer left than that leaves, numbers are guesses
_MAX_SPACING_RATIO: Final = 1.8  # the widest spacing over the closest; sweeps change by less than half
_MAX_SPACING_JUMP: Final = 1.2  # one spacing over the one before it; sweeps change by a few per cent
_MIN_RELATIVE_STRENGTH: Final = 0.02  # of the strongest comb: fainter combs are not compared with it
_SPACING_TOLERANCE: Final = 0.04  # relative difference of spacings: a camera's distortion is less, two sources' more


@dataclass(frozen=True, eq=False)
class Comb:
    """The peaks of a comb, in pixels and in periods."""

    centres: Profile
    """The positions of the peaks, ascending, in pixels and fractions of a pixel."""
    strength: float
    """The median of the peaks' prominences, in counts."""

    @property
    def periods(self) -> NDArray[np.int64]:
        """The number of periods from the first peak to each."""
        return count_periods(self.centres)

    @property
    def total_strength(self) -> float:
        """The sum of its peaks' strengths."""
        return self.strength * len(self.centres)

    def interpolate_spacing(self, pixels: Profile) -> Profile:
        """Interpolate the pixels from one period to the next, at some pixels."""
        middles = (self.centres[1:] + self.centres[:-1]) / 2
        return np.asarray(np.interp(pixels, middles, np.diff(self.centres) / np.diff(self.periods)))


def count_periods(centres: Profile) -> NDArray[np.int64]:
    """Count the periods from the first peak to each: gaps, in units of the spacing near each."""
    return np.concatenate([[0], np.cumsum(np.maximum(np.rint(_compute_relative_gaps(centres)), 1))]).astype(np.int64)


def _compute_relative_gaps(centres: Profile) -> Profile:
    """Compute the gaps between peaks, in spacings."""
    return np.diff(centres) / _measure_local_spacings(centres)


def _measure_local_spacings(centres: Profile) -> Profile:
    """Measure the spacing near each gap.

    First a gap is counted in units of the shorter ones around it, since a missing peak makes gaps longer, never
    shorter; then the median is taken of the resulting spacings.
    """
    gaps = np.diff(centres)
    periods = np.maximum(np.rint(gaps / percentile_filter(gaps, 25, size=9, mode="mirror")), 1)
    return np.asarray(median_filter(gaps / periods, size=5, mode="mirror"))


def find_comb(picture: NDArray[np.float64], height: int) -> Comb | None:
    """Find the comb of a picture whose columns are instants.

    The picture is searched in strips, each overlapping half of the next. The profile of a strip is the median of its
    rows, which hot pixels do not change.

    Args:
        picture: rows and columns; NaN for missing values.
        height: rows of a strip; not higher than the comb.

    Returns:
        The comb with most light; `None` if there is none, or if strips have combs of different spacings.
    """
    combs = []
    last = max(0, len(picture) - height)
    for first in sorted({*range(0, last + 1, max(1, height // 2)), last}):
        strip = picture[first : first + height]
        if not np.isnan(strip).all(axis=0).any():
            comb = find_comb_in_profile(np.asarray(np.nanmedian(strip, axis=0)))
            if comb is not None:
                combs.append(comb)
    if not combs:
        return None
    best = max(combs, key=lambda comb: comb.total_strength)
    for comb in combs:
        common = best.centres[(best.centres >= comb.centres[0]) & (best.centres <= comb.centres[-1])]
        if comb.total_strength >= _MIN_RELATIVE_STRENGTH * best.total_strength and len(common):
            ratio = np.median(best.interpolate_spacing(common) / comb.interpolate_spacing(common))
            if not abs(ratio - 1) <= _SPACING_TOLERANCE:
                return None
    return best


def find_comb_in_profile(profile: Profile) -> Comb | None:
    """Find the comb of a profile.

    A peak is a prominent maximum of the smoothed profile, `scipy.signal.find_peaks`; its centre is half way between the
    points at half its height, so that a saturated, flat peak has a centre too.

    Args:
        profile: counts along time, without NaN.

    Returns:
        The longest run of regular peaks; `None` if there are fewer than five, or they are irregular.
    """
    spacing = _estimate_spacing(profile)
    if spacing is None:
        return None
    smooth = gaussian_filter1d(profile, spacing / 12)
    noise = MAD_TO_SIGMA * float(np.median(np.abs(profile - smooth)))
    _, peaks = find_peaks(
        white_tophat(smooth, size=2 * spacing),
        distance=_MIN_PEAK_DISTANCE * spacing,
        prominence=_MIN_SIGNAL_TO_NOISE * noise,
        width=0,
        rel_height=0.5,
    )
    prominences = peaks["prominences"]
    if len(prominences) < _MIN_PEAKS:
        return None
    strong = prominences >= _MIN_RELATIVE_PROMINENCE * np.sort(prominences)[-_MIN_PEAKS]
    centres, prominences = (peaks["left_ips"] + peaks["right_ips"])[strong] / 2, prominences[strong]
    breaks = np.flatnonzero(np.rint(_compute_relative_gaps(centres)) > _MAX_GAP) + 1
    run = max(np.split(np.arange(len(centres)), breaks), key=len)
    if len(run) >= _MIN_PEAKS:  # leave out irregular peaks at the ends
        steps = _compute_relative_gaps(centres[run])
        regular = np.flatnonzero(np.abs(steps - np.rint(steps)) <= _MAX_END_ERROR)
        run = run[regular[0] : regular[-1] + 2] if len(regular) else run[:0]
    if len(run) < _MIN_PEAKS or not is_evenly_spaced(centres[run]):
        return None
    return Comb(centres[run], float(np.median(prominences[run])))


def is_evenly_spaced(centres: Profile) -> bool:
    """Check that the gaps between peaks are whole spacings, most of them one, and that the spacings change slowly.

    Then the numbers of the peaks are right: a stretch in which every second peak is missing would make the spacing
    jump.
    """
    spacings = _measure_local_spacings(centres)
    steps = np.diff(centres) / spacings
    periods = np.maximum(np.rint(steps), 1)
    return bool(
        np.sqrt(np.mean((steps - periods) ** 2)) <= _MAX_IRREGULARITY
        and len(steps) >= (1 - _MAX_MISSING_FRACTION) * periods.sum()
        and spacings.max() <= _MAX_SPACING_RATIO * spacings.min()
        and np.abs(np.diff(np.log(spacings))).max() <= np.log(_MAX_SPACING_JUMP)
    )


def _estimate_spacing(profile: Profile) -> int | None:
    """Estimate the pixels between two peaks: the first maximum of the autocorrelation.

    Slow variations are subtracted before, and the brightest 2 % of the profile are clipped, because a single hot column
    would dominate the correlation.
    """
    varying = profile - gaussian_filter1d(profile, len(profile) / 20)
    varying = np.minimum(varying, np.percentile(varying, 98))
    varying -= varying.mean()
    correlation = correlate(varying, varying, method="fft")[len(profile) - 1 :]
    if not correlation[0] > 0:
        return None
    normalised = correlation[: len(profile) // 2] / correlation[0]
    lags, _ = find_peaks(normalised, prominence=_MIN_AUTOCORRELATION_PROMINENCE)
    spacings = lags[lags >= _MIN_SPACING]
    return int(spacings[0]) if len(spacings) else None
