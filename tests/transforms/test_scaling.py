"""Scaling, compared with NumPy and with inverse operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shotdap.transforms import TRANSFORMS, BadOptions
from shotdap.transforms.testing import TransformContract

HIGHEST = 65535


def apply(transform: str, values: Any, **options: Any) -> NDArray[Any]:  # noqa: ANN401 — each one's own
    image = xr.DataArray(np.asarray(values), dims=("frame", "y", "x")[-np.ndim(values) :])
    return np.asarray(TRANSFORMS[transform].apply(image, **options).values)


def make_differences(rng: np.random.Generator) -> Sequence[xr.DataArray]:
    """Return frames without their background: around zero, some values missing."""
    values = rng.normal(50, 100, (2, 23, 31)).astype("f4")
    values[1, 4, 5:9] = np.nan
    return (xr.DataArray(values, dims=("frame", "y", "x")),)


class TestNormalise(TransformContract):
    transform = TRANSFORMS["normalise"]
    variants = ({}, {"by": "mean"}, {"by": "sum"}, {"by": "range"})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return make_differences(rng)

    @pytest.mark.parametrize(
        ("by", "measure", "expected"),
        [("maximum", np.nanmax, 1), ("mean", np.nanmean, 1), ("sum", np.nansum, 1), ("range", np.ptp, 1)],
    )
    def test_size_is_one(self, by: str, measure: Any, expected: float) -> None:  # noqa: ANN401 — a NumPy function
        """Each frame's size becomes 1, and its values keep their ratios (or, by range, those of differences)."""
        values = np.random.default_rng(1).integers(100, HIGHEST, (2, 20, 30)).astype(">u2")
        found = apply("normalise", values, by=by)

        for frame, made in zip(values.astype("f8"), found, strict=True):
            lifted = frame - frame.min() if by == "range" else frame

            assert measure(made.astype("f8")) == pytest.approx(expected, rel=1e-6)
            np.testing.assert_allclose(made * lifted.max(), lifted * made.max(), rtol=1e-6)

    def test_by_hand(self) -> None:
        """The four sizes of a small image are right; NaN is ignored and stays."""
        image = [[1, 3], [np.nan, 4]]

        np.testing.assert_allclose(apply("normalise", image), [[0.25, 0.75], [np.nan, 1]])
        np.testing.assert_allclose(apply("normalise", image, by="mean"), [[0.375, 1.125], [np.nan, 1.5]])
        np.testing.assert_allclose(apply("normalise", image, by="sum"), [[0.125, 0.375], [np.nan, 0.5]])
        np.testing.assert_allclose(apply("normalise", image, by="range"), [[0, 2 / 3], [np.nan, 1]], rtol=1e-6)

    @pytest.mark.parametrize("by", ["maximum", "mean", "sum", "range"])
    @pytest.mark.parametrize("value", [0.0, -2.0, np.nan])
    def test_nothing_to_divide_by(self, by: str, value: float) -> None:
        """A frame without light, or of only NaN, becomes NaN, not infinite; other frames are not affected."""
        found = apply("normalise", [np.full((2, 2), value), [[1, 2], [3, 4]]], by=by)

        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()

    def test_constant_image(self) -> None:
        """A constant image has a maximum, but no range."""
        assert (apply("normalise", np.full((2, 2), 7)) == 1).all()
        assert np.isnan(apply("normalise", np.full((2, 2), 7), by="range")).all()


class TestLog10(TransformContract):
    transform = TRANSFORMS["log10"]
    variants = ({}, {"floor": 30})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return make_differences(rng)

    @given(st.integers(-12, 12))
    def test_powers_of_ten(self, power: int) -> None:
        """The logarithm of a power of ten is its exponent."""
        assert apply("log10", [10.0**power])[0] == np.float32(power)

    def test_floor(self) -> None:
        """Values not above the floor are NaN, and are not replaced by a number."""
        np.testing.assert_allclose(apply("log10", [-1, 0, 1, 100, np.nan]), [np.nan, np.nan, 0, 2, np.nan])
        np.testing.assert_allclose(apply("log10", [9, 10, 100], floor=10), [np.nan, np.nan, 2])

    def test_counts(self) -> None:
        """Counts of any type have NumPy's logarithms; saturated ones are ordinary numbers."""
        values = np.array([1, 300, HIGHEST], ">u2")

        np.testing.assert_allclose(apply("log10", values), np.log10([1.0, 300, HIGHEST]), rtol=1e-6)

    def test_floor_below_zero(self) -> None:
        """A floor below zero, where logarithms do not exist, is refused."""
        with pytest.raises(BadOptions, match="floor: Input should be greater than or equal to 0"):
            apply("log10", [1], floor=-1)


class TestSquareRoot(TransformContract):
    transform = TRANSFORMS["square_root"]
    variants = ({}, {"signed": True})

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return make_differences(rng)

    @given(st.integers(0, HIGHEST))
    def test_of_squares(self, root: int) -> None:
        """The root of a square is the number; below zero it is NaN or, signed, the negative number."""
        values = np.array([root, -root], "i8") * root

        assert apply("square_root", values, signed=True).tolist() == [root, -root]
        np.testing.assert_array_equal(apply("square_root", values), [root, -np.nan if root else 0])

    def test_missing(self) -> None:
        """NaN stays NaN."""
        assert np.isnan(apply("square_root", [np.nan])).all()
        assert np.isnan(apply("square_root", [np.nan], signed=True)).all()

    def test_noise_of_photons(self) -> None:
        """The noise of counted photons is the same for any light: a half (Bartlett 1936)."""
        photons = np.random.default_rng(2).poisson([[100], [10_000]], (2, 20_000))

        np.testing.assert_allclose(apply("square_root", photons).std(axis=1), 0.5, rtol=0.03)
