"""Profiles of images, compared with NumPy's means, medians and sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import QUICK, CountingSource, make_numbered

from shotdap.catalog.readers.lazy import create_lazy_variable
from shotdap.transforms import TRANSFORMS, BadOptions, BadRecipe, add_variables, create_recipe
from shotdap.transforms.testing import TransformContract

NUMPYS: Mapping[str, Callable[..., Any]] = {"mean": np.nanmean, "median": np.nanmedian, "sum": np.sum}


def make_frames(rng: np.random.Generator, *shape: int) -> xr.DataArray:
    """Return frames of fractions, so that the order of a sum matters in its last bit; some values are missing."""
    values = rng.normal(1000, 300, shape).astype("f4")
    values[..., 3, 2:17] = np.nan
    return xr.DataArray(values, dims=("frame", "position", "time")[-len(shape) :])


def apply(transform: str, values: Any, **options: Any) -> NDArray[Any]:  # noqa: ANN401 — each one's own
    image = xr.DataArray(np.asarray(values), dims=("frame", "y", "x")[-np.ndim(values) :])
    return np.asarray(TRANSFORMS[transform].apply(image, **options).values)


class TestLineout(TransformContract):
    transform = TRANSFORMS["lineout"]
    variants = (
        {},
        {"first": 4, "last": 17},
        {"along": "rows", "first": 4, "last": 17},
        {"along": "rows", "first": 3, "statistic": "median"},
        {"first": 22, "last": 22, "statistic": "median"},
        {"last": 20, "statistic": "sum"},
    )

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_frames(rng, 2, 23, 31),)

    @QUICK
    @given(st.data(), st.sampled_from([">u2", "<u2", "u1", "i8", "f4"]))
    def test_is_numpys(self, data: st.DataObject, dtype: str) -> None:
        """A profile of any band equals NumPy's."""
        values = np.random.default_rng(1).integers(0, 200, (12, 15)).astype(dtype)
        axis = data.draw(st.sampled_from([0, 1]))
        first = data.draw(st.integers(0, values.shape[axis] - 1))
        last = data.draw(st.integers(first, values.shape[axis] - 1))
        statistic = data.draw(st.sampled_from(list(NUMPYS)))
        band = values.astype("f8").take(range(first, last + 1), axis)
        along = ("columns", "rows")[axis]
        found = apply("lineout", values, along=along, first=first, last=last, statistic=statistic)

        np.testing.assert_allclose(found, NUMPYS[statistic](band, axis=axis), rtol=1e-14)

    def test_by_hand(self) -> None:
        """Along the columns there is a value for each column; both ends of the band are included."""
        image = [[1, 2, 9], [3, 6, 9], [5, 100, 9]]

        assert apply("lineout", image, first=0, last=1).tolist() == [2, 4, 9]
        assert apply("lineout", image, along="rows", first=0, last=1).tolist() == [1.5, 4.5, 52.5]
        assert apply("lineout", image, along="rows", statistic="median").tolist() == [2, 6, 9]
        assert apply("lineout", image, statistic="sum").tolist() == [9, 108, 27]

    def test_missing_pixels(self) -> None:
        """Mean and median leave NaN out, and are NaN without other values; a sum with NaN is NaN."""
        image = [[1, np.nan, np.nan], [3, 6, np.nan]]

        np.testing.assert_array_equal(apply("lineout", image), [2, 6, np.nan])
        np.testing.assert_array_equal(apply("lineout", image, statistic="median"), [2, 6, np.nan])
        np.testing.assert_array_equal(apply("lineout", image, statistic="sum"), [4, np.nan, np.nan])

    def test_sums_are_exact(self) -> None:
        """Sums of saturated counts neither overflow nor are rounded."""
        assert apply("lineout", np.full((1001, 2), 65535, "u2"), statistic="sum").tolist() == [1001 * 65535] * 2

    def test_only_the_band_is_read(self) -> None:
        """Only the band of the image is read, and only the part that the slice touches."""
        source = CountingSource(make_numbered(50, 60))
        dataset = xr.Dataset({"image": create_lazy_variable(("y", "x"), source, {})})
        made = add_variables(
            dataset, [create_recipe("made", "lineout", ["image"], {"first": 10, "last": 12})], chunked=False
        )
        found = made.made[5:9].values

        assert source.indices == [([10, 11, 12], [5, 6, 7, 8])]
        np.testing.assert_allclose(found, source.values[10:13, 5:9].mean(axis=0))

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"last": 4}, "y ends with 3, and 4 is beyond it"),
            ({"along": "rows", "last": 9}, "x ends with 5, and 9 is beyond it"),
            ({"first": 3, "last": 2}, "the band begins at 3 and ends at 2: first must not be greater than last"),
            ({"first": 4}, "the band begins at 4 and ends at 3: first must not be greater than last"),
        ],
    )
    def test_bands_outside_the_image(self, options: dict[str, Any], sentence: str) -> None:
        """A band outside the image is refused when the dataset is opened."""
        dataset = xr.Dataset({"image": (("y", "x"), np.zeros((4, 6)))})

        with pytest.raises(BadRecipe, match=sentence):
            add_variables(dataset, [create_recipe("made", "lineout", ["image"], options)])

    def test_bad_options(self) -> None:
        """A negative index and an unknown statistic are refused with what would be valid."""
        with pytest.raises(BadOptions, match="first: Input should be greater than or equal to 0"):
            apply("lineout", np.zeros((4, 6)), first=-1)
        with pytest.raises(BadOptions, match="statistic: Input should be 'mean', 'median' or 'sum'"):
            apply("lineout", np.zeros((4, 6)), statistic="mode")

    def test_of_a_line(self) -> None:
        """An input without rows and columns has no lineout."""
        with pytest.raises(ValueError, match="it needs an image, which has rows and columns"):
            apply("lineout", np.zeros(6))


class TestRowMean(TransformContract):
    transform = TRANSFORMS["row_mean"]

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_frames(rng, 2, 23, 31),)

    def test_one_for_each_row(self) -> None:
        """There is one value for each row, without NaN; a row of NaN gives NaN."""
        image = [[[1, 2, 6], [4, np.nan, 5], [np.nan, np.nan, np.nan]]]

        np.testing.assert_array_equal(apply("row_mean", image), [[3, 4.5, np.nan]])


class TestColumnMean(TransformContract):
    transform = TRANSFORMS["column_mean"]

    def inputs(self, rng: np.random.Generator) -> Sequence[xr.DataArray]:
        return (make_frames(rng, 2, 23, 31),)

    def test_one_for_each_column(self) -> None:
        """There is one value for each column, without NaN; a column of NaN gives NaN."""
        image = [[[1, np.nan, np.nan], [4, 7, np.nan]]]

        np.testing.assert_array_equal(apply("column_mean", image), [[2.5, 7, np.nan]])
