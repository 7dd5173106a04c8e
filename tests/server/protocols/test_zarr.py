"""Zarr without a server: zarr-python and xarray read the dataset from the keys and bytes."""

from __future__ import annotations

import asyncio
import json
import math
import os
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.strategies import QUICK, CountingSource, make_numbered
from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import ByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from shotdap.catalog.collections.shot_tree import combine_as_groups
from shotdap.catalog.collections.stack import Layer, stack_images
from shotdap.catalog.readers.lazy import create_lazy_variable
from shotdap.server.protocols.zarr import (
    Compression,
    Hierarchy,
    ZarrOptions,
    extract_node_path,
    is_chunk_key,
    iter_store_entries,
)
from shotdap.server.protocols.zarr.keys import format_chunk_key, parse_chunk_key
from shotdap.server.protocols.zarr.options import ZarrVersion
from shotdap.transforms.virtual.read_cost import set_read_cost

Array = NDArray[Any]

GOLDEN: Final = Path(__file__).resolve().parents[2] / "golden/zarr"
VERSIONS: Final[tuple[ZarrVersion, ...]] = (2, 3)
NUMBERS: Final = ("?", "i1", "u1", "<i2", ">i2", "<u2", ">u4", "i8", ">u8", "f2", "<f4", ">f8", "c8")
ELSEWHERE: Final = ThreadPoolExecutor(8)
"""Threads for encoding: zarr-python's own threads wait for the store, and would wait for themselves."""

each_version = pytest.mark.parametrize("version", VERSIONS)


class Served(MemoryStore):
    """A store that creates the requested keys, and records the requested chunks."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        super().__init__(read_only=True)
        self.hierarchy = hierarchy
        self.chunks: list[str] = []

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        assert byte_range is None
        made = await asyncio.get_running_loop().run_in_executor(ELSEWHERE, self._encode_key, key)
        return None if made is None else (prototype or default_buffer_prototype()).buffer.from_bytes(made)

    def _encode_key(self, key: str) -> bytes | None:
        document, chunk = self.hierarchy.get_document(key), self.hierarchy.get_chunk(key)
        if chunk is None:
            return document
        self.chunks.append(key)
        return bytes(chunk.encode())


def make_store(dataset: xr.Dataset, options: ZarrOptions = ZarrOptions()) -> Served:  # noqa: B008 — frozen
    return Served(Hierarchy(dataset, options))


def open_by_xarray(dataset: xr.Dataset, version: ZarrVersion, *, decode: bool = True) -> xr.Dataset:
    """Open a dataset's hierarchy with xarray."""
    read: xr.Dataset = xr.open_zarr(
        make_store(dataset), zarr_format=version, consolidated=True, chunks=None, mask_and_scale=decode
    )
    return read


def open_tree(dataset: xr.Dataset, version: ZarrVersion) -> xr.DataTree:
    """Open a dataset's hierarchy with its groups with xarray."""
    tree: xr.DataTree = xr.open_datatree(
        make_store(dataset),  # type: ignore[arg-type]  # xarray's annotation knows no store
        engine="zarr",
        zarr_format=version,
        consolidated=True,
        chunks=None,
    )
    return tree


def read_documents(hierarchy: Hierarchy, version: ZarrVersion) -> dict[str, Any]:
    """Return all metadata documents, parsed as strict JSON."""
    found = ((key, hierarchy.get_document(key)) for key in hierarchy.iter_keys(version))
    return {key: json.loads(text, parse_constant=refuse_constant) for key, text in found if text is not None}


def refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def make_extremes(kind: str) -> Array:
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        return np.array([True, False, True])
    if dtype.kind in "fc":
        return np.array([np.nan, np.inf, -np.inf, -0.0, 0.1, np.finfo(dtype).max], dtype)
    info = np.iinfo(dtype)
    return np.array([info.min, info.max, 0, 77], dtype)


# Values -------------------------------------------------------------------------------------------------------------


@st.composite
def cut_arrays(draw: st.DrawFn) -> tuple[Array, ZarrOptions, tuple[slice, ...]]:
    """Draw an array, its chunking and compression, and a part of it."""
    shape = tuple(draw(st.lists(st.integers(0, 7), max_size=3)))
    values = make_numbered(*shape, dtype=draw(st.sampled_from(["<u2", ">i4", "f8", "u1"])))
    packing: st.SearchStrategy[Compression] = st.sampled_from(("none", "lz4", "zstd"))
    options = ZarrOptions(draw(st.integers(1, 80)), draw(st.sampled_from([7, 1000])), draw(packing))
    return values, options, tuple(draw(st.slices(size).filter(is_increasing)) for size in shape)


def is_increasing(part: slice) -> bool:
    return part.step is None or part.step > 0


@QUICK
@given(cut_arrays(), st.sampled_from(VERSIONS))
def test_any_part(cut: tuple[Array, ZarrOptions, tuple[slice, ...]], version: ZarrVersion) -> None:
    """Any slice that zarr-python reads, with any chunks, compressed or not, is NumPy's slice."""
    values, options, part = cut
    source = CountingSource(values)
    names = tuple("zyx"[: values.ndim])
    kept = make_store(xr.Dataset({"image": create_lazy_variable(names, source, {})}), options)
    array = zarr.open_array(kept, path="image", mode="r", zarr_format=version)

    np.testing.assert_array_equal(array[part or ...], values[part])
    assert math.prod(array.chunks) * values.itemsize <= max(
        min(options.chunk_size, options.max_chunk_size), values.itemsize
    )


@QUICK
@given(cut_arrays(), st.sampled_from(VERSIONS))
def test_only_touched_chunks_are_read(cut: tuple[Array, ZarrOptions, tuple[slice, ...]], version: ZarrVersion) -> None:
    """Reading a part requests only the chunks that it touches, each once."""
    values, options, part = cut
    part = tuple(slice(each.start, each.stop) for each in part)
    source = CountingSource(values)
    kept = make_store(xr.Dataset({"image": create_lazy_variable(tuple("zyx"[: values.ndim]), source, {})}), options)
    array = zarr.open_array(kept, path="image", mode="r", zarr_format=version)
    taken = [range(*each.indices(size)) for each, size in zip(part, values.shape, strict=True)]
    touched = [{index // length for index in each} for each, length in zip(taken, array.chunks, strict=True)]
    inside = [
        [index for index in range(size) if index // length in those]
        for size, length, those in zip(values.shape, array.chunks, touched, strict=True)
    ]
    assert source.reads == []

    array[part or ...]

    assert sorted(kept.chunks) == sorted(format_chunk_key(version, "image", numbers) for numbers in product(*touched))
    assert source.count == math.prod(map(len, inside)) * (values.size > 0)


@each_version
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers(kind: str, version: ZarrVersion) -> None:
    """Numbers of every type survive to the bit, in their type, little-endian."""
    values = make_extremes(kind)
    read = open_by_xarray(xr.Dataset({"v": ("x", values)}), version)["v"]

    assert read.dtype == values.dtype.newbyteorder("<")
    assert read.values.tobytes() == values.astype(read.dtype).tobytes()


@each_version
def test_nan_keeps_its_payload(version: ZarrVersion) -> None:
    """A NaN keeps its exact bits."""
    values = np.array([0x7FC00001, 0xFFC12345, 0x7F800000], "<u4").view("<f4")
    read = open_by_xarray(xr.Dataset({"v": ("x", values)}), version)["v"].values

    assert read.tobytes() == values.tobytes()


@each_version
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_texts(compression: Compression, version: ZarrVersion) -> None:
    """Texts of fixed or variable length, bytes and scalars survive as texts; missing ones are empty."""
    dataset = xr.Dataset(
        {
            "fixed": ("x", np.array(["one", "µm", ""])),
            "varying": ("x", np.array(["x" * 300, None, np.nan], object)),
            "bytes": ("x", np.array([b"one", b"\xb5m", b""])),
            "alone": ((), np.array("a scalar")),
        }
    )
    kept = make_store(dataset, ZarrOptions(compression=compression))
    read = xr.open_zarr(kept, zarr_format=version, consolidated=True, chunks=None)

    assert read["fixed"].values.tolist() == ["one", "µm", ""]
    assert read["varying"].values.tolist() == ["x" * 300, "", ""]
    assert read["bytes"].values.tolist() == ["one", "µm", ""]
    assert read["alone"].item() == "a scalar"


@each_version
def test_empty_arrays_and_scalars(version: ZarrVersion) -> None:
    """Arrays without elements keep their shapes; a scalar is one."""
    dataset = xr.Dataset({"nothing": (("n", "x"), np.empty((0, 4), "f4")), "one": ((), np.int16(-7))})
    read = open_by_xarray(dataset, version)

    assert read["nothing"].shape == (0, 4)
    assert read["one"].item() == -7


@each_version
def test_unsupported_types(version: ZarrVersion) -> None:
    """A variable of neither numbers nor text is omitted and listed; a number that is too wide becomes the nearest."""
    dataset = xr.Dataset(
        {"when": ("x", np.array(["2011-05-19"], "M8[ns]")), "wide": ("x", np.array([0.1], np.longdouble))}
    )
    read = open_by_xarray(dataset, version)

    assert list(read.variables) == ["wide"]
    assert read["wide"].dtype == np.float64
    assert read.attrs["zarr_left_out"] == ["when"]


# Fill values and attributes -----------------------------------------------------------------------------------------


@each_version
@pytest.mark.parametrize(
    ("kind", "fill"),
    [("u2", np.uint16(65535)), ("i8", np.int64(-(2**60))), ("f4", np.float32(np.nan)), (">f8", -1e30), ("u1", [7])],
)
def test_fill_values(kind: str, fill: float | list[int], version: ZarrVersion) -> None:
    """A variable's fill value and packing have the same effect in xarray through Zarr."""
    values = np.array([1, 2, np.ravel(fill)[0]], kind)
    packed = xr.Dataset({"v": ("x", values, {"_FillValue": fill, "scale_factor": 0.5, "add_offset": 10.0})})
    meant = xr.decode_cf(packed.assign({"v": packed["v"].assign_attrs({"_FillValue": np.ravel(fill)[0]})}))["v"]

    np.testing.assert_array_equal(open_by_xarray(packed, version)["v"].values, meant.values)
    np.testing.assert_array_equal(open_by_xarray(packed, version, decode=False)["v"].values, values)


@each_version
def test_impossible_fill_value(version: ZarrVersion) -> None:
    """A fill value that the variable's type cannot hold masks nothing, and is still recorded."""
    dataset = xr.Dataset({"v": ("x", np.array([0, 1], "u2"), {"_FillValue": np.nan})})
    read = open_by_xarray(dataset, version)["v"]

    assert (read.dtype, read.values.tolist(), read.attrs) == (np.dtype("u2"), [0, 1], {"FillValue": "NaN"})


@each_version
@pytest.mark.parametrize(
    ("kind", "attrs", "missing", "kept"),
    [
        ("f4", {"missing_value": np.nan}, [np.nan], {}),
        ("i4", {"missing_value": np.nan}, [], {}),
        ("f4", {"missing_value": np.inf}, [np.inf], {}),
        ("f8", {"missing_value": [np.inf, -1.0], "_FillValue": 3.0}, [np.inf, -1, 3], {}),
        ("f8", {"missing_value": [np.inf, np.nan], "_FillValue": np.nan}, [np.inf], {}),
        ("f8", {"missing_value": -np.inf, "_FillValue": -np.inf}, [-np.inf], {}),
        ("f8", {"missing_value": [np.inf, -np.inf]}, [-np.inf], {"MissingValue": ["Infinity"]}),
        ("u1", {"missing_value": np.inf}, [], {"MissingValue": ["Infinity"]}),
    ],
)
@pytest.mark.filterwarnings("ignore::xarray.SerializationWarning")  # several missing values
def test_missing_values_that_are_not_finite(
    kind: str, attrs: dict[str, Any], missing: list[float], kept: dict[str, Any], version: ZarrVersion
) -> None:
    """Missing values are missing in xarray, finite or not, and no attribute that masks is a text."""
    values = np.array([1, 2, *missing], kind)
    read = open_by_xarray(
        xr.Dataset({"v": ("x", values, {name: np.array(value) for name, value in attrs.items()})}), version
    )["v"]

    assert np.isnan(read.values[2:]).all()
    assert read.values[:2].tolist() == [1, 2]
    assert read.attrs == kept


@each_version
def test_zeros_are_not_missing(version: ZarrVersion) -> None:
    """Without a fill value nothing is masked, not even zeros, and a chunk of zeros has bytes like any other."""
    dataset = xr.Dataset({"v": (("y", "x"), np.zeros((3, 4), "u2"))})
    hierarchy = Hierarchy(dataset, ZarrOptions())
    chunk = hierarchy.get_chunk(format_chunk_key(version, "v", (0, 0)))

    assert open_by_xarray(dataset, version)["v"].values.tolist() == [[0] * 4] * 3
    assert chunk is not None
    assert bytes(chunk.encode()) == bytes(24)


@each_version
def test_attributes(version: ZarrVersion) -> None:
    """Attributes are strict JSON of equal values: arrays become lists, non-finite numbers and bytes become text."""
    given_ = {
        "great": np.int64(2**60),
        "many": np.arange(3, dtype="u1"),
        "not_finite": np.array([np.nan, np.inf, -np.inf]),
        "texts": ["one", "µm"],
        "bytes": b"one",
        "truth": np.True_,
        "odd": complex(1, 2),
    }
    dataset = xr.Dataset({"v": ("x", np.arange(2), {**given_, "_ARRAY_DIMENSIONS": ["nonsense"]})}, attrs=given_)
    expected = {
        "great": 2**60,
        "many": [0, 1, 2],
        "not_finite": ["NaN", "Infinity", "-Infinity"],
        "texts": ["one", "µm"],
        "bytes": "one",
        "truth": True,
        "odd": "(1+2j)",
    }
    read = open_by_xarray(dataset, version)
    read_documents(Hierarchy(dataset, ZarrOptions()), version)

    assert read.attrs == read["v"].attrs == expected
    assert read["v"].dims == ("x",)


# Groups -------------------------------------------------------------------------------------------------------------


def make_image(rows: int) -> xr.Dataset:
    frame = ("y", "x"), make_numbered(rows, 4)
    coordinates = xr.Coordinates({"y": ("y", np.arange(rows, dtype="i4"))}, indexes={})
    return xr.Dataset({"image": frame}, coords=coordinates, attrs={"rows": rows})


@each_version
def test_a_shot_is_a_tree(version: ZarrVersion) -> None:
    """A name with slashes is a group's; ``open_datatree`` returns each image with its own dimensions and attributes."""
    shot = combine_as_groups({"asbo1/a": make_image(3), "sop/b": make_image(5)}, {"shot": 62328})
    tree = open_tree(shot, version)

    assert tree.attrs == {"shot": 62328}
    for path, rows in (("asbo1/a", 3), ("sop/b", 5)):
        assert tree[path].attrs["rows"] == rows
        assert dict(tree[path].dataset.sizes) == {"y": rows, "x": 4}
        np.testing.assert_array_equal(tree[path].dataset["image"].values, make_numbered(rows, 4))
        assert tree[path].dataset["y"].values.tolist() == list(range(rows))


@each_version
def test_any_group_opens_by_itself(version: ZarrVersion) -> None:
    """A group's document contains the metadata of all members."""
    shot = combine_as_groups({"asbo1/a": make_image(3)}, {})
    read = xr.open_zarr(make_store(shot), group="asbo1/a", zarr_format=version, consolidated=True, chunks=None)

    assert set(read.variables) == {"image", "y"}


@each_version
def test_dimensions_of_one_name(version: ZarrVersion) -> None:
    """Two dimensions of one name that are visible in one group get different names."""
    dataset = xr.Dataset({"outer": ("x", np.arange(2)), "DATA/inner": ("DATA/x", np.arange(5))})
    tree = open_tree(dataset, version)

    assert (tree["outer"].dims, tree["DATA/inner"].dims) == (("x",), ("DATA_x",))


@each_version
def test_a_group_and_an_array_of_one_name(version: ZarrVersion) -> None:
    """If a group and an array would share a path, the group keeps it."""
    dataset = xr.Dataset({"DATA": ("x", np.arange(2)), "DATA/inner": ("x", np.arange(2) + 5)})
    group = zarr.open_group(make_store(dataset), mode="r", zarr_format=version)

    assert [group["DATA_"][1], group["DATA/inner"][1]] == [1, 6]  # type: ignore[index]  # arrays


# The grid -----------------------------------------------------------------------------------------------------------


def get_chunks(variable: xr.Variable, options: ZarrOptions = ZarrOptions()) -> tuple[int, ...]:  # noqa: B008 — frozen
    array = zarr.open_array(make_store(xr.Dataset({"v": variable}), options), path="v", mode="r", zarr_format=3)
    return tuple(array.chunks)


def make_lazy(*shape: int, dtype: str = "u2") -> xr.Variable:
    return create_lazy_variable(
        tuple("tzyx"[-len(shape) :]), CountingSource(np.broadcast_to(np.dtype(dtype).type(0), shape)), {}
    )


def test_a_frame_is_a_chunk() -> None:
    """A chunk is one frame; a variable that is small as a whole is one chunk."""
    assert get_chunks(make_lazy(2, 1024, 1100)) == (1, 1024, 1100)
    assert get_chunks(make_lazy(9, 8, 8)) == (9, 8, 8)


def test_a_great_frame_is_cut_into_equal_bands() -> None:
    """A frame larger than the setting is split into bands of rows of equal height, except the last."""
    assert get_chunks(make_lazy(2048, 2048)) == (1024, 2048)
    assert get_chunks(make_lazy(1100, 1100, dtype="f4")) == (550, 1100)
    assert get_chunks(make_lazy(2, 3, 10), ZarrOptions(chunk_size=25)) == (1, 1, 10)
    assert get_chunks(make_lazy(2, 3, 100), ZarrOptions(chunk_size=50)) == (1, 1, 25)


def test_expensive_variables_are_one_chunk() -> None:
    """A variable that needs the whole frame for any part is not split, except for the maximum of a response."""
    costly = set_read_cost(make_lazy(4096, 4096, dtype="f4"), 1)

    assert get_chunks(costly) == (4096, 4096)
    assert get_chunks(costly, ZarrOptions(max_chunk_size=32 << 20)) == (2048, 4096)


def test_a_stack_is_cut_by_its_shots() -> None:
    """A chunk of a stack belongs to one shot, however small it is, and reading it reads only that shot."""
    layers = [Layer(f"a{n}", n, xr.Dataset({"v": set_read_cost(make_lazy(4, 5), 1000)})) for n in range(3)]
    hierarchy = Hierarchy(stack_images(layers, "refuse", "refuse", {}), ZarrOptions())
    chunk = hierarchy.get_chunk("v/c/2/0/0")

    assert chunk is not None
    assert (chunk.shape, chunk.bytes_read) == ((1, 4, 5), 1000)
    assert hierarchy.get_chunk("v/c/3/0/0") is None


# Keys ---------------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(VERSIONS),
    st.sampled_from(["image", "DATA/SHOT/image", "c", "a/c", "7"]),
    st.lists(st.integers(0, 10**9)),
)
def test_a_key_leads_back(version: ZarrVersion, path: str, numbers: list[int]) -> None:
    """A chunk's key gives its array, its position, and the text before it."""
    key = format_chunk_key(version, path, tuple(numbers))
    there = tuple(numbers) if version == 3 else tuple(numbers) or (0,)

    assert (version, path, there) in list(parse_chunk_key(key))
    assert path.startswith(extract_node_path(key))


@pytest.mark.parametrize(
    "key", ["", "image", "image/c/-1", "image/c/01", "image/1.", "image/c/0/", "image/٣", "image/1.x"]
)
def test_no_chunk(key: str) -> None:
    """A text that is no chunk's key gives none."""
    assert not is_chunk_key(key)
    assert Hierarchy(xr.Dataset({"image": make_lazy(2, 2)}), ZarrOptions()).get_chunk(key) is None


@pytest.mark.parametrize(
    "key", ["image/c/2/0", "image/c/0", "image/c/0/0/0", "image/0", "image/0.9", "other/c/0", "image/c"]
)
def test_outside_of_the_grid(key: str) -> None:
    """A key outside an array's grid, or without an array, has no chunk."""
    assert Hierarchy(xr.Dataset({"image": make_lazy(2, 2)}), ZarrOptions()).get_chunk(key) is None


@pytest.mark.parametrize(
    ("key", "node"),
    [
        ("f/123/image/c/0/1", "f/123/image"),
        ("f/123/image/0.1", "f/123/image"),
        ("f/123/5/0", "f/123/5"),
        ("f/123/c", "f/123"),
        ("f/123/image/.zarray", "f/123/image"),
        ("zarr.json", ""),
        ("f/123", "f"),
        ("f/image", "f/image"),
    ],
)
def test_node_of(key: str, node: str) -> None:
    """Trailing numbers are removed only as far as they can be a chunk's."""
    assert extract_node_path(key) == node


def test_an_array_called_c() -> None:
    """An array whose name looks like part of a key is found in both versions."""
    hierarchy = Hierarchy(xr.Dataset({"c": ("x", np.arange(2)), "a/c": ("x", np.arange(2))}), ZarrOptions())

    assert all(hierarchy.get_chunk(key) is not None for key in ("c/0", "c/c/0", "a/c/0", "a/c/c/0"))


# Whole stores, and their output -------------------------------------------------------------------------------------


def test_a_store_is_read_chunk_by_chunk() -> None:
    """A whole dataset is a list of keys; a chunk is read only when its bytes are requested."""
    source = CountingSource(make_numbered(3, 2, 2))
    dataset = xr.Dataset({"image": create_lazy_variable(("t", "y", "x"), source, {})})
    entries = list(iter_store_entries(dataset, ZarrOptions(chunk_size=8)))
    assert source.reads == []

    bytes_ = {key: bytes(made()) for key, made in entries}

    assert [key for key, _ in entries][:2] == ["zarr.json", "image/zarr.json"]
    assert len(source.reads) == 3
    kept = MemoryStore({key: default_buffer_prototype().buffer.from_bytes(b) for key, b in bytes_.items()})
    np.testing.assert_array_equal(xr.open_zarr(kept, chunks=None)["image"].values, source.values)


def test_a_store_takes_the_memory_of_a_chunk() -> None:
    """A dataset of 64 MiB is streamed in the memory of a few chunks."""
    source = CountingSource(np.broadcast_to(np.uint8(7), (16, 2048, 2048)))
    dataset = xr.Dataset({"image": create_lazy_variable(("t", "y", "x"), source, {})})
    tracemalloc.start()
    try:
        size = sum(len(made()) for _, made in iter_store_entries(dataset, ZarrOptions()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size > 64 << 20
    assert peak < 20 << 20


def make_example() -> xr.Dataset:
    """Return a small dataset with one of everything that documents contain."""
    return xr.Dataset(
        {
            "image": (("y", "x"), make_numbered(3, 4, dtype=">u2"), {"units": "count", "_FillValue": np.uint16(65535)}),
            "DATA/names": ("DATA/n", np.array(["one", "µm"])),
            "shift": ((), np.float32(0.1), {"valid_range": np.array([-1.5, np.inf])}),
        },
        coords=xr.Coordinates({"y": ("y", np.arange(3, dtype="i4"))}, indexes={}),
        attrs={"shot": np.int32(62328), "DATA/purpose": "names"},
    )


def encode_all(hierarchy: Hierarchy) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    for version in VERSIONS:
        for key in hierarchy.iter_keys(version):
            chunk = hierarchy.get_chunk(key)
            found[key] = (hierarchy.get_document(key) or b"") if chunk is None else bytes(chunk.encode())
    return found


def test_golden() -> None:
    """The documents and chunks of a small dataset are those that clients have read correctly."""
    made = encode_all(Hierarchy(make_example(), ZarrOptions()))
    if os.environ.get("SHOTDAP_RENEW") == "1":
        for key, content in made.items():
            (GOLDEN / key).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / key).write_bytes(content)
    kept = {str(path.relative_to(GOLDEN)): path for path in GOLDEN.rglob("*") if path.is_file()}
    del kept["README.md"]

    assert {key: path.read_bytes() for key, path in kept.items()} == made
