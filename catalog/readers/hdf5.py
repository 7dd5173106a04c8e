"""HDF5 and netCDF-4 files, read by h5py.

Every tree is read, groups included: an array's name is its path. h5py has one lock around the library, so threads are
safe. A file is opened for each read (0.6 ms) and without file locking, which read-only shares do not offer.

Only hard links are followed: a soft or external link, an external raw file or a virtual dataset leads to other files,
which the catalog has not allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.lazy import Array, Blocks, Key, Remember, Source, lazy_variable
from shotdap.catalog.names import variable_names
from shotdap.catalog.readers.attributes import OMITTED, Attribute, clean, decoded

__all__ = ["read"]

_MADE_UP = re.compile(r"fakeDim\d+")  # by the HDF4 library, kept by the converter to HDF5
# netCDF-4's mark of a dimension without a variable: NC_DIM_NAME, "netCDF-4 format specification", appendix of HDF5.
_DIMENSION_ONLY = b"This is a netCDF dimension but not a netCDF variable"
# What holds the file together and describes nothing: dimension scales (HDF5) and netCDF-4's own notes.
_PLUMBING = frozenset({
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS",
    "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict", "_NCProperties",
})  # fmt: skip


def read(path: Path, remember: Remember) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    with _opened(path) as file:
        found = dict(_walk(file))
        datasets = {name: item for name, item in found.items() if isinstance(item, h5py.Dataset)}
        obstacles = {name: obstacle for name, item in datasets.items() if (obstacle := _obstacle(item))}
        wanted = {
            name: item for name, item in datasets.items() if name not in obstacles and not _is_dimension_only(item)
        }
        names = variable_names(wanted)
        variables = {names[name]: _variable(path, item, name, names, remember) for name, item in wanted.items()}
        attributes = _group_attributes(file, found)
    if obstacles:
        attributes[OMITTED] = ", ".join(f"{name}: {obstacle}" for name, obstacle in obstacles.items())
    coordinates = {name: variable for name, variable in variables.items() if variable.dims == (name,)}
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        coords=xr.Coordinates(coordinates, indexes={}),
        attrs=attributes,
    )


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # all of them stand for damage in h5py
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("The HDF5 library cannot read the file; it may be damaged or cut short.") from error


def _walk(group: h5py.Group, above: str = "", seen: frozenset[int] = frozenset()) -> Iterator[tuple[str, Any]]:
    """Groups and datasets by their paths without the leading slash, in the file's order, rings of links cut."""
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:
        return
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        path = f"{above}{name}"
        if isinstance(item, h5py.Group):
            yield path, item
            yield from _walk(item, f"{path}/", seen | {address})
        elif isinstance(item, h5py.Dataset):
            yield path, item


def _obstacle(dataset: h5py.Dataset) -> str:
    """Why a dataset cannot be carried; empty where it can."""
    if dataset.shape is None:
        return "it holds nothing"
    if dataset.external or dataset.is_virtual:
        return "its values are in other files"
    kind = dataset.dtype.kind
    if kind == "O" and h5py.check_string_dtype(dataset.dtype) is None:
        return "it holds references or arrays of varying length"
    return "" if kind in "biufSO" else f"no protocol carries its type {_in_words(dataset.dtype)}"


def _in_words(dtype: np.dtype[Any]) -> str:
    return "of compound values" if dtype.names else str(dtype)


def _is_dimension_only(dataset: h5py.Dataset) -> bool:
    name = dataset.name.rsplit("/", 1)[-1]
    return bool(_MADE_UP.fullmatch(name)) or np.bytes_(dataset.attrs.get("NAME", b"")).startswith(_DIMENSION_ONLY)


def _group_attributes(file: h5py.File, found: Mapping[str, Any]) -> dict[str, Attribute]:
    """The file's attributes, and each group's under its path: ``DATA/SHOT/units``."""
    attributes = clean(_attributes(file))
    for path, item in found.items():
        if isinstance(item, h5py.Group):
            attributes |= {f"{path}/{name}": value for name, value in clean(_attributes(item)).items()}
    return attributes


def _attributes(owner: h5py.HLObject) -> dict[str, Any]:
    return {name: value for name in owner.attrs if name not in _PLUMBING and (value := _value(owner, name)) is not None}


def _value(owner: h5py.HLObject, name: str) -> Any:  # noqa: ANN401 — whatever a file may hold
    try:
        value = owner.attrs[name]
    except (OSError, TypeError):  # h5py knows no NumPy type for it
        return np.empty(0)
    return np.empty(0) if isinstance(value, h5py.Empty) else value


def _variable(
    path: Path, dataset: h5py.Dataset, name: str, names: Mapping[str, str], remember: Remember
) -> xr.Variable:
    values = _VALUES.get(dataset.dtype.kind, _stored)
    source: Source = _Array(path, name, dataset.shape, values(dataset)[0])
    rows = _rows_of_a_block(dataset)
    if rows:
        source = Blocks(source, name, rows, remember)
    attributes = clean(_attributes(dataset)) | _enumeration(dataset)
    if names[name] != name:
        attributes["original_name"] = name
    return lazy_variable(_dimensions(dataset, names, names[name]), source, attributes)


def _rows_of_a_block(dataset: h5py.Dataset) -> int:
    """How many indices of the first dimension a chunk holds, where it holds them entire; 0 where slices read well."""
    chunks = dataset.chunks
    if not chunks or not dataset.compression or chunks[1:] != dataset.shape[1:]:
        return 0
    return int(chunks[0])


def _dimensions(dataset: h5py.Dataset, names: Mapping[str, str], called: str) -> tuple[str, ...]:
    """The names of a dataset's dimensions: its own where it is a scale, those of the scales attached, or made up."""
    if dataset.is_scale and dataset.ndim == 1:
        return (called,)
    return tuple(_scale(dimension, names) or f"{called}_{axis}" for axis, dimension in enumerate(dataset.dims))


def _scale(dimension: Any, names: Mapping[str, str]) -> str:  # noqa: ANN401 — h5py ships no types
    if not len(dimension):
        return ""
    path = str(dimension[0].name).removeprefix("/")
    if _MADE_UP.fullmatch(path.rsplit("/", 1)[-1]):
        return ""
    return names.get(path) or next(iter(variable_names([path]).values()))


def _enumeration(dataset: h5py.Dataset) -> dict[str, Attribute]:
    """An enumeration's members as CF flags: CF conventions, section 3.5."""
    members = h5py.check_enum_dtype(dataset.dtype)
    if not members or dataset.dtype == bool:
        return {}
    return {
        "flag_values": np.array(list(members.values()), np.dtype(dataset.dtype.str)),
        "flag_meanings": " ".join(member.replace(" ", "_") for member in members),
    }


@dataclass(frozen=True)
class _Array:
    """The values of one dataset."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: Key) -> Array:
        """Read a hyperslab; see `Source`."""
        with _opened(self.path) as file:
            dataset = file[self.name]
            _, load = _VALUES.get(dataset.dtype.kind, _stored)(dataset)
            return np.asarray(load(key))


_Load = Callable[[Key], Any]


def _stored(dataset: h5py.Dataset) -> tuple[np.dtype[Any], _Load]:
    """Numbers as they are stored, an enumeration's as its numbers."""
    dtype = np.dtype(dataset.dtype.str)  # without the metadata that h5py hangs on
    return dtype, lambda key: dataset[key].astype(dtype, copy=False)


def _booleans(dataset: h5py.Dataset) -> tuple[np.dtype[Any], _Load]:
    return np.dtype(np.int8), lambda key: dataset[key].astype(np.int8)


def _texts(dataset: h5py.Dataset) -> tuple[np.dtype[Any], _Load]:
    decode = np.frompyfunc(decoded, 1, 1)
    return np.dtype(object), lambda key: np.asarray(decode(dataset[key]), object)


_VALUES: Mapping[str, Callable[[h5py.Dataset], tuple[np.dtype[Any], _Load]]] = {
    "b": _booleans, "S": _texts, "O": _texts,
}  # fmt: skip
