"""Every way in which a client fetches a variable, over every protocol and in every format.

Each way is a row of `WAYS`; a new protocol or format is one more. If a protocol or format lacks the variable's type,
the row gives the resulting type, as docs/protocols.md and docs/formats.md do; if it cannot hold every variable, the
row says which.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, TypeAlias

import h5py
import httpx
import netCDF4
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from scipy.io import loadmat
from tests.clients.programs import VariablePart, open_url
from tests.serving import Server
from zarr.storage import ZipStore

from shotdap.catalog import Catalog

__all__ = ["WAYS", "Place", "Way", "convert_to_native"]

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = np.dtype[Any]


@dataclass(frozen=True)
class Place:
    """A variable, and the means to fetch it."""

    server: Server
    catalog: Catalog
    """The catalog of the same archive, opened in this process."""
    client: httpx.Client
    path: str
    """The path of the image."""
    name: str
    """The name of the variable."""
    dimensions: int
    """The number of its dimensions."""
    scratch: Path
    """A folder for a file, which is replaced by the next."""

    def get(self, target: str, **query: str) -> bytes:
        """Return the body of a response."""
        answer = self.client.get(f"{self.server.url}{target}", params=query or None)  # {} would remove a query
        assert answer.status_code == 200, answer.text[:1000]
        return answer.content


@dataclass(frozen=True)
class Way:
    """A way to fetch a variable, and the type in which it arrives."""

    fetch: Callable[[Place], Array]
    becomes: Callable[[Array], Kind] = lambda values: values.dtype
    """The type in which values arrive; by default their own."""
    holds: Callable[[Array], bool] = lambda _values: True
    """Whether it can hold a variable at all."""


def convert_to_native(values: Array) -> Array:
    """Return the values in this machine's byte order."""
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("="), copy=False).reshape(values.shape)


# Conversion of types -------------------------------------------------------------------------------------------------


def promote_type(values: Array) -> Kind:
    """Return the narrowest type of DAP2 and netCDF-3 that holds the values; see docs/protocols.md."""
    code = f"{values.dtype.kind}{values.dtype.itemsize}"
    if code in {"i8", "u8"}:
        limits = np.iinfo(np.int32)
        return np.dtype("i4" if limits.min <= values.min() and values.max() <= limits.max else "f8")
    return np.dtype({"u1": "i2", "u2": "i4", "u4": "f8"}.get(code, code))


def promote_for_dap2(values: Array) -> Kind:
    """Return the type of the values over DAP2, which has no signed bytes either."""
    return np.dtype("i2") if values.dtype == np.int8 else promote_type(values)


# Ways ----------------------------------------------------------------------------------------------------------------


def read_by_python_api(place: Place) -> Array:
    """Read from the catalog in this process, as a dask array."""
    return np.asarray(place.catalog.open(place.path)[place.name].values)


def read_by_pydap(protocol: str) -> Callable[[Place], Array]:
    """Return a function that reads by pydap."""

    def fetch(place: Place) -> Array:
        dataset = open_by_pydap(place.server.dap(place.path), protocol)
        return VariablePart(place.name).select(dataset[place.name])

    return fetch


@lru_cache(maxsize=1)
def open_by_pydap(url: str, protocol: str) -> Any:  # noqa: ANN401 — pydap has no types
    """Open an image; variables of one image follow one another."""
    return open_url(url, protocol=protocol)


def read_dap2_by_netcdf_c(place: Place) -> Array:
    """Read by netCDF-C, over DAP2."""
    return read_netcdf_variable(open_by_netcdf_c(place.server.dap(place.path)), place.name)


@lru_cache(maxsize=1)
def open_by_netcdf_c(url: str) -> netCDF4.Dataset:
    """Open an image; variables of one image follow one another."""
    return netCDF4.Dataset(url)


def read_dap4_by_netcdf_c(place: Place) -> Array:
    """Read by netCDF-C, over DAP4, only that variable: it would request all others, too."""
    with netCDF4.Dataset(f"{place.server.dap(place.path)}?dap4.ce=/{place.name}#dap4") as dataset:
        return read_netcdf_variable(dataset, place.name)


def read_download(suffix: str) -> Callable[[Place], Array]:
    """Return a function that downloads a netCDF file, and reads it by netCDF-C."""

    def fetch(place: Place) -> Array:
        return download_whole(place.client, f"{place.server.dap(place.path)}{suffix}")[place.name]

    return fetch


@lru_cache(maxsize=1)
def download_whole(client: httpx.Client, url: str) -> Mapping[str, Array]:
    """Download an image as a file, and return all its variables by their paths.

    The file is written to a disk, since netCDF-C refuses some files in memory (EPERM).
    """
    with NamedTemporaryFile(suffix=".nc") as file:
        file.write(client.get(url).raise_for_status().content)
        file.flush()
        with netCDF4.Dataset(file.name) as dataset:
            return {path: read_netcdf_variable(dataset, path) for path in list_paths(dataset)}


def list_paths(group: netCDF4.Dataset | netCDF4.Group, prefix: str = "") -> Iterator[str]:
    """Yield the paths of all variables of a group and those in it."""
    yield from (f"{prefix}{name}" for name in group.variables)
    for name, inner in group.groups.items():
        yield from list_paths(inner, f"{prefix}{name}/")


def read_netcdf_variable(dataset: netCDF4.Dataset, name: str) -> Array:
    """Return a variable as in the file, without masking and scaling."""
    dataset.set_auto_maskandscale(False)
    return np.asarray(dataset[name][...])


def read_by_zarr(version: int) -> Callable[[Place], Array]:
    """Return a function that reads by zarr-python, over HTTP by fsspec."""

    def fetch(place: Place) -> Array:
        group = open_by_zarr(f"{place.server.url}/zarr/{place.path}", version)
        return np.asarray(group[place.name][...])  # type: ignore[index]  # an array, not a group

    return fetch


@cache
def open_by_zarr(url: str, version: int) -> zarr.Group:
    """Open the store of an image."""
    return zarr.open_group(url, mode="r", zarr_format=version)  # type: ignore[arg-type]  # 2 or 3


def read_from_whole(name: str, read: Callable[[bytes, Place], Array]) -> Callable[[Place], Array]:
    """Return a function that reads a file of all variables from the REST API."""

    def fetch(place: Place) -> Array:
        return read(download_all(place.client, f"{place.server.url}/api/v1/images/{place.path}?format={name}"), place)

    return fetch


@lru_cache(maxsize=1)
def download_all(client: httpx.Client, url: str) -> bytes:
    """Download a file with all variables of an image."""
    return client.get(url).raise_for_status().content


def read_alone(name: str, read: Callable[[bytes, Place], Array]) -> Callable[[Place], Array]:
    """Return a function that reads a file of only that variable from the REST API."""

    def fetch(place: Place) -> Array:
        content = place.get(f"/api/v1/images/{place.path}", variable=place.name, format=name)
        return read(content, place)

    return fetch


def parse_hdf5(content: bytes, place: Place) -> Array:
    """Return the variable, wherever it is in the NeXus tree."""
    found: list[Array] = []

    def look(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and path.rpartition("/")[2] == place.name:
            found.append(item[()])

    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(look)
    assert found, f"there is no {place.name}"
    return np.asarray(found[0])


def parse_tiff(content: bytes, place: Place) -> Array:
    """Return the frames of a TIFF; one dimension is one row."""
    found = np.asarray(tifffile.imread(io.BytesIO(content)))
    return found.reshape(found.shape[-1:]) if place.dimensions == 1 else found


def parse_npy(content: bytes, _place: Place) -> Array:
    """Read NPY by NumPy."""
    return np.asarray(np.load(io.BytesIO(content)))


def parse_npz(content: bytes, place: Place) -> Array:
    """Read NPZ by NumPy."""
    with np.load(io.BytesIO(content)) as archive:
        return np.asarray(archive[place.name])


def parse_mat(content: bytes, place: Place) -> Array:
    """Read by SciPy, which returns one dimension as a column, because MATLAB has no other."""
    found = load_mat(content)[place.name]
    return np.asarray(found[:, 0] if place.dimensions == 1 else found)


@lru_cache(maxsize=1)
def load_mat(content: bytes) -> dict[str, Any]:
    """Read a whole file by SciPy."""
    return dict(loadmat(io.BytesIO(content)))


def parse_zip_store(content: bytes, place: Place) -> Array:
    """Read the ZIP file by zarr-python directly."""
    store = write_zip_store(content, place.scratch)
    return np.asarray(zarr.open_array(store, path=place.name, mode="r")[...])


@lru_cache(maxsize=1)
def write_zip_store(content: bytes, scratch: Path) -> ZipStore:
    """Write a store to a file, which zarr-python requires."""
    path = scratch.with_name(f"{hash(content)}.zarr.zip")
    path.write_bytes(content)
    return ZipStore(path, mode="r")


def parse_json(content: bytes, place: Place) -> Array:
    """Read numbers written in decimals; other values are text."""
    said = json.loads(content)["variables"][place.name]
    return np.array(said["values"], said["dtype"])


def parse_csv(content: bytes, place: Place) -> Array:
    """Read a column of decimals, which has no type of its own."""
    lines = [line for line in content.decode().splitlines() if not line.startswith("#")]
    names, *rows = csv.reader(lines)
    return np.array([float(row[names.index(place.name)]) for row in rows])


def is_small(values: Array) -> bool:
    """Check whether values are few enough for decimals of 20 characters; larger ones are no different."""
    return values.size <= 300_000


WAYS: Final[Mapping[str, Way]] = {
    "python": Way(read_by_python_api),
    "dap2, netCDF-C": Way(read_dap2_by_netcdf_c, promote_for_dap2),
    "dap2, pydap": Way(read_by_pydap("dap2"), promote_for_dap2),
    "dap4, netCDF-C": Way(read_dap4_by_netcdf_c),
    "dap4, pydap": Way(read_by_pydap("dap4")),
    "netCDF-3": Way(read_download(".nc"), promote_type),
    "netCDF-4": Way(read_download(".nc4")),
    "zarr 2": Way(read_by_zarr(2)),
    "zarr 3": Way(read_by_zarr(3)),
    "zarr in a ZIP file": Way(read_from_whole("zarr", parse_zip_store)),
    "HDF5": Way(read_from_whole("h5", parse_hdf5)),
    "TIFF": Way(read_alone("tiff", parse_tiff)),
    "TIFF, deflated": Way(read_alone("tiff_deflated", parse_tiff)),
    "NPY": Way(read_alone("npy", parse_npy)),
    "NPZ": Way(read_from_whole("npz", parse_npz)),
    "MAT": Way(read_from_whole("mat", parse_mat)),
    "JSON": Way(read_alone("json", parse_json), holds=is_small),
    "CSV": Way(read_alone("csv", parse_csv), lambda _values: np.dtype("f8"), lambda values: values.ndim == 1),
}
