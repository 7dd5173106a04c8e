"""One netCDF-4 file, which is an HDF5 file, with a group for each image.

Each image is a netCDF-4 file first. Arrays then go into the one file as the HDF5 library has them, in bounded memory;
what ties them to their dimensions names places in a file, and is tied anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import h5py
import xarray as xr

from shotdap import __version__
from shotdap.server.encoders import netcdf4
from shotdap.server.exporting.atomic import written
from shotdap.server.exporting.items import Item
from shotdap.server.exporting.manifest import Line
from shotdap.server.exporting.order import Order
from shotdap.server.exporting.place import Place
from shotdap.server.exporting.writers.written import Written, write_file

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
        datasets: dict[str, h5py.Dataset] = {}
        _describe(source, group)

        def place(path: str, each: h5py.Group | h5py.Dataset) -> None:
            if isinstance(each, h5py.Group):
                _describe(each, _group(group, path))
                return
            source.copy(each, _group(group, path.rpartition("/")[0]), path.rpartition("/")[2], without_attrs=True)
            datasets[path] = each

        source.visititems(place)
        for path, each in datasets.items():
            _describe(each, group[path])
            if each.is_scale:
                group[path].make_scale(each.attrs["NAME"])
        for path, each in datasets.items():
            for number, dimension in enumerate(each.dims):
                for scale in dimension.values():
                    group[path].dims[number].attach_scale(group[scale.name.lstrip("/")])


def _group(above: h5py.Group, path: str) -> h5py.Group:
    """A group below another, which remembers the order of what is in it, as netCDF needs to know it."""
    group = above
    for name in filter(None, path.split("/")):
        group = group[name] if name in group else group.create_group(name, track_order=True)
    return group


def _describe(source: h5py.Group | h5py.Dataset, target: h5py.Group | h5py.Dataset) -> None:
    for name in source.attrs:
        if name not in _TIES:
            identity = source.attrs.get_id(name)
            target.attrs.create(name, _value(source, name), dtype=identity.dtype if identity.shape else None)


def _value(source: h5py.Group | h5py.Dataset, name: str) -> object:
    return source.attrs[name]
