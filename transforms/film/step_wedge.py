"""Where a step wedge begins and ends in its scan, found by itself.

Strategy: each extent that the wedge could have divides a profile along the scan into steps of equal width, with a
margin on either side. Of the right extent each of these pieces is constant, so it is the one with the least variance
within the pieces, the strips around their edges left out: there are soft edges, and lines on some wedges.

Rule 1: the blackest step is at an end of the wedge. The faintest steps hardly differ from film that nothing exposed, so
without this rule an extent that is off by one step, margin in front and the last step left out, would do as well.
Rule 2: what is no wedge has no extent. Where the best extent leaves much of the profile's variance within its pieces,
nothing is found, and nothing is measured in the wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

_MAX_SAMPLES: Final = 2048  # that are looked at, at most: the time grows with their square, and is half a second
_EDGE_MARGIN: Final = 0.1  # of a step's width, on either side of an edge
_MAX_UNEXPLAINED_VARIANCE: Final = 0.01  # of the profile's variance; a clean scan of film leaves 0.00001
_MIN_BLACK_LEVEL: Final = (
    0.9  # of the way from the faintest step to the blackest: where the step at the black end is, at least
)


def find_wedge_extent(profile: Array, steps: int) -> tuple[int, int] | None:
    """Find where a wedge lies in a profile along its scan, by rules 1 and 2.

    Args:
        profile: the density (or counts that rise with it) along the scan; NaN is left out.
        steps: how many steps the wedge has; they take up at least half of the profile.

    Returns:
        The index at which the first step begins, and the one at which the last has ended; nothing where this is no
        wedge.
    """
    width = -(-len(profile) // _MAX_SAMPLES)
    samples = len(profile) // width
    sums = _RunningSums.from_profile(profile[: samples * width].reshape(samples, width).mean(axis=1))
    least = max(samples // 2, steps)
    starts = range(samples - least + 1)
    variance, start, stop = min(
        _find_best_extent(sums, start, np.arange(start + least, samples + 1), steps) for start in starts
    )
    return (start * width, stop * width) if variance <= _MAX_UNEXPLAINED_VARIANCE * sums.total_variance() else None


@dataclass(frozen=True)
class _RunningSums:
    """Of a profile, running sums: how many values there are, their sum, and that of their squares."""

    counts: Array
    values: Array
    squares: Array

    @classmethod
    def from_profile(cls, profile: Array) -> _RunningSums:
        """Those of a profile; its level, which takes digits from the sums and changes no variance, is left out."""
        there = np.isfinite(profile)
        values = np.where(there, profile - np.mean(profile, where=there) if there.any() else 0, 0)
        return cls(*(np.concatenate([[0], np.cumsum(each)]) for each in (there, values, values**2)))

    def total_variance(self) -> float:
        """That of the whole profile."""
        count, _, deviations = self.compute_piece_moments(np.array(0), np.array(len(self.counts) - 1))
        return float(deviations / max(count, 1))

    def compute_piece_moments(self, first: Array, stop: Array) -> tuple[Array, Array, Array]:
        """Of pieces of the profile: how many values they have, their means, and their sums of squared deviations."""
        counts, values, squares = (each[stop] - each[first] for each in (self.counts, self.values, self.squares))
        means = values / np.maximum(counts, 1)
        return counts, means, squares - values * means


def _find_best_extent(sums: _RunningSums, start: int, stops: Array, steps: int) -> tuple[float, int, int]:
    """Of all extents that begin at an index the best one, after its variance."""
    edges = np.linspace(start, stops, steps + 1, axis=1)
    play = _EDGE_MARGIN * np.diff(edges[:, :2])
    ends = np.zeros_like(play), np.full_like(play, len(sums.counts) - 1)
    first = np.ceil(np.minimum(np.hstack([ends[0], edges + play]), ends[1])).astype(int)
    stop = np.floor(np.hstack([edges - play, ends[1]])).astype(int)
    counts, means, deviations = sums.compute_piece_moments(first, np.maximum(first, stop))
    variances = deviations.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    variances[~_is_blackest_at_end(means[:, 1:-1])] = np.inf
    best = int(variances.argmin())
    return float(variances[best]), start, int(stops[best])


def _is_blackest_at_end(means: Array) -> Array:
    """Of the steps' means for each extent, whether the blackest are at an end."""
    least, most = means.min(axis=1), means.max(axis=1)
    return np.asarray(np.maximum(means[:, 0], means[:, -1]) >= least + _MIN_BLACK_LEVEL * (most - least))
