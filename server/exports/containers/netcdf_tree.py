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
from shotdap.server.exports.atomic import write_atomically
from shotdap.server.exports.checksum import Checksum, write_encoded
from shotdap.server.exports.items import PlanItem
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import Order
from shotdap.server.exports.workspace import Workspace

__all__ = ["join_images", "stage_image"]

_FILE_SPECIFIC_ATTRIBUTES: Final = frozenset({
    "CLASS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST", "_Netcdf4Coordinates", "_Netcdf4Dimid", "_NCProperties",
})  # fmt: skip
"""Attributes that tell of one file only."""


def stage_image(place: Workspace, _order: Order, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image as a file that waits for the others; see `WriteImage`."""
    return write_encoded(_staged_path(place, item.name), netcdf4.encode(dataset), place.drafts_folder)


def join_images(place: Workspace, order: Order, lines: Mapping[int, ManifestRecord]) -> None:
    """Put all images into one file, in their order."""
    with write_atomically(place.target, place.drafts_folder) as draft, h5py.File(draft, "w", track_order=True) as file:
        file.attrs["title"] = f"Images of {order.query}"
        file.attrs["query"] = order.query
        file.attrs["software"] = f"shotdap {__version__}"
        for _, line in sorted(lines.items()):
            if line.status == "done":
                _copy_image(file, line.name, _staged_path(place, line.name))


def _staged_path(place: Workspace, name: str) -> Path:
    return place.staging_folder / f"{name}.nc4"


def _copy_image(file: h5py.File, name: str, part: Path) -> None:
    group = _require_group(file, name)
    with h5py.File(part) as source:
        _copy_attributes(source, group)
        arrays = list(_copy_arrays(source, group))
        for array, copy in arrays:
            _copy_attributes(array, copy)
            if array.is_scale:
                copy.make_scale(_scale_name(array))
        for array, copy in arrays:
            _attach_scales(array, copy, group)


def _copy_arrays(source: h5py.Group, target: h5py.Group) -> Iterator[tuple[h5py.Dataset, h5py.Dataset]]:
    """Copy the arrays of a group, and of the groups in it, without their attributes; each with its copy."""
    for name, each in source.items():
        if isinstance(each, h5py.Group):
            inner = target.create_group(name, track_order=True)
            _copy_attributes(each, inner)
            yield from _copy_arrays(each, inner)
        elif isinstance(each, h5py.Dataset):
            source.copy(each, target, name, without_attrs=True)
            yield each, _get_dataset(target, name)


def _attach_scales(array: h5py.Dataset, copy: h5py.Dataset, group: h5py.Group) -> None:
    """Give a copy the dimensions that its original has in its own file."""
    for number, dimension in enumerate(array.dims):
        for scale in dimension.values():
            copy.dims[number].attach_scale(_get_dataset(group, str(scale.name).lstrip("/")))


def _scale_name(array: h5py.Dataset) -> str:
    name = array.attrs["NAME"]
    return name.decode() if isinstance(name, bytes) else str(name)


def _get_dataset(group: h5py.Group, path: str) -> h5py.Dataset:
    found = group[path]
    if not isinstance(found, h5py.Dataset):
        raise TypeError(f"{path} is no array.")
    return found


def _require_group(above: h5py.Group, path: str) -> h5py.Group:
    """A group below another, which remembers the order of what is in it, as netCDF needs to know it."""
    for name in path.split("/"):
        found = above[name] if name in above else above.create_group(name, track_order=True)
        if not isinstance(found, h5py.Group):
            raise TypeError(f"{path} is no group.")
        above = found
    return above


def _copy_attributes(source: h5py.Group | h5py.Dataset, target: h5py.Group | h5py.Dataset) -> None:
    for name in source.attrs:
        if name not in _FILE_SPECIFIC_ATTRIBUTES:
            identity = source.attrs.get_id(name)
            target.attrs.create(name, source.attrs[name], dtype=identity.dtype if identity.shape else None)
