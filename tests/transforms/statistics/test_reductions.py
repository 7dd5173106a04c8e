"""Statistics, compared with NumPy's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import QUICK, CountingSource, make_numbered

from shotdap.catalog.readers.lazy import create_lazy_variable
from shotdap.transforms import bytes_read
from shotdap.transforms.statistics import reductions

Array = NDArray[Any]

NUMPYS: Final[dict[str, Any]] = {"mean": np.nanmean, "minimum": np.nanmin, "maximum": np.nanmax}
BLOCKS: Final = pytest.mark.parametrize("block", [16, 1 << 20], ids=["small blocks", "one block"])

arrays = hnp.arrays(
    st.sampled_from([np.dtype(name) for name in ("u1", "<u2", ">i4", "i8", ">f4", "f8")]),
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=7),
    elements=st.integers(0, 120),
)


@contextmanager
def limit_blocks(size: int) -> Iterator[None]:
    """Set the size of a block while the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reductions, "BLOCK_BYTES", size)
        yield


def make_variable(values: Any, **attrs: object) -> xr.Variable:  # noqa: ANN401 — what NumPy makes an array of
    array = np.asarray(values)
    return xr.Variable([f"d{axis}" for axis in range(array.ndim)], array, attrs)


@pytest.mark.parametrize("name", NUMPYS)
@BLOCKS
@QUICK
@given(values=arrays, data=st.data())
def test_statistics_are_numpys(name: str, block: int, values: Array, data: st.DataObject) -> None:
    """Over any dimensions, in blocks of any size, mean, minimum and maximum equal NumPy's."""
    axes = tuple(data.draw(st.sets(st.integers(0, values.ndim - 1))))
    with limit_blocks(block):
        found = getattr(reductions, f"compute_{name}")(make_variable(values), axes)
        computed = found.values

    assert found.dims == tuple(f"d{axis}" for axis in range(values.ndim) if axis not in axes)
    assert found.shape == computed.shape
    assert found.dtype == computed.dtype
    np.testing.assert_allclose(computed, NUMPYS[name](values.astype("f8"), axis=axes), rtol=1e-12)


@BLOCKS
@QUICK
@given(values=arrays, data=st.data())
def test_bins_are_means_of_blocks(block: int, values: Array, data: st.DataObject) -> None:
    """Each pixel of a binned variable is the mean of its block, also of an incomplete one."""
    sizes = data.draw(st.tuples(*(st.integers(1, 9) for _ in values.shape)))
    with limit_blocks(block):
        found = reductions.compute_block_means(make_variable(values), sizes).values

    assert found.shape == tuple(-(-size // n) for size, n in zip(values.shape, sizes, strict=True))
    for index in np.ndindex(found.shape):
        part = values[tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, sizes, strict=True))]
        np.testing.assert_allclose(found[index], part.mean(dtype="f8"), rtol=1e-12)


def test_binned_dimensions_have_names_of_their_own() -> None:
    """Binned dimensions have other names, because they have other pixels than the variable."""
    found = reductions.compute_block_means(make_variable(np.zeros((8, 9))), (4, 1))

    assert found.sizes == {"d0_bin4": 2, "d1": 9}
    assert found.attrs == {"cell_methods": "d0: mean (interval: 4 pixels)"}


MISSING: Final = [
    ([1, np.nan, 4], {}, (2.5, 1, 4)),
    ([np.nan, np.nan], {}, (np.nan, np.nan, np.nan)),
    ([1, -9, 4], {"_FillValue": -9.0}, (2.5, 1, 4)),
    (np.array([1, 65535, 4], "u2"), {"_FillValue": np.uint16(65535)}, (2.5, 1, 4)),
    (np.array([7, 7], "i2"), {"missing_value": np.array([7, 8], "i2")}, (np.nan, np.nan, np.nan)),
    ([1, np.inf], {}, (np.inf, 1, np.inf)),
    (np.array([1, 5], "i2"), {"scale_factor": 2.0, "add_offset": 10.0}, (16, 12, 20)),
    (np.array([1, 5], "i2"), {"scale_factor": -2.0}, (-6, -10, -2)),
    (np.array([1, 5, 0], "i2"), {"scale_factor": -2.0, "_FillValue": np.int16(0)}, (-6, -10, -2)),
    (np.array([1, 5], "i2"), {"scale_factor": "none", "add_offset": [1, "x"]}, (3, 1, 5)),
    (np.array([True, False]), {}, (0.5, 0, 1)),
]


@pytest.mark.parametrize(("values", "attrs", "expected"), MISSING)
def test_missing_and_packed_values(values: Any, attrs: dict[str, Any], expected: tuple[float, ...]) -> None:  # noqa: ANN401
    """NaN and fill values are left out, packed numbers are decoded; without values, the result is NaN."""
    given_variable = make_variable(values, **attrs)
    found = [
        float(statistic(given_variable, (0,)).values)
        for statistic in (reductions.compute_mean, reductions.compute_minimum, reductions.compute_maximum)
    ]

    np.testing.assert_array_equal(found, expected)


TYPES: Final = [
    ("u2", {}, "u2"),
    (">i4", {}, "i4"),
    ("i2", {"_FillValue": np.int16(-1)}, "f8"),
    ("i2", {"scale_factor": 0.5}, "f8"),
    ("f4", {}, "f8"),
]


@pytest.mark.parametrize(("dtype", "attrs", "expected"), TYPES)
def test_types(dtype: str, attrs: dict[str, Any], expected: str) -> None:
    """The minimum of integers has their type; otherwise it is float64, as every mean is."""
    given_variable = make_variable(np.ones((2, 3), dtype), **attrs)

    assert reductions.compute_minimum(given_variable, (0,)).dtype == np.dtype(expected)
    assert reductions.compute_mean(given_variable, (0,)).dtype == np.float64


def test_sums_do_not_overflow() -> None:
    """A mean of large or many integers is that of their float64 sum."""
    assert float(reductions.compute_mean(make_variable(np.full(1000, 65535, "u2")), (0,)).values) == 65535
    assert float(reductions.compute_mean(make_variable(np.full(3, 3e38, "f4")), (0,)).values) == np.float32(3e38)


def test_nothing_is_read_early() -> None:
    """A statistic knows its shape, type and cost without reading; each value is read once, in bounded blocks."""
    source = CountingSource(make_numbered(4, 6, 5))
    stack = create_lazy_variable(("frame", "y", "x"), source, {"units": "counts", "other": 1})
    with limit_blocks(60):
        found = reductions.compute_mean(stack, (0,))

        assert (found.shape, found.attrs) == ((6, 5), {"units": "counts", "cell_methods": "frame: mean"})
        assert bytes_read(found) == stack.nbytes
        assert source.count == 0
        np.testing.assert_allclose(found.values, source.values.mean(0))

    assert source.count == source.values.size
    assert len(source.reads) == 4


def test_a_statistic_of_a_statistic() -> None:
    """A statistic of a statistic is possible, and adds up what is read."""
    found = reductions.compute_maximum(reductions.compute_block_means(make_variable(make_numbered(6, 4)), (3, 2)), (0,))

    np.testing.assert_allclose(found.values, [16.5, 18.5])
    assert bytes_read(found) == 6 * 4 * 2 + 2 * 2 * 8


@given(hnp.array_shapes(min_dims=0, max_dims=4, max_side=6), st.integers(1, 50))
def test_blocks_cover_everything_once(shape: tuple[int, ...], most: int) -> None:
    """Blocks are small enough, and together they contain each element once."""
    seen = np.zeros(shape, int)
    for block in reductions.split_into_blocks(shape, most):
        seen[block] += 1

        assert seen[block].size <= most

    assert (seen == 1).all()
