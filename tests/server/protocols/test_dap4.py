"""DAP4, by tables of bytes, by properties, and by two decoders: one written from the specification, and pydap's."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shotdap.server.protocols import dap4
from shotdap.server.protocols.dap4 import chunks
from shotdap.server.protocols.percent import parse_percent_encoded
from shotdap.transforms.selection import BadSelection, Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # webob, which pydap imports, imports cgi
    from pydap.handlers.dap import UNPACKDAP4DATA
    from pydap.parsers.dmr import dmr_to_dataset

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "dap4"
EVERYTHING: Final = Selection()
Array = np.ndarray[Any, np.dtype[Any]]


def encode(dataset: xr.Dataset, expression: str = "", *, checksum: bool | None = None, name: str = "shot") -> bytes:
    selection = dap4.parse_constraint(expression)
    answer = dap4.encode_body(selection.apply(dataset), name, selection, checksum=checksum)
    blocks = b"".join(answer)
    assert len(blocks) == answer.size
    return blocks


# An independent decoder ---------------------------------------------------------------------------------------------

_WIRE: Final = {
    "Int8": "<i1", "Int16": "<i2", "Int32": "<i4", "Int64": "<i8", "Float32": "<f4",
    "UInt8": "<u1", "UInt16": "<u2", "UInt32": "<u4", "UInt64": "<u8", "Float64": "<f8",
}  # fmt: skip
_NAMESPACE: Final = "{http://xml.opendap.org/ns/DAP/4.0#}"


@dataclass
class Read:
    """One variable as it was read from a body."""

    type: str
    dims: list[str | int]
    maps: list[str]
    attributes: dict[str, list[str]]
    shape: tuple[int, ...]
    values: Array = field(default_factory=lambda: np.empty(0))


def parts(body: bytes) -> list[tuple[int, bytes]]:
    """The chunks of a body: flags and content."""
    found = []
    while body:
        (head,) = struct.unpack_from(">I", body)
        flags, length = head >> 24, head & 0xFFFFFF
        assert len(body) >= 4 + length, "the body ends within a chunk"
        found.append((flags, body[4 : 4 + length]))
        body = body[4 + length :]
    return found


def describe(dmr: str) -> dict[str, Read]:
    """The variables of a DMR, by fully qualified name, in the order of its text."""
    root = ET.fromstring(dmr)  # noqa: S314 - our own
    sizes: dict[str, int] = {}
    found: dict[str, Read] = {}
    _walk(root, "/", sizes, found)
    return found


def attributes_of(element: ET.Element) -> dict[str, list[str]]:
    return {found.get("name", ""): attributes_of_one(found) for found in element.findall(f"{_NAMESPACE}Attribute")}


def attributes_of_one(element: ET.Element) -> list[str]:
    return [value.get("value", value.text or "") for value in element.findall(f"{_NAMESPACE}Value")]


def _walk(group: ET.Element, path: str, sizes: dict[str, int], found: dict[str, Read]) -> None:
    ranks = []
    for element in group:
        tag, name = element.tag.removeprefix(_NAMESPACE), element.get("name", "")
        ranks.append({"Dimension": 0, "Attribute": 2, "Group": 3}.get(tag, 1))
        if tag == "Dimension":
            sizes[path + name] = int(element.get("size", ""))
        elif tag == "Group":
            _walk(element, f"{path}{name}/", sizes, found)
        elif tag != "Attribute":
            dims = [dim.get("name") or int(dim.get("size", "")) for dim in element.findall(f"{_NAMESPACE}Dim")]
            found[path + name] = Read(
                type=tag,
                dims=dims,
                maps=[each.get("name", "") for each in element.findall(f"{_NAMESPACE}Map")],
                attributes=attributes_of(element),
                shape=tuple(sizes[dim] if isinstance(dim, str) else dim for dim in dims),
            )
    assert ranks == sorted(ranks), "Dimension, variables, Attribute, Group"


def decode(body: bytes, *, checksums: bool = True) -> dict[str, Read]:
    """The variables of a data response; every rule of the framing is asserted on the way."""
    (first_flags, dmr), *rest = parts(body)
    assert dmr.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert dmr.endswith(b"\r\n")
    assert first_flags == 4
    assert [flags for flags, _ in rest] == [4] * (len(rest) - 1) + [5]
    stream = io.BytesIO(b"".join(content for _, content in rest))
    found = describe(dmr.decode("ascii"))
    for variable in found.values():
        start = stream.tell()
        variable.values = _values(stream, variable)
        serialised = stream.getvalue()[start : stream.tell()]
        if checksums:
            (crc,) = struct.unpack("<I", stream.read(4))
            assert crc == zlib.crc32(serialised)
            assert variable.attributes.pop("_DAP4_Checksum_CRC32") == [str(crc)]
    assert not stream.read(), "there are bytes left"
    return found


def _values(stream: io.BytesIO, variable: Read) -> Array:
    count = int(np.prod(variable.shape))
    if variable.type == "String":
        texts = [stream.read(struct.unpack("<q", stream.read(8))[0]).decode() for _ in range(count)]
        return np.array(texts, dtype=object).reshape(variable.shape)
    wire = np.dtype(_WIRE[variable.type])
    content = stream.read(count * wire.itemsize)
    assert len(content) == count * wire.itemsize
    return np.frombuffer(content, wire).reshape(variable.shape)


def decode_with_pydap(body: bytes) -> Any:  # noqa: ANN401 - pydap has no types
    return UNPACKDAP4DATA(io.BufferedReader(io.BytesIO(body))).dataset


# Golden bytes -------------------------------------------------------------------------------------------------------

# A variable and what DAP4 makes of it, each written out by hand: type, and bytes without the checksum.
VALUES: Final[list[tuple[Any, str, bytes]]] = [
    (np.int8(-2), "Int8", b"\xfe"),
    (np.uint8(200), "UInt8", b"\xc8"),
    (np.bool_(True), "UInt8", b"\x01"),  # noqa: FBT003 - a value
    (np.array([True, False]), "UInt8", b"\x01\x00"),
    (np.int16(-2), "Int16", b"\xfe\xff"),
    (np.uint16(258), "UInt16", b"\x02\x01"),
    (np.array([1, 258], ">u2"), "UInt16", b"\x01\x00\x02\x01"),
    (np.int32(-2), "Int32", b"\xfe\xff\xff\xff"),
    (np.uint32(2**32 - 2), "UInt32", b"\xfe\xff\xff\xff"),
    (np.int64(2**40), "Int64", b"\x00\x00\x00\x00\x00\x01\x00\x00"),
    (np.array([2**40], ">i8"), "Int64", b"\x00\x00\x00\x00\x00\x01\x00\x00"),
    (np.uint64(2**64 - 1), "UInt64", b"\xff" * 8),
    (np.float16(1.5), "Float32", b"\x00\x00\xc0\x3f"),
    (np.float32(1.5), "Float32", b"\x00\x00\xc0\x3f"),
    (np.float64(1.5), "Float64", b"\x00\x00\x00\x00\x00\x00\xf8\x3f"),
    (np.array([1.5, -0.0], ">f8"), "Float64", b"\x00\x00\x00\x00\x00\x00\xf8\x3f" + b"\x00" * 7 + b"\x80"),
    (np.array([[1, 2], [3, 4]], "u1", order="F"), "UInt8", b"\x01\x02\x03\x04"),
    (np.array("P510"), "String", b"\x04\x00\x00\x00\x00\x00\x00\x00P510"),
    (np.array(["µm", ""]), "String", b"\x03" + b"\x00" * 7 + b"\xc2\xb5m" + b"\x00" * 8),
    (np.array(["µm", ""], object), "String", b"\x03" + b"\x00" * 7 + b"\xc2\xb5m" + b"\x00" * 8),
    (np.array([], "f4"), "Float32", b""),
    (np.array([], "U3"), "String", b""),
    (np.zeros((0, 3), "u2"), "UInt16", b""),
]


@pytest.mark.parametrize(
    ("values", "kind", "wire"), VALUES, ids=[f"{kind}-{i}" for i, (_, kind, _) in enumerate(VALUES)]
)
class TestValues:
    def dataset(self, values: object) -> xr.Dataset:
        array = np.asarray(values)
        return xr.Dataset({"v": (tuple("ab"[: array.ndim]), array)})

    def test_encode(self, values: object, kind: str, wire: bytes) -> None:
        """A variable's bytes are those of the table, with their checksum behind them, in one last chunk."""
        ((_, dmr), (flags, data)) = parts(encode(self.dataset(values)))

        assert f"<{kind} name=".encode() in dmr
        assert (flags, data) == (5, wire + struct.pack("<I", zlib.crc32(wire)))

    def test_encode_without_checksums(self, values: object, kind: str, wire: bytes) -> None:
        """`dap4.checksum=false` leaves out the checksum and its attribute, and nothing else."""
        body = encode(self.dataset(values), checksum=False)
        read = decode(body, checksums=False)["/v"]

        assert (read.type, read.attributes, parts(body)[1]) == (kind, {}, (5, wire))

    def test_decode(self, values: object, kind: str, wire: bytes) -> None:
        """What was encoded is decoded: type, shape and values."""
        read = decode(encode(self.dataset(values)))["/v"]

        assert (read.type, read.shape) == (kind, np.shape(np.asarray(values)))
        assert read.values.nbytes == len(wire) or kind == "String"
        np.testing.assert_array_equal(read.values, values)


def image_dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "image": (
                ("frame", "y", "x"),
                np.arange(24, dtype=">u2").reshape(2, 3, 4),
                {"units": "counts", "note": 'a & b\n"µ"', "range": np.array([0, 65535], "u2"), "_FillValue": 0},
            ),
            "mask": (("y", "x"), np.eye(3, 4, dtype=bool)),
            "names": ("frame", np.array(["early", "late"], object)),
            "gain": ((), np.float32(0.1), {"error": np.nan, "limits": np.array([-np.inf, np.inf])}),
            "telescope": ((), "P510"),
        },
        coords={
            "x": ("x", np.arange(4) * 0.5, {"units": "mm"}),
            "y": ("y", np.arange(3, dtype="i4")),
            "radius": (("y", "x"), np.ones((3, 4), "f4")),
            "t0": ((), 3.5),
        },
        attrs={"Conventions": "CF-1.11", "shot": 103741},
    )


def grouped_dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "DATA/SHOT/image": (("DATA/SHOT/y", "DATA/SHOT/x"), np.arange(12, dtype="i4").reshape(3, 4)),
            "t": ("t", np.arange(2.0)),
            "DATA/energy": ("t", np.array([1, 2], "u1")),
            "DATA/SHOT/comment": ((), "fine"),
            "OTHER/x": ("x", np.array([7], "i2")),
        },
        coords={"DATA/SHOT/y": ("DATA/SHOT/y", np.arange(3.0))},
        attrs={"DATA/SHOT/number": np.int32(103741), "DATA/by": "omega", "LOG/empty/note": "x", "top": "t"},
    )


def empty_dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "z": (("n", "x"), np.zeros((0, 3), "u2")),
            "texts": ("n", np.array([], "U4")),
            "a": ("x", np.array([1, 2, 3], "i8")),
        }
    )


# File in tests/golden/dap4 → the dataset and the constraint that it answers. How the files were made, and which
# clients read them, is in the README beside them.
FILES: Final = {
    "image.dap": (image_dataset, ""),
    "image_cut.dap": (image_dataset, "/image[1][0:2:2][];/names;/x;/y[1:2]"),
    "grouped.dap": (grouped_dataset, ""),
    "grouped_cut.dap": (grouped_dataset, "/DATA/SHOT/image[1:2][0:2:3];/DATA/energy"),
    "empty.dap": (empty_dataset, ""),
    "empty_cut.dap": (empty_dataset, "/z[0:1:9223372036854775806][0:1:1]"),
    "nothing.dap": (xr.Dataset, ""),
}


@pytest.mark.parametrize("file", FILES)
class TestGoldenFiles:
    def test_encode(self, file: str) -> None:
        """A dataset and a constraint give the file, byte for byte."""
        make, expression = FILES[file]

        assert encode(make(), expression) == (GOLDEN / file).read_bytes()

    def test_decode(self, file: str) -> None:
        """The file, read by a decoder that shares no code with the encoder, gives the dataset's values."""
        make, expression = FILES[file]
        narrowed = dap4.parse_constraint(expression).apply(make())
        read = decode((GOLDEN / file).read_bytes())

        assert set(read) == {f"/{name}" for name in narrowed.variables}
        for name, variable in narrowed.variables.items():
            np.testing.assert_array_equal(read[f"/{name}"].values, variable.values)

    def test_decode_with_pydap(self, file: str) -> None:
        """The file, read by pydap, gives the dataset's values."""
        make, expression = FILES[file]
        narrowed = dap4.parse_constraint(expression).apply(make())
        read = decode_with_pydap((GOLDEN / file).read_bytes())

        for name, variable in narrowed.variables.items():
            np.testing.assert_array_equal(_unbyte(read[str(name)].data), variable.values.astype(variable.dtype))


def _unbyte(data: object) -> Array:
    array = np.asarray(data)
    return np.char.decode(array, "ascii") if array.dtype.kind == "S" else array


# Constraints --------------------------------------------------------------------------------------------------------

WHOLE: Final = slice(None)
Hyperslabs = dict[str, tuple[slice | tuple[int, ...], ...]]

PARSED: Final[list[tuple[str, Hyperslabs]]] = [
    ("", {}),
    ("/", {}),
    ("/image", {"image": ()}),
    ("image", {"image": ()}),
    ("/g/v", {"g/v": ()}),
    ("/image[10:7:99][];/g/v", {"image": (slice(10, 100, 7), WHOLE), "g/v": ()}),
    ("/v[5]", {"v": (slice(5, 6, 1),)}),
    ("/v[2:9]", {"v": (slice(2, 10, 1),)}),
    ("/v[2:]", {"v": (slice(2, None, 1),)}),
    ("/v[2:3:]", {"v": (slice(2, None, 3),)}),
    ("/v[0:4:10]", {"v": (slice(0, 11, 4),)}),
    ("/v[0:1:9223372036854775806]", {"v": (slice(0, 2**63 - 1, 1),)}),
    (";/a;;/b;", {"a": (), "b": ()}),
    ("/a[1];/a[1]", {"a": (slice(1, 2, 1),)}),
    (r"/a\.b/c\ d/e\\f", {r"a.b/c d/e\f": ()}),
    (r"/a\/b", {"a/b": ()}),
    ("/a+b", {"a+b": ()}),
    ("/image%5B0:1:9%5D%5b%5d", {"image": (slice(0, 10, 1), WHOLE)}),
    ("/image%255B3%255D", {"image": (slice(3, 4, 1),)}),
    ("/image%25255b3%25255d", {"image": (slice(3, 4, 1),)}),
    ("/y%5B0%3A1%3A1023%5D;/x", {"y": (slice(0, 1024, 1),), "x": ()}),
    ("%2Fg%2Fv%3B%2Fw", {"g/v": (), "w": ()}),
    ("/v[*][2:*][2:3:*]", {"v": (WHOLE, slice(2, None, 1), slice(2, None, 3))}),
    ("/v[0:1,3]", {"v": ((0, 1, 3),)}),
    ("/v[3,0:1][0:2:5,7:8]", {"v": ((3, 0, 1), (0, 2, 4, 7, 8))}),
    ("/v%5B0:1%2C3%5D", {"v": ((0, 1, 3),)}),
    ("/g{a;b}", {"g/a": (), "g/b": ()}),
    ("/g{a,b[0]};/c", {"g/a": (), "g/b": (slice(0, 1, 1),), "c": ()}),
    ("/g.{a,h.{b;c}}", {"g/a": (), "g/h/b": (), "g/h/c": ()}),
    ("g/h/{a}", {"g/h/a": ()}),
    ("/{a;g{b}}", {"a": (), "g/b": ()}),
    ("%2Fg%7Ba%3Bb%7D", {"g/a": (), "g/b": ()}),
    (r"/a\.{b}", {"a./b": ()}),
]

# Dimensions that are redefined, and what is asked for besides.
REDEFINED: Final[list[tuple[str, dict[str, slice | tuple[int, ...]], Hyperslabs]]] = [
    ("/y=[0:9];/image", {"y": slice(0, 10, 1)}, {"image": ()}),
    ("/y=[10:2:99];/image[][5]", {"y": slice(10, 100, 2)}, {"image": (WHOLE, slice(5, 6, 1))}),
    ("/image[*][5];y=[1:]", {"y": slice(1, None, 1)}, {"image": (WHOLE, slice(5, 6, 1))}),
    ("/g/y=[0,3:4];/x=[1]", {"g/y": (0, 3, 4), "x": slice(1, 2, 1)}, {}),
    ("/y%3D%5B0:9%5D;/image", {"y": slice(0, 10, 1)}, {"image": ()}),
]

REFUSED: Final[list[tuple[str, str]]] = [
    ("/v%5B0:9%5D%7C/v%3C5", "filters"),
    ("/v|/v<5", "filters"),
    ("/g{v|v<5}", "filters"),
    ("/v[0];/v[1]", "asked for twice"),
    ("/y=[0];/y=[1];/v", "asked for twice"),
    ("/g/a;/g{a[0]}", "asked for twice"),
    ("/v[", "does not fit at character 0"),
    ("/v]", "does not fit"),
    ("/v[0]x", "does not fit"),
    ("/v[0] ", "does not fit"),
    ("a b", "does not fit"),
    ("/v\\", "does not fit"),
    ("100%", "does not fit"),
    ("%25" * 20, "does not fit"),
    ("/a,/b", "does not fit"),
    ("/g{a", "does not fit"),
    ("/g{a;b}}", "does not fit"),
    ("/g{a}b", "does not fit at character 5"),
    ("/g[0]{a}", "does not fit"),
    ("/g{y=[0]}", "does not fit"),
    ("/y=", "the end does not fit"),
    ("/y=;/v", "does not fit"),
    ("/y=/v", "does not fit"),
    ("/y=[0][1]", "does not fit"),
    ("/y[0]=[1]", "does not fit"),
    ("/y=[0]=[1]", "does not fit"),
    ("/y=[0]{a}", "does not fit"),
    ("=[0]", "no name"),
    ("[0]", "no name"),
    ("//v", "no name"),
    ("/v/", "no name"),
    ("/g{/v}", "no name"),
    ("/g{v{}}{", "does not fit"),
    ("/g{}", "names no variable"),
    (";", "names no variable"),
    ("{" * 40, "does not fit at character 32"),
    ("/v[a]", "no index"),
    ("/v[-1]", "no index"),
    ("/v[0:1:2:3]", "no index"),
    ("/v[:]", "no index"),
    ("/v[٣]", "no index"),
    ("/v[0:0:5]", "step of 0"),
    ("/v[5:3]", "ends before it begins"),
    ("/v[9223372036854775808]", "the largest index"),
    ("/v[0,]", "is open"),
    ("/v[0,3:]", "is open"),
    ("/v[0,1:9223372036854775807]", "more than 65,536 indices"),
]


class TestParse:
    @pytest.mark.parametrize(("expression", "expected"), PARSED)
    def test_parse(self, expression: str, expected: Hyperslabs) -> None:
        """A constraint gives variables and half-open slices, however often it was encoded."""
        assert dict(dap4.parse_constraint(expression).hyperslabs) == expected
        assert dict(dap4.parse_constraint(expression).dimensions) == {}

    @pytest.mark.parametrize(("expression", "dimensions", "parts"), REDEFINED)
    def test_redefinitions(self, expression: str, dimensions: Mapping[str, object], parts: Hyperslabs) -> None:
        """Redefined dimensions stand beside the variables."""
        found = dap4.parse_constraint(expression)

        assert (dict(found.dimensions), dict(found.hyperslabs)) == (dimensions, parts)

    @pytest.mark.parametrize(("expression", "sentence"), REFUSED)
    def test_refuse(self, expression: str, sentence: str) -> None:
        """What is no constraint, or not offered, is refused in a sentence that says so."""
        with pytest.raises(BadSelection, match=sentence):
            dap4.parse_constraint(expression)

    @given(st.text() | st.text("/ab0129[]:;,=|{}%25BbDd\\. +", max_size=60))
    def test_any_text(self, text: str) -> None:
        """Any text gives a selection or `BadSelection`."""
        try:
            found = dap4.parse_constraint(text)
        except BadSelection:
            return

        assert isinstance(found, Selection)

    @given(
        st.dictionaries(
            st.lists(st.text("aZ09_", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join),
            st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9), st.integers(0, 99)), max_size=3),
            min_size=1,
        ),
        st.integers(0, 4),
    )
    def test_round_trip(self, wanted: dict[str, list[tuple[int, int, int]]], times: int) -> None:
        """A written constraint is read as it was meant, encoded any number of times."""
        clauses = (
            f"/{name}" + "".join(f"[{start}:{step}:{start + more}]" for start, step, more in indices)
            for name, indices in wanted.items()
        )
        expression = ";".join(clauses)
        for _ in range(times):
            expression = quote(expression)

        assert dict(dap4.parse_constraint(expression).hyperslabs) == {
            name: tuple(slice(start, start + more + 1, step) for start, step, more in indices)
            for name, indices in wanted.items()
        }

    @pytest.mark.parametrize(
        "piece",
        [
            "{",
            "a{",
            "a{b}",
            "}",
            "a=",
            "a=[0];",
            "a[0:65535,1];",
            "1,",
            "[0]",
            "/a",
            ";",
            "a;",
            "a[0:1:9];",
            "\\ ",
            "%",
            "%25",
            "%2525",
            "[",
            "[1:",
            "1",
            "/a[",
            "é",
        ],
    )
    def test_time(self, piece: str) -> None:
        """64 kB of anything are read or refused within seconds."""
        text = (piece * 65536)[:65536]
        start = time.perf_counter()
        with contextlib.suppress(BadSelection):
            dap4.parse_constraint(text)

        assert time.perf_counter() - start < 5

    def test_messages_are_short(self) -> None:
        """A message quotes no more of a text than a reader needs."""
        with pytest.raises(BadSelection) as refusal:
            dap4.parse_constraint("[" * 65536)

        assert len(str(refusal.value)) < 200

    def test_decode_until_is_bounded(self) -> None:
        """Decoding ends with the parser's own error, however often a text could be decoded."""
        seen = []

        def parse(text: str) -> None:
            seen.append(text)
            raise ValueError(text)

        with pytest.raises(ValueError, match="%"):
            parse_percent_encoded(parse, "%" + "25" * 1000)

        assert len(seen) < 20


class TestQuery:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", dap4.ParsedQuery()),
            ("dap4.ce=", dap4.ParsedQuery()),
            ("dap4.ce=/v[0:1:9];/w", dap4.ParsedQuery("/v[0:1:9];/w")),
            ("dap4.ce=/v%5B0%5D&dap4.checksum=true", dap4.ParsedQuery("/v%5B0%5D", checksum=True)),
            ("dap4.checksum=false&dap4.ce=/v", dap4.ParsedQuery("/v", checksum=False)),
            ("dap4.checksum=False", dap4.ParsedQuery(checksum=False)),
            ("dap4.checksum=perhaps", dap4.ParsedQuery()),
            ("dap4%2Ece=/v", dap4.ParsedQuery("/v")),
            ("dap4%252Ece%253D/v", dap4.ParsedQuery("/v")),
            ("dap4.ce=/v%26dap4%2Echecksum%3Dtrue", dap4.ParsedQuery("/v", checksum=True)),
            ("dap4.ce=/d=[0:9];/v", dap4.ParsedQuery("/d=[0:9];/v")),
            ("dap4.ce=/a&dap4.ce=/b", dap4.ParsedQuery("/a;/b")),
            ("unknown=1&&=&x&dap4.ce=/a+b", dap4.ParsedQuery("/a+b")),
            ("dap4.function=&dap4.ce=/a", dap4.ParsedQuery("/a")),
        ],
    )
    def test_query(self, text: str, expected: dap4.ParsedQuery) -> None:
        """A query string gives its constraint, still encoded, and what it says of checksums."""
        assert dap4.parse_query(text) == expected

    @pytest.mark.parametrize("text", ["dap4.function=mean(/v)", "dap4.ce=/v&dap4%2Efunction%3Dmean(/v)"])
    def test_functions(self, text: str) -> None:
        """A call of a function is refused, in a sentence that names the server's way."""
        with pytest.raises(BadSelection, match="background_subtracted"):
            dap4.parse_query(text)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any query string that calls no function gives a request."""
        assert isinstance(dap4.parse_query(text), dap4.ParsedQuery)


# The DMR ------------------------------------------------------------------------------------------------------------


def attribute_of(value: object, name: str = "a") -> ET.Element:
    dmr = dap4.render_dmr(xr.Dataset(attrs={name: value}), "d")
    found, *_ = ET.fromstring(dmr)  # noqa: S314 - our own; what follows lists new names
    return found


class TestDmr:
    def test_prolog_and_root(self) -> None:
        """The prolog is at byte 0; the root says which DAP4 this is."""
        dmr = dap4.render_dmr(xr.Dataset(), 'a "b" & µ')

        assert dmr == (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" dapVersion="4.0" dmrVersion="2.0"'
            ' name="a &quot;b&quot; &amp; &#181;">\n'
            "</Dataset>\n"
        )

    def test_dims_and_maps_of_the_whole(self) -> None:
        """A whole variable names its dimensions, and maps lead to the coordinates on them, but to no scalar."""
        read = describe(dap4.render_dmr(image_dataset(), "d"))

        assert read["/image"].dims == ["/frame", "/y", "/x"]
        assert read["/image"].maps == ["/x", "/y", "/radius"]
        assert read["/names"].maps == []
        assert read["/x"].maps == read["/radius"].maps == []

    def test_coordinates_come_first(self) -> None:
        """Coordinates precede what maps to them (or libdap does not find them); the rest keeps its order."""
        assert list(describe(dap4.render_dmr(image_dataset(), "d"))) == [
            *("/x", "/y", "/radius", "/t0"),
            *("/image", "/mask", "/names", "/gain", "/telescope"),
        ]

    def test_order_is_the_datasets(self) -> None:
        """The constraint's order changes nothing."""
        selection = dap4.parse_constraint("/telescope;/x;/image")

        assert list(describe(dap4.render_dmr(selection.apply(image_dataset()), "d", selection))) == [
            *("/x", "/image", "/telescope"),
        ]

    def test_cut(self) -> None:
        """A variable that was cut has anonymous dimensions only and no maps, and is none's map."""
        selection = dap4.parse_constraint("/image[0][][];/mask;/x[0:2];/y[]")
        read = describe(dap4.render_dmr(selection.apply(image_dataset()), "d", selection))

        assert (read["/image"].dims, read["/image"].maps) == ([1, 3, 4], [])
        assert (read["/mask"].dims, read["/mask"].maps) == (["/y", "/x"], ["/y"])
        assert (read["/x"].dims, read["/y"].dims) == ([3], ["/y"])

    def test_redefined(self) -> None:
        """A redefined dimension keeps its name and has its new size, but where a variable gives indices of its own."""
        selection = dap4.parse_constraint("/y=[0:2:2];/image;/y;/mask[][1]")
        dmr = dap4.render_dmr(selection.apply(image_dataset()), "d", selection)
        read = describe(dmr)

        assert '<Dimension name="y" size="2"/>' in dmr
        assert (read["/image"].dims, read["/image"].shape) == (["/frame", "/y", "/x"], (2, 2, 4))
        assert (read["/image"].maps, read["/y"].dims) == (["/y"], ["/y"])
        assert (read["/mask"].dims, read["/mask"].maps) == ([2, 1], [])

    def test_redefined_alone(self) -> None:
        """A redefinition without variables narrows all of them."""
        selection = dap4.parse_constraint("/y=[1]")
        read = describe(dap4.render_dmr(selection.apply(image_dataset()), "d", selection))

        assert set(read) == {f"/{name}" for name in image_dataset().variables}
        assert {name: found.shape for name, found in read.items() if "/y" in found.dims} == {
            "/y": (1,),
            "/radius": (1, 4),
            "/image": (2, 1, 4),
            "/mask": (1, 4),
        }

    @pytest.mark.parametrize("expression", ["/DATA/SHOT", "DATA/SHOT", "/DATA/SHOT{y,image;comment}", "/DATA.{SHOT}"])
    def test_group(self, expression: str) -> None:
        """The name of a group is all that it holds, whatever way its members are named."""
        selection = dap4.parse_constraint(expression)
        read = describe(dap4.render_dmr(selection.apply(grouped_dataset()), "d", selection))

        assert set(read) == {"/DATA/SHOT/y", "/DATA/SHOT/image", "/DATA/SHOT/comment"}

    def test_group_of_attributes(self) -> None:
        """A group that holds nothing but attributes can be asked for as well."""
        selection = dap4.parse_constraint("/LOG")
        root = ET.fromstring(dap4.render_dmr(selection.apply(grouped_dataset()), "d", selection))  # noqa: S314 - our own

        assert [found.get("name") for found in root.iter(f"{_NAMESPACE}Attribute")] == ["top", "note"]

    @pytest.mark.parametrize(
        ("expression", "sentence"),
        [
            ("/DATA[0]", "DATA is a group, which takes no indices"),
            ("/z=[0];/image", "no dimension 'z' here. The dimensions are: frame, y, x"),
            ("/image[0][0,3][0]", "index 3 is outside 0 to 2"),
            ("/y=[9];/x", "index 9 is outside 0 to 2"),
        ],
    )
    def test_misfit(self, expression: str, sentence: str) -> None:
        """A constraint that does not fit is refused in a sentence that says what would."""
        dataset = grouped_dataset() if "DATA" in expression else image_dataset()

        with pytest.raises(BadSelection, match=sentence):
            dap4.parse_constraint(expression).apply(dataset)

    def test_only_named_dimensions_are_declared(self) -> None:
        """A dimension that no variable names is not declared."""
        selection = dap4.parse_constraint("/image[0][][];/names")
        dmr = dap4.render_dmr(selection.apply(image_dataset()), "d", selection)

        assert dmr.count("<Dimension ") == 1
        assert '<Dimension name="frame" size="2"/>' in dmr

    def test_groups(self) -> None:
        """Names with slashes are groups within groups, with their dimensions, variables and attributes."""
        root = ET.fromstring(dap4.render_dmr(grouped_dataset(), "d"))  # noqa: S314 - our own
        shot = root.find(f"{_NAMESPACE}Group[@name='DATA']/{_NAMESPACE}Group[@name='SHOT']")
        assert shot is not None

        assert [child.get("name") for child in shot] == ["y", "x", "y", "image", "comment", "number"]
        assert attributes_of(root) == {"top": ["t"]}
        assert root.find(f"{_NAMESPACE}Group[@name='LOG']/{_NAMESPACE}Group[@name='empty']") is not None

    def test_groups_that_were_not_selected(self) -> None:
        """Of groups without a selected variable, nothing is said."""
        selection = dap4.parse_constraint("/DATA/energy")
        root = ET.fromstring(dap4.render_dmr(selection.apply(grouped_dataset()), "d", selection))  # noqa: S314 - our own

        assert [group.get("name") for group in root.iter(f"{_NAMESPACE}Group")] == ["DATA"]
        assert [found.get("name") for found in root.iter(f"{_NAMESPACE}Attribute")] == ["top", "by"]

    def test_dimension_out_of_scope(self) -> None:
        """A variable whose dimension lives in another group has anonymous dimensions."""
        dataset = xr.Dataset({"v": (("G/n", "m"), np.zeros((2, 3))), "G/w": ("G/n", np.zeros(2))})
        read = describe(dap4.render_dmr(dataset, "d"))

        assert (read["/v"].dims, read["/G/w"].dims) == ([2, 3], ["/G/n"])

    def test_attribute_below_a_variable(self) -> None:
        """An attribute called like a path below a variable makes no group of the variable's name."""
        dataset = xr.Dataset({"v": ((), 1)}, attrs={"v/units": "m"})

        assert "<Group" not in dap4.render_dmr(dataset, "d")

    def test_nothing_is_read(self) -> None:
        """Describing a dataset computes no value."""

        def fail(block: Array) -> Array:
            raise AssertionError(block)

        lazy = da.zeros((2, 3), dtype="u2").map_blocks(fail, dtype="u2")

        assert "UInt16" in dap4.render_dmr(xr.Dataset({"v": (("y", "x"), lazy)}), "d")

    def test_type_that_dap4_lacks(self) -> None:
        """A type that DAP4 lacks is refused, with the variable's name."""
        with pytest.raises(TypeError, match="v: DAP4 has no type for NumPy's complex128"):
            dap4.render_dmr(xr.Dataset({"v": ((), 1j)}), "d")


class TestAttributes:
    @pytest.mark.parametrize(
        ("value", "kind", "texts"),
        [
            ("text", "String", ["text"]),
            ("", "String", [""]),
            (np.str_("text"), "String", ["text"]),
            (b"\xb5m", "String", ["µm"]),
            (True, "UInt8", ["1"]),
            (5, "Int64", ["5"]),
            (2**63, "UInt64", ["9223372036854775808"]),
            (2**70, "String", ["1180591620717411303424"]),
            (0.1, "Float64", ["0.1"]),
            (np.float32(0.1), "Float64", ["0.10000000149011612"]),
            (np.float16(0.1), "Float64", ["0.0999755859375"]),
            (np.nan, "Float64", ["NaN"]),
            (-np.inf, "Float64", ["-Infinity"]),
            (np.float32("inf"), "Float64", ["Infinity"]),
            (np.int8(-3), "Int8", ["-3"]),
            (np.uint8(3), "UInt8", ["3"]),
            (np.array([1, 2], ">i2"), "Int16", ["1", "2"]),
            (np.array([[1, 2], [3, 4]], "u1"), "UInt8", ["1", "2", "3", "4"]),
            ([1, 2.5], "Float64", ["1.0", "2.5"]),
            (["a", "", "b & c"], "String", ["a", "", "b & c"]),
            (np.array(["a", "b"]), "String", ["a", "b"]),
            ([], "String", [""]),
            (np.array([], "f4"), "String", [""]),
            ([1, [2, 3]], "String", ["[1, [2, 3]]"]),
            (None, "String", [""]),
            (1j, "String", ["1j"]),
            (np.datetime64("2026-11-22"), "String", ["2026-11-22"]),
        ],
    )
    def test_values(self, value: object, kind: str, texts: list[str]) -> None:
        """A value has the type it had (but for Float32, which netCDF-C garbles), and reads as it was."""
        found = attribute_of(value)

        assert found.get("type") == kind
        assert attributes_of_one(found) == texts

    @pytest.mark.parametrize("text", ["a & b", "<", '"', "it's", "a\\b", "end\\", " ", "one & \n two"])
    def test_delicate_text(self, text: str) -> None:
        """Text that netCDF-C would change in a `<Value>` is in `value="…"` for it, and in `<dap:Value>` for libdap."""
        found = attribute_of(text)

        assert found.get("value") == text
        assert attributes_of_one(found) == [text]

    def test_delicate_texts(self) -> None:
        """Several texts that netCDF-C would change are the lines of one for it, and several for libdap."""
        found = attribute_of(["one", 'th"ree', "", "a&b<c", "C:\\"])

        assert found.get("value") == 'one\nth"ree\n\na&b<c\nC:\\'
        assert attributes_of_one(found) == ["one", 'th"ree', "", "a&b<c", "C:\\"]

    def test_delicate_text_is_read_once(self) -> None:
        """pydap, which would read both `value` and `<Value>`, reads a delicate text once."""
        attrs = {"one": 'th"ree', "several": ["a", "b&c"], "empty": ""}

        assert dmr_to_dataset(dap4.render_dmr(xr.Dataset(attrs=attrs), "d")).attributes == {
            **attrs,
            "several": "a\nb&c",
        }

    @pytest.mark.parametrize("text", ["plain µ text", " padded ", "line\nline\ttab\r"])
    def test_plain_text(self, text: str) -> None:
        """Plain text is in a `<Value>`, the one form that libdap reads."""
        assert [value.text for value in attribute_of(text)] == [text]

    @given(st.text(st.characters()), st.text(st.characters()))
    def test_any_text(self, name: str, text: str) -> None:
        """Any name and text give XML, in ASCII; all of the text that XML can hold arrives."""
        root = ET.fromstring(dap4.render_dmr(xr.Dataset(attrs={name: text}), "d"))  # noqa: S314 - our own
        expected = "".join(c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in text)
        expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in expected)
        if name == "_DAP4_Checksum_CRC32":
            return

        values, *_ = (attributes_of_one(found) for found in root.iter(f"{_NAMESPACE}Attribute"))
        assert values == [expected]

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("units", "units"),
            ("a b", "a b"),
            ("µ", "µ"),
            ("a.b&c", "a.b&c"),
            ("a b/c", "a b%2Fc"),
            ("end ", "end%20"),
            ("a\nb", "a%0Ab"),
            ("-x", "_-x"),
            ("", "_"),
            ("CLASS", "CLASS_"),
            ("_NCProperties", "_NCProperties_"),
            ("x" * 255, "x" * 255),
            ("x" * 300, f"{'x' * 246}_0d4e2ca9"),
            ("\ud800", "_%D800"),
        ],
    )
    def test_names_that_netcdf_allows(self, name: str, expected: str) -> None:
        """A name that would make netCDF-C refuse the dataset is changed into one that it allows."""
        assert attribute_of(1, name).get("name") == expected

    def test_names_stay_distinct(self) -> None:
        """No two attributes have one name, though netCDF allows neither as it is."""
        dmr = dap4.render_dmr(xr.Dataset(attrs={"CLASS": 1, "CLASS_": 2, "": 3, "_": 4}), "d")
        root = ET.fromstring(dmr)  # noqa: S314 - our own

        assert attributes_of(root) == {
            "CLASS_": ["1"],
            "CLASS__": ["2"],
            "_": ["3"],
            "__": ["4"],
            "renamed_attributes": ["CLASS_: CLASS, CLASS__: CLASS_, _: , __: _"],
        }

    @pytest.mark.parametrize(
        ("dtype", "value", "expected"),
        [
            ("u2", 65535.0, ("_FillValue", "UInt16", ["65535"])),
            (">u2", np.int64(7), ("_FillValue", "UInt16", ["7"])),
            ("u2", -1, ("FillValue", "Int64", ["-1"])),
            ("i2", 0.5, ("FillValue", "Float64", ["0.5"])),
            ("i2", np.array([7]), ("_FillValue", "Int16", ["7"])),
            ("i2", "none", ("FillValue", "String", ["none"])),
            ("?", False, ("_FillValue", "UInt8", ["0"])),
            ("f4", 0.0, ("_FillValue", "Float32", ["0.0"])),
            ("f4", 0.1, ("FillValue", "Float64", ["0.1"])),
            ("f4", np.nan, ("_FillValue", "Float32", ["NaN"])),
            ("f8", np.inf, ("_FillValue", "Float64", ["Infinity"])),
            ("f4", 1e300, ("FillValue", "Float64", ["1e+300"])),
            ("U1", "x", ("_FillValue", "String", ["x"])),
            ("U1", 0, ("FillValue", "Int64", ["0"])),
        ],
    )
    def test_fill_value(self, dtype: str, value: object, expected: tuple[str, str, list[str]]) -> None:
        """`_FillValue` has the type of its variable's values, or another name."""
        dataset = xr.Dataset({"v": ("n", np.zeros(1, dtype), {"_FillValue": value})})
        root = ET.fromstring(dap4.render_dmr(dataset, "d"))  # noqa: S314 - our own
        (found,) = root.iter(f"{_NAMESPACE}Attribute")

        assert (found.get("name"), found.get("type"), attributes_of_one(found)) == expected

    @pytest.mark.parametrize(
        ("dtype", "attrs", "expected"),
        [
            ("f4", {"_FillValue": np.float32(-9999.9)}, {"missing_value": ["-9999.900390625"]}),
            ("f4", {"_FillValue": np.inf}, {"missing_value": ["Infinity"]}),
            ("f2", {"_FillValue": -1.0, "missing_value": np.nan}, {"missing_value": ["NaN", "-1.0"]}),
            ("i2", {"_FillValue": np.array([7, 8, 70000])}, {"missing_value": ["7", "8"]}),
            ("u1", {"_FillValue": [7, 8], "missing_value": 8.0}, {"missing_value": ["8", "7"]}),
            ("f4", {"missing_value": np.array([1e300, 2])}, {"missing_value": ["1e+300", "2.0"]}),
        ],
    )
    def test_missing_values(self, dtype: str, attrs: dict[str, Any], expected: dict[str, list[str]]) -> None:
        """Fill values that cannot be sent as `_FillValue`, but that mask elements, are missing values."""
        dataset = xr.Dataset({"v": ("n", np.zeros(1, dtype), attrs)})
        found = describe(dap4.render_dmr(dataset, "d"))["/v"].attributes

        assert {name: texts for name, texts in found.items() if name != "FillValue"} == expected
        assert ("FillValue" in found) is ("_FillValue" in attrs)

    def test_checksum_of_a_former_answer(self) -> None:
        """A dataset that came over DAP4 itself does not hand on its checksum."""
        dataset = xr.Dataset({"v": ((), 1, {"_DAP4_Checksum_CRC32": 5})})

        assert "CRC32" not in dap4.render_dmr(dataset, "d")

    def test_pydap_reads_them(self) -> None:
        """The client pydap finds names, types and values, several values included."""
        read = dmr_to_dataset(dap4.render_dmr(image_dataset(), "d"))

        assert read["image"].attributes["note"] == 'a & b\n"µ"'
        assert read["image"].attributes["range"] == [0, 65535]
        assert read["gain"].attributes["limits"] == [-np.inf, np.inf]
        assert read.attributes == {"Conventions": "CF-1.11", "shot": 103741}


# Bodies -------------------------------------------------------------------------------------------------------------

DTYPES: Final = [
    *("?", "i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8"),
    *("<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "U", "O"),
]
TEXT: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)


def arrays(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    if dtype == "O":
        return hnp.arrays(object, shape, elements=TEXT, fill=st.just(""))
    if dtype == "U":
        return hnp.arrays("U5", shape, elements=TEXT)
    return hnp.arrays(np.dtype(dtype), shape)


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    """A dataset with variables and coordinates of any type, in groups or in none, some dimensions without length."""
    sizes = {dim: draw(st.integers(0, 4)) for dim in ("a", "b", "G/c", "G/H/d")}
    names = ["v", "w", "G/v", "G/H/u", "K/v", "lon", "G/lat"]
    variables = {}
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        dims = tuple(draw(st.lists(st.sampled_from(sorted(sizes)), max_size=3, unique=True)))
        shape = tuple(sizes[dim] for dim in dims)
        variables[name] = (dims, draw(arrays(draw(st.sampled_from(DTYPES)), shape)))
    dataset = xr.Dataset(variables)
    return dataset.set_coords([name for name in ("lon", "G/lat") if name in variables])


@st.composite
def selections(draw: st.DrawFn, dataset: xr.Dataset) -> str:
    """A constraint that fits the dataset."""
    clauses = []
    for name in draw(st.lists(st.sampled_from(sorted(map(str, dataset.variables))), unique=True, min_size=1)):
        whole = draw(st.booleans())
        clauses.append(f"/{name}" + "".join("" if whole else draw(index(n)) for n in dataset[name].shape))
    return ";".join(clauses)


def index(size: int) -> st.SearchStrategy[str]:
    if not size:
        return st.sampled_from(["[]", "[0:1:9223372036854775806]"])
    bounds = st.tuples(st.integers(0, size - 1), st.integers(1, size), st.integers(0, size - 1))
    written = bounds.map(lambda found: f"[{min(found[0], found[2])}:{found[1]}:{max(found[0], found[2])}]")
    single = st.integers(0, size - 1).map("[{}]".format)
    disjoint = st.lists(written | single, min_size=2, max_size=3).map(lambda each: ",".join(each).replace("],[", ","))
    return written | st.just("[]") | single | disjoint


def indices(bounds: str, size: int) -> list[int]:
    """What stands between two brackets as indices, made without the parser under test."""
    found: list[int] = []
    for part in bounds.split(","):
        numbers = [int(number) for number in part.split(":") if number]
        step = numbers[1] if len(numbers) == 3 else 1
        found += range(numbers[0], min(numbers[-1] + 1, size), step) if numbers else range(size)
    return found


def sliced(values: Array, clause: str, redefined: Mapping[str, str], dims: tuple[str, ...]) -> Array:
    """What a clause leaves of an array, by NumPy."""
    bounds = clause.replace("]", "").split("[")[1:] or [""] * values.ndim
    for axis, (part, dim) in enumerate(zip(bounds, dims, strict=True)):
        values = values.take(indices(part or redefined.get(dim, ""), values.shape[axis]), axis)
    return values


class TestBody:
    @given(datasets())
    def test_round_trip(self, dataset: xr.Dataset) -> None:
        """Values of every type come back as they were, with right checksums."""
        read = decode(encode(dataset))

        assert set(read) == {f"/{name}" for name in dataset.variables}
        for name, variable in dataset.variables.items():
            np.testing.assert_array_equal(read[f"/{name}"].values, variable.values)

    @given(st.data())
    def test_narrow_then_encode(self, data: st.DataObject) -> None:
        """Narrow-then-encode gives the same values as encode-then-slice."""
        dataset = data.draw(datasets().filter(lambda found: bool(found.variables)))
        clauses = data.draw(selections(dataset)).split(";")
        redefined = {
            str(dim): data.draw(index(size)).strip("[]")
            for dim, size in dataset.sizes.items()
            if data.draw(st.booleans())
        }
        before = [f"/{dim}=[{bounds}]" for dim, bounds in redefined.items()]
        whole, narrowed = decode(encode(dataset)), decode(encode(dataset, ";".join([*before, *clauses])))

        assert set(narrowed) == {clause.partition("[")[0] for clause in clauses}
        for clause in clauses:
            name = clause.partition("[")[0]
            dims = tuple(map(str, dataset.variables[name[1:]].dims))
            expected = sliced(whole[name].values, clause, redefined, dims)
            np.testing.assert_array_equal(narrowed[name].values, expected)
            assert {type(dim) for dim in narrowed[name].dims} in (set(), {int}, {str})
            assert set(narrowed[name].maps) <= set(narrowed)

    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(datasets())
    def test_pydap_reads_it(self, dataset: xr.Dataset) -> None:
        """The client pydap reads the same numbers (text it reads as ASCII only)."""
        numbers = dataset.drop_vars([name for name, found in dataset.variables.items() if found.dtype.kind in "UO"])
        read = decode_with_pydap(encode(numbers))

        for name, variable in numbers.variables.items():
            np.testing.assert_array_equal(np.asarray(read[str(name)].data), variable.values)

    def test_lazy_values(self) -> None:
        """Values that are computed only now arrive as well."""
        values = np.arange(12, dtype=">u2").reshape(3, 4)
        dataset = xr.Dataset({"v": (("y", "x"), da.from_array(values, chunks=2))})  # type: ignore[no-untyped-call] # dask

        np.testing.assert_array_equal(decode(encode(dataset, "/v[1:2][0:2:3]"))["/v"].values, values[1:3, 0:4:2])

    @pytest.mark.parametrize("checksum", [None, True])
    def test_checksums_are_sent(self, checksum: bool | None) -> None:  # noqa: FBT001 - a parameter of the table
        """Checksums and their attribute are sent unless the request says false."""
        assert encode(image_dataset(), checksum=checksum).count(b"_DAP4_Checksum_CRC32") == 9

    def test_surrogates(self) -> None:
        """Text that UTF-8 has no bytes for is sent with question marks, not refused."""
        text = xr.Variable((), np.array("a\ud800b", object), fastpath=True)  # or pandas would look at it, with pyarrow
        dataset = xr.Dataset({"v": text})

        assert decode(encode(dataset))["/v"].values[()] == "a?b"


@dataclass
class Failing:
    """A piece of a body that is not to be had."""

    size: int

    def __len__(self) -> int:
        return self.size


class TestChunks:
    BIG: Final = np.arange(9_000_000, dtype="<u2").reshape(3000, 3000)

    def blocks(self) -> Iterator[bytes | memoryview]:
        dataset = xr.Dataset({"a": ((), 1), "big": (("y", "x"), self.BIG), "z": ((), 2)})
        return iter(dap4.encode_body(dataset, "d", EVERYTHING))

    def test_no_chunk_is_too_large(self) -> None:
        """A variable larger than a chunk may be is cut, and put together again."""
        body = b"".join(self.blocks())

        assert max(len(content) for _, content in parts(body)) <= 0xFFFFFF
        assert len(parts(body)) == 3
        np.testing.assert_array_equal(decode(body)["/big"].values, self.BIG)

    def test_pydap_puts_them_together(self) -> None:
        """The client pydap reads a variable across chunks."""
        read = decode_with_pydap(b"".join(self.blocks()))

        np.testing.assert_array_equal(read["big"].data, self.BIG)

    def test_blocks(self) -> None:
        """Blocks are about half a megabyte, and as few as that allows."""
        sizes = [len(block) for block in self.blocks()]

        assert max(sizes) <= chunks.BLOCK_SIZE + chunks.COPY_THRESHOLD
        assert len(sizes) <= self.BIG.nbytes // chunks.BLOCK_SIZE + 4

    def test_nothing_is_copied(self) -> None:
        """Values that are little-endian and contiguous are sent from where they are."""
        views = [np.frombuffer(block, "u1") for block in self.blocks() if isinstance(block, memoryview)]

        assert sum(map(len, views)) == self.BIG.nbytes
        assert all(np.shares_memory(view, self.BIG) for view in views)

    @given(
        st.binary(max_size=50),
        st.lists(st.integers(0, 3000).map(lambda size: bytes(range(256)) * (size // 100)), max_size=6),
    )
    def test_cutting_keeps_every_byte(self, description: bytes, pieces: list[bytes]) -> None:
        """Whatever the sizes are, chunks hold the pieces in order, and the size is known beforehand."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "CHUNK_SIZE", 1024)
            patch.setattr(chunks, "BLOCK_SIZE", 256)
            patch.setattr(chunks, "COPY_THRESHOLD", 64)
            size = sum(map(len, pieces))
            body = b"".join(chunks.encode_chunks(description, pieces, size))
            expected_size = chunks.compute_chunked_size(description, size)
        (first, *rest) = parts(body)

        assert first == (4, description)
        assert b"".join(content for _, content in rest) == b"".join(pieces)
        assert [flags for flags, _ in rest] == [4] * (len(rest) - 1) + [5]
        assert len(body) == expected_size

    @pytest.mark.parametrize("failing", [0, 1, 2, 3])
    def test_failure(self, failing: int) -> None:
        """A body whose piece fails has an error chunk after its last whole one, and is shorter than was promised."""
        good = dap4.encode_body(xr.Dataset({"big": (("y", "x"), self.BIG), "z": ("x", self.BIG[0])}), "d", EVERYTHING)
        pieces = [piece if number != failing else Failing(len(piece)) for number, piece in enumerate(good.blocks)]
        sent: list[bytes | memoryview] = []
        with pytest.raises(TypeError, match="memoryview"):
            sent.extend(dap4.EncodedBody(good.dmr, tuple(pieces)))  # type: ignore[arg-type] # the fault to inject
        found = parts(b"".join(sent))

        assert [flags for flags, _ in found] == ([4, 6] if not failing else [4, 4, 6])
        assert b"<Message>The server had to stop" in found[-1][1]
        assert len(b"".join(sent)) < good.size

    def test_failure_in_a_small_body(self) -> None:
        """Where the error document would exceed the promised length, the error chunk is empty."""
        good = dap4.encode_body(xr.Dataset({"z": ((), 1)}), "d", EVERYTHING)
        sent: list[bytes | memoryview] = []
        with pytest.raises(TypeError, match="memoryview"):
            sent.extend(dap4.EncodedBody(good.dmr, (Failing(8), b"....")))  # type: ignore[arg-type] # likewise

        assert parts(b"".join(sent))[1:] == [(6, b"")]
        assert len(b"".join(sent)) < good.size

    def test_description_beyond_a_chunk(self) -> None:
        """A description that does not fit into a chunk is refused before anything is sent."""
        dataset = xr.Dataset(attrs={"a": "x" * 0xFFFFFF})

        with pytest.raises(BadSelection, match="ask for fewer"):
            dap4.encode_body(dataset, "d", EVERYTHING)


# Errors -------------------------------------------------------------------------------------------------------------


class TestErrors:
    def test_error(self) -> None:
        """An error is DAP4's document, with message and context as they were."""
        document = dap4.render_error(404, 'no "µ" & <none>\x00', "/a?b&c")
        root = ET.fromstring(document)  # noqa: S314 - our own

        assert document.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
        assert (root.tag, root.get("httpcode")) == (f"{_NAMESPACE}Error", "404")
        assert [child.text for child in root] == ['no "µ" & <none>\ufffd', "/a?b&c", None]

    def test_error_chunk(self) -> None:
        """An error chunk holds the document, and is not marked as the last (pydap would take it for data)."""
        document = dap4.render_error(500, "gone")

        assert parts(dap4.encode_error_chunk(document)) == [(6, document)]

    def test_pydap_notices_an_error_chunk(self) -> None:
        """The client pydap raises on a body that ends with an error chunk."""
        first = encode(image_dataset()).partition(b"\r\n")[0] + b"\r\n"

        with pytest.raises(IndexError):
            decode_with_pydap(first + dap4.encode_error_chunk(dap4.render_error(500, "gone")))

    def test_media_types(self) -> None:
        """Every suffix that a client asks for has DAP4's media type."""
        assert set(dap4.MEDIA_TYPES) == {".dmr", ".dmr.xml", ".dap", ".dsr", ".dsr.xml"}
        assert dap4.MEDIA_TYPES[".dap"] == "application/vnd.opendap.dap4.data"
        assert dap4.ERROR_MEDIA_TYPE == "application/vnd.opendap.dap4.error+xml"
