"""DAP2, by tables of bytes, by properties, and by two decoders: one written from the specification, and pydap's."""

from __future__ import annotations

import io
import re
import struct
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import dask.array as da
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from shotdap.server.protocols import dap2
from shotdap.server.protocols.dap2.data import BLOCK_SIZE
from shotdap.server.protocols.dap2.filters import Filter, compute_mask_indices
from shotdap.server.protocols.dap2.promotion import WIRE_DTYPES
from shotdap.server.protocols.dap2.text import make_safe_names
from shotdap.transforms.selection import BadSelection, Selection
from shotdap.transforms.variable_traits import get_traits, set_traits
from shotdap.transforms.virtual.read_cost import bytes_read

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap imports, imports cgi
    from pydap.handlers.dap import unpack_dap2_data
    from pydap.parsers.das import parse_das
    from pydap.parsers.dds import dds_to_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "dap2"
Array = np.ndarray[Any, np.dtype[Any]]


def dods(dataset: xr.Dataset, name: str = "d") -> bytes:
    blocks = [bytes(block) for block in dap2.encode_body(dataset, name)]
    assert sum(map(len, blocks)) == dap2.compute_body_size(dataset, name)
    return b"".join(blocks)


# An independent decoder ---------------------------------------------------------------------------------------------

_FORMATS = {"Int16": ">i4", "UInt16": ">u4", "Int32": ">i4", "UInt32": ">u4", "Float32": ">f4", "Float64": ">f8"}


def decode(body: bytes) -> dict[str, Any]:
    """The variables of a `.dods` answer; strings with their escapes undone, as netCDF-C undoes them."""
    text, data = body.split(b"\nData:\n", 1)
    stream, found = io.BytesIO(data), {}
    for kind, name, dims in re.findall(r"^    (\w+) (\w+)((?:\[\w+ = \d+\])*);$", text.decode("ascii"), re.MULTILINE):
        shape = tuple(map(int, re.findall(r"= (\d+)\]", dims)))
        found[name] = _decode_one(stream, kind, shape, scalar=not dims)
    assert not stream.read(), "there are bytes left"
    return found


def _decode_one(stream: io.BytesIO, kind: str, shape: tuple[int, ...], *, scalar: bool) -> Any:  # noqa: ANN401 - any value
    size = int(np.prod(shape))
    for _ in range(0 if scalar else 1 if kind == "String" else 2):
        assert _word(stream) == size
    if kind == "String":
        return np.array([_decode_string(stream) for _ in range(size)], dtype=object).reshape(shape)
    if kind == "Byte":
        size, item = (4, 1) if scalar else (size + -size % 4, 1)
        return np.frombuffer(stream.read(size), "u1")[: int(np.prod(shape))].reshape(shape)
    item = np.dtype(_FORMATS[kind]).itemsize
    return np.frombuffer(stream.read(size * item), _FORMATS[kind]).reshape(shape)


def _word(stream: io.BytesIO) -> int:
    return int(struct.unpack(">I", stream.read(4))[0])


def _decode_string(stream: io.BytesIO) -> str:
    length = _word(stream)
    characters, padding = stream.read(length), stream.read(-length % 4)
    assert not any(padding)
    assert not characters.replace(b"\\\\", b"").count(b"\\"), "a backslash by itself, which netCDF-C drops"
    return characters.replace(b"\\\\", b"\\").decode("utf-8")


def decode_by_pydap(body: bytes) -> dict[str, Any]:
    text, data = body.split(b"\nData:\n", 1)
    template = dds_to_dataset(text.decode("ascii"))
    return dict(zip(template.keys(), unpack_dap2_data(io.BytesIO(data), template), strict=True))


# Bytes --------------------------------------------------------------------------------------------------------------


def variable(kind: str, values: object, *dims: str) -> xr.Variable:
    return set_traits(xr.Variable(dims, np.asarray(values)), dap2_type=kind)


WIRE_CASES: Final[list[tuple[str, xr.Variable, str, str]]] = [
    ("an Int16 takes four bytes", variable("Int16", np.int16(-2)), "Int16 v", "ff ff ff fe"),
    ("a Byte", variable("Byte", np.uint8(200)), "Byte v", "c8 00 00 c8"),
    (
        "bytes are packed and padded",
        variable("Byte", np.array([1, 2, 3, 4, 255], "u1"), "x"),
        "Byte v[x = 5]",
        "00000005 00000005 01020304 ff000000",
    ),
    (
        "four bytes need no padding",
        variable("Byte", np.array([1, 2, 3, 4], "u1"), "x"),
        "Byte v[x = 4]",
        "00000004 00000004 01020304",
    ),
    (
        "UInt16s take four bytes each",
        variable("UInt16", np.array([1, 65535], "u2"), "x"),
        "UInt16 v[x = 2]",
        "00000002 00000002 00000001 0000ffff",
    ),
    (
        "rows come one after the other",
        variable("Int32", np.array([[1, 2], [3, 4]], dtype="<i4").T, "y", "x"),
        "Int32 v[y = 2][x = 2]",
        "00000004 00000004 00000001 00000003 00000002 00000004",
    ),
    ("a UInt32", variable("UInt32", np.uint32(2**32 - 1)), "UInt32 v", "ffffffff"),
    ("a Float32", variable("Float32", np.float16(1.5)), "Float32 v", "3fc00000"),
    (
        "Float64s",
        variable("Float64", [np.nan, -np.inf], "x"),
        "Float64 v[x = 2]",
        "00000002 00000002 7ff8000000000000 fff0000000000000",
    ),
    ("a string", variable("String", "abcde"), "String v", "00000005 6162636465 000000"),
    (
        "strings carry their number once",
        variable("String", np.array(["", "abcd", "ab"], dtype=object), "x"),
        "String v[x = 3]",
        "00000003 00000000 00000004 61626364 00000002 6162 0000",
    ),
    ("a string of bytes", variable("String", np.array([b"ab"]), "x"), "String v[x = 1]", "00000001 00000002 6162 0000"),
    ("text that is not ASCII", variable("String", "µ\\"), "String v", "00000004 c2b5 5c5c"),
    ("no values", variable("Int32", np.zeros((0, 2), "i4"), "y", "x"), "Int32 v[y = 0][x = 2]", "00000000 00000000"),
]
wire_cases = pytest.mark.parametrize(
    ("value", "declaration", "data"), [pytest.param(*row[1:], id=row[0]) for row in WIRE_CASES]
)


@wire_cases
def test_variables_are_sent_as_these_bytes(value: xr.Variable, declaration: str, data: str) -> None:
    """A body is the DDS, `Data:` and the bytes of the table."""
    expected = f"Dataset {{\n    {declaration};\n}} f.hdf;\nData:\n".encode() + bytes.fromhex(data)

    assert dods(xr.Dataset({"v": value}), "f.hdf") == expected


@wire_cases
def test_these_bytes_are_read_as_the_variables(value: xr.Variable, declaration: str, data: str) -> None:
    """Read by the specification, the bytes of the table are the values of the table."""
    body = f"Dataset {{\n    {declaration};\n}} f.hdf;\nData:\n".encode() + bytes.fromhex(data)
    values = value.values.astype(str) if value.dtype.kind == "S" else value.values

    np.testing.assert_array_equal(decode(body)["v"], values)


def every_type() -> xr.Dataset:
    """The recipe of the files in tests/golden/dap2."""
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
    """The answers for a dataset of every type are, to the byte, those that real clients read right."""
    dataset = dap2.adapt_dataset(every_type())
    made = {
        "dds": dap2.render_dds(dataset, "every_type").encode("ascii"),
        "das": dap2.render_das(dataset).encode(),
        "dods": dods(dataset, "every_type"),
    }

    assert made[suffix] == (GOLDEN / f"every_type.{suffix}").read_bytes()


# Constraints --------------------------------------------------------------------------------------------------------

CONSTRAINTS: Final[list[tuple[str, dict[str, tuple[slice, ...]]]]] = [
    ("", {}),
    ("image", {"image": ()}),
    ("frame,y,x", {"frame": (), "y": (), "x": ()}),
    ("image[3]", {"image": (slice(3, 4, 1),)}),
    ("a,b[0:1:9][5]", {"a": (), "b": (slice(0, 10, 1), slice(5, 6, 1))}),
    ("b[2:4]", {"b": (slice(2, 5, 1),)}),
    ("image[5:3:19]", {"image": (slice(5, 18, 3),)}),
    ("image[0:1:9223372036854775806]", {"image": (slice(0, 9223372036854775807, 1),)}),
    ("image%5b0%5d%5b10:7:100%5d", {"image": (slice(0, 1, 1), slice(10, 95, 7))}),
    ("image%5B0%3A1%3A0%5D", {"image": (slice(0, 1, 1),)}),
    ("image%25255b0%25255d", {"image": (slice(0, 1, 1),)}),
    ("a,a", {"a": ()}),
    ("a[]", {"a": (slice(0, None, 1),)}),
    ("a[*][3:*][3:2:*]", {"a": (slice(0, None, 1), slice(3, None, 1), slice(3, None, 2))}),
    ("a&", {"a": ()}),
    ("a&&", {"a": ()}),
    (" a , b[ 0 : 1 ] ", {"a": (), "b": (slice(0, 2, 1),)}),
]


@pytest.mark.parametrize(("expression", "parts"), CONSTRAINTS)
def test_expressions_are_read_as_clients_mean_them(expression: str, parts: Mapping[str, tuple[slice, ...]]) -> None:
    """An expression, as some client sends it, becomes these slices, whose stops are excluded."""
    assert dap2.parse_constraint(expression) == dap2.Constraint(Selection(parts))


A, IMAGE = dap2.Projection("a"), dap2.Projection("image", (slice(0, 100, 1), slice(0, None, 1)))

UNDERSTOOD: Final = [
    ("&a>3", dap2.Constraint(filters=(Filter("a", ">", (3,)),))),
    ("a&y>=1e2&y<+200", dap2.Constraint(
        Selection({"a": ()}), (), (Filter("y", ">=", (100.0,)), Filter("y", "<", (200,)))
    )),
    ("a%26y%253E%3D1", dap2.Constraint(Selection({"a": ()}), (), (Filter("y", ">=", (1,)),))),
    ("&y!={1,2.5,-3}", dap2.Constraint(filters=(Filter("y", "!=", (1, 2.5, -3)),))),
    (r'&s={"a, \"b\"",c}', dap2.Constraint(filters=(Filter("s", "=", ('a, "b"', "c")),))),
    ('&s="a%20b"', dap2.Constraint(filters=(Filter("s", "=", ("a b",)),))),
    ("mean(a)", dap2.Constraint(calls=(dap2.FunctionCall("mean", A),))),
    ("mean(image[0:99][],y)", dap2.Constraint(calls=(dap2.FunctionCall("mean", IMAGE, ("y",)),))),
    ("a, bin( mean(a, 0), 4 ) ,version()", dap2.Constraint(
        Selection({"a": ()}), (dap2.FunctionCall("bin", dap2.FunctionCall("mean", A, ("0",)), ("4",)), dap2.FunctionCall("version"))
    )),
    ('mean(a,"y")', dap2.Constraint(calls=(dap2.FunctionCall("mean", A, ("y",)),))),
    ("y%3e=1&y%3c200", dap2.Constraint(filters=(Filter("y", ">=", (1,)), Filter("y", "<", (200,))))),
    ("mean(a),mean(a)", dap2.Constraint(calls=(dap2.FunctionCall("mean", A),))),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "constraint"), UNDERSTOOD)
def test_functions_and_selections_are_understood(expression: str, constraint: dap2.Constraint) -> None:
    """Calls of functions, also within one another, and selections by value become what the table says."""
    assert dap2.parse_constraint(expression) == constraint


REFUSED: Final = [
    ("a&mean(a)>3", "does not read as a selection"),
    ("a&a", "does not read as a selection"),
    ("a&a>", "does not read as a selection"),
    ("a&a>{1,2", "does not read as a selection"),
    ('a&a="x', "does not read as a selection"),
    ("a&a=~x", "regular expression"),
    ("a&" + "&".join(["a>1"] * 65), "more than 64"),
    ("a&a={" + ",".join(["1"] * 257) + "}", "more than 256"),
    ("geogrid(a,1)", "The functions are: mean(variable, dimension, ...), min("),
    ("mean(a,y", "from character 8"),
    ("mean(a,y)[0]", "from character 9"),
    ("mean(" * 9 + "a" + ")" * 9, "8 times at most"),
    (",".join(f"mean(a,{n})" for n in range(65)), "64 are called at most"),
    ("a[1:0]", "selects nothing"),
    ("a[0:0:3]", "selects nothing"),
    ("a[1],a[2]", "asked for twice"),
    ("a[-1]", "does not read as"),
    ("a[:]", "is none of"),
    ("a[*:3]", "is none of"),
    ("a[1 2]", "is none of"),
    ("a[1:2:3:4]", "is none of"),
    ("a[99999999999999999999]", "is none of"),
    ("a%25", "does not read as"),
    ("a,,b", "from character 2"),
    ("a,", "from character 2"),
    ("a+b", "from character 1"),
    ("a[0]b", "from character 4"),
    ("%", "does not read as"),
    ("a[٣]", "does not read as"),
]


@pytest.mark.parametrize(("expression", "reason"), REFUSED)
def test_what_is_no_projection_is_refused_with_its_reason(expression: str, reason: str) -> None:
    """An expression that selects nothing, or more than names and indices, is refused in a sentence."""
    with pytest.raises(BadSelection, match=re.escape(reason)):
        dap2.parse_constraint(expression)


LIKE_CONSTRAINTS: Final = r"((a|min\(b(\[\d?:?[\d*]?\])?(,\d)?\)|c\[\d\]),?){0,3}(&(a|b)(=|!=|<|>=)(\d|\"x\"|\{1,2\}))*"


def slices(constraint: dap2.Constraint) -> list[slice]:
    called = [call.projection.hyperslab for call in constraint.calls if call.projection]
    pieces = [piece for slab in (*constraint.selection.hyperslabs.values(), *called) for piece in slab]
    assert all(isinstance(piece, slice) for piece in pieces)
    return [piece for piece in pieces if isinstance(piece, slice)]


@given(st.text() | st.text("ab[]:0129,%25BbDd&+( ") | st.from_regex(LIKE_CONSTRAINTS))
def test_any_text_is_a_selection_or_a_bad_one(text: str) -> None:
    """Parsing raises `BadSelection`, or gives a selection whose slices all select something."""
    try:
        constraint = dap2.parse_constraint(text)
    except BadSelection as error:
        assert str(error)  # noqa: PT017 - the other outcome is as good
        return

    assert all(
        0 <= piece.start < piece.stop and piece.step > 0 for piece in slices(constraint) if piece.stop is not None
    )


@given(st.integers(0, 50), st.integers(1, 60), st.integers(0, 50), st.integers(0, 4))
def test_slices_select_what_the_expression_counts(start: int, stride: int, more: int, times: int) -> None:
    """However often it was percent-encoded, `[start:stride:stop]` is start, start + stride, … up to stop, included."""
    expression = f"v[{start}:{stride}:{start + more}]"
    for _ in range(times):
        expression = quote(expression, safe="")
    (piece,) = slices(dap2.parse_constraint(expression))

    assert list(range(200))[piece] == list(range(start, start + more + 1, stride))


@pytest.mark.parametrize(
    "unit",
    [
        "&a>1",
        "{",
        "min(",
        ",1",
        ")",
        "min(a),",
        '"',
        "\\\\",
        "&",
        "%25",
        "25",
        "a,",
        "a[0]",
        "[",
        " ",
        "[ ]",
        "a[0],b",
        ":",
        "%5B",
    ],
)
@pytest.mark.parametrize("head", ["", "a", "a[", "%", "mean(a", "&a={1", '&a="'])
def test_long_expressions_take_no_longer_than_their_length(unit: str, head: str) -> None:
    """64 kB of whatever repeats is dealt with in a moment."""
    text = head + unit * (65536 // len(unit))
    start = time.process_time()
    try:
        dap2.parse_constraint(text)
    except BadSelection as error:
        assert len(str(error)) < 500  # noqa: PT017 - the other outcome is as good

    assert time.process_time() - start < 1


# Adaptation ---------------------------------------------------------------------------------------------------------

PROMOTED: Final = [
    ("?", "Int16"), ("i1", "Int16"), ("u1", "Int16"), ("i2", "Int16"), (">u2", "Int32"), ("u2", "Int32"),
    (">i4", "Int32"),
    ("u4", "Float64"), ("f2", "Float32"), (">f4", "Float32"), ("f8", "Float64"), ("U3", "String"), ("S3", "String"),
    ("O", "String"), ("i8", "Int32"), ("u8", "Int32"),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "kind"), PROMOTED)
def test_types_are_those_that_every_client_reads_right(dtype: str, kind: str) -> None:
    """Byte and unsigned types are never sent; the type promoted to is the table's."""
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


def fail(_: Array) -> Array:
    raise OSError("read")


def unreadable(shape: tuple[int, ...], dtype: str) -> Any:  # noqa: ANN401 - dask's arrays have no types
    return da.zeros(shape, dtype="i1").map_blocks(fail, dtype=dtype, meta=np.empty((0,) * len(shape), dtype))


def test_no_pixel_is_read_before_the_body() -> None:
    """A dataset none of whose values can be read is adapted, narrowed, described and measured."""
    dataset = xr.Dataset(
        {"image": (("y", "x"), unreadable((300, 200), "u2")), "n": ((), unreadable((), "i8"))},
        coords=xr.Coordinates({"x": ("x", unreadable((200,), "f8"))}, indexes={}),
    )
    narrowed = dap2.parse_constraint("image[0:9][0:2:9],x,n").narrow(dap2.adapt_dataset(dataset))

    assert dap2.render_dds(narrowed, "d").count("Float64") == 2
    assert dap2.render_das(narrowed)
    assert dap2.compute_body_size(narrowed, "d") > 200 * 8


def test_types_do_not_depend_on_the_constraint() -> None:
    """A slice of a 64-bit variable has the type of the whole, also after narrowing and computing."""
    adapted = dap2.adapt_dataset(xr.Dataset({"v": (("n",), np.array([1, 2, 2**40]))}))
    narrowed = dap2.parse_constraint("v[0:1]").narrow(adapted).compute()

    np.testing.assert_array_equal(decode(dods(narrowed))["v"], [1, 2])
    assert "Float64 v[n = 2];" in dap2.render_dds(narrowed, "d")


def test_variables_of_length_zero_are_left_out_and_named() -> None:
    """What DAP2 cannot carry is missing from the DDS, and listed in an attribute of the dataset."""
    adapted = dap2.adapt_dataset(xr.Dataset({"v": 1.0, "empty": (("zero",), np.zeros(0)), "z": 1j}))

    assert list(adapted.variables) == ["v"]
    assert adapted.attrs["dap2_left_out"] == ["empty", "z"]


def test_names_are_flat_and_dimensions_follow() -> None:
    """Groups' names are joined by underscores; a coordinate and its dimension keep the same name; names stay unique."""
    image = (("A/y", "A/x"), np.zeros((1, 2)))
    adapted = dap2.adapt_dataset(
        xr.Dataset({"A/image": image, "A_image": 1.0, "A/x": (("A/x",), [1.0, 2.0]), "Byte": 2.0})
    )

    assert dict(adapted["A_image_2"].sizes) == {"A_y": 1, "A_x": 2}
    assert set(adapted.variables) == {"A_image_2", "A_image", "A_x", "Byte_"}
    assert adapted["Byte_"].attrs["original_name"] == "Byte"


@given(st.lists(st.text("aA/_.-é0", max_size=4)))
def test_safe_names_are_safe_and_different(names: list[str]) -> None:
    """Every name gets a safe one of its own, and safe ones stay."""
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
def test_a_fill_value_that_cannot_have_the_type_masks_nothing(dtype: str, fill: object) -> None:
    """A fill value that the type does not hold, which xarray finds nowhere in the file, is kept as `FillValue`."""
    attrs = dap2.adapt_dataset(xr.Dataset({"v": ((), np.ones((), dtype), {"_FillValue": fill})}))["v"].attrs

    assert (attrs["FillValue"], attrs.keys() & {"_FillValue", "missing_value"}) == (fill, set())


def test_unsigned_in_signed_clothes_is_sent_as_it_is_meant() -> None:
    """netCDF-3's `_Unsigned` is heeded by the server, and no client applies it a second time."""
    attrs = {"_Unsigned": "true", "_FillValue": np.int8(-2)}
    adapted = dap2.adapt_dataset(
        xr.Dataset({"v": (("x",), np.array([-1, 5], "i1"), attrs), "w": ((), np.array(-1, ">i2"), attrs)})
    )

    np.testing.assert_array_equal(decode(dods(adapted))["v"], [255, 5])
    assert decode(dods(adapted))["w"] == 65535
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
    """An attribute has the promoted type of its value, its quotes and backslashes escaped."""
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
    """Whatever their names and values, pydap reads as many attributes as have values."""
    read = parse_das(dap2.render_das(xr.Dataset(attrs=attrs)))["NC_GLOBAL"]

    assert len(set(read) - {"renamed_attributes"}) == sum(value != [] for value in attrs.values())


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\0\\"')),
    st.lists(st.floats(), min_size=2),
    hnp.arrays("f4", 3, elements=st.floats(width=32)),
)
def test_pydap_reads_the_same_attributes(text: str, doubles: list[float], singles: Array) -> None:
    """Pydap reads any text but quotes and backslashes as it is, and all numbers, those of float32 exactly."""
    read = parse_das(dap2.render_das(xr.Dataset(attrs={"text": text, "doubles": doubles, "singles": singles})))[
        "NC_GLOBAL"
    ]

    assert read["text"] == text
    np.testing.assert_array_equal(read["doubles"], doubles)
    np.testing.assert_array_equal(read["singles"], singles.astype("f8"))


def test_strings_say_how_long_they_are() -> None:
    """netCDF-C is told the longest string's length in UTF-8, and a dimension's name that is free."""
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
    """Where strings are too many to look at, their type's size bounds their length, or else a fixed number does."""
    dataset = xr.Dataset({"u": (("n",), unreadable((5000,), "U7")), "o": (("n",), unreadable((5000,), "O"))})
    adapted = dap2.adapt_dataset(dataset)

    assert [int(adapted[name].attrs["DODS.strlen"]) for name in ("u", "o")] == [28, 256]


def test_missing_strings_are_empty() -> None:
    """`None` and NaN, xarray's missing strings, are sent as empty strings."""
    strings = xr.Dataset({"s": (("x",), np.array([None, np.nan, "a"], dtype=object))})

    np.testing.assert_array_equal(decode(dods(dap2.adapt_dataset(strings)))["s"], ["", "", "a"])


# Properties ---------------------------------------------------------------------------------------------------------

DTYPES: Final = ["?", "i1", "u1", "<i2", ">u2", "<u2", ">i4", "u4", "<i8", "u8", "f2", ">f4", "f8", "U4", "O"]


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    """Up to three variables of any type on some of three dimensions."""
    sizes = {name: draw(st.integers(1, 5)) for name in ("x", "y", "G/z")}
    variables = {}
    for name in ("a", "G/b", "c"):
        dims = draw(st.permutations(list(sizes)).map(lambda dims: dims[: len(dims) - 1]) | st.just([]))
        dtype = draw(st.sampled_from(DTYPES))
        elements = st.text(max_size=4).map(lambda text: text.replace("\0", "")) if dtype in ("U4", "O") else None
        shape = tuple(sizes[dim] for dim in dims)
        variables[name] = (dims, draw(hnp.arrays(np.dtype(dtype), shape, elements=elements)))
    return xr.Dataset(variables)


def same(found: Any, values: Array) -> None:  # noqa: ANN401 - an array or a scalar
    if values.dtype.kind in "UO":
        values = np.vectorize(lambda text: text.encode("utf-8", "backslashreplace").decode(), otypes=[object])(values)
        np.testing.assert_array_equal(found, values)
    else:
        np.testing.assert_array_equal(np.asarray(found), values.astype("f8") if values.dtype.itemsize == 8 else values)


@given(datasets())
def test_values_come_back(dataset: xr.Dataset) -> None:
    """Values of every type are read back as they were; 64-bit integers to the nearest Float64."""
    found = decode(dods(dap2.adapt_dataset(dataset)))

    for name, values in dataset.variables.items():
        same(found[str(name).replace("/", "_")], values.values)


@given(datasets())
def test_pydap_reads_the_same_numbers(dataset: xr.Dataset) -> None:
    """The decoder of pydap and the one written here agree."""
    numbers = [name for name, variable in dataset.variables.items() if variable.dtype.kind not in "UO"]
    body = dods(dap2.adapt_dataset(dataset[numbers].assign(one=1)))  # pydap cannot read an answer without variables
    ours, theirs = decode(body), decode_by_pydap(body)

    assert list(ours) == list(theirs)
    for name, values in ours.items():
        np.testing.assert_array_equal(np.asarray(theirs[name]).reshape(values.shape), values)


@given(datasets(), st.data())
def test_narrow_then_encode_is_encode_then_slice(dataset: xr.Dataset, data: st.DataObject) -> None:
    """The answer to a constraint holds the same values as that slice of the whole answer."""
    adapted = dap2.adapt_dataset(dataset)
    expression, expected = [], {}
    for name, values in decode(dods(adapted)).items():
        corners = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))) for n in values.shape]
        strides = [data.draw(st.integers(1, 3)) for _ in values.shape]
        expression.append(name + "".join(f"[{a}:{s}:{b}]" for (a, b), s in zip(corners, strides, strict=True)))
        expected[name] = values[tuple(slice(a, b + 1, s) for (a, b), s in zip(corners, strides, strict=True))]
    found = decode(dods(dap2.parse_constraint(",".join(expression)).narrow(adapted)))

    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("view", [np.s_[:], np.s_[::2, ::3], np.s_[:, ::-1]])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", ">i4", "f8"])
def test_big_arrays_go_out_in_blocks(view: Any, dtype: str) -> None:  # noqa: ANN401 - what indexes an array
    """Whatever its layout in memory, an array leaves in blocks of a bounded size, in C order."""
    array = np.arange(1200 * 900).astype(dtype).reshape(1200, 900)[view]
    for values in (array, array.T, array.reshape(2, -1, array.shape[1]), array.reshape(-1)):
        dims = [f"d{axis}" for axis in range(values.ndim)]
        dataset = dap2.adapt_dataset(xr.Dataset({"v": (dims, values)}))
        blocks = list(dap2.encode_body(dataset, "d"))

        assert max(map(len, blocks)) <= BLOCK_SIZE
        assert len(blocks) <= 2 + 2 * sum(map(len, blocks)) / BLOCK_SIZE
        np.testing.assert_array_equal(decode(b"".join(blocks))["v"], values)


def test_big_endian_values_in_memory_are_not_copied() -> None:
    """A block of an array that is big-endian already is that array's memory."""
    array = np.zeros(2 * BLOCK_SIZE, dtype=">f4")
    blocks = list(dap2.encode_body(dap2.adapt_dataset(xr.Dataset({"v": (("x",), array)})), "d"))

    assert all(np.shares_memory(np.frombuffer(block, "u1"), array) for block in blocks[1:])


# Functions and selections by value ----------------------------------------------------------------------------------


def camera() -> xr.Dataset:
    """An adapted image with the kinds of variables that functions and selections meet."""
    return dap2.adapt_dataset(
        xr.Dataset(
            {
                "image": (("y", "x"), np.arange(48, dtype="u2").reshape(6, 8), {"units": "counts"}),
                "wrapped": (("x",), np.arange(-4, 4).astype("i1"), {"_Unsigned": "true"}),
                "names": (("y",), np.array(["a", "b", "c", "d", "µ", 'q"'], dtype=object)),
                "shot": ((), 62328),
            },
            coords=xr.Coordinates(
                {"y": ("y", np.arange(6) * 10), "x": ("x", np.arange(8, dtype="f4") / 10)}, indexes={}
            ),
        )
    )


IMAGE_VALUES: Final = np.arange(48).reshape(6, 8)

NARROWED: Final[list[tuple[str, dict[str, Any]]]] = [
    ("image&y>=20&y<50", {"image": IMAGE_VALUES[2:5]}),
    ("image,y&y!=20&x<=0.1", {"image": IMAGE_VALUES[[0, 1, 3, 4, 5], :2], "y": [0, 10, 30, 40, 50]}),
    ("image&y={0,50,7}&x>0.55", {"image": IMAGE_VALUES[[0, 5], 6:]}),
    ("x&x={0.1,0.5}", {"x": np.array([0.1, 0.5], "f4")}),
    ("y&y!={0,10}", {"y": [20, 30, 40, 50]}),
    ('y&names={"a","d"}', {"y": [0, 30]}),
    ('y&names="µ"', {"y": [40]}),
    (r'y&names="q\""', {"y": [50]}),
    ("x&wrapped>127", {"x": np.arange(4, dtype="f4") / 10}),
    ("x&y>20", {"x": np.arange(8, dtype="f4") / 10}),
    ("y&y<1000000000000000000", {"y": np.arange(6) * 10}),
    ("image[0:1][0]&y>=20", {"image": IMAGE_VALUES[2:4, :1]}),
    ("image[0:2:2][7]&y!=10", {"image": IMAGE_VALUES[[0, 3], 7:]}),
    ("mean(image)", {"mean_image": 23.5}),
    ("mean(image,y)", {"mean_image": IMAGE_VALUES.mean(0)}),
    ("mean(image,1)", {"mean_image": IMAGE_VALUES.mean(1)}),
    ("min(image,x),max(image,x)", {"min_image": IMAGE_VALUES.min(1), "max_image": IMAGE_VALUES.max(1)}),
    ("mean(image[0:1][],y)", {"mean_image": IMAGE_VALUES[:2].mean(0)}),
    ("mean(image,y)&y>=40", {"mean_image": IMAGE_VALUES[4:].mean(0)}),
    ("mean(image[0][],y)&y>=40", {"mean_image": IMAGE_VALUES[4]}),
    ("bin(y,4),bin(image,1,8)", {"bin_y": [15, 45], "bin_image": IMAGE_VALUES.mean(1, keepdims=True)}),
    ("max(bin(image,3,4),x)", {"max_bin_image": [13.5, 37.5]}),
    ("min(wrapped),max(wrapped),mean(wrapped)", {"min_wrapped": 0, "max_wrapped": 255, "mean_wrapped": 127.5}),
    ("mean(shot)", {"mean_shot": 62328}),
    ("y[0:1],mean(image[2:3][],x)", {"y": [0, 10], "mean_image": [19.5, 27.5]}),
    ("mean(image,y),mean(image,x)", {"mean_image": IMAGE_VALUES.mean(0), "mean_image_2": IMAGE_VALUES.mean(1)}),
]


@pytest.mark.parametrize(("expression", "expected"), NARROWED)
def test_functions_and_selections_give_these_values(expression: str, expected: Mapping[str, Any]) -> None:
    """What arrives is what the same steps give in NumPy: selections first, then indices, then functions."""
    narrowed = dap2.parse_constraint(expression).narrow(camera())
    found = decode(dods(narrowed))

    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(np.asarray(found[name], "f8"), np.asarray(values, "f8"), rtol=1e-7)


UNFIT: Final = [
    ("image&y>100", "nothing is left along y. The values of y go from 0 to 50"),
    ("image&y>20&y<20", "nothing is left"),
    ("image&image>3", "of one dimension, and 'image' is none. Those are: wrapped, names, y, x"),
    ("image&shot=62328", "'shot' is none"),
    ("image&nope=3", "'nope' is none"),
    ('image&y="abc"', "y holds numbers, and 'abc' is none"),
    ("mean(names)", "names is text"),
    ("mean(image,z)", "'z' is no dimension; image has y (0), x (1)"),
    ("mean(image,2)", "'2' is no dimension"),
    ("mean(nope)", "There is no variable 'nope' here"),
    ("mean(image[0],y)", "takes 2 indices"),
    ("mean(image[0:9][],y)", "index 9 is outside 0 to 5"),
    ("bin(image)", "takes a number of pixels"),
    ("bin(image,0)", "takes a number of pixels"),
    ("bin(image,1,2,3)", "for each of y (0), x (1)"),
    ("bin(image,99999999999999999999)", "takes a number of pixels"),
    ("bin(shot,2)", "no dimensions"),
    ("version(image)", "the function is version()"),
    ("mean()", "the function is mean(variable, dimension, ...)"),
]


@pytest.mark.parametrize(("expression", "reason"), UNFIT)
def test_what_does_not_fit_the_dataset_is_refused_with_its_reason(expression: str, reason: str) -> None:
    """A function or a selection that makes no sense for the dataset is refused in a sentence that helps."""
    with pytest.raises(BadSelection, match=re.escape(reason)):
        dap2.parse_constraint(expression).narrow(camera())


def test_what_is_cut_differently_has_different_dimensions() -> None:
    """No client can take the rows of a mean for those of a coordinate that was cut otherwise."""
    narrowed = dap2.parse_constraint("y[0:1],mean(image[2:3][],x),bin(image,2),bin(y,2)").narrow(camera())

    assert dap2.render_dds(narrowed, "d") == (
        "Dataset {\n    Int32 y[y_1 = 2];\n    Float64 mean_image[y_2 = 2];\n"
        "    Float64 bin_image[y_bin2 = 3][x_bin2 = 4];\n    Float64 bin_y[y_bin2 = 3];\n} d;\n"
    )


def test_results_say_where_they_come_from() -> None:
    """A result has its units, CF's cell methods, and the call; an extreme of integers has their type."""
    narrowed = dap2.parse_constraint("mean(image[0:2:4][],y),max(image),version()").narrow(camera())

    assert narrowed["mean_image"].attrs == {
        "units": "counts",
        "cell_methods": "y: mean",
        "function": "mean(image[0:2:4][],y)",
    }
    assert "    Int32 max_image;\n" in dap2.render_dds(narrowed, "d")
    assert str(narrowed["version"].values).startswith("shotdap ")


def test_functions_are_lazy_and_know_their_cost() -> None:
    """Describing an answer with functions reads nothing, and says how much its values will take."""
    dataset = xr.Dataset({"image": (("y", "x"), unreadable((300, 200), "u2"))})
    narrowed = dap2.parse_constraint("mean(image[0:9][],y),bin(image,4)").narrow(dap2.adapt_dataset(dataset))

    assert dap2.compute_body_size(narrowed, "d") > (200 + 75 * 50) * 8
    assert sum(map(bytes_read, narrowed.variables.values())) == (10 + 300) * 200 * 2


def test_a_selection_that_keeps_a_run_is_a_slice() -> None:
    """Values that follow one another are read as a slice, no more than what is kept."""
    dataset = xr.Dataset({"image": (("y",), np.arange(100))}, {"y": ("y", np.arange(100))})
    for expression, expected in (("y>=90", slice(90, 100, 1)), ("y={5,7,9}", slice(5, 10, 2)), ("y=3", slice(3, 4, 1))):
        mask = dap2.parse_constraint(f"&{expression}").filters[0].evaluate(dap2.adapt_dataset(dataset).variables["y"])

        assert compute_mask_indices(mask) == expected


def test_every_function_is_documented() -> None:
    """A function that can be called has a usage that begins with its name, and a documentation."""
    for name, function in dap2.FUNCTIONS.items():
        assert function.usage.startswith(f"{name}(")
        assert len(function.documentation) > 40


def test_a_constraint_is_written_as_it_is_read() -> None:
    """The text of a constraint parses to the constraint."""
    for expression, _ in UNDERSTOOD:
        constraint = dap2.parse_constraint(expression)

        assert dap2.parse_constraint(str(constraint)) == constraint


# Answers ------------------------------------------------------------------------------------------------------------


def test_text_is_for_people_and_exact() -> None:
    """Values as text: a row is a line, NaN and infinity have names, single precision shows no noise."""
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


def test_errors_are_in_daps_own_words() -> None:
    """An error is a DAP2 error body, closed and escaped."""
    assert (
        dap2.render_error(403, 'not "yours": µ')
        == ('Error {\n    code = 403;\n    message = "not \\"yours\\": µ";\n};\n').encode()
    )


def test_every_answer_has_its_headers() -> None:
    """Text says its character set; every answer says which it is."""
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
