"""DAP4's responses: tables of bytes, properties, and two decoders."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.server.protocols.dap4_decoding import (
    EVERYTHING,
    NAMESPACE,
    Array,
    decode,
    decode_with_pydap,
    encode,
    make_empty_dataset,
    make_grouped_dataset,
    make_image_dataset,
    split_chunks,
)

from shotdap.server.protocols import dap4
from shotdap.server.protocols.dap4 import chunks
from shotdap.transforms.selection import BadSelection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


GOLDEN: Final = Path(__file__).parents[2] / "golden" / "dap4"

# Golden bytes -------------------------------------------------------------------------------------------------------

# A variable and its DAP4 encoding, written by hand: type, and bytes without the checksum.
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
        """A variable's bytes are those of the table, followed by their checksum, in one last chunk."""
        ((_, dmr), (flags, data)) = split_chunks(encode(self.dataset(values)))

        assert f"<{kind} name=".encode() in dmr
        assert (flags, data) == (5, wire + struct.pack("<I", zlib.crc32(wire)))

    def test_encode_without_checksums(self, values: object, kind: str, wire: bytes) -> None:
        """`dap4.checksum=false` omits the checksum and its attribute, and nothing else."""
        body = encode(self.dataset(values), checksum=False)
        read = decode(body, checksums=False)["/v"]

        assert (read.type, read.attributes, split_chunks(body)[1]) == (kind, {}, (5, wire))

    def test_decode(self, values: object, kind: str, wire: bytes) -> None:
        """An encoded variable is decoded with its type, shape and values."""
        read = decode(encode(self.dataset(values)))["/v"]

        assert (read.type, read.shape) == (kind, np.shape(np.asarray(values)))
        assert read.values.nbytes == len(wire) or kind == "String"
        np.testing.assert_array_equal(read.values, values)


# File in tests/golden/dap4 → its dataset and constraint. How the files were made, and which
# clients read them, is in the README beside them.
FILES: Final = {
    "image.dap": (make_image_dataset, ""),
    "image_cut.dap": (make_image_dataset, "/image[1][0:2:2][];/names;/x;/y[1:2]"),
    "grouped.dap": (make_grouped_dataset, ""),
    "grouped_cut.dap": (make_grouped_dataset, "/DATA/SHOT/image[1:2][0:2:3];/DATA/energy"),
    "empty.dap": (make_empty_dataset, ""),
    "empty_cut.dap": (make_empty_dataset, "/z[0:1:9223372036854775806][0:1:1]"),
    "nothing.dap": (xr.Dataset, ""),
}


@pytest.mark.parametrize("file", FILES)
class TestGoldenFiles:
    def test_encode(self, file: str) -> None:
        """A dataset and a constraint give the file, byte for byte."""
        make, expression = FILES[file]

        assert encode(make(), expression) == (GOLDEN / file).read_bytes()

    def test_decode(self, file: str) -> None:
        """A decoder that shares no code with the encoder reads the dataset's values from the file."""
        make, expression = FILES[file]
        narrowed = dap4.parse_constraint(expression).apply(make())
        read = decode((GOLDEN / file).read_bytes())

        assert set(read) == {f"/{name}" for name in narrowed.variables}
        for name, variable in narrowed.variables.items():
            np.testing.assert_array_equal(read[f"/{name}"].values, variable.values)

    def test_decode_with_pydap(self, file: str) -> None:
        """Pydap reads the dataset's values from the file."""
        make, expression = FILES[file]
        narrowed = dap4.parse_constraint(expression).apply(make())
        read = decode_with_pydap((GOLDEN / file).read_bytes())

        for name, variable in narrowed.variables.items():
            np.testing.assert_array_equal(_convert_bytes(read[str(name)].data), variable.values.astype(variable.dtype))


def _convert_bytes(data: object) -> Array:
    array = np.asarray(data)
    return np.char.decode(array, "ascii") if array.dtype.kind == "S" else array


# Bodies -------------------------------------------------------------------------------------------------------------

DTYPES: Final = [
    *("?", "i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8"),
    *("<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "U", "O"),
]
TEXT: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)


def draw_arrays(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    if dtype == "O":
        return hnp.arrays(object, shape, elements=TEXT, fill=st.just(""))
    if dtype == "U":
        return hnp.arrays("U5", shape, elements=TEXT)
    return hnp.arrays(np.dtype(dtype), shape)


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    """Draw a dataset with variables and coordinates of any type, in groups or not, some dimensions of length zero."""
    sizes = {dim: draw(st.integers(0, 4)) for dim in ("a", "b", "G/c", "G/H/d")}
    names = ["v", "w", "G/v", "G/H/u", "K/v", "lon", "G/lat"]
    variables = {}
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        dims = tuple(draw(st.lists(st.sampled_from(sorted(sizes)), max_size=3, unique=True)))
        shape = tuple(sizes[dim] for dim in dims)
        variables[name] = (dims, draw(draw_arrays(draw(st.sampled_from(DTYPES)), shape)))
    dataset = xr.Dataset(variables)
    return dataset.set_coords([name for name in ("lon", "G/lat") if name in variables])


@st.composite
def selections(draw: st.DrawFn, dataset: xr.Dataset) -> str:
    """Draw a constraint that is valid for the dataset."""
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


def parse_indices(bounds: str, size: int) -> list[int]:
    """Convert the text between two brackets to indices, without the parser under test."""
    found: list[int] = []
    for part in bounds.split(","):
        numbers = [int(number) for number in part.split(":") if number]
        step = numbers[1] if len(numbers) == 3 else 1
        found += range(numbers[0], min(numbers[-1] + 1, size), step) if numbers else range(size)
    return found


def slice_by_numpy(values: Array, clause: str, redefined: Mapping[str, str], dims: tuple[str, ...]) -> Array:
    """Apply a clause to an array by NumPy."""
    bounds = clause.replace("]", "").split("[")[1:] or [""] * values.ndim
    for axis, (part, dim) in enumerate(zip(bounds, dims, strict=True)):
        values = values.take(parse_indices(part or redefined.get(dim, ""), values.shape[axis]), axis)
    return values


class TestBody:
    @given(datasets())
    def test_round_trip(self, dataset: xr.Dataset) -> None:
        """Values of every type are decoded unchanged, with correct checksums."""
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
            expected = slice_by_numpy(whole[name].values, clause, redefined, dims)
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
        """Values that are computed while they are sent arrive as well."""
        values = np.arange(12, dtype=">u2").reshape(3, 4)
        dataset = xr.Dataset({"v": (("y", "x"), da.from_array(values, chunks=2))})  # type: ignore[no-untyped-call] # dask

        np.testing.assert_array_equal(decode(encode(dataset, "/v[1:2][0:2:3]"))["/v"].values, values[1:3, 0:4:2])

    @pytest.mark.parametrize("checksum", [None, True])
    def test_checksums_are_sent(self, checksum: bool | None) -> None:  # noqa: FBT001 - a parameter of the table
        """Checksums and their attribute are sent unless the request says false."""
        assert encode(make_image_dataset(), checksum=checksum).count(b"_DAP4_Checksum_CRC32") == 9

    def test_surrogates(self) -> None:
        """Text that UTF-8 cannot encode is sent with question marks, not refused."""
        text = xr.Variable((), np.array("a\ud800b", object), fastpath=True)  # or pandas would convert it with pyarrow
        dataset = xr.Dataset({"v": text})

        assert decode(encode(dataset))["/v"].values[()] == "a?b"


@dataclass
class Failing:
    """A piece of a body that cannot be read."""

    size: int

    def __len__(self) -> int:
        return self.size


class TestChunks:
    BIG: Final = np.arange(9_000_000, dtype="<u2").reshape(3000, 3000)

    def blocks(self) -> Iterator[bytes | memoryview]:
        dataset = xr.Dataset({"a": ((), 1), "big": (("y", "x"), self.BIG), "z": ((), 2)})
        return iter(dap4.encode_body(dataset, "d", EVERYTHING))

    def test_no_chunk_is_too_large(self) -> None:
        """A variable larger than a chunk is split, and joined by the decoder."""
        body = b"".join(self.blocks())

        assert max(len(content) for _, content in split_chunks(body)) <= 0xFFFFFF
        assert len(split_chunks(body)) == 3
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
        """The memory of little-endian, contiguous values is sent without a copy."""
        views = [np.frombuffer(block, "u1") for block in self.blocks() if isinstance(block, memoryview)]

        assert sum(map(len, views)) == self.BIG.nbytes
        assert all(np.shares_memory(view, self.BIG) for view in views)

    @given(
        st.binary(max_size=50),
        st.lists(st.integers(0, 3000).map(lambda size: bytes(range(256)) * (size // 100)), max_size=6),
    )
    def test_cutting_keeps_every_byte(self, description: bytes, pieces: list[bytes]) -> None:
        """For any sizes, chunks contain the pieces in order, and the size is known beforehand."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "CHUNK_SIZE", 1024)
            patch.setattr(chunks, "BLOCK_SIZE", 256)
            patch.setattr(chunks, "COPY_THRESHOLD", 64)
            size = sum(map(len, pieces))
            body = b"".join(chunks.encode_chunks(description, pieces, size))
            expected_size = chunks.compute_chunked_size(description, size)
        (first, *rest) = split_chunks(body)

        assert first == (4, description)
        assert b"".join(content for _, content in rest) == b"".join(pieces)
        assert [flags for flags, _ in rest] == [4] * (len(rest) - 1) + [5]
        assert len(body) == expected_size

    @pytest.mark.parametrize("failing", [0, 1, 2, 3])
    def test_failure(self, failing: int) -> None:
        """A body whose piece fails has an error chunk after its last whole one, and is shorter than announced."""
        good = dap4.encode_body(xr.Dataset({"big": (("y", "x"), self.BIG), "z": ("x", self.BIG[0])}), "d", EVERYTHING)
        pieces = [piece if number != failing else Failing(len(piece)) for number, piece in enumerate(good.blocks)]
        sent: list[bytes | memoryview] = []
        with pytest.raises(TypeError, match="memoryview"):
            sent.extend(dap4.EncodedBody(good.dmr, tuple(pieces)))  # type: ignore[arg-type] # the fault to inject
        found = split_chunks(b"".join(sent))

        assert [flags for flags, _ in found] == ([4, 6] if not failing else [4, 4, 6])
        assert b"<Message>The server had to stop" in found[-1][1]
        assert len(b"".join(sent)) < good.size

    def test_failure_in_a_small_body(self) -> None:
        """If the error document would exceed the announced length, the error chunk is empty."""
        good = dap4.encode_body(xr.Dataset({"z": ((), 1)}), "d", EVERYTHING)
        sent: list[bytes | memoryview] = []
        with pytest.raises(TypeError, match="memoryview"):
            sent.extend(dap4.EncodedBody(good.dmr, (Failing(8), b"....")))  # type: ignore[arg-type] # likewise

        assert split_chunks(b"".join(sent))[1:] == [(6, b"")]
        assert len(b"".join(sent)) < good.size

    def test_description_beyond_a_chunk(self) -> None:
        """A description that does not fit into a chunk is refused before anything is sent."""
        dataset = xr.Dataset(attrs={"a": "x" * 0xFFFFFF})

        with pytest.raises(BadSelection, match="ask for fewer"):
            dap4.encode_body(dataset, "d", EVERYTHING)


# Errors -------------------------------------------------------------------------------------------------------------


class TestErrors:
    def test_error(self) -> None:
        """An error is DAP4's document, with unchanged message and context."""
        document = dap4.render_error(404, 'no "µ" & <none>\x00', "/a?b&c")
        root = ET.fromstring(document)  # noqa: S314 - our own

        assert document.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
        assert (root.tag, root.get("httpcode")) == (f"{NAMESPACE}Error", "404")
        assert [child.text for child in root] == ['no "µ" & <none>\ufffd', "/a?b&c", None]

    def test_error_chunk(self) -> None:
        """An error chunk contains the document, and is not marked as the last (pydap would take it for data)."""
        document = dap4.render_error(500, "gone")

        assert split_chunks(dap4.encode_error_chunk(document)) == [(6, document)]

    def test_pydap_notices_an_error_chunk(self) -> None:
        """The client pydap raises an exception for a body that ends with an error chunk."""
        first = encode(make_image_dataset()).partition(b"\r\n")[0] + b"\r\n"

        with pytest.raises(IndexError):
            decode_with_pydap(first + dap4.encode_error_chunk(dap4.render_error(500, "gone")))

    def test_media_types(self) -> None:
        """Every suffix that a client requests has DAP4's media type."""
        assert set(dap4.MEDIA_TYPES) == {".dmr", ".dmr.xml", ".dap", ".dsr", ".dsr.xml"}
        assert dap4.MEDIA_TYPES[".dap"] == "application/vnd.opendap.dap4.data"
        assert dap4.ERROR_MEDIA_TYPE == "application/vnd.opendap.dap4.error+xml"
