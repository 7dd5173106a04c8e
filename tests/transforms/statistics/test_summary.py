"""Statistics over all values of a variable, compared with NumPy's."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.strategies import QUICK

from shotdap.transforms import BadSelection
from shotdap.transforms.statistics.summary import PERCENTILE_LEVELS, WORKING_BYTES_PER_VALUE, compute_summary

frames = arrays.arrays(
    st.sampled_from(["u1", "<u2", ">i4", "f4", ">f8"]), arrays.array_shapes(min_dims=1, max_dims=3, min_side=0)
)


def summarise(values: np.ndarray[Any, Any], bins: int = 8, **attributes: object) -> Any:  # noqa: ANN401 — a Summary
    return compute_summary(xr.Variable([f"d{axis}" for axis in range(values.ndim)], values, attributes), bins)


@QUICK
@given(frames)
def test_counts(values: np.ndarray[Any, Any]) -> None:
    """Every value is counted once: finite ones in the histogram, the others as missing or infinite."""
    found = summarise(values)
    finite = values[np.isfinite(values)]

    assert found.count == values.size
    assert found.missing == np.count_nonzero(np.isnan(values))
    assert found.missing + found.infinite + sum(found.histogram) == values.size
    assert found.negative == np.count_nonzero(values < 0)
    if finite.size:
        assert (found.minimum, found.maximum) == (finite.min(), finite.max())


def test_moments() -> None:
    """Mean, standard deviation and percentiles equal NumPy's, without NaN and infinities."""
    values = np.random.default_rng(0).normal(500, 80, (2, 30, 40))
    finite = values.ravel()[3:].copy()
    values.reshape(-1)[:3] = np.nan, np.inf, -np.inf
    found = summarise(values)

    np.testing.assert_allclose(found.mean, finite.mean())
    np.testing.assert_allclose(found.standard_deviation, finite.std())
    np.testing.assert_allclose(list(found.percentiles.values()), np.percentile(finite, PERCENTILE_LEVELS))
    np.testing.assert_array_equal(found.histogram, np.histogram(finite, 8)[0])


def test_packed() -> None:
    """Packed numbers are decoded, and the fill value is missing."""
    packed = np.array([0, 10, 20, 99], "i2")
    found = summarise(packed, _FillValue=np.int16(99), scale_factor=0.5, add_offset=-2.0)

    assert (found.minimum, found.maximum, found.mean, found.missing, found.negative) == (-2, 8, 3, 1, 1)


def test_saturated() -> None:
    """Saturated counts are those at the attribute's level, or at the maximum of an integer type; or unknown."""
    assert summarise(np.array([4094, 4095, 4096], "u2"), saturation=4095).saturated == 2
    assert summarise(np.array([65535, 4], "u2")).saturated == 1
    assert summarise(np.array([1.0, 2.0])).saturated is None


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, -np.inf]])
def test_no_values(values: list[float]) -> None:
    """Without values, the numbers are NaN, and the histogram is empty."""
    found = summarise(np.array(values))

    assert math.isnan(found.mean)
    assert math.isnan(found.percentiles[50])
    assert list(found.histogram) == []


@pytest.mark.parametrize("values", [[7.0, 7.0], [1e20, 1e20], [1e300, -1e308], [-1.7e308, 1.7e308]])
def test_extremes(values: list[float]) -> None:
    """If no bins fit between the extremes, all values are in a single bin."""
    assert sum(summarise(np.array(values)).histogram) == len(values)


def test_text() -> None:
    """Text has no statistics."""
    with pytest.raises(BadSelection, match="Statistics are of numbers"):
        summarise(np.array(["a"]))


@pytest.mark.parametrize(("dtype", "attributes"), [("u2", {}), ("f8", {}), ("u2", {"_FillValue": np.uint16(3)})])
def test_memory(dtype: str, attributes: dict[str, Any]) -> None:
    """Statistics take no more memory than stated, whatever has to be decoded."""
    values = np.random.default_rng(0).integers(0, 60_000, (512, 512)).astype(dtype)
    summarise(values[:8, :8])
    tracemalloc.start()
    summarise(values, **attributes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak <= WORKING_BYTES_PER_VALUE * values.size
