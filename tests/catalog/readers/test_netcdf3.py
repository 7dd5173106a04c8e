"""Classic netCDF files have the content that netCDF-C reads, in all three variants."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import netCDF4
import numpy as np
import pytest
import xarray as xr
from scipy.io import netcdf_file

from shotdap.catalog import Unreadable
from shotdap.catalog.readers import detect_format, read

Variant = Literal["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]
VARIANTS: tuple[Variant, ...] = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")
CLASSIC = ("i1", "i2", "i4", "f4", "f8")
DATA = ("u1", "u2", "u4", "i8", "u8")


def write(path: Path, variant: Variant) -> None:
    """Write one of everything: types, records of several arrays, texts, attributes."""
    rng = np.random.default_rng(8)
    with netCDF4.Dataset(path, "w", format=variant) as file:
        file.createDimension("time", None)
        for name, size in (("y", 5), ("x", 7), ("letters", 6)):
            file.createDimension(name, size)
        for kind in CLASSIC + (DATA if variant == "NETCDF3_64BIT_DATA" else ()):
            file.createVariable(f"fixed_{kind}", kind, ("y", "x"))[:] = rng.integers(0, 100, (5, 7))
            file.createVariable(f"grows_{kind}", kind, ("time", "x"))[:] = rng.integers(0, 100, (3, 7))
        file.createVariable("time", "f8", ("time",))[:] = [1, 2, 4]
        file.createVariable("alone", "i2", ())[:] = 7
        file.createVariable("name", "S1", ("y", "letters"))[:] = netCDF4.stringtochar(
            np.array(["one", "three", "", "sixsix", "a b"], "S6")
        )
        file["fixed_i2"].units = "counts"
        file["fixed_i2"].data = "an attribute that is called like a property"
        file["fixed_i2"].valid_range = np.array([0, 4095], "i2")
        file.title = "größe"
        file.dimensions_ = np.float32(0.1)


@pytest.fixture(params=VARIANTS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(tmp_path / "image.hdf", request.param)
    return tmp_path / "image.hdf"


class TestContent:
    def test_values(self, path: Path) -> None:
        """Every array has the values that netCDF-C reads."""
        found = read(path)
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            numbers = [name for name in file.variables if name != "name"]

            assert set(found.variables) == {*numbers, "name"}
            for name in numbers:
                assert found[name].dtype == file[name].dtype.newbyteorder("=")
                assert found[name].dims == file[name].dimensions
                assert np.array_equal(found[name].values, file[name][:])
        assert found["name"].values.tolist() == ["one", "three", "", "sixsix", "a b"]

    def test_slices(self, path: Path) -> None:
        """A slice equals the same slice of the whole array."""
        found, whole = read(path), read(path).load()

        for key in ((slice(1, 3), slice(6, None, -2)), (2, slice(None)), (slice(0, 3, 2), 5), (1, 1)):
            assert np.array_equal(found["grows_i2"][key].values, whole["grows_i2"].values[key])
        assert found["name"][1:4:2].values.tolist() == ["three", "sixsix"]

    def test_attributes(self, path: Path) -> None:
        """Attributes have their values and types, whatever their names."""
        found = read(path)

        assert found.attrs["title"] == "größe"
        assert (found.attrs["dimensions_"], found.attrs["dimensions_"].dtype) == (np.float32(0.1), np.float32)
        assert found["fixed_i2"].attrs["data"] == "an attribute that is called like a property"
        assert found["fixed_i2"].attrs["valid_range"].tolist() == [0, 4095]
        assert found["fixed_i2"].attrs["valid_range"].dtype == np.int16

    def test_coordinates(self, path: Path) -> None:
        """A variable along the dimension of its own name is a coordinate."""
        assert set(read(path).coords) == {"time"}

    @pytest.mark.parametrize("kind", ["i1", "i2"])
    def test_a_single_array_of_records_is_not_padded(self, tmp_path: Path, kind: str) -> None:
        """The records of a single growing array are contiguous."""
        with netCDF4.Dataset(tmp_path / "a", "w", format="NETCDF3_CLASSIC") as file:
            file.createDimension("time", None)
            file.createDimension("x", 3)
            file.createVariable("a", kind, ("time", "x"))[:] = np.arange(15).reshape(5, 3)

        assert np.array_equal(read(tmp_path / "a")["a"].values, np.arange(15).reshape(5, 3))

    def test_streamed(self, tmp_path: Path) -> None:
        """All records of a file are read, although its writer did not record their number."""
        write(tmp_path / "a", "NETCDF3_CLASSIC")
        content = bytearray((tmp_path / "a").read_bytes())
        content[4:8] = b"\xff" * 4
        (tmp_path / "a").write_bytes(content)

        assert read(tmp_path / "a")["time"].values.tolist() == [1, 2, 4]

    def test_as_scipy_reads_it(self, data_file: Callable[[str], Path]) -> None:
        """An old file has the values and attributes that scipy and xarray read."""
        path = data_file("odd/Roy.nc")
        found = read(path)
        with netcdf_file(path, mmap=False) as file:
            sums = {name: variable.data.sum(dtype=float) for name, variable in file.variables.items()}

        assert {str(name): float(array.values.sum(dtype=float)) for name, array in found.variables.items()} == sums
        with xr.open_dataset(path, engine="netcdf4", decode_cf=False) as other:
            assert {name: found[name].attrs for name in sums} == {name: other[name].attrs for name in sums}


class TestFaults:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_sniff(self, tmp_path: Path, variant: Variant) -> None:
        """Every variant is recognised by its first bytes."""
        write(tmp_path / "a", variant)

        assert detect_format(tmp_path / "a") == "netCDF-3"

    def test_cut_short(self, path: Path) -> None:
        """A truncated file is detected when it is opened."""
        path.write_bytes(path.read_bytes()[:-9])

        with pytest.raises(Unreadable, match="cut short"):
            read(path)

    def test_great_counts(self, tmp_path: Path) -> None:
        """A header with more elements than the file can hold is refused at once."""
        (tmp_path / "a").write_bytes(b"CDF\x01" + struct.pack(">iii", 0, 0x0A, 2**31 - 1))

        with pytest.raises(Unreadable, match="does not hold together"):
            read(tmp_path / "a")

    def test_damage(self, path: Path, survives: Callable[[Path], None]) -> None:
        """Damage is an error, or has no effect."""
        survives(path)
