"""Combs are found at their positions, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter1d

from shotdap.transforms.streak.comb import count_periods, find_comb, find_comb_in_profile, is_evenly_spaced

Profile = NDArray[np.float64]


def make_peaks(centres: ArrayLike, columns: int = 1000, width: float = 2.5, height: float = 800) -> Profile:
    """Return a profile of Gaussian peaks."""
    x = np.arange(columns)[:, None]
    return np.asarray(height * np.exp(-0.5 * ((x - np.asarray(centres)) / width) ** 2).sum(axis=1))


def make_picture(profile: Profile, rng: np.random.Generator, rows: int = 60, noise: float = 20) -> NDArray[np.float64]:
    """Return a picture with a profile in rows 20 to 39, noise, and a background that varies slowly."""
    counts = rng.normal(600, noise, (rows, len(profile)))
    counts += 300 * np.sin(np.arange(len(profile)) / 300)
    counts[20:40] += profile
    return counts


@pytest.mark.parametrize(("spacing", "width"), [(7, 1.2), (14, 2.5), (20, 1), (40, 6), (90, 3), (90, 14)])
def test_peaks_are_found_at_their_centres(spacing: float, width: float) -> None:
    """For any spacing and width, each peak is found to a hundredth of a pixel if there is no noise."""
    centres = np.arange(1.3 * spacing, 1000 - spacing, spacing)
    comb = find_comb_in_profile(make_peaks(centres, width=width))

    assert comb is not None
    np.testing.assert_allclose(comb.centres, centres, atol=0.05)


def test_noise_moves_centres_by_less_than_it_is() -> None:
    """With a noise of a fortieth of their height, peaks of 6 pixels are found to a fifth of a pixel."""
    centres = 30 + 18 * np.arange(50)
    comb = find_comb(make_picture(make_peaks(centres), np.random.default_rng(1)), 16)

    assert comb is not None
    np.testing.assert_allclose(comb.centres, centres, atol=0.2)


def test_saturated_peaks_have_their_middle() -> None:
    """A peak that is clipped at half its height is found at its centre."""
    centres = 30.4 + 18 * np.arange(50)
    comb = find_comb_in_profile(np.minimum(make_peaks(centres), 400))

    assert comb is not None
    np.testing.assert_allclose(comb.centres, centres, atol=0.05)


def test_hot_pixels_and_nan_are_not_seen() -> None:
    """One pixel in a hundred that is hot, or is missing, changes no centre by more than a fifth of a pixel."""
    rng = np.random.default_rng(2)
    centres = 30 + 18 * np.arange(50)
    counts = make_picture(make_peaks(centres), rng)
    counts[rng.random(counts.shape) < 0.01] = 65_535
    counts[rng.random(counts.shape) < 0.01] = np.nan
    comb = find_comb(counts, 16)

    assert comb is not None
    np.testing.assert_allclose(comb.centres, centres, atol=0.2)


def test_a_hot_column_is_no_peak() -> None:
    """A column that is bright from top to bottom does not hide the comb, and the peaks keep their numbers."""
    centres = 30 + 18 * np.arange(50)
    counts = make_picture(make_peaks(centres), np.random.default_rng(3))
    counts[:, 300] += 20_000
    comb = find_comb(counts, 16)

    assert comb is not None
    near = [int(np.argmin(np.abs(comb.centres - centre))) for centre in centres[[0, -1]]]
    assert comb.periods[near[1]] - comb.periods[near[0]] == 49


@pytest.mark.parametrize("seed", range(25))
def test_noise_is_no_comb(seed: int) -> None:
    """Nothing is found in noise, whether white or smooth."""
    rng = np.random.default_rng(seed)
    white = rng.normal(600, 20, (60, 700))
    smooth = uniform_filter1d(white, 9, axis=1)

    assert find_comb(white, 16) is None
    assert find_comb(smooth, 16) is None


@pytest.mark.parametrize("seed", range(20))
def test_scattered_peaks_are_no_comb(seed: int) -> None:
    """Bright peaks at random places are not a comb."""
    rng = np.random.default_rng(seed)

    assert find_comb_in_profile(make_peaks(rng.uniform(20, 980, 25)) + rng.normal(0, 5, 1000)) is None


@pytest.mark.parametrize("profile", [np.zeros(500), np.full(500, 65_535.0), np.linspace(0, 1e4, 500)])
def test_featureless_profiles_have_no_comb(profile: Profile) -> None:
    """A constant and a ramp contain no comb."""
    assert find_comb_in_profile(profile) is None


def test_ambiguous_combs() -> None:
    """Of two visible combs whose spacings differ by a tenth, none is chosen; each alone is found."""
    rng = np.random.default_rng(4)
    generator, fiducial = make_peaks(40 + 18 * np.arange(50)), make_peaks(250 + 19.74 * np.arange(8))
    both = np.concatenate([make_picture(generator, rng), make_picture(fiducial, rng)])

    assert find_comb(both, 16) is None
    assert find_comb(both[:60], 16) is not None
    assert find_comb(both[60:], 16) is not None


def test_the_same_comb_twice_is_one() -> None:
    """A fiducial along both edges of a picture is found."""
    rng = np.random.default_rng(5)
    edges = [make_picture(make_peaks(start + 41 * np.arange(8)), rng) for start in (110, 144)]

    assert find_comb(np.concatenate(edges), 16) is not None


def test_combs_at_different_times() -> None:
    """Two combs at different times cannot be compared, and the brighter one is found."""
    rng = np.random.default_rng(6)
    early, late = 40 + 18 * np.arange(20), 600 + 26 * np.arange(8)
    comb = find_comb(np.concatenate([make_picture(make_peaks(early), rng), make_picture(make_peaks(late), rng)]), 16)

    assert comb is not None
    np.testing.assert_allclose(comb.centres, early, atol=0.2)


def test_distant_peaks_are_left_out() -> None:
    """Peaks beyond a gap of more than three spacings are left out."""
    centres = 40 + 18 * np.arange(20)
    comb = find_comb_in_profile(make_peaks(np.append(centres, [700, 900])))

    assert comb is not None
    np.testing.assert_allclose(comb.centres, centres, atol=0.05)


@settings(deadline=None)
@given(missing=st.sets(st.integers(1, 38), max_size=20), bow=st.floats(-0.2, 0.2))
def test_numbers_are_right_or_refused(missing: set[int], bow: float) -> None:
    """In a bent sweep, the remaining peaks have the numbers that they have in the whole, or there is no comb."""
    numbers = np.setdiff1d(np.arange(40), list(missing))
    u = numbers / 40
    centres = 800 * (u + bow * u * (u - 1))

    assert not is_evenly_spaced(centres) or count_periods(centres).tolist() == numbers.tolist()


@settings(deadline=None)
@given(missing=st.sets(st.integers(1, 38), max_size=3), bow=st.floats(-0.2, 0.2))
def test_missing_peaks_leave_gaps_in_the_numbers(missing: set[int], bow: float) -> None:
    """Without any three of its peaks, a comb is found, and the others keep their numbers."""
    numbers = np.setdiff1d(np.arange(40), list(missing))
    u = numbers / 40
    centres = 800 * (u + bow * u * (u - 1))

    assert is_evenly_spaced(centres)
    assert count_periods(centres).tolist() == numbers.tolist()
