"""One netCDF-4 file, which is an HDF5 file, with a group for each image.

Each image is staged as a netCDF-4 file. Then the HDF5 library copies the arrays into one file, in bounded memory. The
attributes that link arrays to their dimensions refer to objects of a file, so they are not copied but created again.
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
from shotdap.server.exports.export_plan import PlanItem
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import JobOrder
from shotdap.server.exports.workspace import Workspace

_FILE_SPECIFIC_ATTRIBUTES: Final = frozenset({
    "CLASS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST", "_Netcdf4Coordinates", "_Netcdf4Dimid", "_NCProperties",
})  # fmt: skip


def stage_image(workspace: Workspace, _order: JobOrder, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's file to the staging folder; see `WriteImage`."""
    return write_encoded(_staged_path(workspace, item.name), netcdf4.encode(dataset), workspace.drafts_folder)


def join_images(workspace: Workspace, order: JobOrder, records: Mapping[int, ManifestRecord]) -> None:
    """Copy all images into one file, in their order."""
    draft_path = write_atomically(workspace.target, workspace.drafts_folder)
    with draft_path as draft, h5py.File(draft, "w", track_order=True) as file:
        file.attrs["title"] = f"Images of {order.source.title}"
        file.attrs["query"] = order.source.query
        file.attrs["software"] = f"shotdap {__version__}"
        for _, record in sorted(records.items()):
            for member in record.members:
                _copy_image(_staged_path(workspace, member.name), file, member.name)


def _staged_path(workspace: Workspace, name: str) -> Path:
    return workspace.staging_folder / f"{name}.nc4"


def _copy_image(path: Path, target: h5py.File, group_path: str) -> None:
    """Copy an image into a group of its own; groups track the order of their members, which netCDF needs."""
    group: h5py.Group = target
    for name in group_path.split("/"):
        child = group[name] if name in group else group.create_group(name, track_order=True)
        if not isinstance(child, h5py.Group):
            raise TypeError(f"{group_path} is no group.")
        group = child
    with h5py.File(path) as source:
        _copy_attributes(source, group)
        arrays = list(_copy_arrays(source, group))
        for array, copy in arrays:
            _copy_attributes(array, copy)
            if array.is_scale:
                scale_name = array.attrs["NAME"]
                copy.make_scale(scale_name.decode() if isinstance(scale_name, bytes) else str(scale_name))
        for array, copy in arrays:
            for number, dimension in enumerate(array.dims):
                for scale in dimension.values():
                    copy.dims[number].attach_scale(_get_array(group, str(scale.name).lstrip("/")))


def _copy_arrays(source: h5py.Group, target: h5py.Group) -> Iterator[tuple[h5py.Dataset, h5py.Dataset]]:
    """Copy the arrays of a group and of its groups without their attributes; yield each array with its copy."""
    for name, child in source.items():
        if isinstance(child, h5py.Group):
            group = target.create_group(name, track_order=True)
            _copy_attributes(child, group)
            yield from _copy_arrays(child, group)
        elif isinstance(child, h5py.Dataset):
            source.copy(child, target, name, without_attrs=True)
            yield child, _get_array(target, name)


def _get_array(group: h5py.Group, path: str) -> h5py.Dataset:
    array = group[path]
    if not isinstance(array, h5py.Dataset):
        raise TypeError(f"{path} is no array.")
    return array


def _copy_attributes(source: h5py.Group | h5py.Dataset, target: h5py.Group | h5py.Dataset) -> None:
    for name in source.attrs:
        if name not in _FILE_SPECIFIC_ATTRIBUTES:
            identity = source.attrs.get_id(name)
            target.attrs.create(name, source.attrs[name], dtype=identity.dtype if identity.shape else None)
