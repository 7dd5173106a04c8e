"""The readers of the cameras' own formats, by one contract, and by the features of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from pyhdf.SD import SD, SDC
from tests import direct
from tests.contracts.reader import ReaderContract, Write, is_carriable
from tests.strategies import make_numbered

from shotdap.catalog import Missing, Unreadable
from shotdap.catalog.readers import READERS, Reader, read
from shotdap.catalog.readers.lazy import FrameCache
from shotdap.server import demo

Array = NDArray[Any]
File: TypeAlias = Any  # h5py.File; the type that a checker infers from its code is wrong

DATA: Final = Path(__file__).resolve().parents[3] / "../shared/data"
REAL: Final = (
    "asbo1_s62328.hdf", "sop_s25386.hdf", "EPW_CCD-s112059.hdf", "IAW-s101675.hdf", "P510_2-s103741.h5",
    "p510_2_s103741.h5", "P510-p510_data_103741.h5", "PTD_s103741_ptd.h5",
)  # fmt: skip
ODD: Final = (
    "SDS_fillchunk_alltypes.hdf", "SDS_unlimited.hdf", "SDSlongname.hdf",
    "special_char_var_attr_sds.hdf", "empty.hdf", "header_64B.hdf", "html_error_page.hdf", "magic_only.hdf",
)  # fmt: skip
HDF4_TYPES: Final = {
    "i1": SDC.INT8, "u1": SDC.UINT8, "i2": SDC.INT16, "u2": SDC.UINT16, "i4": SDC.INT32, "u4": SDC.UINT32,
    "i8": SDC.INT32, "f4": SDC.FLOAT32, "f8": SDC.FLOAT64,
}  # fmt: skip
MADE: Final = ("fakeDim0", "fakeDim12")
DIMENSION: Final = "This is a netCDF dimension but not a netCDF variable.         3"


def find_data_file(name: str) -> Path:
    """Return a file beside the checkout; if it is missing, skip the test, or fail if everything is required."""
    path = DATA / name
    if not path.exists():
        reason = f"shared/data/{name} is not beside the checkout"
        pytest.fail(reason) if os.environ.get("SHOTDAP_REQUIRE_ALL") == "1" else pytest.skip(reason)
    return path


class TestHdf4(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return READERS["HDF4"]

    @pytest.fixture
    def write(self, tmp_path: Path) -> Write:
        return partial(write_hdf4, tmp_path / "image")

    def test_made_up_dimensions(self, write: Write) -> None:
        """Implicit names of the library's dimensions are never visible: ours are derived from the array's name."""
        dataset = read(write({"image": make_numbered(2, 3), "other": make_numbered(4)}))

        assert dict(dataset.sizes) == {"image_0": 2, "image_1": 3, "other_0": 4}

    def test_scale(self, tmp_path: Path) -> None:
        """A dimension with a name and a scale has a coordinate, with its attributes."""
        with hdf4(tmp_path / "image") as file:
            sds = file.create("film", SDC.UINT16, (2, 3))
            sds[:] = make_numbered(2, 3)
            dimension = sds.dim(1)
            dimension.setname("position")
            dimension.setscale(SDC.FLOAT32, [0.0, 0.5, 1.0])
            dimension.setstrs("position", "um", "")
            sds.endaccess()
        dataset = read(tmp_path / "image")

        assert dataset.film.dims == ("film_0", "position")
        assert dataset.coords["position"].values.tolist() == [0, 0.5, 1]
        assert dataset.coords["position"].attrs["units"] == "um"

    def test_one_name_for_both_dimensions(self, tmp_path: Path) -> None:
        """A square array whose dimensions share one name gets two names."""
        with hdf4(tmp_path / "image") as file:
            sds = file.create("square", SDC.UINT16, (3, 3))
            sds[:] = make_numbered(3, 3)
            for axis in range(2):
                sds.dim(axis).setname("side")
            sds.endaccess()
        dims = read(tmp_path / "image").square.dims

        assert "side" in dims
        assert len(set(dims)) == 2

    def test_two_arrays_of_one_name(self, tmp_path: Path) -> None:
        """Two arrays of one name are both read."""
        with hdf4(tmp_path / "image") as file:
            for number in range(2):
                sds = file.create("twin", SDC.UINT16, (2,))
                sds[:] = make_numbered(2) + number
                sds.endaccess()
        dataset = read(tmp_path / "image")

        assert [variable.values.tolist() for variable in dataset.variables.values()] == [[0, 1], [1, 2]]

    def test_characters(self, tmp_path: Path) -> None:
        """An array of characters is text, in any pieces."""
        with hdf4(tmp_path / "image") as file:
            sds = file.create("title", SDC.CHAR8, (2, 3))
            sds[:] = np.array([[b"a", b"b", b"c"], [b"d", b"e", b"f"]])
            sds.endaccess()
        text = read(tmp_path / "image").title.values

        assert "".join(str(piece) for piece in text.reshape(-1)) == "abcdef"

    def test_unlimited(self, tmp_path: Path) -> None:
        """An array that may grow has its current length; one without records is empty."""
        with hdf4(tmp_path / "image") as file:
            for name, records in (("grown", 3), ("empty", 0)):
                sds = file.create(name, SDC.INT16, (SDC.UNLIMITED, 2))
                if records:
                    sds[:records] = make_numbered(records, 2, dtype="i2")
                sds.endaccess()
        dataset = read(tmp_path / "image").load()

        assert dataset.grown.values.tolist() == [[0, 1], [2, 3], [4, 5]]
        assert dataset.empty.shape == (0, 2)


class TestHdf5(ReaderContract):
    @pytest.fixture
    def reader(self) -> Reader:
        return READERS["HDF5"]

    @pytest.fixture
    def write(self, tmp_path: Path) -> Write:
        return partial(write_hdf5, tmp_path / "image")

    @pytest.fixture
    def make_file(self, tmp_path: Path) -> Callable[[Callable[[h5py.File], object]], Path]:
        def make(fill: Callable[[h5py.File], object]) -> Path:
            with h5py.File(tmp_path / "made", "w", track_order=True) as file:
                fill(file)
            return tmp_path / "made"

        return make

    def test_big_endian(self, make_file: Callable[..., Path]) -> None:
        """Big-endian numbers and attributes, as the archive's portal writes them, have the same values."""

        def fill(file: File) -> None:
            file["image"] = np.array([[1, 2], [3, 60000]], ">u2")
            file["image"].attrs["box"] = np.array([1, -2], ">i4")

        dataset = read(make_file(fill))

        assert dataset.image.values.tolist() == [[1, 2], [3, 60000]]
        assert dataset.image.attrs["box"].tolist() == [1, -2]
        assert dataset.image.attrs["box"].dtype.isnative

    def test_groups(self, make_file: Callable[..., Path]) -> None:
        """Names of arrays and attributes of nested groups begin with the groups' names."""

        def fill(file: File) -> None:
            file["DATA/SHOT/DATA"] = make_numbered(2, 2)
            file["DATA/SHOT"].attrs["units"] = "count"
            file["DATA/PRE SHOT/DATA"] = make_numbered(2)

        dataset = read(make_file(fill))

        assert dataset["DATA/SHOT/DATA"].values.tolist() == [[0, 1], [2, 3]]
        assert dataset.attrs["DATA/SHOT/units"] == "count"
        assert dataset["DATA/PRE_SHOT/DATA"].attrs["original_name"] == "DATA/PRE SHOT/DATA"

    def test_texts_and_scalars(self, make_file: Callable[..., Path]) -> None:
        """Texts of fixed and of variable length, scalars, booleans and enumerations are read."""

        def fill(file: File) -> None:
            file["fixed"] = np.array([b"one", b"", "µ".encode("latin-1")])
            file.create_dataset("varying", data=["short", "größe"], dtype=h5py.string_dtype())
            file.create_dataset("packed", data=["a", "b"], dtype=h5py.string_dtype(), chunks=(1,), compression="gzip")
            file["alone"] = "text"
            file["number"] = np.int16(-7)
            file["truths"] = np.array([True, False])
            file.create_dataset("mode", data=[1, 2], dtype=h5py.enum_dtype({"OFF LINE": 1, "ON": 2}, "i2"))

        dataset = read(make_file(fill), FrameCache(1 << 20).get_memo("file")).load()
        found = {str(name): variable.values.tolist() for name, variable in dataset.variables.items()}

        assert found == {
            "fixed": ["one", "", "µ"], "varying": ["short", "größe"], "packed": ["a", "b"], "alone": "text",
            "number": -7, "truths": [1, 0], "mode": [1, 2],
        }  # fmt: skip
        assert dataset["mode"].attrs["flag_values"].tolist() == [1, 2]
        assert dataset["mode"].attrs["flag_meanings"] == "OFF_LINE ON"

    @pytest.mark.parametrize(
        ("name", "fill"),
        [
            ("complex", lambda file: file.create_dataset("complex", data=np.zeros(2, "c8"))),
            ("varying", lambda file: file.create_dataset("varying", (2,), dtype=h5py.vlen_dtype("i4"))),
            ("opaque", lambda file: file.create_dataset("opaque", data=np.void(b"bytes"))),
            ("null", lambda file: file.create_dataset("null", data=h5py.Empty("f4"))),
            ("lists", lambda file: file.create_dataset("lists", (2,), dtype=np.dtype("(3,)f4"))),
            (
                "clock",
                lambda file: h5py.h5d.create(file.id, b"clock", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((2,))),
            ),
            ("outside", lambda file: file.create_dataset("outside", (2,), "i4", external=[("secret", 0, 8)])),
            ("virtual", lambda file: file.create_virtual_dataset("virtual", _make_layout())),
            ("table", lambda file: file.create_dataset("table", data=np.zeros(2, [("x", "i4"), ("z", "c8")]))),
            ("regions", lambda file: file.create_dataset("regions", (2,), dtype=h5py.regionref_dtype)),
        ],
    )
    def test_omitted(self, make_file: Callable[..., Path], name: str, fill: Callable[[h5py.File], object]) -> None:
        """Unsupported objects are omitted with a note, and everything else is read."""

        def fill_both(file: File) -> None:
            fill(file)
            file["image"] = make_numbered(2)
            file.attrs["reference"] = h5py.Empty("i4")

        dataset = read(make_file(fill_both)).load()

        assert dataset["image"].values.tolist() == [0, 1]
        assert name in dataset.attrs["omitted"]
        assert "reference" in dataset.attrs["omitted"]

    def test_odd_attributes(self, make_file: Callable[..., Path]) -> None:
        """Attributes of any type, under any name, disturb nothing, and are read or listed as omitted."""
        odd: Mapping[str, object] = {
            "empty": h5py.Empty("f4"), "nothing": np.zeros(0), "complex": 1j, "truth": True, "texts": ["a", "b"],
            "half": np.float16(1.5), "matrix": np.eye(2), "table": np.zeros(2, [("a", "c8")]), "NAME": "Größe",
            "CLASS": 5, "a/b": 1, "omitted": "mine",
        }  # fmt: skip

        def fill(file: File) -> None:
            file["image"] = make_numbered(2)
            for name, value in odd.items():
                file["image"].attrs[name] = value
            file["image"].attrs["image"] = file["image"].ref
            file["image"].attrs.create("latin", b"caf\xe9", dtype=h5py.string_dtype())
            moment = h5py.h5a.create(file["image"].id, b"clock", h5py.h5t.UNIX_D32LE, h5py.h5s.create(h5py.h5s.SCALAR))
            del moment

        found = read(make_file(fill)).image.attrs

        assert all(is_carriable(value) for value in found.values())
        assert found["latin"] == "café"
        assert found["texts"] == ["a", "b"]
        assert all(name in found["omitted"] for name in ("empty", "nothing", "complex", "clock"))

    def test_links_are_not_followed(self, make_file: Callable[..., Path], tmp_path: Path) -> None:
        """Soft and external links, which may lead to other files, are not followed."""
        with h5py.File(tmp_path / "other", "w") as file:
            file["secret"] = make_numbered(2)

        def fill(file: File) -> None:
            file["image"] = make_numbered(2)
            file["soft"] = h5py.SoftLink("/image")
            file["broken"] = h5py.SoftLink("/nonesuch")
            file["outside"] = h5py.ExternalLink(str(tmp_path / "other"), "/secret")
            file["group"] = h5py.ExternalLink(str(tmp_path / "other"), "/")

        assert list(read(make_file(fill)).variables) == ["image"]

    @pytest.mark.parametrize("depth", [1, 40])
    def test_rings_of_groups(self, make_file: Callable[..., Path], depth: int) -> None:
        """Cyclic groups, and groups with many paths, are read once, and reading ends."""

        def fill(file: File) -> None:
            group = file
            for _ in range(depth):
                below = group.create_group("a")
                group["b"] = below
                group = below
            group["image"] = make_numbered(2)
            group["ring"] = file["/"]

        assert list(read(make_file(fill)).variables) == ["a/" * depth + "image"]

    def test_dimension_scales(self, make_file: Callable[..., Path]) -> None:
        """Scales name dimensions and become coordinates, except those without values, and implicit ones."""

        def fill(file: File) -> None:
            file["time"] = np.arange(3) * 0.5
            file["time"].make_scale("time")
            for name in (*MADE, "channel"):
                file[name] = np.zeros(3 if name in MADE else 2)
                file[name].make_scale(DIMENSION)
            file["image"] = make_numbered(2, 3)
            file["image"].dims[0].attach_scale(file["channel"])
            file["image"].dims[1].attach_scale(file["time"])
            file["raw"] = make_numbered(3)
            file["raw"].dims[0].attach_scale(file["fakeDim0"])

        dataset = read(make_file(fill))

        assert list(dataset.variables) == ["image", "raw", "time"]
        assert (dataset.image.dims, dataset.raw.dims) == (("channel", "time"), ("raw_0",))
        assert dataset.coords["time"].values.tolist() == [0, 0.5, 1]

    @pytest.mark.parametrize("shape", [(3, 3), (4, 4), (2, 3)])
    def test_scales_that_do_not_fit(self, make_file: Callable[..., Path], shape: tuple[int, int]) -> None:
        """A scale of another length, one scale for both dimensions, and a removed scale do no harm."""

        def fill(file: File) -> None:
            for name in ("side", "gone"):
                file[name] = make_numbered(3)
                file[name].make_scale(name)
            file["image"] = make_numbered(*shape)
            file["image"].dims[0].attach_scale(file["side"])
            file["image"].dims[1].attach_scale(file["side"])
            file["other"] = make_numbered(3)
            file["other"].dims[0].attach_scale(file["gone"])
            del file["gone"]

        dataset = read(make_file(fill)).load()

        assert dataset.image.values.tolist() == make_numbered(*shape).tolist()
        assert len(set(dataset.image.dims)) == 2
        assert dataset.other.values.tolist() == [0, 1, 2]

    def test_names_that_look_implicit(self, make_file: Callable[..., Path]) -> None:
        """An array with the implicit name of a dimension does no harm."""

        def fill(file: File) -> None:
            file["image_0"] = 5
            file["image"] = make_numbered(2, 3)
            file["image_1"] = make_numbered(4)

        dataset = read(make_file(fill)).load()

        assert (dataset.image_0.values, dataset.image.shape, dataset.image_1.shape) == (5, (2, 3), (4,))

    def test_zero_length_and_unlimited(self, make_file: Callable[..., Path]) -> None:
        """Arrays without elements are read with their types and shapes, compressed or not."""

        def fill(file: File) -> None:
            file["empty"] = np.empty((0, 4), "f4")
            file.create_dataset("packed", (0, 3), "i2", maxshape=(None, 3), chunks=(1, 3), compression="gzip")
            file.create_dataset("grown", data=make_numbered(5), maxshape=(None,), chunks=(2,), compression="gzip")

        dataset = read(make_file(fill)).load()

        assert {str(name): (v.shape, v.dtype.str[1:]) for name, v in dataset.variables.items()} == {
            "empty": ((0, 4), "f4"), "packed": ((0, 3), "i2"), "grown": ((5,), "u2"),
        }  # fmt: skip
        assert dataset["grown"].values.tolist() == [0, 1, 2, 3, 4]

    def test_small_chunks(self, make_file: Callable[..., Path]) -> None:
        """An array of ten thousand small compressed chunks is read in seconds."""
        written = make_numbered(10_000, dtype="i4")
        path = make_file(lambda file: file.create_dataset("long", data=written, chunks=(1,), compression="gzip"))

        assert np.array_equal(read(path, FrameCache(1 << 20).get_memo("file")).long.values, written)

    def test_user_block(self, tmp_path: Path) -> None:
        """A file with a user block before its content is HDF5."""
        with h5py.File(tmp_path / "image", "w", userblock_size=1024) as file:
            file["image"] = make_numbered(2)

        assert read(tmp_path / "image").image.values.tolist() == [0, 1]


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("content", "part"),
        [
            (b"", "empty"),
            (b"<!DOCTYPE html><html>", "login page"),
            (b"  \n<HTML>", "login page"),
            (b"shot numb", "begins with the bytes"),
            (b"\x0e\x03\x13\x01", "HDF4"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
        ],
    )
    def test_refused(self, tmp_path: Path, content: bytes, part: str) -> None:
        """A file that is no image is refused with a sentence that says what it is, and not where it is."""
        (tmp_path / "image.hdf").write_bytes(content)
        with pytest.raises(Unreadable, match=r"\.$") as caught:
            read(tmp_path / "image.hdf")

        assert part in str(caught.value)
        assert str(tmp_path) not in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        """A file that does not exist is missing, which is a kind of unreadable."""
        with pytest.raises(Missing):
            read(tmp_path / "image.hdf")

    def test_directory(self, tmp_path: Path) -> None:
        """A directory is no image."""
        with pytest.raises(Unreadable):
            read(tmp_path)


class TestThreads:
    def test_many_files(self, tmp_path: Path) -> None:
        """Thirty-two threads that read eight files of both formats at once get correct numbers."""
        images = [np.random.default_rng(n).integers(0, 2**16, (2, 60, 70)).astype("u2") for n in range(8)]
        writers = (write_hdf4, write_hdf5)
        paths = [
            writers[n % 2](tmp_path / str(n), {"image": image}, compressed=n % 4 > 1) for n, image in enumerate(images)
        ]
        cache = FrameCache(40_000)

        def check(turn: int) -> bool:
            number, frame, row = turn % 8, turn % 2, turn % 60
            found = read(paths[number], cache.get_memo(number)).image[frame, row:, ::3].values
            return np.array_equal(found, images[number][frame, row:, ::3])

        with ThreadPoolExecutor(32) as pool:
            outcomes = list(pool.map(check, range(640)))

        assert all(outcomes)


class TestRealFiles:
    @pytest.mark.parametrize("name", REAL)
    def test_as_their_libraries_read_them(self, name: str) -> None:
        """Every array of a real file, except implicit ones, equals what pyhdf or h5py reads."""
        path = find_data_file(f"real/{name}")
        expected = {key: values for key, values in direct.read_arrays(path).items() if not key.startswith("fakeDim")}
        dataset = read(path)

        assert set(dataset.variables) == set(expected)
        for key, values in expected.items():
            assert np.array_equal(dataset[key].values, values)
            assert np.array_equal(dataset[key][..., ::3].values, values[..., ::3])

    @pytest.mark.parametrize("name", REAL)
    def test_attributes_travel(self, name: str) -> None:
        """Every attribute of a real file has a type that every protocol can represent."""
        dataset = read(find_data_file(f"real/{name}"))
        owners = (dataset.attrs, *(variable.attrs for variable in dataset.variables.values()))

        assert all(is_carriable(value) for attributes in owners for value in attributes.values())

    @pytest.mark.parametrize("name", ODD)
    def test_odd_files(self, name: str) -> None:
        """An odd file gives what its library reads, or is refused with a sentence."""
        path = find_data_file(f"odd/{name}")
        found, sentence = read_or_refuse(path)
        right = direct.read_arrays(path) if found else {}

        assert all(np.array_equal(found[key], values) for key, values in right.items())
        assert found or sentence.endswith(".")


def read_or_refuse(path: Path) -> tuple[dict[str, Array], str]:
    """Return a file's arrays by their names in it, or the sentence that refuses it."""
    try:
        variables = read(path).variables
        return {str(v.attrs.get("original_name", name)): v.values for name, v in variables.items()}, ""
    except Unreadable as error:
        return {}, str(error)


class hdf4:  # noqa: N801 — reads as a call
    """An HDF4 file for writing."""

    def __init__(self, path: Path) -> None:
        self.file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)

    def __enter__(self) -> SD:
        return self.file

    def __exit__(self, *_: object) -> None:
        self.file.end()


def write_hdf4(
    path: Path, arrays: Mapping[str, Array], attributes: Mapping[str, Any] | None = None, *, compressed: bool = False
) -> Path:
    with hdf4(path) as file:
        for name, values in arrays.items():
            sds = file.create(name, HDF4_TYPES[values.dtype.str[1:]], values.shape)
            if compressed:
                sds.setcompress(SDC.COMP_DEFLATE, 6)
            sds[:] = values
            for key, value in (attributes or {}).items():
                text = value.decode("latin-1") if isinstance(value, bytes) else value
                number_type = SDC.CHAR8 if isinstance(text, str) else HDF4_TYPES[np.asarray(text).dtype.str[1:]]
                sds.attr(key).set(number_type, text if isinstance(text, str) else text.tolist())
            sds.endaccess()
    return path


def write_hdf5(
    path: Path, arrays: Mapping[str, Array], attributes: Mapping[str, Any] | None = None, *, compressed: bool = False
) -> Path:
    with h5py.File(path, "w", track_order=True) as file:
        for name, values in arrays.items():
            packed = {"chunks": (1, *values.shape[1:]), "compression": "gzip"} if compressed else {}
            dataset = file.create_dataset(name, data=values, track_order=True, **packed)
            for key, value in (attributes or {}).items():
                if isinstance(value, str) and len(value) > 1000:
                    dataset.attrs[key] = np.bytes_(value)
                else:
                    dataset.attrs[key] = np.bytes_(value) if isinstance(value, bytes) else value
    return path


def _make_layout() -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout((2,), "i4")
    layout[:] = h5py.VirtualSource("secret", "secret", (2,))
    return layout


def test_synthetic_files_are_read(tmp_path: Path) -> None:
    """One image in either container is the same dataset, except for the byte order."""
    image = demo.make_image("P510_2", next(shot for shot in demo.SHOTS if shot.number == 103741))
    for container in demo.WRITERS:
        demo.write_image(tmp_path / container, image, container)
    one, other = (read(tmp_path / container) for container in demo.WRITERS)

    assert list(one.variables) == list(other.variables)
    assert np.array_equal(one.Streak_array.values, other.Streak_array.values)
    assert one.Streak_array.attrs.keys() == other.Streak_array.attrs.keys()
