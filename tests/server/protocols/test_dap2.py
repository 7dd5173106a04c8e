"""DAP2's responses: tables of bytes, properties, and two decoders."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, Final

import dask.array as da
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tests.server.protocols.dap2_decoding import Array, decode, decode_by_pydap, encode, make_unreadable

from shotdap.server.protocols import dap2
from shotdap.server.protocols.dap2.data import BLOCK_SIZE
from shotdap.server.protocols.dap2.promotion import WIRE_DTYPES
from shotdap.server.protocols.dap2.text import make_safe_names
from shotdap.transforms.virtual.variable_traits import get_traits, set_traits

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap imports, imports cgi
    from pydap.parsers.das import parse_das

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "dap2"

# Bytes --------------------------------------------------------------------------------------------------------------


def make_variable(kind: str, values: object, *dims: str) -> xr.Variable:
    return set_traits(xr.Variable(dims, np.asarray(values)), dap2_type=kind)


WIRE_CASES: Final[list[tuple[str, xr.Variable, str, str]]] = [
    ("an Int16 takes four bytes", make_variable("Int16", np.int16(-2)), "Int16 v", "ff ff ff fe"),
    ("a Byte", make_variable("Byte", np.uint8(200)), "Byte v", "c8 00 00 c8"),
    (
        "bytes are packed and padded",
        make_variable("Byte", np.array([1, 2, 3, 4, 255], "u1"), "x"),
        "Byte v[x = 5]",
        "00000005 00000005 01020304 ff000000",
    ),
    (
        "four bytes need no padding",
        make_variable("Byte", np.array([1, 2, 3, 4], "u1"), "x"),
        "Byte v[x = 4]",
        "00000004 00000004 01020304",
    ),
    (
        "UInt16s take four bytes each",
        make_variable("UInt16", np.array([1, 65535], "u2"), "x"),
        "UInt16 v[x = 2]",
        "00000002 00000002 00000001 0000ffff",
    ),
    (
        "rows come one after the other",
        make_variable("Int32", np.array([[1, 2], [3, 4]], dtype="<i4").T, "y", "x"),
        "Int32 v[y = 2][x = 2]",
        "00000004 00000004 00000001 00000003 00000002 00000004",
    ),
    ("a UInt32", make_variable("UInt32", np.uint32(2**32 - 1)), "UInt32 v", "ffffffff"),
    ("a Float32", make_variable("Float32", np.float16(1.5)), "Float32 v", "3fc00000"),
    (
        "Float64s",
        make_variable("Float64", [np.nan, -np.inf], "x"),
        "Float64 v[x = 2]",
        "00000002 00000002 7ff8000000000000 fff0000000000000",
    ),
    ("a string", make_variable("String", "abcde"), "String v", "00000005 6162636465 000000"),
    (
        "strings carry their number once",
        make_variable("String", np.array(["", "abcd", "ab"], dtype=object), "x"),
        "String v[x = 3]",
        "00000003 00000000 00000004 61626364 00000002 6162 0000",
    ),
    (
        "a string of bytes",
        make_variable("String", np.array([b"ab"]), "x"),
        "String v[x = 1]",
        "00000001 00000002 6162 0000",
    ),
    ("text that is not ASCII", make_variable("String", "µ\\"), "String v", "00000004 c2b5 5c5c"),
    (
        "no values",
        make_variable("Int32", np.zeros((0, 2), "i4"), "y", "x"),
        "Int32 v[y = 0][x = 2]",
        "00000000 00000000",
    ),
]
wire_cases = pytest.mark.parametrize(
    ("value", "declaration", "data"), [pytest.param(*row[1:], id=row[0]) for row in WIRE_CASES]
)


@wire_cases
def test_variables_are_sent_as_these_bytes(value: xr.Variable, declaration: str, data: str) -> None:
    """A body is the DDS, `Data:` and the bytes of the table."""
    expected = f"Dataset {{\n    {declaration};\n}} f.hdf;\nData:\n".encode() + bytes.fromhex(data)

    assert encode(xr.Dataset({"v": value}), "f.hdf") == expected


@wire_cases
def test_these_bytes_are_read_as_the_variables(value: xr.Variable, declaration: str, data: str) -> None:
    """Decoded by the specification, the bytes of the table are the values of the table."""
    body = f"Dataset {{\n    {declaration};\n}} f.hdf;\nData:\n".encode() + bytes.fromhex(data)
    values = value.values.astype(str) if value.dtype.kind == "S" else value.values

    np.testing.assert_array_equal(decode(body)["v"], values)


def make_every_type() -> xr.Dataset:
    """Return the dataset of the files in tests/golden/dap2."""
    numbers = {
        f"{kind}{size}": (("y", "x"), np.array([[0, 1, 2], [3, 100, 101]], dtype=f"{kind}{size}"))
        for kind, sizes in {"i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}.items()
        for size in sizes
    }
    top = {
        f"top_{name}": ((), np.array(np.iinfo(name).max, name)) for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4")
    }
    image_attrs = {
        "units": "5 µm",
        "_FillValue": np.uint16(65535),
        "valid_range": np.array([0, 4095], "u2"),
        "gain": [0.1, np.nan, np.inf],
    }
    return xr.Dataset(
        {
            **numbers,
            **top,
            "mask": (("x",), np.array([True, False, True])),
            "DATA/SHOT/image": (("frame", "y", "x"), np.arange(12, dtype=">u2").reshape(2, 2, 3) * 5000, image_attrs),
            "names": (("frame",), np.array(["shot", 'back\\slash "µ"'], dtype=object), {"long_name": 'say "C:\\"'}),
            "comment": ((), "x" * 65),
            "nothing": (("zero",), np.zeros(0)),
        },
        coords={"x": [0.5, 1.5, 2.5]},
        attrs={
            "title": "two\nlines",
            "DATA/SHOT/number": 103741,
            "when": np.int64(2**40),
            "odd name": np.float32(0.1),
            "none": np.zeros(0),
        },
    )


@pytest.mark.parametrize("suffix", ["dds", "das", "dods"])
def test_every_type_is_as_clients_read_it(suffix: str) -> None:
    """The responses for a dataset of every type equal, to the byte, those that real clients read correctly."""
    dataset = dap2.adapt_dataset(make_every_type())
    made = {
        "dds": dap2.render_dds(dataset, "every_type").encode("ascii"),
        "das": dap2.render_das(dataset).encode(),
        "dods": encode(dataset, "every_type"),
    }

    assert made[suffix] == (GOLDEN / f"every_type.{suffix}").read_bytes()


# Adaptation ---------------------------------------------------------------------------------------------------------

PROMOTED: Final = [
    ("?", "Int16"), ("i1", "Int16"), ("u1", "Int16"), ("i2", "Int16"), (">u2", "Int32"), ("u2", "Int32"),
    (">i4", "Int32"),
    ("u4", "Float64"), ("f2", "Float32"), (">f4", "Float32"), ("f8", "Float64"), ("U3", "String"), ("S3", "String"),
    ("O", "String"), ("i8", "Int32"), ("u8", "Int32"),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "kind"), PROMOTED)
def test_types(dtype: str, kind: str) -> None:
    """Byte and unsigned types are never sent; the promoted type is that of the table."""
    adapted = dap2.adapt_dataset(
        xr.Dataset({"v": (("x",), np.array(["1", "0"]).astype(dtype) if kind == "String" else np.ones(2, dtype))})
    )

    assert f"    {kind} v[x = 2];\n" in dap2.render_dds(adapted, "d")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([-(2**31), 2**31 - 1]), "Int32"),
        (np.array([2**31]), "Float64"),
        (np.array([-(2**31) - 1]), "Float64"),
        (np.array([2**64 - 1], "u8"), "Float64"),
        (da.zeros(4096, dtype="i8"), "Int32"),
        (da.zeros(4097, dtype="i8"), "Float64"),
    ],
)
def test_long_integers_are_int32_where_they_are_seen_to_fit(values: Any, kind: str) -> None:  # noqa: ANN401 - two kinds of array
    """A 64-bit integer variable is Int32 if its values fit and it is small; else Float64, with a warning."""
    adapted = dap2.adapt_dataset(xr.Dataset({"v": (("n",), values)}))

    assert dap2.render_dds(adapted, "d").startswith(f"Dataset {{\n    {kind} v")
    assert ("dap2_warning" in adapted["v"].attrs) == (kind == "Float64")


def test_no_pixel_is_read_before_the_body() -> None:
    """A dataset with unreadable values can be adapted, narrowed, described and measured."""
    dataset = xr.Dataset(
        {"image": (("y", "x"), make_unreadable((300, 200), "u2")), "n": ((), make_unreadable((), "i8"))},
        coords=xr.Coordinates({"x": ("x", make_unreadable((200,), "f8"))}, indexes={}),
    )
    narrowed = dap2.parse_constraint("image[0:9][0:2:9],x,n").narrow(dap2.adapt_dataset(dataset))

    assert dap2.render_dds(narrowed, "d").count("Float64") == 2
    assert dap2.render_das(narrowed)
    assert dap2.compute_body_size(narrowed, "d") > 200 * 8


def test_types_do_not_depend_on_the_constraint() -> None:
    """A slice of a 64-bit variable has the type of the whole, also after narrowing and computing."""
    adapted = dap2.adapt_dataset(xr.Dataset({"v": (("n",), np.array([1, 2, 2**40]))}))
    narrowed = dap2.parse_constraint("v[0:1]").narrow(adapted).compute()

    np.testing.assert_array_equal(decode(encode(narrowed))["v"], [1, 2])
    assert "Float64 v[n = 2];" in dap2.render_dds(narrowed, "d")


def test_variables_of_length_zero_are_left_out_and_named() -> None:
    """Variables that DAP2 cannot represent are omitted from the DDS, and listed in an attribute of the dataset."""
    adapted = dap2.adapt_dataset(xr.Dataset({"v": 1.0, "empty": (("zero",), np.zeros(0)), "z": 1j}))

    assert list(adapted.variables) == ["v"]
    assert adapted.attrs["dap2_left_out"] == ["empty", "z"]


def test_names_are_flat_and_dimensions_follow() -> None:
    """Groups' names are joined by underscores; a coordinate and its dimension keep one name; names stay unique."""
    image = (("A/y", "A/x"), np.zeros((1, 2)))
    adapted = dap2.adapt_dataset(
        xr.Dataset({"A/image": image, "A_image": 1.0, "A/x": (("A/x",), [1.0, 2.0]), "Byte": 2.0})
    )

    assert dict(adapted["A_image_2"].sizes) == {"A_y": 1, "A_x": 2}
    assert set(adapted.variables) == {"A_image_2", "A_image", "A_x", "Byte_"}
    assert adapted["Byte_"].attrs["original_name"] == "Byte"


@given(st.lists(st.text("aA/_.-é0", max_size=4)))
def test_safe_names_are_safe_and_different(names: list[str]) -> None:
    """Every name gets a unique safe one, and safe names are kept."""
    safe = make_safe_names(names)

    assert len(set(safe.values())) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in safe.values())
    assert all(safe[name] == name for name in names if re.fullmatch(r"[A-Za-z0-9_]+", name))


FILLS: Final = [
    ("u2", {"_FillValue": np.uint16(65535)}, "Int32 _FillValue 65535"),
    ("u2", {"_FillValue": np.array([1, 2], "u2")}, "Int32 missing_value 1, 2"),
    ("u8", {"_FillValue": np.uint64(2**64 - 1)}, 'String FillValue "18446744073709551615"'),
    ("u1", {"missing_value": np.uint8(255)}, "Int16 missing_value 255"),
    ("i4", {"_FillValue": -999}, "Int32 _FillValue -999"),
    ("i4", {"valid_range": np.array([0.0, 100.0])}, "Int32 valid_range 0, 100"),
    ("i4", {"valid_min": 0.5}, "Float64 valid_min 0.5"),
    ("f4", {"_FillValue": np.float32(-9999.9)}, "Float32 _FillValue -9999.900390625"),
    ("f4", {"missing_value": np.array([1e300, 2])}, "Float64 missing_value 1e+300, 2.0"),
    ("f2", {"_FillValue": np.float16(0.1)}, "Float32 _FillValue 0.0999755859375"),
    ("u4", {"_FillValue": np.uint32(2**32 - 1)}, "Float64 _FillValue 4294967295.0"),
    ("i2", {"_FillValue": np.array([-1], "i2")}, "Int16 _FillValue -1"),
    ("u1", {"flag_values": np.array([1, 2], "u1")}, "Int16 flag_values 1, 2"),
    ("u4", {"scale_factor": np.float32(0.5)}, "Float64 scale_factor 0.5"),
    ("u2", {"scale_factor": np.float32(0.5)}, "Float32 scale_factor 0.5"),
    ("u4", {"scale_factor": "none"}, 'String scale_factor "none"'),
]


@pytest.mark.parametrize(("dtype", "attrs", "line"), FILLS)
def test_fill_values_have_the_type_that_is_sent(dtype: str, attrs: dict[str, Any], line: str) -> None:
    """`_FillValue` and its kin are cast with their variable."""
    das = dap2.render_das(dap2.adapt_dataset(xr.Dataset({"v": ((), np.ones((), dtype), attrs)})))

    assert f"        {line};\n" in das


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("i2", np.nan), ("i2", "none"), ("i2", 0.5), ("i2", 2**40), ("u2", np.int16(-1)), ("f4", 1e300), ("f4", 0.1)],
)
def test_impossible_fill_values_mask_nothing(dtype: str, fill: object) -> None:
    """A fill value that the type does not hold, which xarray finds nowhere in the file, is kept as `FillValue`."""
    attrs = dap2.adapt_dataset(xr.Dataset({"v": ((), np.ones((), dtype), {"_FillValue": fill})}))["v"].attrs

    assert (attrs["FillValue"], attrs.keys() & {"_FillValue", "missing_value"}) == (fill, set())


def test_unsigned_attribute_is_applied() -> None:
    """The server applies netCDF-3's `_Unsigned`, so that no client applies it a second time."""
    attrs = {"_Unsigned": "true", "_FillValue": np.int8(-2)}
    adapted = dap2.adapt_dataset(
        xr.Dataset({"v": (("x",), np.array([-1, 5], "i1"), attrs), "w": ((), np.array(-1, ">i2"), attrs)})
    )

    np.testing.assert_array_equal(decode(encode(adapted))["v"], [255, 5])
    assert decode(encode(adapted))["w"] == 65535
    assert parse_das(dap2.render_das(adapted))["v"] == {"_FillValue": 254, "native_type": "uint8"}


# Attributes ---------------------------------------------------------------------------------------------------------

ATTRIBUTES: Final[list[tuple[object, str]]] = [
    ("text", 'String a "text"'),
    ("", 'String a ""'),
    ('say "hi"', r'String a "say \"hi\""'),
    ("C:\\data\\", r'String a "C:\\data\\ "'),
    ("two\nlines\r\t\x01", 'String a "two\nlines\r\t\x01"'),
    ("5 µm\0", 'String a "5 µm"'),
    (b"\xb5m", r'String a "\\xb5m"'),
    (["a", "é"], 'String a "a", "é"'),
    (True, "Int16 a 1"),
    (np.uint8(200), "Int16 a 200"),
    (np.array([1, 65535], "u2"), "Int32 a 1, 65535"),
    (np.uint32(7), "Float64 a 7.0"),
    (7, "Int32 a 7"),
    (2**40, "Float64 a 1099511627776.0"),
    (2**53, "Float64 a 9007199254740992.0"),
    (2**53 + 1, 'String a "9007199254740993"'),
    (np.array([0, 2**64 - 1], "u8"), 'String a "0", "18446744073709551615"'),
    (2**70, 'String a "1180591620717411303424"'),
    (np.float16(0.5), "Float32 a 0.5"),
    (np.float32(0.1), "Float32 a 0.10000000149011612"),
    (
        np.array([0.1, np.nan, np.inf, -np.inf, 1e300]),
        "Float64 a 0.1, NaN, 1e999 #Infinity\n, -1e999 #-Infinity\n, 1e+300",
    ),
    ([1, 2.5], "Float64 a 1.0, 2.5"),
    (1 + 2j, 'String a "(1+2j)"'),
    ([[1], [1, 2]], 'String a "[[1], [1, 2]]"'),
]


@pytest.mark.parametrize(("value", "line"), ATTRIBUTES)
def test_attributes_are_written_as_these_lines(value: object, line: str) -> None:
    """An attribute has the promoted type of its value, with escaped quotes and backslashes."""
    assert (
        dap2.render_das(xr.Dataset(attrs={"a": value}))
        == f"Attributes {{\n    NC_GLOBAL {{\n        {line};\n    }}\n}}\n"
    )


@pytest.mark.parametrize("value", [[], np.zeros(0), np.array([], dtype="U1")])
def test_attributes_without_values_are_left_out(value: object) -> None:
    """An empty array has no line."""
    assert dap2.render_das(xr.Dataset(attrs={"a": value})) == "Attributes {\n    NC_GLOBAL {\n    }\n}\n"


scalars = st.text() | st.integers() | st.floats() | st.booleans()
ANY_ATTRIBUTES: Final = st.dictionaries(
    st.text(), scalars | st.lists(st.text()) | st.lists(st.floats()) | st.lists(st.integers())
)


@given(ANY_ATTRIBUTES)
def test_pydap_reads_the_das_of_any_attributes(attrs: dict[str, Any]) -> None:
    """For any names and values, pydap reads as many attributes as have values."""
    read = parse_das(dap2.render_das(xr.Dataset(attrs=attrs)))["NC_GLOBAL"]

    assert len(set(read) - {"renamed_attributes"}) == sum(value != [] for value in attrs.values())


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\0\\"')),
    st.lists(st.floats(), min_size=2),
    hnp.arrays("f4", 3, elements=st.floats(width=32)),
)
def test_pydap_reads_the_same_attributes(text: str, doubles: list[float], singles: Array) -> None:
    """Pydap reads any text without quotes and backslashes unchanged, and all numbers, those of float32 exactly."""
    read = parse_das(dap2.render_das(xr.Dataset(attrs={"text": text, "doubles": doubles, "singles": singles})))[
        "NC_GLOBAL"
    ]

    assert read["text"] == text
    np.testing.assert_array_equal(read["doubles"], doubles)
    np.testing.assert_array_equal(read["singles"], singles.astype("f8"))


def test_lengths_of_strings_are_sent() -> None:
    """The longest string's length in UTF-8 is sent to netCDF-C, with a unique dimension name."""
    strings = (("x",), np.array(["", "µm"], dtype=object), {"_FillValue": "-", "DODS": 1})
    adapted = dap2.adapt_dataset(xr.Dataset({"s": strings, "s_strlen": 1.0}))

    read = parse_das(dap2.render_das(adapted))["s"]
    assert read.pop("dap2_warning").endswith("beyond ASCII, which pydap cannot read.")
    assert read == {
        "_DODS": 1,
        "_Encoding": "utf-8",
        "DODS.strlen": 3,
        "DODS.dimName": "s_strlen_2",
        "renamed_attributes": "_DODS: DODS",
    }


def test_long_lists_of_strings_are_not_read_for_their_length() -> None:
    """If there are too many strings to read, the size of their type limits their length, or else a fixed number."""
    dataset = xr.Dataset({"u": (("n",), make_unreadable((5000,), "U7")), "o": (("n",), make_unreadable((5000,), "O"))})
    adapted = dap2.adapt_dataset(dataset)

    assert [int(adapted[name].attrs["DODS.strlen"]) for name in ("u", "o")] == [28, 256]


def test_missing_strings_are_empty() -> None:
    """`None` and NaN, xarray's missing strings, are sent as empty strings."""
    strings = xr.Dataset({"s": (("x",), np.array([None, np.nan, "a"], dtype=object))})

    np.testing.assert_array_equal(decode(encode(dap2.adapt_dataset(strings)))["s"], ["", "", "a"])


# Properties ---------------------------------------------------------------------------------------------------------

DTYPES: Final = ["?", "i1", "u1", "<i2", ">u2", "<u2", ">i4", "u4", "<i8", "u8", "f2", ">f4", "f8", "U4", "O"]


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    """Draw up to three variables of any type on some of three dimensions."""
    sizes = {name: draw(st.integers(1, 5)) for name in ("x", "y", "G/z")}
    variables = {}
    for name in ("a", "G/b", "c"):
        dims = draw(st.permutations(list(sizes)).map(lambda dims: dims[: len(dims) - 1]) | st.just([]))
        dtype = draw(st.sampled_from(DTYPES))
        elements = st.text(max_size=4).map(lambda text: text.replace("\0", "")) if dtype in ("U4", "O") else None
        shape = tuple(sizes[dim] for dim in dims)
        variables[name] = (dims, draw(hnp.arrays(np.dtype(dtype), shape, elements=elements)))
    return xr.Dataset(variables)


def is_same(found: Any, values: Array) -> None:  # noqa: ANN401 - an array or a scalar
    assert np.shape(found) == values.shape
    if values.dtype.kind in "UO":
        values = np.vectorize(lambda text: text.encode("utf-8", "backslashreplace").decode(), otypes=[object])(values)
        np.testing.assert_array_equal(found, values)
    else:
        np.testing.assert_array_equal(np.asarray(found), values.astype("f8") if values.dtype.itemsize == 8 else values)


@given(datasets())
def test_round_trip(dataset: xr.Dataset) -> None:
    """Values of every type are decoded unchanged; 64-bit integers to the nearest Float64."""
    found = decode(encode(dap2.adapt_dataset(dataset)))

    for name, values in dataset.variables.items():
        is_same(found[str(name).replace("/", "_")], values.values)


@given(datasets())
def test_pydap_reads_the_same_numbers(dataset: xr.Dataset) -> None:
    """The decoders of pydap and of this module agree."""
    numbers = [name for name, variable in dataset.variables.items() if variable.dtype.kind not in "UO"]
    body = encode(dap2.adapt_dataset(dataset[numbers].assign(one=1)))  # pydap cannot read a response without variables
    ours, theirs = decode(body), decode_by_pydap(body)

    assert list(ours) == list(theirs)
    for name, values in ours.items():
        np.testing.assert_array_equal(np.asarray(theirs[name]).reshape(values.shape), values)


@given(datasets(), st.data())
def test_narrow_then_encode_is_encode_then_slice(dataset: xr.Dataset, data: st.DataObject) -> None:
    """The response to a constraint has the same values as that slice of the whole response."""
    adapted = dap2.adapt_dataset(dataset)
    expression, expected = [], {}
    for name, values in decode(encode(adapted)).items():
        corners = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))) for n in values.shape]
        strides = [data.draw(st.integers(1, 3)) for _ in values.shape]
        expression.append(name + "".join(f"[{a}:{s}:{b}]" for (a, b), s in zip(corners, strides, strict=True)))
        expected[name] = values[tuple(slice(a, b + 1, s) for (a, b), s in zip(corners, strides, strict=True))]
    found = decode(encode(dap2.parse_constraint(",".join(expression)).narrow(adapted)))

    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("view", [np.s_[:], np.s_[::2, ::3], np.s_[:, ::-1]])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", ">i4", "f8"])
def test_big_arrays_go_out_in_blocks(view: Any, dtype: str) -> None:  # noqa: ANN401 - what indexes an array
    """An array of any memory layout is sent in blocks of a bounded size, in C order."""
    array = np.arange(1200 * 900).astype(dtype).reshape(1200, 900)[view]
    for values in (array, array.T, array.reshape(2, -1, array.shape[1]), array.reshape(-1)):
        dims = [f"d{axis}" for axis in range(values.ndim)]
        dataset = dap2.adapt_dataset(xr.Dataset({"v": (dims, values)}))
        blocks = list(dap2.encode_body(dataset, "d"))

        assert max(map(len, blocks)) <= BLOCK_SIZE
        assert len(blocks) <= 2 + 2 * sum(map(len, blocks)) / BLOCK_SIZE
        np.testing.assert_array_equal(decode(b"".join(blocks))["v"], values)


def test_big_endian_values_in_memory_are_not_copied() -> None:
    """A block of an array that is big-endian already shares that array's memory."""
    array = np.zeros(2 * BLOCK_SIZE, dtype=">f4")
    blocks = list(dap2.encode_body(dap2.adapt_dataset(xr.Dataset({"v": (("x",), array)})), "d"))

    assert all(np.shares_memory(np.frombuffer(block, "u1"), array) for block in blocks[1:])


# Answers ------------------------------------------------------------------------------------------------------------


def test_text_is_readable_and_exact() -> None:
    """In text, a row is a line, NaN and infinity have names, and single precision shows no noise."""
    dataset = dap2.adapt_dataset(
        xr.Dataset(
            {
                "image": (("y", "x"), np.array([[1, 65535], [0, 7]], "u2")),
                "f": (("x",), np.array([0.1, np.nan], "f4")),
                "d": (("x",), [0.1, -np.inf]),
                "s": ((), 'say "µ"'),
                "n": ((), np.int16(-3)),
            }
        )
    )

    assert dap2.render_ascii(dataset, "a.h5").partition("-\n")[2] == (
        'image[2][2]\n[0], 1, 65535\n[1], 0, 7\n\nf[2]\n0.1, NaN\n\nd[2]\n0.1, -Infinity\n\ns\n"say \\"µ\\""\n\nn\n-3\n'
    )


def test_errors_are_those_of_dap() -> None:
    """An error is a DAP2 error body, closed and escaped."""
    assert (
        dap2.render_error(403, 'not "yours": µ')
        == ('Error {\n    code = 403;\n    message = "not \\"yours\\": µ";\n};\n').encode()
    )


def test_every_answer_has_its_headers() -> None:
    """Text has a character set; every response has the header of its kind."""
    assert {suffix: answer.description for suffix, answer in dap2.RESPONSE_HEADERS.items()} == {
        "dds": "dods_dds",
        "das": "dods_das",
        "dods": "dods_data",
        "ascii": "dods_ascii",
        "ver": "dods_version",
        "error": "dods_error",
    }
    assert all(
        answer.media_type.endswith("charset=utf-8")
        for answer in dap2.RESPONSE_HEADERS.values()
        if "text" in answer.media_type
    )


def test_every_wire_type_has_a_case() -> None:
    """The table of bytes covers every type."""
    assert {get_traits(row[1]).dap2_type for row in WIRE_CASES} == {*WIRE_DTYPES, "String"}
