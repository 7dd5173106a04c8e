"""Every way by which a client fetches a variable, over every protocol and in every format.

Each way is a row of `WAYS`; a new protocol or format is one more. Where a protocol or format lacks the variable's type,
the row says what becomes of it, as docs/protocols.md and docs/formats.md do; where it cannot hold it at all, what it
holds.
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
from tests.clients.programs import Ask, open_url
from tests.serving import Server
from zarr.storage import ZipStore

from shotdap.catalog import Catalog

__all__ = ["WAYS", "Place", "Way", "native"]

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = np.dtype[Any]


@dataclass(frozen=True)
class Place:
    """A variable, and what is there to fetch it."""

    server: Server
    catalog: Catalog
    """The same archive's, opened in this process."""
    client: httpx.Client
    path: str
    """The image's."""
    name: str
    """The variable's."""
    dimensions: int
    """How many it has."""
    scratch: Path
    """Where a file may be put that is replaced by the next."""

    def get(self, target: str, **query: str) -> bytes:
        """The body of an answer."""
        answer = self.client.get(f"{self.server.url}{target}", params=query or None)  # {} would remove a query
        assert answer.status_code == 200, answer.text[:1000]
        return answer.content


@dataclass(frozen=True)
class Way:
    """How a variable is fetched, and as what it arrives."""

    fetch: Callable[[Place], Array]
    becomes: Callable[[Array], Kind] = lambda values: values.dtype
    """The type that values arrive in; their own, where nothing is said."""
    holds: Callable[[Array], bool] = lambda _values: True
    """Whether it can hold a variable at all."""


def native(values: Array) -> Array:
    """The values in this machine's order of bytes."""
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("="), copy=False).reshape(values.shape)


# What becomes of types -----------------------------------------------------------------------------------------------


def promoted(values: Array) -> Kind:
    """In DAP2 and netCDF-3: the narrowest type of theirs that holds the values; see docs/protocols.md."""
    code = f"{values.dtype.kind}{values.dtype.itemsize}"
    if code in {"i8", "u8"}:
        limits = np.iinfo(np.int32)
        return np.dtype("i4" if limits.min <= values.min() and values.max() <= limits.max else "f8")
    return np.dtype({"u1": "i2", "u2": "i4", "u4": "f8"}.get(code, code))


def of_dap2(values: Array) -> Kind:
    """Over DAP2, which has no signed bytes either."""
    return np.dtype("i2") if values.dtype == np.int8 else promoted(values)


# Ways ----------------------------------------------------------------------------------------------------------------


def python_api(place: Place) -> Array:
    """By the catalog in this process, as a dask array."""
    return np.asarray(place.catalog.open(place.path)[place.name].values)


def by_pydap(protocol: str) -> Callable[[Place], Array]:
    """By pydap."""

    def fetch(place: Place) -> Array:
        dataset = opened_by_pydap(place.server.dap(place.path), protocol)
        return Ask(place.name).of(dataset[place.name])

    return fetch


@lru_cache(maxsize=1)
def opened_by_pydap(url: str, protocol: str) -> Any:  # noqa: ANN401 — pydap has no types
    """An image; variables of one image follow one another."""
    return open_url(url, protocol=protocol)


def dap2_by_netcdf_c(place: Place) -> Array:
    """By netCDF-C, over DAP2."""
    return of_netcdf(opened_by_netcdf_c(place.server.dap(place.path)), place.name)


@lru_cache(maxsize=1)
def opened_by_netcdf_c(url: str) -> netCDF4.Dataset:
    """An image; variables of one image follow one another."""
    return netCDF4.Dataset(url)


def dap4_by_netcdf_c(place: Place) -> Array:
    """By netCDF-C, over DAP4, of that variable alone: it would ask for all others, too."""
    with netCDF4.Dataset(f"{place.server.dap(place.path)}?dap4.ce=/{place.name}#dap4") as dataset:
        return of_netcdf(dataset, place.name)


def downloaded(suffix: str) -> Callable[[Place], Array]:
    """As a netCDF file, read by netCDF-C."""

    def fetch(place: Place) -> Array:
        return downloaded_whole(place.client, f"{place.server.dap(place.path)}{suffix}")[place.name]

    return fetch


@lru_cache(maxsize=1)
def downloaded_whole(client: httpx.Client, url: str) -> Mapping[str, Array]:
    """Download an image as a file, and return all its variables by their paths.

    The file is written to a disk, since netCDF-C refuses some files in memory (EPERM).
    """
    with NamedTemporaryFile(suffix=".nc") as file:
        file.write(client.get(url).raise_for_status().content)
        file.flush()
        with netCDF4.Dataset(file.name) as dataset:
            return {path: of_netcdf(dataset, path) for path in paths_below(dataset)}


def paths_below(group: netCDF4.Dataset | netCDF4.Group, prefix: str = "") -> Iterator[str]:
    """Yield the paths of all variables of a group and those in it."""
    yield from (f"{prefix}{name}" for name in group.variables)
    for name, inner in group.groups.items():
        yield from paths_below(inner, f"{prefix}{name}/")


def of_netcdf(dataset: netCDF4.Dataset, name: str) -> Array:
    """A variable as the file has it, nothing masked or scaled."""
    dataset.set_auto_maskandscale(False)
    return np.asarray(dataset[name][...])


def over_zarr(version: int) -> Callable[[Place], Array]:
    """By zarr-python, over HTTP by fsspec."""

    def fetch(place: Place) -> Array:
        group = opened_by_zarr(f"{place.server.url}/zarr/{place.path}", version)
        return np.asarray(group[place.name][...])  # type: ignore[index]  # an array, not a group

    return fetch


@cache
def opened_by_zarr(url: str, version: int) -> zarr.Group:
    """The store of an image."""
    return zarr.open_group(url, mode="r", zarr_format=version)  # type: ignore[arg-type]  # 2 or 3


def whole(name: str, read: Callable[[bytes, Place], Array]) -> Callable[[Place], Array]:
    """Over the REST API, as a file of all variables."""

    def fetch(place: Place) -> Array:
        return read(of_all(place.client, f"{place.server.url}/api/v1/images/{place.path}?format={name}"), place)

    return fetch


@lru_cache(maxsize=1)
def of_all(client: httpx.Client, url: str) -> bytes:
    """A file with all variables of an image."""
    return client.get(url).raise_for_status().content


def alone(name: str, read: Callable[[bytes, Place], Array]) -> Callable[[Place], Array]:
    """Over the REST API, as a file of that variable alone."""

    def fetch(place: Place) -> Array:
        content = place.get(f"/api/v1/images/{place.path}", variable=place.name, format=name)
        return read(content, place)

    return fetch


def of_hdf5(content: bytes, place: Place) -> Array:
    """The variable, wherever NeXus has put it."""
    found: list[Array] = []

    def look(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and path.rpartition("/")[2] == place.name:
            found.append(item[()])

    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(look)
    assert found, f"there is no {place.name}"
    return np.asarray(found[0])


def of_tiff(content: bytes, place: Place) -> Array:
    """The frames of a TIFF; one dimension is one row."""
    found = np.asarray(tifffile.imread(io.BytesIO(content)))
    return found.reshape(found.shape[-1:]) if place.dimensions == 1 else found


def of_npy(content: bytes, _place: Place) -> Array:
    """NumPy's own."""
    return np.asarray(np.load(io.BytesIO(content)))


def of_npz(content: bytes, place: Place) -> Array:
    """NumPy's own, of several."""
    with np.load(io.BytesIO(content)) as archive:
        return np.asarray(archive[place.name])


def of_mat(content: bytes, place: Place) -> Array:
    """By SciPy, which gives a column for one dimension, as MATLAB has no other."""
    found = loaded_mat(content)[place.name]
    return np.asarray(found[:, 0] if place.dimensions == 1 else found)


@lru_cache(maxsize=1)
def loaded_mat(content: bytes) -> dict[str, Any]:
    """All of a file, as SciPy reads it."""
    return dict(loadmat(io.BytesIO(content)))


def of_zip_store(content: bytes, place: Place) -> Array:
    """By zarr-python, from the ZIP file as it is."""
    store = zip_store(content, place.scratch)
    return np.asarray(zarr.open_array(store, path=place.name, mode="r")[...])


@lru_cache(maxsize=1)
def zip_store(content: bytes, scratch: Path) -> ZipStore:
    """A store in a file, as zarr-python insists on."""
    path = scratch.with_name(f"{hash(content)}.zarr.zip")
    path.write_bytes(content)
    return ZipStore(path, mode="r")


def of_json(content: bytes, place: Place) -> Array:
    """Numbers written in decimals; what is none is text."""
    said = json.loads(content)["variables"][place.name]
    return np.array(said["values"], said["dtype"])


def of_csv(content: bytes, place: Place) -> Array:
    """A column of decimals, which has no type of its own."""
    lines = [line for line in content.decode().splitlines() if not line.startswith("#")]
    names, *rows = csv.reader(lines)
    return np.array([float(row[names.index(place.name)]) for row in rows])


def is_small(values: Array) -> bool:
    """Whether it is worth writing in decimals, 20 of which stand for a number; greater ones are no different."""
    return values.size <= 300_000


WAYS: Final[Mapping[str, Way]] = {
    "python": Way(python_api),
    "dap2, netCDF-C": Way(dap2_by_netcdf_c, of_dap2),
    "dap2, pydap": Way(by_pydap("dap2"), of_dap2),
    "dap4, netCDF-C": Way(dap4_by_netcdf_c),
    "dap4, pydap": Way(by_pydap("dap4")),
    "netCDF-3": Way(downloaded(".nc"), promoted),
    "netCDF-4": Way(downloaded(".nc4")),
    "zarr 2": Way(over_zarr(2)),
    "zarr 3": Way(over_zarr(3)),
    "zarr in a ZIP file": Way(whole("zarr", of_zip_store)),
    "HDF5": Way(whole("h5", of_hdf5)),
    "TIFF": Way(alone("tiff", of_tiff)),
    "TIFF, deflated": Way(alone("tiff_deflated", of_tiff)),
    "NPY": Way(alone("npy", of_npy)),
    "NPZ": Way(whole("npz", of_npz)),
    "MAT": Way(whole("mat", of_mat)),
    "JSON": Way(alone("json", of_json), holds=is_small),
    "CSV": Way(alone("csv", of_csv), lambda _values: np.dtype("f8"), lambda values: values.ndim == 1),
}
