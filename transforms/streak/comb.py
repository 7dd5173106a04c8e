"""Combs: rows of peaks at equal times, which streak cameras record beside the picture.

Strategy: the spacing comes first, from the autocorrelation of a profile; everything that looks for peaks is then scaled
to it, so a comb of 10 pixels and one of 90 are found by the same code. Peaks are numbered by their distances, each
measured in the spacing *near it*, because no sweep is quite linear; so a missing peak leaves a gap in the numbers and
nothing else.

Rule 1: what is not certainly a comb is none. A time axis that is not there is missed; one that is wrong is believed.
Rule 2: where two different combs are in sight, none is chosen. OMEGA's streak cameras record two, the laser's fiducial
(548.24 ps) and the camera's own comb generator (500 ps at 2 GHz), and taking one for the other is an error of 10 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter, percentile_filter, white_tophat
from scipy.signal import correlate, find_peaks

Profile: TypeAlias = NDArray[np.float64]

_MIN_AUTOCORRELATION_PROMINENCE: Final = (
    0.3  # how far the autocorrelation rises again: by 0.5 to 1.5 for real combs, by 0.2 in noise
)
_MIN_SPACING: Final = 4  # pixels between two peaks; closer ones are not told apart
_MIN_PEAKS: Final = 5  # peaks: four spacings that agree are no accident
_MIN_PEAK_DISTANCE: Final = 0.65  # of the spacing: of two peaks that are closer, the higher one counts
_MAD_TO_SIGMA: Final = 1.4826  # the standard deviation over the median deviation, of a normal law
_MIN_SIGNAL_TO_NOISE: Final = 5.0  # standard deviations of the noise that a peak stands out by
_MIN_RELATIVE_PROMINENCE: Final = (
    0.25  # of the `_MIN_PEAKS`-th strongest peak; a comb's peaks differ by less than a factor of three
)
_MAX_IRREGULARITY: Final = 0.1  # of a spacing, the RMS error of the spacings; 0.29 if peaks were scattered at random
_MAX_END_ERROR: Final = (
    0.15  # of a spacing: a peak at either end that is farther off is cut by the edge, or none of the comb's
)
_MAX_GAP: Final = 3  # spacings; across more than that, peaks cannot be counted safely
_MAX_MISSING_FRACTION: Final = 1 / 3  # of the peaks; with fewer left than that leaves, numbers are guesses
_MAX_SPACING_RATIO: Final = 1.8  # the widest spacing over the closest; sweeps change by less than half
_MAX_SPACING_JUMP: Final = 1.2  # one spacing over the one before it; sweeps change by a few per cent
_MIN_RELATIVE_STRENGTH: Final = 0.02  # of the strongest comb: what is fainter is not held against it
_SPACING_TOLERANCE: Final = (
    0.04  # relative difference of two combs' spacings; the cameras' own warp is less, two sources' more
)


@dataclass(frozen=True, eq=False)
class Comb:
    """The peaks of a comb, in pixels and in periods."""

    centres: Profile
    """Where they are, ascending, in pixels and parts of a pixel."""
    strength: float
    """How far the middle one of them stands out of what is around it, in counts."""

    @property
    def periods(self) -> NDArray[np.int64]:
        """How many periods each lies after the first."""
        return count_periods(self.centres)

    @property
    def total_strength(self) -> float:
        """The strength of all its peaks together."""
        return self.strength * len(self.centres)

    def interpolate_spacing(self, at: Profile) -> Profile:
        """Pixels from one period to the next, at some pixels."""
        middles = (self.centres[1:] + self.centres[:-1]) / 2
        return np.asarray(np.interp(at, middles, np.diff(self.centres) / np.diff(self.periods)))


def count_periods(centres: Profile) -> NDArray[np.int64]:
    """How many periods each peak lies after the first: gaps, in units of the spacing near each."""
    return np.concatenate([[0], np.cumsum(np.maximum(np.rint(_compute_relative_gaps(centres)), 1))]).astype(np.int64)


def _compute_relative_gaps(centres: Profile) -> Profile:
    """The gaps between peaks, in spacings."""
    return np.diff(centres) / _measure_local_spacings(centres)


def _measure_local_spacings(centres: Profile) -> Profile:
    """The spacing near each gap.

    First a gap is counted in units of the shorter ones about it, since a missing peak makes gaps longer, never shorter;
    then the median is taken of the spacings that this gives.
    """
    gaps = np.diff(centres)
    counted = np.maximum(np.rint(gaps / percentile_filter(gaps, 25, size=9, mode="mirror")), 1)
    return np.asarray(median_filter(gaps / counted, size=5, mode="mirror"))


def find_comb(picture: NDArray[np.float64], height: int) -> Comb | None:
    """Find the comb of a picture along whose columns time runs.

    The picture is looked through in strips, each overlapping half of the next. The profile of a strip is the median of
    its rows, which hot pixels do not reach.

    Args:
        picture: rows and columns; NaN where nothing is known.
        height: rows of a strip; not higher than the comb.

    Returns:
        The comb with most light; `None` where there is none, or where strips hold combs of different spacings.
    """
    combs = [
        found for strip in _iter_strip_profiles(picture, height) if (found := find_comb_in_profile(strip)) is not None
    ]
    if not combs:
        return None
    best = max(combs, key=lambda comb: comb.total_strength)
    clear = [comb for comb in combs if comb.total_strength >= _MIN_RELATIVE_STRENGTH * best.total_strength]
    return best if all(_has_same_spacing(best, comb) for comb in clear) else None


def _iter_strip_profiles(picture: NDArray[np.float64], height: int) -> Iterator[Profile]:
    last = max(0, len(picture) - height)
    for first in sorted({*range(0, last + 1, max(1, height // 2)), last}):
        strip = picture[first : first + height]
        if not np.isnan(strip).all(axis=0).any():
            yield np.asarray(np.nanmedian(strip, axis=0))


def _has_same_spacing(one: Comb, other: Comb) -> bool:
    """Whether two combs are equally spaced where both are; they do where they never meet."""
    inside = (one.centres >= other.centres[0]) & (one.centres <= other.centres[-1])
    if not inside.any():
        return True
    at = one.centres[inside]
    return bool(abs(np.median(one.interpolate_spacing(at) / other.interpolate_spacing(at)) - 1) <= _SPACING_TOLERANCE)


def find_comb_in_profile(profile: Profile) -> Comb | None:
    """Find the comb of a profile.

    A peak is where a smoothed profile stands out of its surroundings, `scipy.signal.find_peaks`; its centre is half way
    between the points at half its height, so that a saturated, flat one has a centre too.

    Args:
        profile: counts along time, without NaN.

    Returns:
        The longest run of regular peaks; `None` where there are fewer than five, or they are irregular.
    """
    spacing = _estimate_spacing(profile)
    if spacing is None:
        return None
    smooth = gaussian_filter1d(profile, spacing / 12)
    noise = _MAD_TO_SIGMA * float(np.median(np.abs(profile - smooth)))
    standing_out = white_tophat(smooth, size=2 * spacing)
    _, found = find_peaks(
        standing_out,
        distance=_MIN_PEAK_DISTANCE * spacing,
        prominence=_MIN_SIGNAL_TO_NOISE * noise,
        width=0,
        rel_height=0.5,
    )
    prominences = found["prominences"]
    if len(prominences) < _MIN_PEAKS:
        return None
    strong = prominences >= _MIN_RELATIVE_PROMINENCE * np.sort(prominences)[-_MIN_PEAKS]
    centres = (found["left_ips"] + found["right_ips"]) / 2
    return _find_regular_run(centres[strong], prominences[strong])


def _find_regular_run(centres: Profile, prominences: Profile) -> Comb | None:
    """The longest run without a wide gap, if it is regular."""
    breaks = np.flatnonzero(np.rint(_compute_relative_gaps(centres)) > _MAX_GAP) + 1
    run = max(np.split(np.arange(len(centres)), breaks), key=len)
    if len(run) >= _MIN_PEAKS:
        run = run[_trim_irregular_ends(_compute_relative_gaps(centres[run]))]
    if len(run) < _MIN_PEAKS or not is_evenly_spaced(centres[run]):
        return None
    return Comb(centres[run], float(np.median(prominences[run])))


def _trim_irregular_ends(steps: Profile) -> slice:
    """The peaks without those at either end that are off."""
    right = np.flatnonzero(np.abs(steps - np.rint(steps)) <= _MAX_END_ERROR)
    return slice(right[0], right[-1] + 2) if len(right) else slice(0)


def is_evenly_spaced(centres: Profile) -> bool:
    """Whether the gaps between peaks are whole spacings, most of them one, and the spacings change slowly.

    Where this holds, the peaks are numbered right: a stretch in which every second peak is missing would make the
    spacing jump.
    """
    spacings = _measure_local_spacings(centres)
    steps = np.diff(centres) / spacings
    counted = np.maximum(np.rint(steps), 1)
    return bool(
        np.sqrt(np.mean((steps - counted) ** 2)) <= _MAX_IRREGULARITY
        and len(steps) >= (1 - _MAX_MISSING_FRACTION) * counted.sum()
        and spacings.max() <= _MAX_SPACING_RATIO * spacings.min()
        and np.abs(np.diff(np.log(spacings))).max() <= np.log(_MAX_SPACING_JUMP)
    )


def _estimate_spacing(profile: Profile) -> int | None:
    """About how many pixels lie between two peaks: the first maximum of the autocorrelation.

    Whatever varies slowly is taken off before, and the brightest fiftieth of the profile is cut down to the rest, lest
    one hot column be all that correlates.
    """
    varying = profile - gaussian_filter1d(profile, len(profile) / 20)
    varying = np.minimum(varying, np.percentile(varying, 98))
    varying -= varying.mean()
    alike = correlate(varying, varying, method="fft")[len(profile) - 1 :]
    if not alike[0] > 0:
        return None
    lags, _ = find_peaks(alike[: len(profile) // 2] / alike[0], prominence=_MIN_AUTOCORRELATION_PROMINENCE)
    apart = lags[lags >= _MIN_SPACING]
    return int(apart[0]) if len(apart) else None
