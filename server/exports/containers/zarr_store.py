"""A Zarr store with a group for each image.

Each worker writes the group of an image as a store of its own, and renames it to its place: no two of them write the
same file, and so there is nothing to lock. The groups around them, and the metadata of all in one, come at the end.

Rule 1: a name with slashes is a path of groups: ``DATA/image`` is ``image`` in the group ``DATA`` of the image's own.
Rule 2: attributes are JSON that every reader takes: a number that is not finite is a text, as Zarr has fill values.
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
from shotdap.server.exports.containers.files import write_zip
from shotdap.server.exports.items import PlanItem
from shotdap.server.exports.manifest import ManifestRecord
from shotdap.server.exports.order import Order
from shotdap.server.exports.workspace import Workspace
from shotdap.server.protocols.zarr import GroupTree

__all__ = [
    "finish_store",
    "finish_zip",
    "stage_image",
    "walk_files",
    "write_image",
    "write_parent_groups",
    "write_store_metadata",
]

_ZARR_FORMAT: Final = 3  # of Zarr's
_MAX_CHUNK_BYTES: Final = (
    32 << 20
)  # bytes of an array that is one chunk: a frame; thousands of images make files enough


def write_image(place: Workspace, _order: Order, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's group where it is to stay; see `WriteImage`."""
    return _write_store(place.target / item.name, dataset, place.drafts_folder)


def stage_image(place: Workspace, _order: Order, item: PlanItem, dataset: xr.Dataset) -> Checksum:
    """Write an image's group where it waits for the others; see `WriteImage`."""
    return _write_store(place.staging_folder / item.name, dataset, place.drafts_folder)


def finish_store(place: Workspace, order: Order, lines: Mapping[int, ManifestRecord]) -> None:
    """Make the store one that opens at once."""
    write_store_metadata(place.target, order, lines)


def finish_zip(place: Workspace, order: Order, lines: Mapping[int, ManifestRecord]) -> None:
    """Put the store into one ZIP file, which Zarr's readers open as it is."""
    write_store_metadata(place.staging_folder, order, lines)
    write_zip(
        place, ((path, path.relative_to(place.staging_folder).as_posix()) for path in walk_files(place.staging_folder))
    )


def write_store_metadata(store: Path, order: Order, lines: Mapping[int, ManifestRecord]) -> None:
    """Write the groups around those of the images, and the metadata of all in one."""
    write_parent_groups(store, order, lines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # that version 3 has no word on consolidated metadata yet
        zarr.consolidate_metadata(store, zarr_format=_ZARR_FORMAT)


def write_parent_groups(store: Path, order: Order, lines: Mapping[int, ManifestRecord]) -> None:
    """Write the groups around those of the images."""
    store.mkdir(parents=True, exist_ok=True)
    said = {"title": f"Images of {order.query}", "query": order.query, "software": f"shotdap {__version__}"}
    zarr.open_group(store, mode="a", zarr_format=_ZARR_FORMAT).attrs.update(said)
    names = {line.name for line in lines.values() if line.status == "done"}
    for group in sorted({above for name in names for above in _iter_parents(name)} - names):
        zarr.open_group(store / group, mode="a", zarr_format=_ZARR_FORMAT)


def walk_files(folder: Path) -> Iterator[Path]:
    """All files below a folder, in an order that is always the same."""
    for above, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(above, name) for name in sorted(names))


def _iter_parents(name: str) -> Iterator[str]:
    """The groups around one."""
    parts = name.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def _write_store(path: Path, dataset: xr.Dataset, drafts: Path) -> Checksum:
    with write_atomically(path, drafts) as draft:
        _write_dataset(draft, dataset)
        return compute_checksum(walk_files(draft))


def _write_dataset(store: Path, dataset: xr.Dataset) -> None:
    for group, members in _split_groups(dataset).items():
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # that texts have no type in version 3 yet; other readers know zarr-python's
            members.to_zarr(
                store,
                group=group or None,
                mode="a",
                consolidated=False,
                zarr_format=_ZARR_FORMAT,
            )


def _split_groups(dataset: xr.Dataset) -> dict[str, xr.Dataset]:
    """The variables by the groups that their names put them into; the root's come first."""
    tree = GroupTree({str(name): variable for name, variable in dataset.variables.items()})
    names: dict[str, list[str]] = {"": []}
    for name in tree.variables:
        names.setdefault(name.rpartition("/")[0], []).append(name)
    return {group: _build_group(dataset, tree, group, members) for group, members in names.items()}


def _build_group(dataset: xr.Dataset, tree: GroupTree, group: str, names: list[str]) -> xr.Dataset:
    variables = {_local_name(name): _build_variable(tree.variables[name], tree) for name in names}
    hidden = tree.hidden_arrays.get(group, ())
    coordinates = {
        _local_name(name): variables[_local_name(name)]
        for name in names
        if name in dataset.coords or _local_name(name) in hidden
    }
    data = {name: variable for name, variable in variables.items() if name not in coordinates}
    attributes = dataset.attrs if not group else {}
    return xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), _encode_attributes(attributes))


def _build_variable(variable: xr.Variable, tree: GroupTree) -> xr.Variable:
    dimensions = tuple(tree.dimension_names[str(name)] for name in variable.dims)
    plain = xr.Variable(dimensions, variable.values, _encode_attributes(variable.attrs))
    if 0 < variable.nbytes <= _MAX_CHUNK_BYTES:
        plain.encoding["chunks"] = variable.shape
    return plain


def _local_name(name: str) -> str:
    return name.rpartition("/")[2]


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
