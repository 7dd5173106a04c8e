"""Packed, masked, unsigned and calibrated arrays have the same values over every protocol and in each file format.

Each example is a file with arrays of random attributes. The reference is xarray's decoding of the file,
and the formula of the HDF4 User's Guide for an array with HDF4's calibration.

``SHOTDAP_EXAMPLES=2000`` sets the total number of files.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import h5py
import httpx
import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pyhdf.SD import SD, SDC
from tests.clients.ways import WAYS, Place
from tests.samples import HDF4_TYPES
from tests.server.wire import parse_dap2_values
from tests.serving import Server, serving

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config.descriptions import load_diagnostics

Array: TypeAlias = NDArray[Any]

EXAMPLES: Final = int(os.environ.get("SHOTDAP_EXAMPLES", "24"))
SHAPE: Final = (2, 3)


@dataclass(frozen=True)
class Packed:
    """An array of a file."""

    values: Array
    attributes: Mapping[str, Any]
    calibration: tuple[float, float] | None = None
    """Scale and offset as HDF4 applies them."""


@dataclass(frozen=True)
class Container:
    """A file format: its types, its writer, and its reader in xarray."""

    suffix: str
    types: tuple[str, ...]
    write: Callable[[Path, Mapping[str, Packed]], None]
    is_strict: bool = False
    """Whether a fill value must have its array's type."""


def write_hdf5(path: Path, arrays: Mapping[str, Packed]) -> None:
    """Write by h5py."""
    with h5py.File(path, "w") as file:
        for name, packed in arrays.items():
            file[name] = packed.values
            file[name].attrs.update(packed.attributes)


def write_netcdf(kind: Any) -> Callable[[Path, Mapping[str, Packed]], None]:  # noqa: ANN401 — a literal of netCDF4's
    """Return a function that writes by netCDF-C."""

    def write(path: Path, arrays: Mapping[str, Packed]) -> None:
        with netCDF4.Dataset(path, "w", format=kind) as file:
            for size, dimension in zip(SHAPE, "yx", strict=True):
                file.createDimension(dimension, size)
            for name, packed in arrays.items():
                attributes = dict(packed.attributes)
                fill = attributes.pop("_FillValue", False)
                variable = file.createVariable(name, packed.values.dtype, ("y", "x"), fill_value=fill)
                variable.set_auto_maskandscale(False)
                variable.setncatts(attributes)
                variable[:] = packed.values

    return write


def write_hdf4(path: Path, arrays: Mapping[str, Packed]) -> None:
    """Write by the HDF4 library."""
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    for name, packed in arrays.items():
        array = file.create(name, HDF4_TYPES[packed.values.dtype.str[1:]], SHAPE)
        array[:] = packed.values
        for attribute, value in packed.attributes.items():
            if isinstance(value, str):
                array.attr(attribute).set(SDC.CHAR, value)
            else:
                array.attr(attribute).set(HDF4_TYPES[value.dtype.str[1:]], value.item())
        if packed.calibration is not None:
            scale, offset = packed.calibration
            array.setcal(scale, 0.0, offset, 0.0, SDC.FLOAT64)
        array.endaccess()
    file.end()


SMALL: Final = ("i1", "i2", "i4", "f4", "f8")
TYPES: Final = (*SMALL, "u1", "u2", "u4")

CONTAINERS: Final = {
    "HDF4": Container(".hdf", TYPES, write_hdf4),
    "HDF5": Container(".h5", (*TYPES, "i8", "u8"), write_hdf5),
    "netCDF-3": Container(".nc", SMALL, write_netcdf("NETCDF3_CLASSIC"), is_strict=True),
    "netCDF-4": Container(".nc4", (*TYPES, "i8", "u8"), write_netcdf("NETCDF4"), is_strict=True),
}


@st.composite
def packed_arrays(draw: st.DrawFn, container: Container) -> Packed:
    """Draw an array that a file of this format can hold."""
    dtype = np.dtype(draw(st.sampled_from(container.types)))
    numbers = st.integers(-100, 100) if dtype.kind == "i" else st.integers(0, 255 if dtype == np.uint8 else 65535)
    elements = st.one_of(numbers.map(float), st.just(np.nan), st.just(np.inf)) if dtype.kind == "f" else numbers
    values = draw(hnp.arrays(dtype, SHAPE, elements=elements))
    attributes: dict[str, Any] = {}
    if draw(st.booleans()):
        attributes["_FillValue"] = draw(st.sampled_from(list(values.flat)))
    if not container.is_strict and draw(st.integers(0, 3)) == 0:
        attributes["_FillValue"] = draw(st.sampled_from((np.int16(-1), np.float64(1e300), np.float64(7))))
    if draw(st.integers(0, 2)) == 0:
        attributes["missing_value"] = draw(st.sampled_from(list(values.flat)))
    if dtype.kind == "i" and draw(st.integers(0, 2)) == 0:
        attributes["_Unsigned"] = "true"
        attributes["_FillValue"] = draw(st.sampled_from(list(values.flat)))
    if container.suffix == ".hdf" and draw(st.booleans()):
        return Packed(values, attributes, draw(st.sampled_from(((0.01, -15000.0), (-2.0, 3.5), (1.0, 0.0)))))
    # Beside 32 bits and more, xarray compares fill values in the scale's type, and masks others with it in float32.
    is_long = dtype.kind in "iu" and dtype.itemsize >= np.dtype("i4").itemsize
    kind = np.float64 if is_long else draw(st.sampled_from((np.float32, np.float64)))
    if draw(st.booleans()):
        attributes["scale_factor"] = kind(draw(st.sampled_from((0.5, -2.0, 0.01, 1.0))))
    if draw(st.booleans()):
        attributes["add_offset"] = kind(draw(st.sampled_from((0.0, -10.0, 1000.5))))
    return Packed(values, attributes)


def decode_by_xarray(packed: Packed) -> Array:
    """Return the decoded numbers of an array."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of several fill values, and of NaN as one of integers
        dataset = xr.Dataset({"v": (("y", "x"), packed.values, dict(packed.attributes))})
        decoded = np.asarray(xr.decode_cf(dataset)["v"].values)
    if packed.calibration in {None, (1.0, 0.0)}:
        return decoded
    scale, offset = packed.calibration or (1.0, 0.0)
    return np.asarray((decoded.astype("f8") - offset) * scale)


@dataclass
class Field:
    """A server of a folder, and its client."""

    folder: Path
    server: Server
    catalog: Catalog
    client: httpx.Client
    scratch: Path
    count: int = field(default=0)

    def write(self, container: Container, arrays: Mapping[str, Packed]) -> str:
        """Write a new file; return its public path."""
        self.count += 1
        name = f"packed_{self.count}{container.suffix}"
        container.write(self.folder / name, arrays)
        return name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """A folder that is served while files are written into it."""
    folder, log = tmp_path_factory.mktemp("packed"), tmp_path_factory.mktemp("log") / "server.log"
    catalog = Catalog(DirectoryArchive(folder), folder, load_diagnostics(None))
    with serving(log, "--folder", folder) as server, httpx.Client(trust_env=False, timeout=60) as client:
        yield Field(folder, server, catalog, client, tmp_path_factory.mktemp("scratch") / "file")


@pytest.mark.parametrize("name", CONTAINERS)
@settings(
    deadline=None,
    max_examples=EXAMPLES // len(CONTAINERS),
    phases=(Phase.explicit, Phase.generate),  # an example takes half a second, too long to search for the smallest
    suppress_health_check=(HealthCheck.function_scoped_fixture,),
)
@given(data=st.data())
def test_every_way_gives_the_meant_numbers(name: str, data: st.DataObject, site: Field) -> None:
    """Over every protocol, in every format and client, stored numbers arrive as xarray decodes those of the file."""
    container = CONTAINERS[name]
    arrays = {f"v{number}": data.draw(packed_arrays(container)) for number in range(2)}
    path = site.write(container, arrays)
    for variable, packed in arrays.items():
        expected = decode_by_xarray(packed)
        place = Place(site.server, site.catalog, site.client, path, variable, 2, site.scratch)
        for label, way in WAYS.items():
            if way.holds(expected):
                found = way.fetch(place)
                target = way.becomes(expected)

                assert found.dtype.newbyteorder("=") == target, (label, packed)
                np.testing.assert_array_equal(found, expected.astype(target), err_msg=f"{label} {packed}")
        check_computed(place, expected)
        check_raw(place, expected)


def check_computed(place: Place, expected: Array) -> None:
    """Check that the server computes with the decoded numbers."""
    values = expected.astype("f8")
    finite = values[np.isfinite(values)]
    statistics = place.client.get(
        f"{place.server.url}/api/v1/statistics/{place.path}", params={"variable": place.name}
    ).json()

    assert statistics["missing"] == np.isnan(values).sum()
    assert statistics["minimum"] == (finite.min() if finite.size else "NaN")
    assert statistics["maximum"] == (finite.max() if finite.size else "NaN")

    cropped = place.server.dap(f"{place.path}/~{place.name}~crop-rows-0_1")
    with netCDF4.Dataset(cropped) as dataset:
        dataset.set_auto_maskandscale(False)
        np.testing.assert_array_equal(dataset["result"][...], expected)
    answer = place.get(f"/dap/{place.path}.dods?max({place.name},1)")
    np.testing.assert_array_equal(parse_dap2_values(answer)[f"max_{place.name}"], np.fmax.reduce(values, axis=1))


def check_raw(place: Place, expected: Array) -> None:
    """Check that the raw file's attributes have the same effect in a client that decodes by itself."""
    url = place.server.dap(f"{place.path}/raw")
    zarr = f"{place.server.url}/zarr/{place.path}/raw"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for label, opened in {
            "dap2": xr.open_dataset(url),
            "dap4": xr.open_dataset(f"{url}#dap4", engine="netcdf4"),
            "zarr 2": xr.open_zarr(zarr, zarr_format=2, chunks=None),
            "zarr 3": xr.open_zarr(zarr, zarr_format=3, chunks=None),
        }.items():
            with opened:
                found = opened[place.name].values.astype("f8")
            np.testing.assert_allclose(found, expected.astype("f8"), rtol=1e-6, err_msg=label)
