"""Extremes, moments, percentiles and histograms, compared with NumPy by other computations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import QUICK

from shotdap.transforms import TRANSFORMS, BadOptions, BadRecipe, add_variables, create_recipe
from shotdap.transforms.testing import TransformContract

arrays = hnp.arrays(
    st.sampled_from([np.dtype(name) for name in ("u1", "<u2", ">u2", ">i4", "i8", ">f4", "f8")]),
    hnp.array_shapes(min_dims=2, max_dims=3, max_side=7),
    elements=st.integers(0, 120),
)


def apply(transform: str, values: Any, **options: Any) -> NDArray[Any]:  # noqa: ANN401 — each one's own
    image = xr.DataArray(np.asarray(values), dims=("frame", "y", "x")[-np.ndim(values) :])
    return np.asarray(TRANSFORMS[transform].apply(image, **options).values)


class _OfFrames(TransformContract):
    """The same inputs for all of them."""

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        values = rng.normal(1000, 300, (2, 23, 31)).astype(">f4")
        values[1, 4, 5:9] = np.nan
        return (xr.DataArray(values, dims=("frame", "row", "column")),)


class TestMinimum(_OfFrames):
    transform = TRANSFORMS["minimum"]


class TestMaximum(_OfFrames):
    transform = TRANSFORMS["maximum"]


class TestMeanValue(_OfFrames):
    transform = TRANSFORMS["mean_value"]


class TestMedianValue(_OfFrames):
    transform = TRANSFORMS["median_value"]


class TestStandardDeviation(_OfFrames):
    transform = TRANSFORMS["standard_deviation"]


def _compute_mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


NUMBERS: Mapping[str, Callable[[Sequence[int]], float]] = {
    "minimum": lambda ordered: ordered[0],
    "maximum": lambda ordered: ordered[-1],
    "mean_value": _compute_mean,
    "median_value": lambda ordered: (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2,
    # The parallel axis theorem: the mean of the squares without the square of the mean.
    "standard_deviation": lambda ordered: float(
        np.sqrt(max(0, _compute_mean([value**2 for value in ordered]) - _compute_mean(ordered) ** 2))
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
@QUICK
@given(values=arrays)
def test_of_the_ordered_values(name: str, values: NDArray[Any]) -> None:
    """Each number of a frame is computed one by one from its ordered values."""
    frames = values.reshape(-1, values.shape[-2] * values.shape[-1])
    expected = [NUMBERS[name](sorted(map(int, frame))) for frame in frames]

    np.testing.assert_allclose(apply(name, values).ravel(), expected, rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("minimum", 1), ("maximum", 6), ("mean_value", 3), ("median_value", 2), ("standard_deviation", 14**0.5 / 3**0.5)],
)
def test_missing_pixels(name: str, expected: float) -> None:
    """NaN is left out; without other values the number is NaN; one frame does not affect the other."""
    found = apply(name, [[[1, 2], [6, np.nan]], np.full((2, 2), np.nan)])

    np.testing.assert_allclose(found, [expected, np.nan])


@pytest.mark.parametrize("name", NUMBERS)
def test_great_numbers(name: str) -> None:
    """Numbers of many saturated counts are exact: sums are not computed in float32."""
    expected = 0 if name == "standard_deviation" else 65535

    assert apply(name, np.full((700, 700), 65535, "u2")) == expected


class TestPercentiles(_OfFrames):
    transform = TRANSFORMS["percentiles"]
    variants = ({}, {"levels": (50,)}, {"levels": (100, 0, 12.5)})

    def test_by_hand(self) -> None:
        """Percentiles of 0, 10, …, 100 are the levels, also between the values, in the requested order."""
        image = np.arange(0, 101, 10, dtype="u1")[::-1].reshape(1, 11)

        assert apply("percentiles", image, levels=(99, 0, 37.5, 100)).tolist() == [99, 0, 37.5, 100]

    def test_share_below(self) -> None:
        """The share of values below a percentile is its level."""
        values = np.random.default_rng(1).gamma(2, 100, (100, 101))
        found = apply("percentiles", values)
        shares = [(values < value).mean() for value in found]

        np.testing.assert_allclose(shares, [0.01, 0.05, 0.5, 0.95, 0.99], atol=1e-4)

    def test_missing_pixels(self) -> None:
        """NaN is left out; without other values the percentiles are NaN."""
        image = [[[1, np.nan], [3, 5]], np.full((2, 2), np.nan)]

        np.testing.assert_array_equal(apply("percentiles", image, levels=(0, 50)), [[1, 3], [np.nan, np.nan]])

    def test_levels_are_a_coordinate(self) -> None:
        """The new dimension lists the levels."""
        dataset = xr.Dataset({"image": (("y", "x"), np.arange(12).reshape(3, 4))})
        made = add_variables(dataset, [create_recipe("spread", "percentiles", ["image"], {"levels": (5, 95)})])

        assert made.spread.dims == ("percentile_spread",)
        assert made.percentile_spread.values.tolist() == [5, 95]

    @pytest.mark.parametrize(
        ("levels", "sentence"),
        [((), "at least 1 item"), ((101,), "less than or equal to 100"), ((50,) * 33, "at most 32 items")],
    )
    def test_bad_levels(self, levels: tuple[float, ...], sentence: str) -> None:
        """No level, more than 32, and more than 100 per cent are refused."""
        with pytest.raises(BadOptions, match=sentence):
            apply("percentiles", [[1]], levels=levels)


class TestHistogram(_OfFrames):
    transform = TRANSFORMS["histogram"]
    variants = ({}, {"low": 500, "high": 1500.5, "bins": 7}, {"bins": 1})

    @QUICK
    @given(arrays)
    def test_counts_each_value(self, values: NDArray[Any]) -> None:
        """With bins of width one, a histogram counts the occurrences of each integer."""
        frame = values.reshape(-1, values.shape[-1])
        counted = Counter(frame.astype(int).ravel().tolist())

        assert apply("histogram", frame, high=128, bins=128).tolist() == [counted[value] for value in range(128)]

    def test_edges(self) -> None:
        """A bin includes its lower edge, the last bin both edges; values outside and NaN are not counted."""
        image = [[0, 0.5, 1, 2, 2.1, -0.1, np.nan, 1.999]]

        assert apply("histogram", image, low=0, high=2, bins=2).tolist() == [2, 3]
        assert apply("histogram", np.full((2, 2), np.nan), bins=3).tolist() == [0, 0, 0]

    def test_each_frame(self) -> None:
        """Frames are counted separately; by default every 16-bit count is included."""
        values = np.random.default_rng(2).integers(0, 2**16, (3, 20, 30)).astype(">u2")
        found = apply("histogram", values)

        assert found.sum(axis=1).tolist() == [600] * 3
        assert found[1, 7] == ((values[1] >= 7 * 256) & (values[1] < 8 * 256)).sum()

    def test_middles_are_a_coordinate(self) -> None:
        """The new dimension lists the middles of the bins."""
        dataset = xr.Dataset({"image": (("y", "x"), np.arange(12).reshape(3, 4))})
        options = {"low": -1, "high": 3, "bins": 4}
        made = add_variables(dataset, [create_recipe("counts", "histogram", ["image"], options)])

        assert made.bin_counts.values.tolist() == [-0.5, 0.5, 1.5, 2.5]
        assert made.counts.values.tolist() == [0, 1, 1, 2]

    def test_upside_down(self) -> None:
        """A reversed range and too many bins are refused."""
        recipe = create_recipe("made", "histogram", ["image"], {"low": 5, "high": 5})
        with pytest.raises(BadRecipe, match="a histogram goes up, and high, 5, is not greater than low, 5"):
            add_variables(xr.Dataset({"image": (("y", "x"), np.zeros((3, 4)))}), [recipe])
        with pytest.raises(BadOptions, match="bins: Input should be less than or equal to 4096"):
            apply("histogram", [[1]], bins=1_000_000)
