"""The extent of a step wedge in its scan.

Strategy: each possible extent of the wedge divides a profile along the scan into steps of equal width, with a margin on
either side. For the right extent each of these pieces is constant, so it is the one with the least variance within the
pieces. Strips around their edges are left out: edges are soft, and some wedges have lines there.

Rule 1: the blackest step is at an end of the wedge. The faintest steps hardly differ from unexposed film, so without
this rule an extent that is off by one step, the margin in front and the last step left out, would be as good.
Rule 2: a scan without a wedge has no extent. If the best extent leaves much of the profile's variance within its
pieces, the result is `None`, and nothing is measured in the wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

_MAX_SAMPLES: Final = 2048  # of a profile; the time grows with their square, and is half a second
_EDGE_MARGIN: Final = 0.1  # of a step's width, on either side of an edge
_MAX_UNEXPLAINED_VARIANCE: Final = 0.01  # of the profile's variance; a clean scan of film leaves 0.00001
_MIN_BLACK_LEVEL: Final = 0.9  # the least level of the step at the black end: 0 is the faintest step, 1 the blackest


def find_wedge_extent(profile: Array, steps: int) -> tuple[int, int] | None:
    """Find the extent of a wedge in a profile along its scan, by rules 1 and 2.

    Args:
        profile: the density (or counts that rise with it) along the scan; NaN is left out.
        steps: how many steps the wedge has; they take up at least half of the profile.

    Returns:
        The index of the first step's beginning, and the one after the last step's end; `None` if this is no wedge.
    """
    width = -(-len(profile) // _MAX_SAMPLES)
    samples = len(profile) // width
    sums = _RunningSums.from_profile(profile[: samples * width].reshape(samples, width).mean(axis=1))
    least = max(samples // 2, steps)
    variance, start, stop = min(
        _find_best_extent(sums, start, np.arange(start + least, samples + 1), steps)
        for start in range(samples - least + 1)
    )
    return (start * width, stop * width) if variance <= _MAX_UNEXPLAINED_VARIANCE * sums.total_variance() else None


@dataclass(frozen=True)
class _RunningSums:
    """Running sums of a profile: of the number of values, of the values, and of their squares."""

    counts: Array
    values: Array
    squares: Array

    @classmethod
    def from_profile(cls, profile: Array) -> _RunningSums:
        """Compute the sums of a profile without its mean, which costs the sums digits and changes no variance."""
        finite = np.isfinite(profile)
        values = np.where(finite, profile - np.mean(profile, where=finite) if finite.any() else 0, 0)
        return cls(*(np.concatenate([[0], np.cumsum(each)]) for each in (finite, values, values**2)))

    def total_variance(self) -> float:
        """Compute the variance of the whole profile."""
        count, _, deviations = self.compute_piece_moments(np.array(0), np.array(len(self.counts) - 1))
        return float(deviations / max(count, 1))

    def compute_piece_moments(self, first: Array, stop: Array) -> tuple[Array, Array, Array]:
        """Compute the number of values of pieces of the profile, their means, and their sums of squared deviations."""
        counts, values, squares = (each[stop] - each[first] for each in (self.counts, self.values, self.squares))
        means = values / np.maximum(counts, 1)
        return counts, means, squares - values * means


def _find_best_extent(sums: _RunningSums, start: int, stops: Array, steps: int) -> tuple[float, int, int]:
    """Find the best extent that begins at an index; return its variance, its start and its stop."""
    edges = np.linspace(start, stops, steps + 1, axis=1)
    play = _EDGE_MARGIN * np.diff(edges[:, :2])
    ends = np.zeros_like(play), np.full_like(play, len(sums.counts) - 1)
    first = np.ceil(np.minimum(np.hstack([ends[0], edges + play]), ends[1])).astype(int)
    stop = np.floor(np.hstack([edges - play, ends[1]])).astype(int)
    counts, means, deviations = sums.compute_piece_moments(first, np.maximum(first, stop))
    variances = deviations.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    step_means = means[:, 1:-1]
    least, most = step_means.min(axis=1), step_means.max(axis=1)
    blackest_end = np.maximum(step_means[:, 0], step_means[:, -1])
    variances[~(blackest_end >= least + _MIN_BLACK_LEVEL * (most - least))] = np.inf  # rule 1
    best = int(variances.argmin())
    return float(variances[best]), start, int(stops[best])
