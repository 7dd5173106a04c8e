"""Sums and means whose last bit does not depend on other values in the array."""

from __future__ import annotations

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import QUICK

from shotdap.transforms.statistics import sums

NAMES = ("a", "b", "c", "d")

arrays = hnp.arrays(
    st.sampled_from([np.dtype(name) for name in ("u1", ">u2", "i8", ">f4", "f8")]),
    hnp.array_shapes(max_dims=4, max_side=9),
    elements=st.integers(0, 120),
)


@QUICK
@given(arrays, st.data())
def test_are_numpys(values: np.ndarray, data: st.DataObject) -> None:
    """Over any dimensions, sums and means equal NumPy's; sums of small integers are exact."""
    axes = tuple(data.draw(st.sets(st.integers(0, values.ndim - 1))))
    array = xr.DataArray(values, dims=NAMES[: values.ndim])
    over = [NAMES[axis] for axis in axes]

    for statistic, expected in (
        (sums.sum_over, values.sum(axis=axes, dtype="f8")),
        (sums.average_over, values.mean(axis=axes, dtype="f8")),
    ):
        found = statistic(array, over)

        assert found.dtype == np.float64
        assert found.dims == tuple(name for name in array.dims if name not in over)
        np.testing.assert_array_equal(found.values, expected)


@QUICK
@given(st.data())
def test_parts_are_the_same_to_the_bit(data: st.DataObject) -> None:
    """The sum of one column is that column's part of all sums, also if rounding matters."""
    rows, columns = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 20))
    values = np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=(rows, columns))
    values[values > 2] = np.nan
    array = xr.DataArray(values, dims=("y", "x"))
    column = data.draw(st.integers(0, columns - 1))

    for statistic in (sums.sum_over, sums.average_over):
        part = statistic(array.isel(x=slice(column, column + 1)), ["y"]).values

        np.testing.assert_array_equal(part, statistic(array, ["y"]).values[column : column + 1])


def test_missing() -> None:
    """NaN is left out of means; a sum with NaN is NaN; infinities that cancel give NaN."""
    array = xr.DataArray([[1, np.nan], [2, np.nan], [np.inf, -np.inf]], dims=("y", "x"))

    np.testing.assert_array_equal(sums.average_over(array[:2], ["y"]).values, [1.5, np.nan])
    np.testing.assert_array_equal(sums.sum_over(array[:2], ["y"]).values, [3, np.nan])
    assert math.isnan(sums.sum_over(array[2:], ["x"]).item())
