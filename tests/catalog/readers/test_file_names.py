"""Names and shapes are those of the file, in every format; renamed or omitted parts are recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from pyhdf.SD import SD, SDC

from shotdap.catalog.readers import read

NETCDF = {"NETCDF3_CLASSIC": "netCDF-3", "NETCDF4": "netCDF-4"}
LATIN = b"caf\xe9"
Arrays: TypeAlias = Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]]


def write_hdf4(path: Path, arrays: Arrays) -> Path:
    """Write int16 arrays of two rows and three columns, with the names and attributes of their dimensions."""
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    for name, (dimensions, units) in arrays.items():
        array = file.create(name, SDC.INT16, (2, 3))
        array[:] = np.arange(6, dtype=np.int16).reshape(2, 3)
        for axis, own in enumerate(dimensions):
            dimension = array.dim(axis)
            if own:
                dimension.setname(own)
            for key, value in units.get(own, {}).items():
                setattr(dimension, key, value)
        array.endaccess()
    file.end()
    return path


class TestDimensions:
    @pytest.mark.parametrize("count", [1, 4])
    @pytest.mark.parametrize("is_scaled", [True, False])
    def test_same_name(self, tmp_path: Path, count: int, is_scaled: bool) -> None:  # noqa: FBT001 — a parameter of pytest
        """A dimension of an HDF4 file has one name, and is the same one in all its arrays."""
        path = write_hdf4(tmp_path / "a.hdf", {f"frame{n}": (("Time [ns]", "x"), {}) for n in range(count)})
        if is_scaled:
            file = SD(str(path), SDC.WRITE)
            array = file.select("frame0")
            array.dim(0).setscale(SDC.FLOAT32, [0.5, 1.5])
            array.endaccess()
            file.end()
        dataset = read(path)

        assert {dataset[f"frame{n}"].dims for n in range(count)} == {("Time__ns_", "x")}
        if is_scaled:
            assert dataset["Time__ns_"].attrs["original_name"] == "Time [ns]"
        else:
            assert dataset.attrs["renamed_dimensions"] == "Time__ns_: Time [ns]"

    def test_two_of_a_kind(self, tmp_path: Path) -> None:
        """Two dimensions whose names become equal stay two, with numbers that depend only on the two."""
        found = []
        for more in (0, 3):
            others: Arrays = {f"b{number}": (("z z", "w"), {}) for number in range(more)}
            found.append(read(write_hdf4(tmp_path / f"{more}.hdf", {**others, "a": (("t t", "t-t"), {})})))

        assert [dataset["a"].dims for dataset in found] == [("t_t", "t_t_2")] * 2

    def test_attributes_without_scale(self, tmp_path: Path) -> None:
        """The attributes of an HDF4 dimension without a scale become the array's, with the dimension's name."""
        path = write_hdf4(
            tmp_path / "a.hdf", {"image": (("", "t [ns]"), {"": {"units": "m"}, "t [ns]": {"units": "ns"}})}
        )
        image = read(path)["image"]

        assert (image.dims, image.attrs) == (("image_0", "t__ns_"), {"image_0_units": "m", "t__ns__units": "ns"})

    def test_array_called_like_a_scale(self, tmp_path: Path) -> None:
        """A scale keeps its name, although an array before it has the same name."""
        path = write_hdf4(tmp_path / "a.hdf", {"x": (("", ""), {}), "image": (("y", "x"), {})})
        file = SD(str(path), SDC.WRITE)
        array = file.select(1)
        array.dim(1).setscale(SDC.INT32, [7, 8, 9])
        array.endaccess()
        file.end()
        dataset = read(path)

        assert dataset["image"].dims == ("y", "x")
        assert dataset["x"].values.tolist() == [7, 8, 9]
        assert dataset["x_2"].attrs["original_name"] == "x"


class TestNotACoordinate:
    @pytest.fixture(params=NETCDF)
    def file(self, tmp_path: Path, request: pytest.FixtureRequest) -> xr.Dataset:
        """A file with the dimension x, and a variable x along y."""
        with netCDF4.Dataset(tmp_path / "a.nc", "w", format=request.param) as file:
            file.createDimension("x", 2)
            file.createDimension("y", 3)
            file.createVariable("x", "i4", ("y",))[:] = [1, 2, 3]
            file.createVariable("image", "i4", ("y", "x"))[:] = np.arange(6).reshape(3, 2)
            file.createVariable("profile", "i4", ("x",))[:] = [5, 6]
        return read(tmp_path / "a.nc")

    def test_own_name(self, file: xr.Dataset) -> None:
        """A variable with a dimension's name that is not its coordinate keeps only its own name."""
        assert set(file.variables) == {"x", "image", "profile"}
        assert (file["x"].dims, file["x"].values.tolist(), file["x"].attrs) == (("y",), [1, 2, 3], {})

    def test_no_coordinate(self, file: xr.Dataset) -> None:
        """It becomes no coordinate; the dimension stays one in all its arrays, and its name is recorded."""
        assert not file.coords
        assert (file["image"].dims, file["profile"].dims) == (("y", "x_dim"), ("x_dim",))
        assert file.attrs["renamed_dimensions"] == "x_dim: x"

    def test_taken(self, tmp_path: Path) -> None:
        """netCDF-4's prefix is kept if another array has the plain name."""
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"], file["_nc4_non_coord_x"] = [1], [2]

        assert set(read(tmp_path / "a.h5").variables) == {"x", "_nc4_non_coord_x"}

    def test_coordinate_of_two_dimensions(self, tmp_path: Path) -> None:
        """netCDF-4's coordinate of several dimensions keeps those that it shares with other arrays."""
        with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
            file.createDimension("x", 2)
            file.createDimension("y", 3)
            file.createVariable("x", "i4", ("x", "y"))[:] = 0
            file.createVariable("image", "i4", ("y", "x"))[:] = 0
        dataset = read(tmp_path / "a.nc")

        assert (dataset["x"].dims, dataset["image"].dims) == (("x_dim", "y"), ("y", "x_dim"))


def read_characters(path: Path, form: str, dimensions: tuple[int, ...], content: bytes, **attrs: str) -> xr.DataArray:
    """Read a variable of characters, and another along its first dimension."""
    if form == "HDF4":
        file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
        array = file.create("c", SDC.CHAR, dimensions)
        array[:] = np.frombuffer(content, "S1").reshape(dimensions)
        for name, value in attrs.items():
            array.attr(name).set(SDC.CHAR, value)
        array.endaccess()
        file.end()
    else:
        with netCDF4.Dataset(path, "w", format=form) as file:  # type: ignore[arg-type]  # a text from pytest
            names = tuple(f"d{axis}" for axis in range(len(dimensions)))
            for name, size in zip(names, dimensions, strict=True):
                file.createDimension(name, size)
            variable = file.createVariable("c", "S1", names)
            variable.set_auto_chartostring(False)
            variable[...] = np.frombuffer(content, "S1").reshape(dimensions)
            for name, value in attrs.items():
                variable.setncattr(name, value)
    return read(path)["c"]


each_form = pytest.mark.parametrize("form", [*NETCDF, "HDF4"])


class TestCharacters:
    @each_form
    @pytest.mark.parametrize(
        ("dimensions", "content", "texts"),
        [
            ((3, 5), b"ab\0\0\0abcde\0\0\0\0\0", ["ab", "abcde", ""]),
            ((2, 1), b"a\0", ["a", ""]),
            ((4,), b"ab  ", "ab  "),
            ((1, 2, 2), b"abc\0", [["ab", "c"]]),
            ((2, 2), "µm".encode()[:4] + b"\xe9", ["µ", "mé"]),
        ],
    )
    def test_texts(self, tmp_path: Path, form: str, dimensions: tuple[int, ...], content: bytes, texts: object) -> None:
        """The last dimension of characters counts the letters of a text; trailing NULs are padding, blanks are not."""
        found = read_characters(tmp_path / "a", form, dimensions, content)

        assert found.values.tolist() == texts
        assert found.dims == tuple(f"{'c_' if form == 'HDF4' else 'd'}{axis}" for axis in range(len(dimensions) - 1))

    @pytest.mark.parametrize("form", NETCDF)
    def test_scalar(self, tmp_path: Path, form: str) -> None:
        """A single character is a text of one letter."""
        assert read_characters(tmp_path / "a", form, (), b"a").values.item() == "a"

    @each_form
    def test_encoding(self, tmp_path: Path, form: str) -> None:
        """The encoding of the file is applied and then dropped, because it applied to bytes."""
        found = read_characters(tmp_path / "a", form, (2,), "µ".encode(), _Encoding="latin-1")

        assert (found.values.item(), "_Encoding" in found.attrs) == ("Âµ", False)

    @each_form
    def test_bytes(self, tmp_path: Path, form: str) -> None:
        """Characters that are not text become their codes, in the file's shape, so that none is lost."""
        content = bytes([0, 1, 255, 127, 128, 0])
        found = read_characters(tmp_path / "a", form, (2, 3), content)

        assert (str(found.dtype), found.shape, found.values.tobytes()) == ("uint8", (2, 3), content)
        assert found.attrs["note"] == "characters that are no text, as their codes"
        assert found[1, ::2].values.tolist() == [127, 0]

    def test_no_letters(self, tmp_path: Path) -> None:
        """Texts without letters are empty."""
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("c", (2, 0), "S1")

        assert read(tmp_path / "a.h5")["c"].values.tolist() == ["", ""]

    def test_coordinate(self, tmp_path: Path) -> None:
        """Names of stations, of two dimensions in netCDF-4, are the coordinate of the first."""
        with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
            file.createDimension("station", 2)
            file.createDimension("length", 3)
            file.createVariable("station", "S1", ("station", "length"))[:] = [[b"a", b"b", b""], [b"c", b"", b""]]
            file.createVariable("height", "f4", ("station",))[:] = [1, 2]
        dataset = read(tmp_path / "a.nc")

        assert dataset["height"].dims == ("station",)
        assert dataset.coords["station"].values.tolist() == ["ab", "c"]


class TestNotUtf8:
    @pytest.fixture
    def file(self, tmp_path: Path) -> xr.Dataset:
        """An HDF5 file with names in Latin-1."""
        with h5py.File(tmp_path / "a.h5", "w") as file:
            ok = file.create_dataset("ok", data=np.arange(3))
            latin = file.create_dataset(LATIN, data=np.arange(3) + 1)
            file["café"] = np.arange(3) + 2
            latin.make_scale()
            ok.dims[0].attach_scale(latin)
            group = file.create_group(b"gr\xe9")
            group["d"] = np.arange(2)
            group.attrs["units"] = "m"
            file["link"] = file[LATIN].ref
            file["ok"].attrs["text"] = np.bytes_(LATIN)
            scalar = h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5a.create(file["ok"].id, LATIN, h5py.h5t.NATIVE_INT32, scalar).write(np.array(5, np.int32))
            table = h5py.h5t.create(h5py.h5t.COMPOUND, 4)
            table.insert(LATIN, 0, h5py.h5t.NATIVE_INT32)
            h5py.h5d.create(file.id, b"table", table, h5py.h5s.create_simple((2,)))
            colours = h5py.h5t.enum_create(h5py.h5t.NATIVE_INT8)
            colours.enum_insert(LATIN, 1)
            h5py.h5d.create(file.id, b"colours", colours, h5py.h5s.create_simple((2,)))
        return read(tmp_path / "a.h5")

    def test_names(self, file: xr.Dataset) -> None:
        """A dataset, a group and an attribute have the names that Latin-1 decodes to, and all their values."""
        own = {variable.attrs.get("original_name", name): variable for name, variable in file.variables.items()}

        assert own["ok"].values.tolist() == [0, 1, 2]
        assert own["café"].values.tolist() == [2, 3, 4]
        assert own["café_2"].values.tolist() == [1, 2, 3]  # the same text in Latin-1
        assert own["gré/d"].values.tolist() == [0, 1]
        assert (file.attrs["gr_/units"], file.attrs["gr_/original_name"]) == ("m", "gré")
        assert {key: own["ok"].attrs[key] for key in ("café", "text")} == {"café": 5, "text": "café"}

    def test_scale(self, file: xr.Dataset) -> None:
        """A scale with such a name is the coordinate of its dimension, and references lead to it."""
        assert file.coords[file["ok"].dims[0]].values.tolist() == [1, 2, 3]
        assert file["link"].values.item() == "/café"

    def test_types(self, file: xr.Dataset) -> None:
        """Only a table whose field has such a name is omitted and listed; an enumeration is read."""
        assert file.attrs["omitted"] == "table: the name of one of its fields is not UTF-8"
        assert (file["colours"].attrs["flag_meanings"], file["colours"].values.tolist()) == ("café", [0, 0])
        assert file["colours"].dtype.metadata is None

    def test_json(self, tmp_path: Path) -> None:
        """A JSON document in Latin-1 is read, also if another part of it is UTF-8."""
        content = b'{"caf\xe9": {"data": [[1, 2]], "dims": ["\xe9", "x"], "units": "\xb5m"}, "note": "\xc3\xa9"}'
        (tmp_path / "a.json").write_bytes(content)
        dataset = read(tmp_path / "a.json")

        assert dataset["caf_"].attrs == {"units": "µm", "original_name": "café"}
        assert dataset.attrs == {"note": "é", "renamed_dimensions": "_: é"}


class TestLong:
    @pytest.mark.parametrize("length", [255, 256, 300, 4000])
    def test_hdf5(self, tmp_path: Path, length: int) -> None:
        """A name longer than clients accept is cut to 255 bytes, the same way in every file; the whole is recorded."""
        names = []
        for number in (0, 1):
            with h5py.File(tmp_path / f"{number}.h5", "w") as file:
                file.create_group("g" * length)["n" * length] = [7]
                file["n" * length + "1"] = [8]
                file.attrs["a" * length] = 9
                for more in range(number):
                    file[f"{'n' * length} {more}"] = [0]
            dataset = read(tmp_path / f"{number}.h5")
            own = {variable.attrs.get("original_name", name): str(name) for name, variable in dataset.variables.items()}
            names.append([own["n" * length + "1"], own[f"{'g' * length}/{'n' * length}"]])
            assert max(len(part.encode()) for name in own.values() for part in name.split("/")) <= 255
            assert max(map(len, dataset.attrs)) <= 2 * 255 + 1

        assert names[0] == names[1]

    def test_attributes(self, tmp_path: Path) -> None:
        """Long names of attributes are listed if they were cut."""
        (tmp_path / "a.json").write_text(json.dumps({"image": [[1, 2]], "a" * 300: 1, "a" * 301: 2}), "utf-8")
        attributes = read(tmp_path / "a.json").attrs
        (first, second), listed = sorted(attributes.keys() - {"renamed_attributes"}, key=attributes.get), attributes  # type: ignore[arg-type]

        assert listed["renamed_attributes"] == f"{first}: {'a' * 300}, {second}: {'a' * 301}"
