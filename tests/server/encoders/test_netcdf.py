"""netCDF files: other libraries read what is written."""

from __future__ import annotations

import io
import math
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import h5netcdf
import hypothesis.extra.numpy as hnp
import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from scipy.io import netcdf_file
from tests.contracts.encoder import ExactContract

from shotdap.server.encoders import Encoder
from shotdap.server.encoders.netcdf import classic, netcdf4
from shotdap.server.protocols import dap2
from shotdap.transforms import BadSelection, Selection

Array = np.ndarray[Any, np.dtype[Any]]

FORMATS: Final = [pytest.param(classic.encode, id="netCDF-3"), pytest.param(netcdf4.encode, id="netCDF-4")]
each_format = pytest.mark.parametrize("encode", FORMATS)

NUMBERS: Final = ("?", "i1", "u1", "<i2", ">i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", ">f4", "f8")
TEXTS: Final = ["short", "", "µm ≤ 3", "x" * 100]
# The types of netCDF-3 for types whose values need their full range; other types are kept.
PROMOTED: Final = {
    "bool": "i1",
    "uint8": "i2",
    "uint16": "i4",
    "uint32": "f8",
    "int64": "f8",
    "uint64": "f8",
    "float16": "f4",
}


def make_extremes(kind: str) -> Array:
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return np.array([np.nan, np.inf, -np.inf, -0.0, 0.1, np.finfo(dtype).max], dtype)
    if dtype.kind == "b":
        return np.array([True, False] * 3)
    info = np.iinfo(dtype)
    return np.array([info.min, info.max, 0, 1, 77, info.max // 2], dtype)


def encode_to_bytes(encode: Encoder, dataset: xr.Dataset) -> bytes:
    encoded = encode(dataset)
    whole = b"".join(map(bytes, encoded.blocks))
    assert len(whole) == encoded.size
    return whole


@contextmanager
def open_encoded(encode: Encoder, dataset: xr.Dataset) -> Iterator[netCDF4.Dataset]:
    """Open the file with netCDF-C, its numbers as stored."""
    with NamedTemporaryFile(suffix=".nc") as written:  # netCDF-C cannot read a small netCDF-3 file from memory
        written.write(encode_to_bytes(encode, dataset))
        written.flush()
        with netCDF4.Dataset(written.name) as file:
            file.set_auto_maskandscale(False)
            yield file


def find_arrays(group: netCDF4.Dataset, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, variable in group.variables.items():
        yield f"{above}{name}", variable
    for name, child in group.groups.items():
        yield from find_arrays(child, f"{above}{name}/")


def make_image() -> xr.Dataset:
    values = np.arange(12, dtype="u2").reshape(3, 4)
    return xr.Dataset(
        {"image": (("y", "x"), values, {"units": "count"})},
        coords=xr.Coordinates({"y": ("y", np.arange(3, dtype="i4")), "x": ("x", np.arange(4, dtype="i4"))}, indexes={}),
        attrs={"shot": np.int32(103741), "facility": "OMEGA"},
    )


def make_groups() -> xr.Dataset:
    return xr.Dataset(
        {
            "DATA/SHOT/image": (("DATA/SHOT/y", "x"), np.ones((2, 3), "u2"), {"units": "count"}),
            "DATA/SHOT/y": (("DATA/SHOT/y",), np.arange(2.0)),
            "number": ((), np.int16(-7)),
        },
        coords=xr.Coordinates({"x": ("x", np.arange(3.0))}, indexes={}),
        attrs={"top": "here", "DATA/SHOT/energy": np.float64(1.5), "m/s": "no group"},
    )


class TestNetcdf4(ExactContract):
    name = "nc4"

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        """Read numbers with netCDF-C, as stored."""

        def read(whole: bytes) -> Array:
            with netCDF4.Dataset("image.nc", memory=whole) as file:
                file.set_auto_maskandscale(False)
                return np.asarray(file["result"][...])

        return read

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            with netCDF4.Dataset("image.nc", memory=whole) as file:
                return {name: owner.getncattr(name) for owner in (file, file["result"]) for name in owner.ncattrs()}

        return read


class TestNetcdf3(ExactContract):
    name = "nc"
    kinds = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "f2", "f4", "f8")  # others are kept only if float64 holds them

    @pytest.fixture
    def read_numbers(self) -> Callable[[bytes], Array]:
        """Read numbers with SciPy."""

        def read(whole: bytes) -> Array:
            with netcdf_file(io.BytesIO(whole), mmap=False) as file:
                return np.array(file.variables["result"].data)

        return read

    @pytest.fixture
    def read_attributes(self) -> Callable[[bytes], Mapping[str, Any]]:
        def read(whole: bytes) -> Mapping[str, Any]:
            with netcdf_file(io.BytesIO(whole), mmap=False) as file:
                owned = {**file._attributes, **file.variables["result"]._attributes}  # noqa: SLF001 — it has no other
            return {name: each.decode() if isinstance(each, bytes) else each for name, each in owned.items()}

        return read


# Both formats -------------------------------------------------------------------------------------------------------


@each_format
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers(encode: Encoder, kind: str) -> None:
    """Numbers of every type survive, including NaN, infinities and the extremes."""
    values = make_extremes(kind)
    with open_encoded(encode, xr.Dataset({"v": ("n", values)})) as file:
        found = file["v"][:]

    expected = values.astype("f8") if encode is classic.encode and values.dtype.itemsize == 8 else values
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@each_format
def test_texts(encode: Encoder, tmp_path: Path) -> None:
    """Text survives: empty, long, beyond ASCII, single or several, from each type that can hold it."""
    path = tmp_path / "texts.nc"
    dataset = xr.Dataset(
        {
            "objects": ("n", np.array(TEXTS, object)),
            "fixed": ("n", np.array(TEXTS)),
            "bytes": ("n", np.array([text.encode() for text in TEXTS])),
            "alone": ((), np.array("a scalar", object)),
            "nothing": ("n", np.array(["a", None, np.nan, "b\0"], object)),
        }
    )
    path.write_bytes(encode_to_bytes(encode, dataset))
    with xr.open_dataset(path, engine="netcdf4") as found:
        for name in ("objects", "fixed", "bytes"):
            assert [str(text) for text in found[name].values] == TEXTS
        assert str(found["alone"].values) == "a scalar"
        assert [str(text) for text in found["nothing"].values] == ["a", "", "", "b"]


@each_format
def test_attributes(encode: Encoder) -> None:
    """Attributes survive: text, texts, numbers with their types, NaN; names that netCDF forbids are changed."""
    attrs = {
        "text": "µm",
        "empty": "",
        "one": "K",
        "nan": np.nan,
        "single": np.float32(0.1),
        "many": np.arange(3, dtype="i2"),
        "python": 7,
        "flag": np.True_,
        "m/s": "a slash",
        "nothing": np.empty(0),
        "_NCProperties": "mine",
        "object": {"a": 1},
    }
    with open_encoded(encode, xr.Dataset({"v": ((), np.int32(1), attrs)}, attrs=attrs)) as file:
        for owner in (file, file["v"]):
            found = {name: owner.getncattr(name) for name in owner.ncattrs()}
            assert (found["text"], found["empty"], found["one"]) == ("µm", "", "K")
            assert math.isnan(found["nan"])
            assert found["single"] == np.float32(0.1)
            assert found["single"].dtype == np.float32
            assert found["many"].tolist() == [0, 1, 2]
            assert found["many"].dtype == np.int16
            assert (found["python"], found["flag"], found["m_s"]) == (7, 1, "a slash")
            assert (found["_NCProperties_"], found["object"]) == ("mine", "{'a': 1}")
            assert "nothing" not in found


def test_lists_of_texts() -> None:
    """A list of texts is a list in netCDF-4, and one text of several lines in netCDF-3."""
    dataset = xr.Dataset(attrs={"texts": ["one", "two"]})
    with open_encoded(netcdf4.encode, dataset) as file:
        assert file.texts == ["one", "two"]
    with open_encoded(classic.encode, dataset) as file:
        assert file.texts == "one\ntwo"


@pytest.mark.parametrize(
    ("encode", "engine"),
    [
        (classic.encode, "netcdf4"),
        (classic.encode, "scipy"),
        (netcdf4.encode, "netcdf4"),
        (netcdf4.encode, "h5netcdf"),
    ],
    ids=["netCDF-3 by netCDF4", "netCDF-3 by scipy", "netCDF-4 by netCDF4", "netCDF-4 by h5netcdf"],
)
def test_decoded_by_xarray(encode: Encoder, engine: str, tmp_path: Path) -> None:
    """Xarray unpacks a packed variable to the same numbers, by each engine that reads the format."""
    packing = {"scale_factor": np.float32(0.5), "add_offset": np.float32(10), "_FillValue": np.uint16(65535)}
    packed = np.array([[0, 1], [40000, 65535]], "u2")
    path = tmp_path / "packed.nc"
    path.write_bytes(encode_to_bytes(encode, xr.Dataset({"packed": (("y", "x"), packed, packing)})))
    with xr.open_dataset(path, engine=engine) as found:
        np.testing.assert_array_equal(found["packed"], [[10, 10.5], [20010, np.nan]])


@each_format
def test_coordinates(encode: Encoder, tmp_path: Path) -> None:
    """An image keeps the coordinates and attributes that xarray knows."""
    path = tmp_path / "image.nc"
    path.write_bytes(encode_to_bytes(encode, make_image()))
    expected = make_image().set_xindex("y").set_xindex("x")
    if encode is classic.encode:
        expected["image"].attrs["native_type"] = "uint16"
    with xr.open_dataset(path, engine="netcdf4") as found:
        xr.testing.assert_identical(found, expected)
        assert found["image"].dtype == ("i4" if encode is classic.encode else "u2")


@each_format
def test_ncdump(encode: Encoder, tmp_path: Path, require: Callable[[str], None]) -> None:
    """Debian's ncdump reads header and values."""
    require("ncdump")
    path = tmp_path / "image.nc"
    path.write_bytes(encode_to_bytes(encode, make_image()))
    dumped = subprocess.run(["ncdump", str(path)], check=True, capture_output=True, text=True).stdout

    assert 'image:units = "count" ;' in dumped
    assert "8, 9, 10, 11 ;" in dumped


@each_format
def test_types_that_netcdf_lacks(encode: Encoder) -> None:
    """A variable of a type that netCDF lacks is omitted and listed in the file."""
    dataset = xr.Dataset({"z": ("n", np.zeros(2, "c8")), "v": ("n", np.zeros(2))})
    with open_encoded(encode, dataset) as file:
        assert (list(file.variables), file.left_out) == (["v"], "z")


@each_format
def test_fill_values(encode: Encoder) -> None:
    """A fill value has its variable's type; one that the type cannot hold gets another name."""
    dataset = xr.Dataset(
        {
            "fits": ("n", np.zeros(2, "u2"), {"_FillValue": 65535.0}),
            "unfit": ("n", np.zeros(2, "u2"), {"_FillValue": np.nan}),
            "text": ("n", np.array(["a", "b"], object), {"_FillValue": "b"}),
        }
    )
    with open_encoded(encode, dataset) as file:
        assert file["fits"].getncattr("_FillValue") == 65535
        assert file["fits"].getncattr("_FillValue").dtype == file["fits"].dtype
        assert math.isnan(file["unfit"].FillValue)
        assert file["text"].FillValue == "b"


def test_integers_that_no_attribute_of_netcdf3_holds() -> None:
    """An integer attribute that float64 would round becomes text in netCDF-3, and stays an integer in netCDF-4."""
    attrs = {"great": np.int64(2**53 + 1), "several": np.array([0, 2**64 - 1], "u8"), "exact": np.int64(2**53)}
    with open_encoded(classic.encode, xr.Dataset(attrs=attrs)) as file:
        assert (file.great, file.several, file.exact) == ("9007199254740993", "0\n18446744073709551615", 2**53)
    with open_encoded(netcdf4.encode, xr.Dataset(attrs=attrs)) as file:
        assert (file.great, file.several.tolist(), file.exact) == (2**53 + 1, [0, 2**64 - 1], 2**53)


@settings(deadline=None)
@given(data=st.data())
def test_any_numbers(data: st.DataObject) -> None:
    """Any numbers of any shape survive in both formats, C-ordered or not."""
    dtype = data.draw(st.sampled_from(["i1", "u1", "i2", ">i2", "u2", "i4", "f4", "f8"]))
    values = data.draw(hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=3, max_side=5)))
    values = values.T if data.draw(st.booleans()) else values
    dataset = xr.Dataset({"v": ([f"d{axis}" for axis in range(values.ndim)], values)})
    for encode in (classic.encode, netcdf4.encode):
        with open_encoded(encode, dataset) as file:
            np.testing.assert_array_equal(file["v"][...], values)


# netCDF-4 -----------------------------------------------------------------------------------------------------------


def test_groups() -> None:
    """Groups are groups, with their dimensions and attributes; a name that only looks like a group's is none."""
    with open_encoded(netcdf4.encode, make_groups()) as file:
        shot = file["DATA/SHOT"]
        assert (list(shot.dimensions), list(file.dimensions)) == (["y"], ["x"])
        assert shot["image"].dimensions == ("y", "x")
        assert (shot.energy, file.top, file.m_s) == (1.5, "here", "no group")
        assert file["number"][...] == -7


def test_read_by_h5netcdf() -> None:
    """h5netcdf reads its own output as netCDF-C does."""
    with h5netcdf.File(io.BytesIO(encode_to_bytes(netcdf4.encode, make_groups())), "r") as file:
        assert file["DATA/SHOT/image"].dimensions == ("y", "x")
        assert file["DATA/SHOT/image"].attrs["units"] == "count"


def test_empty_arrays() -> None:
    """An array of length zero keeps its shape and type."""
    with open_encoded(netcdf4.encode, xr.Dataset({"v": (("n", "m"), np.empty((0, 4), "f4"))})) as file:
        assert (file["v"].shape, file["v"].dtype) == ((0, 4), np.float32)


def test_names_in_conflict() -> None:
    """A dimension that is hidden by a nearer one moves to the root; a variable with a group's name is renamed."""
    dataset = xr.Dataset(
        {
            "A": ("A/x", np.arange(2)),
            "A/v": ("A/x", np.arange(2)),
            "A/B/v": (("A/x", "A/B/x"), np.ones((2, 3))),
            "A/B/x": ("A/B/x", np.arange(3)),
        }
    )
    with open_encoded(netcdf4.encode, dataset) as file:
        found = {name: variable[...].tolist() for name, variable in find_arrays(file)}
        assert found == {"A_": [0, 1], "A/v": [0, 1], "A/B/v": [[1.0] * 3] * 2, "A/B/x": [0, 1, 2]}
        assert file["A/B/v"].dimensions == ("A_x", "x")


PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)


@settings(deadline=None)
@example(variables={"b/a": ["a"], "b/b": ["b/b", "b/a"]})  # b/a belongs to the root, as b/a is a variable along a
@given(variables=st.dictionaries(PATHS, st.lists(PATHS, max_size=2, unique=True), min_size=1, max_size=6))
def test_any_tree(variables: dict[str, list[str]]) -> None:
    """Whatever names variables, dimensions and groups share, every array is in the file."""
    sizes = {
        dimension: size for size, dimension in enumerate(sorted({d for dims in variables.values() for d in dims}), 1)
    }
    arrays = {
        name: (dims, np.full([sizes[dimension] for dimension in dims], number))
        for number, (name, dims) in enumerate(variables.items())
    }
    try:
        dataset = xr.Dataset({name: xr.Variable(*array) for name, array in arrays.items()})
    except ValueError:  # a dimension has the name of a variable that does not have it
        reject()
    with open_encoded(netcdf4.encode, dataset) as file:
        found = {tuple(np.ravel(variable[...])[:1]): variable.shape for _, variable in find_arrays(file)}

    assert found == {(number,): values.shape for number, (_, values) in enumerate(arrays.values())}


# netCDF-3 -----------------------------------------------------------------------------------------------------------


def test_flat() -> None:
    """Groups are flattened; all names are different, and the original ones are kept."""
    dataset = make_groups().assign(DATA_SHOT_image=((), np.int8(1)))
    with open_encoded(classic.encode, dataset) as file:
        assert file.data_model == "NETCDF3_64BIT_OFFSET"
        assert set(file.variables) == {"DATA_SHOT_image", "DATA_SHOT_image_2", "DATA_SHOT_y", "number", "x"}
        assert file["DATA_SHOT_image_2"].original_name == "DATA/SHOT/image"
        assert file["DATA_SHOT_image_2"].dimensions == ("DATA_SHOT_y", "x")
        assert file.DATA_SHOT_energy == 1.5


@pytest.mark.parametrize("kind", NUMBERS)
def test_promotion(kind: str) -> None:
    """A type that netCDF-3 lacks becomes one that holds its values, and the original type is recorded."""
    values = make_extremes(kind)
    native = values.dtype.newbyteorder("=").name
    with open_encoded(classic.encode, xr.Dataset({"v": ("n", values)})) as file:
        assert file["v"].dtype == np.dtype(PROMOTED.get(native, native))
        assert getattr(file["v"], "native_type", None) == (native if native in PROMOTED else None)


def test_small_long_integers() -> None:
    """64-bit integers that fit into 32 bits stay integers."""
    with open_encoded(classic.encode, xr.Dataset({"v": ("n", np.array([-1, 2**31 - 1]))})) as file:
        assert (file["v"].dtype, file["v"][:].tolist()) == (np.int32, [-1, 2**31 - 1])


def test_bytes_of_a_small_file() -> None:
    """A file has the bytes of the format's specification."""
    dataset = xr.Dataset({"v": ("n", np.array([1, 2, -3], "i2"), {"u": "K"})})
    expected = (
        b"CDF\x02" + b"\0\0\0\0"
        b"\0\0\0\x0a\0\0\0\x01" + b"\0\0\0\x01n\0\0\0" + b"\0\0\0\x03"  # one dimension, n = 3
        b"\0\0\0\0\0\0\0\0"  # no attributes of the file
        b"\0\0\0\x0b\0\0\0\x01" + b"\0\0\0\x01v\0\0\0" + b"\0\0\0\x01\0\0\0\0"  # v:u = "K"
        b"\0\0\0\x0c\0\0\0\x01" + b"\0\0\0\x01u\0\0\0" + b"\0\0\0\x02\0\0\0\x01K\0\0\0"  # v:u = "K"
        b"\0\0\0\x03\0\0\0\x08" + b"\0\0\0\0\0\0\0\x68"  # int16, 8 bytes with padding, from byte 104
        b"\0\x01\0\x02\xff\xfd\x80\x01"
    )
    assert encode_to_bytes(classic.encode, dataset) == expected


def test_empty_arrays_left_out() -> None:
    """netCDF-3 has no arrays of length zero; the file lists those that are omitted."""
    with open_encoded(classic.encode, xr.Dataset({"none": ("n", np.empty(0)), "v": ((), np.int16(1))})) as file:
        assert (list(file.variables), file.left_out) == (["v"], "none")


def test_too_great() -> None:
    """A variable of 4 GiB is refused with a sentence before anything is converted."""
    great = np.broadcast_to(np.float64(0), (2**15, 2**14))
    with pytest.raises(BadSelection, match=r"v has 4\.0 GiB; .* netCDF-4"):
        classic.encode(xr.Dataset({"v": (("y", "x"), great)}))


# Downloads of constrained requests ----------------------------------------------------------------------------------


def test_restored() -> None:
    """The result of a DAP2 constraint regains its original names, groups, types and attributes."""
    dataset = make_groups()
    selection = Selection({"DATA_SHOT_image": (slice(0, 1), slice(0, 3, 2)), "DATA_SHOT_y": ()})
    restored = dap2.restore_dataset(selection.apply(dap2.adapt_dataset(dataset)), dataset)

    assert set(map(str, restored.variables)) == {"DATA/SHOT/image", "DATA/SHOT/y"}
    assert restored["DATA/SHOT/image"].attrs == {"units": "count"}
    assert restored["DATA/SHOT/image"].dtype == np.uint16
    assert restored["DATA/SHOT/image"].shape == (1, 2)
    assert restored.attrs == dataset.attrs
