"""One netCDF-4 file, which is an HDF5 file, with a group for each image.

Each image is a netCDF-4 file first. Arrays then go into the one file as the HDF5 library has them, in bounded memory;
what ties them to their dimensions names places in a file, and is tied anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import h5py
import xarray as xr

from shotdap import __version__
from shotdap.server.encoders.netcdf import netcdf4
from shotdap.server.exports.atomic import written
from shotdap.server.exports.checksum import Written, write_file
from shotdap.server.exports.items import Item
from shotdap.server.exports.manifest import Line
from shotdap.server.exports.order import Order
from shotdap.server.exports.workspace import Place

__all__ = ["joined", "put_part"]

_TIES: Final = frozenset({
    "CLASS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST", "_Netcdf4Coordinates", "_Netcdf4Dimid", "_NCProperties",
})  # fmt: skip
"""Attributes that tell of one file only."""


def put_part(place: Place, _order: Order, item: Item, dataset: xr.Dataset) -> Written:
    """Write an image as a file that waits for the others; see `Put`."""
    return write_file(_part(place, item.name), netcdf4.encode(dataset), place.drafts)


def joined(place: Place, order: Order, lines: Mapping[int, Line]) -> None:
    """Put all images into one file, in their order."""
    with written(place.target, place.drafts) as draft, h5py.File(draft, "w", track_order=True) as file:
        file.attrs["title"] = f"Images of {order.query}"
        file.attrs["query"] = order.query
        file.attrs["software"] = f"shotdap {__version__}"
        for _, line in sorted(lines.items()):
            if line.status == "done":
                _join(file, line.name, _part(place, line.name))


def _part(place: Place, name: str) -> Path:
    return place.parts / f"{name}.nc4"


def _join(file: h5py.File, name: str, part: Path) -> None:
    group = _group(file, name)
    with h5py.File(part) as source:
        _describe(source, group)
        arrays = list(_copied(source, group))
        for array, copy in arrays:
            _describe(array, copy)
            if array.is_scale:
                copy.make_scale(_scale_name(array))
        for array, copy in arrays:
            _tie(array, copy, group)


def _copied(source: h5py.Group, target: h5py.Group) -> Iterator[tuple[h5py.Dataset, h5py.Dataset]]:
    """Copy the arrays of a group, and of the groups in it, without their attributes; each with its copy."""
    for name, each in source.items():
        if isinstance(each, h5py.Group):
            inner = target.create_group(name, track_order=True)
            _describe(each, inner)
            yield from _copied(each, inner)
        elif isinstance(each, h5py.Dataset):
            source.copy(each, target, name, without_attrs=True)
            yield each, _dataset(target, name)


def _tie(array: h5py.Dataset, copy: h5py.Dataset, group: h5py.Group) -> None:
    """Give a copy the dimensions that its original has in its own file."""
    for number, dimension in enumerate(array.dims):
        for scale in dimension.values():
            copy.dims[number].attach_scale(_dataset(group, str(scale.name).lstrip("/")))


def _scale_name(array: h5py.Dataset) -> str:
    name = array.attrs["NAME"]
    return name.decode() if isinstance(name, bytes) else str(name)


def _dataset(group: h5py.Group, path: str) -> h5py.Dataset:
    found = group[path]
    if not isinstance(found, h5py.Dataset):
        raise TypeError(f"{path} is no array.")
    return found


def _group(above: h5py.Group, path: str) -> h5py.Group:
    """A group below another, which remembers the order of what is in it, as netCDF needs to know it."""
    for name in path.split("/"):
        found = above[name] if name in above else above.create_group(name, track_order=True)
        if not isinstance(found, h5py.Group):
            raise TypeError(f"{path} is no group.")
        above = found
    return above


def _describe(source: h5py.Group | h5py.Dataset, target: h5py.Group | h5py.Dataset) -> None:
    for name in source.attrs:
        if name not in _TIES:
            identity = source.attrs.get_id(name)
            target.attrs.create(name, source.attrs[name], dtype=identity.dtype if identity.shape else None)
