"""Decoding of stored numbers, compared with xarray's."""

from __future__ import annotations

import warnings
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tests.strategies import CountingSource

from shotdap.catalog.readers.lazy import create_lazy_variable
from shotdap.transforms.decoding import HDF4_OFFSET, decode_dataset, decode_variable

Array: TypeAlias = NDArray[Any]

TYPES: Final = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


def decode_by_xarray(stored: xr.Variable) -> Array:
    """Decode a variable by xarray, without its warnings about several fill values and overflow."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        dataset = xr.Dataset({"v": stored})
        return np.asarray(xr.decode_cf(dataset, decode_times=False, decode_timedelta=False)["v"].values)


@st.composite
def packed_variables(draw: st.DrawFn) -> xr.Variable:
    """Draw stored numbers with any of the attributes that define their meaning."""
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    values = draw(hnp.arrays(dtype, 4))
    attributes: dict[str, Any] = {}
    for name in ("_FillValue", "missing_value"):
        kind = draw(st.sampled_from(("absent", "absent", "one of them", "any number")))
        if kind == "one of them":
            attributes[name] = draw(st.sampled_from(list(values)))
        elif kind == "any number":
            attributes[name] = draw(hnp.arrays(draw(st.sampled_from(TYPES)), ()))[()]
    floats = st.sampled_from((np.float32, np.float64))
    if draw(st.booleans()):
        attributes["scale_factor"] = draw(floats)(draw(st.floats(-100, 100)))
    if draw(st.booleans()):
        attributes["add_offset"] = draw(floats)(draw(st.floats(-1000, 1000)))
    if dtype.kind in "iu" and draw(st.integers(0, 3)) == 0:
        attributes["_Unsigned"] = draw(st.sampled_from(("true", "false")))
        _make_fill_fit(attributes, dtype)
    elif draw(st.booleans()):  # xarray takes a fill value for another one in big-endian numbers with _Unsigned
        values = values.astype(dtype.newbyteorder(">"))
    return xr.Variable("x", values, attributes)


def _make_fill_fit(attributes: dict[str, Any], dtype: np.dtype[Any]) -> None:
    """Convert a fill value to the variable's type, because xarray fails on any other beside ``_Unsigned``."""
    if "_FillValue" in attributes:
        number = int(np.clip(np.nan_to_num(float(attributes["_FillValue"])), -(2**62), 2**62))
        attributes["_FillValue"] = np.asarray(number).astype(dtype)[()]


@settings(deadline=None, max_examples=500)
@given(packed_variables())
def test_values_are_xarrays(stored: xr.Variable) -> None:
    """For any attributes, values and type equal those that xarray decodes."""
    with np.errstate(all="ignore"):
        decoded = decode_variable(stored)
        found, expected = decoded.values, decode_by_xarray(stored)

    assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    assert decoded.dtype == found.dtype
    np.testing.assert_array_equal(found, expected)
    assert not {"scale_factor", "add_offset", "_Unsigned"} & decoded.attrs.keys()
    assert all(np.isnan(decoded.attrs.get(name, np.nan)) for name in ("_FillValue", "missing_value"))


def make_variable(values: Any, **attributes: Any) -> xr.Variable:  # noqa: ANN401 — what NumPy makes an array of
    return xr.Variable("x", np.asarray(values), attributes)


def test_nothing_to_decode() -> None:
    """A variable without such attributes is returned unchanged."""
    plain = make_variable(np.array([1, 2], ">u2"), units="count", long_name="image")

    assert decode_variable(plain) is plain


def test_fill_of_another_type() -> None:
    """A fill value that no stored number can equal masks nothing, not even infinity."""
    wide = make_variable(np.array([1, np.inf, -np.inf], "f4"), _FillValue=np.float64(1e300), missing_value=-1e300)
    negative = make_variable(np.array([1, 65535], "u2"), _FillValue=np.int16(-1))

    assert decode_variable(wide).values.tolist() == [1, np.inf, -np.inf]
    assert decode_variable(negative).values.tolist() == [1, 65535]


def test_nan_stays() -> None:
    """NaN that marks missing values stays in the decoded variable, in its type."""
    decoded = decode_variable(
        make_variable(np.array([1, np.nan], "f4"), missing_value=np.float64(np.nan), scale_factor=2.0)
    )

    assert np.isnan(decoded.attrs["missing_value"])
    assert decoded.attrs["missing_value"].dtype == decoded.dtype


def test_calibration_of_hdf4() -> None:
    """HDF4's calibration subtracts the offset first, and is computed in float64."""
    attributes = {"scale_factor": 0.01, "add_offset": 150.0, HDF4_OFFSET: -15000.0, "_FillValue": np.int16(-9999)}
    stored = np.array([0, 100, 11225, -9999], "i2")
    decoded = decode_variable(make_variable(stored, **attributes, units="K"))

    assert decoded.dtype == np.float64
    np.testing.assert_array_equal(decoded.values[:3], 0.01 * (stored[:3].astype("f8") + 15000.0))
    assert np.isnan(decoded.values[3])
    assert decoded.attrs == {"units": "K"}


def test_calibration_that_changes_nothing() -> None:
    """HDF4's calibration of 1 and 0, which many writers add, does not change integers."""
    decoded = decode_variable(
        make_variable(np.array([1, 2], "u2"), scale_factor=1.0, add_offset=0.0, **{HDF4_OFFSET: 0.0})
    )

    assert decoded.dtype == np.uint16
    assert decoded.values.tolist() == [1, 2]


CONVERTED: Final[list[tuple[str, dict[str, Any], dict[str, Any]]]] = [
    ("u2", {"scale_factor": 0.5, "valid_range": np.array([0, 4095], "u2")}, {"valid_range": [0, 2047.5]}),
    ("u2", {"scale_factor": -0.5, "valid_range": np.array([0, 4095], "u2")}, {"valid_range": [-2047.5, 0]}),
    ("u2", {"scale_factor": -0.5, "valid_min": np.uint16(2)}, {"valid_max": -1}),
    ("u2", {"scale_factor": 0.5, "valid_max": np.float64(9.5)}, {"valid_max": 9.5}),
    ("i2", {"_Unsigned": "true", "valid_range": np.array([0, -1], "i2")}, {"valid_range": [0, 65535]}),
    ("i1", {"_Unsigned": "true", "flag_values": np.array([0, -128], "i1")}, {"flag_values": [0, 128]}),
    ("u2", {"scale_factor": 0.5, "add_offset": -10.0, "saturation": 4095}, {"saturation": 2037.5}),
    ("u2", {"scale_factor": 0.5, "actual_range": np.array([0, 1.0])}, {"actual_range": [0, 1]}),
    ("u2", {"_FillValue": np.uint16(7), "valid_max": np.uint16(9)}, {"valid_max": 9}),
]


@pytest.mark.parametrize(("dtype", "attributes", "expected"), CONVERTED)
def test_attributes_in_stored_numbers(dtype: str, attributes: dict[str, Any], expected: dict[str, Any]) -> None:
    """An attribute in stored numbers is converted with them; one in decoded numbers stays."""
    decoded = decode_variable(make_variable(np.zeros(2, dtype), **attributes))

    assert {name: np.asarray(value).tolist() for name, value in decoded.attrs.items()} == expected


UNUSABLE: Final[list[tuple[str, Any]]] = [
    ("scale_factor", "0.5"),
    ("scale_factor", np.array([1.0, 2.0])),
    ("add_offset", np.nan),
    ("_FillValue", "none"),
]


@pytest.mark.parametrize(("name", "value"), UNUSABLE)
def test_attribute_that_cannot_be_applied(name: str, value: object) -> None:
    """An invalid attribute changes no number; it is kept under another name, with the reason."""
    decoded = decode_variable(
        make_variable(np.array([1, 2], "u2"), omitted="colour: values of type complex", **{name: value})
    )

    assert decoded.values.tolist() == [1, 2]
    assert name not in decoded.attrs
    assert f"file_{name}" in decoded.attrs
    assert decoded.attrs["omitted"].startswith(f"colour: values of type complex, {name}: it is ")


def test_integer_times_stay() -> None:
    """Times that are integers stay as stored: as floats, nanoseconds would lose their last digits."""
    times = make_variable(np.array([2**62, -1]), units="nanoseconds since 2000-01-01", _FillValue=np.int64(-1))

    assert decode_variable(times) is times


def test_text_and_truths_stay() -> None:
    """Text and booleans are not decoded."""
    dataset = xr.Dataset(
        {
            "text": ("x", np.array(["a", "-"], object), {"_FillValue": "-"}),
            "truth": ("x", [True, False], {"_FillValue": 0}),
        }
    )

    assert decode_dataset(dataset).identical(dataset)


def test_lazy() -> None:
    """Only the stored numbers of a slice are read, and its decoded numbers equal those of the whole."""
    source = CountingSource(np.arange(60, dtype=">i2").reshape(6, 10))
    stored = create_lazy_variable(("y", "x"), source, {"scale_factor": 0.5, "_FillValue": np.int16(33)})
    decoded = decode_variable(stored)
    part = decoded[3, 1:9:2].values

    assert source.count == 4
    np.testing.assert_array_equal(part, [15.5, np.nan, 17.5, 18.5])
    np.testing.assert_array_equal(part, decoded.values[3, 1:9:2])
