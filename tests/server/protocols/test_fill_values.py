"""Fill values in the type of their variable mask the same elements in xarray."""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from shotdap.server.protocols.dap2.promotion import MEMORY_DTYPES, PROMOTED_TYPES
from shotdap.server.protocols.fill_values import FILL_ATTRIBUTE, MISSING_ATTRIBUTE, convert_exactly, fit_fill_values
from shotdap.server.protocols.float_text import format_float

Array = NDArray[Any]

KINDS: Final = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
NUMBERS: Final = st.sampled_from([0, 1, -1, 7, 127, 255, 300, 65535, 2**31, 2**53 + 1, 2**63, 0.5, 0.1, 1e20, 1e300])


def draw_numbers(most: int) -> st.SearchStrategy[Array]:
    """Return a strategy of some numbers of one type, some of which other types cannot hold."""
    return st.sampled_from(KINDS).flatmap(
        lambda kind: (
            hnp.arrays(kind, st.integers(1, most), elements=hnp.from_dtype(np.dtype(kind)))
            | st.lists(NUMBERS, min_size=1, max_size=most).map(lambda found: convert(found, kind))
        )
    )


def convert(found: list[float], kind: str) -> Array:
    """Convert the numbers to a type; they wrap or become infinite if it cannot hold them."""
    with np.errstate(all="ignore"):
        return np.array(found, "f8").astype(kind)


def find_masked(values: Array, attrs: dict[Any, Any]) -> Array:
    """Return which values xarray masks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xr.SerializationWarning)  # several fill values, or none for integers
        decoded = xr.decode_cf(xr.Dataset({"v": ("n", values, attrs)}))["v"].values
    return np.isnan(decoded) if decoded.dtype.kind == "f" else np.zeros(values.shape, bool)


@settings(deadline=None, max_examples=300)
@given(draw_numbers(4), st.none() | draw_numbers(3), st.none() | draw_numbers(3), st.booleans())
def test_same_elements_are_masked(values: Array, fill: Array | None, missing: Array | None, is_promoted: bool) -> None:  # noqa: FBT001 — drawn
    """In the type of the values, or in the one in which they are sent, they mask the same elements as in the file."""
    attrs = {name: value for name, value in ((FILL_ATTRIBUTE, fill), (MISSING_ATTRIBUTE, missing)) if value is not None}
    sent = MEMORY_DTYPES[PROMOTED_TYPES[values.dtype.str[1:]]] if is_promoted else values.dtype
    fitted = fit_fill_values(attrs, values.dtype, sent if is_promoted else None)

    np.testing.assert_array_equal(find_masked(values.astype(sent), fitted), find_masked(values, attrs))
    assert np.asarray(fitted.get(FILL_ATTRIBUTE, sent.type(0))).dtype == sent


@pytest.mark.parametrize(
    ("number", "kind", "is_exact"),
    [
        (np.int16(-1), "u2", False),
        (np.float64(1e300), "f4", False),
        (np.float64(0.1), "f4", False),
        (np.float64(0.5), "f4", True),
        (np.float64(np.inf), "f4", True),
        (np.float64(np.nan), "f4", True),
        (np.float64(np.nan), "i4", False),
        (np.int64(2**53 + 1), "f8", False),
        (np.float64(2.0**63), "i8", False),
        (np.float64(2.0**63), "u8", True),
        (np.uint64(2**64 - 1), "i8", False),
    ],
)
def test_exact_casts(number: Any, kind: str, is_exact: bool) -> None:  # noqa: ANN401, FBT001 — of a table
    """A number is cast only if neither its sign nor its last bit changes."""
    assert (convert_exactly(np.ravel(number), np.dtype(kind)) is not None) is is_exact


@given(st.floats(), st.floats(width=32))
def test_text_of_floats(double: float, single: float) -> None:
    """`float` parses a number's text to the same number, and non-finite numbers have one of three words."""
    assert float(format_float(double)) == double or np.isnan(double)
    assert np.float32(format_float(np.float32(single))) == single or np.isnan(single)
    assert np.isfinite(double) or format_float(double) in {"NaN", "Infinity", "-Infinity"}
