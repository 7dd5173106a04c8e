"""A Zarr store with a group for each image: a folder or a ZIP file of a job, or a package that is streamed.

Each worker writes the group of an image as a store of its own, and renames it to its place. No two workers write the
same file, so nothing needs a lock. The parent groups and the consolidated metadata come at the end.

Rule 1: a name with slashes is a path of groups: ``DATA/image`` is ``image`` in the group ``DATA`` of the image's group.
Rule 2: attributes are JSON that every reader takes: a number that is not finite is text, like Zarr's fill values.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from zarr.errors import ZarrUserWarning

from shotdap import __version__
from shotdap.server.exports.atomic import write_atomically
from shotdap.server.exports.checksum import Checksum, compute_checksum
from shotdap.server.exports.containers.zip_file import ZipMember, write_zip
from shotdap.server.exports.export_plan import PlanItem
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import JobOrder
from shotdap.server.exports.workspace import Workspace
from shotdap.server.protocols.zarr import GroupTree, ZarrOptions, iter_store_entries

_ZARR_FORMAT: Final = 3
_MAX_CHUNK_BYTES: Final = 32 << 20  # an array up to this size, such as a frame, is one chunk: images are files enough


def write_image(workspace: Workspace, _order: JobOrder, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's group to its final place; see `WriteImage`."""
    return _write_group(workspace.target / item.name, dataset, workspace.drafts_folder)


def stage_image(workspace: Workspace, _order: JobOrder, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's group to the staging folder; see `WriteImage`."""
    return _write_group(workspace.staging_folder / item.name, dataset, workspace.drafts_folder)


def finish_store(workspace: Workspace, order: JobOrder, records: Mapping[int, ManifestRecord]) -> None:
    """Write the metadata that lets clients open the store at once."""
    _write_store_metadata(workspace.target, order, records)


def finish_zip(workspace: Workspace, order: JobOrder, records: Mapping[int, ManifestRecord]) -> None:
    """Put the store into one ZIP file, which Zarr's readers open directly."""
    store = workspace.staging_folder
    _write_store_metadata(store, order, records)
    write_zip(workspace, ((path, path.relative_to(store).as_posix()) for path in walk_files(store)))


def _write_store_metadata(store: Path, order: JobOrder, records: Mapping[int, ManifestRecord]) -> None:
    write_parent_groups(store, order, records)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # Zarr 3 does not specify consolidated metadata yet
        zarr.consolidate_metadata(store, zarr_format=_ZARR_FORMAT)


def write_parent_groups(store: Path, order: JobOrder, records: Mapping[int, ManifestRecord]) -> None:
    """Write the root group and the groups between it and those of the images."""
    store.mkdir(parents=True, exist_ok=True)
    query, software = order.source.query, f"shotdap {__version__}"
    root = zarr.open_group(store, mode="a", zarr_format=_ZARR_FORMAT)
    root.attrs.update({"title": f"Images of {order.source.title}", "query": query, "software": software})
    names = {member.name for record in records.values() for member in record.members}
    parts = [name.split("/") for name in names]
    parents = {"/".join(part[:depth]) for part in parts for depth in range(1, len(part))}
    for group in sorted(parents - names):
        zarr.open_group(store / group, mode="a", zarr_format=_ZARR_FORMAT)


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, always in the same order."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names))


def iter_store_members(dataset: xr.Dataset) -> Iterator[ZipMember]:
    """Yield the files of a package's Zarr 3 store, one chunk at a time; zarr-python opens their ZIP file directly.

    Raises:
        Unreadable: a chunk cannot be read.
    """
    for key, encode in iter_store_entries(dataset, ZarrOptions()):
        content = encode()
        yield ZipMember(key, len(content), (content,))
        del content


def _write_group(path: Path, dataset: xr.Dataset, drafts_folder: Path) -> Checksum:
    with write_atomically(path, drafts_folder) as draft:
        tree = GroupTree({str(name): variable for name, variable in dataset.variables.items()})
        names: dict[str, list[str]] = {"": []}  # by group, the root first
        for name in tree.variables:
            names.setdefault(name.rpartition("/")[0], []).append(name)
        for group, members in names.items():
            data: dict[str, xr.Variable] = {}
            coordinates: dict[str, xr.Variable] = {}
            for name in members:
                local_name = name.rpartition("/")[2]
                is_coordinate = name in dataset.coords or local_name in tree.hidden_arrays.get(group, ())
                variable = tree.variables[name]
                dimensions = tuple(tree.dimension_names[str(dimension)] for dimension in variable.dims)
                plain = xr.Variable(dimensions, variable.values, _encode_attributes(variable.attrs))
                if 0 < variable.nbytes <= _MAX_CHUNK_BYTES:
                    plain.encoding["chunks"] = variable.shape
                (coordinates if is_coordinate else data)[local_name] = plain
            attributes = {} if group else _encode_attributes(dataset.attrs)
            part = xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), attributes)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Zarr 3 does not specify text yet; readers follow zarr-python
                part.to_zarr(draft, group=group or None, mode="a", consolidated=False, zarr_format=_ZARR_FORMAT)
        return compute_checksum(walk_files(draft))


def _encode_attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _encode_value(value) for name, value in attributes.items()}


def _encode_value(value: Any) -> Any:  # noqa: ANN401 — a value of JSON
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_encode_value(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
