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
from shotdap.server.exports.atomic import written
from shotdap.server.exports.checksum import Written, summed
from shotdap.server.exports.containers.files import zip_files
from shotdap.server.exports.items import Item
from shotdap.server.exports.manifest import Line
from shotdap.server.exports.order import Order
from shotdap.server.exports.workspace import Place
from shotdap.server.protocols.zarr import Tree

__all__ = ["close_store", "finish_store", "put_group", "put_part", "walked", "write_groups", "zipped"]

_FORMAT: Final = 3  # of Zarr's
_CHUNK: Final = 32 << 20  # bytes of an array that is one chunk: a frame; thousands of images make files enough


def put_group(place: Place, _order: Order, item: Item, dataset: xr.Dataset) -> Written:
    """Write an image's group where it is to stay; see `Put`."""
    return _written(place.target / item.name, dataset, place.drafts)


def put_part(place: Place, _order: Order, item: Item, dataset: xr.Dataset) -> Written:
    """Write an image's group where it waits for the others; see `Put`."""
    return _written(place.parts / item.name, dataset, place.drafts)


def finish_store(place: Place, order: Order, lines: Mapping[int, Line]) -> None:
    """Make the store one that opens at once."""
    close_store(place.target, order, lines)


def zipped(place: Place, order: Order, lines: Mapping[int, Line]) -> None:
    """Put the store into one ZIP file, which Zarr's readers open as it is."""
    close_store(place.parts, order, lines)
    zip_files(place, ((path, path.relative_to(place.parts).as_posix()) for path in walked(place.parts)))


def close_store(store: Path, order: Order, lines: Mapping[int, Line]) -> None:
    """Write the groups around those of the images, and the metadata of all in one."""
    write_groups(store, order, lines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZarrUserWarning)  # that version 3 has no word on consolidated metadata yet
        zarr.consolidate_metadata(store, zarr_format=_FORMAT)


def write_groups(store: Path, order: Order, lines: Mapping[int, Line]) -> None:
    """Write the groups around those of the images."""
    store.mkdir(parents=True, exist_ok=True)
    said = {"title": f"Images of {order.query}", "query": order.query, "software": f"shotdap {__version__}"}
    zarr.open_group(store, mode="a", zarr_format=_FORMAT).attrs.update(said)
    names = {line.name for line in lines.values() if line.status == "done"}
    for group in sorted({above for name in names for above in _above(name)} - names):
        zarr.open_group(store / group, mode="a", zarr_format=_FORMAT)


def walked(folder: Path) -> Iterator[Path]:
    """All files below a folder, in an order that is always the same."""
    for above, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(above, name) for name in sorted(names))


def _above(name: str) -> Iterator[str]:
    """The groups around one."""
    parts = name.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def _written(path: Path, dataset: xr.Dataset, drafts: Path) -> Written:
    with written(path, drafts) as draft:
        _write(draft, dataset)
        return summed(walked(draft))


def _write(store: Path, dataset: xr.Dataset) -> None:
    for group, members in _groups(dataset).items():
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # that texts have no type in version 3 yet; other readers know zarr-python's
            members.to_zarr(
                store,
                group=group or None,
                mode="a",
                consolidated=False,
                zarr_format=_FORMAT,
            )


def _groups(dataset: xr.Dataset) -> dict[str, xr.Dataset]:
    """The variables by the groups that their names put them into; the root's come first."""
    tree = Tree({str(name): variable for name, variable in dataset.variables.items()})
    names: dict[str, list[str]] = {"": []}
    for name in tree.variables:
        names.setdefault(name.rpartition("/")[0], []).append(name)
    return {group: _group(dataset, tree, group, members) for group, members in names.items()}


def _group(dataset: xr.Dataset, tree: Tree, group: str, names: list[str]) -> xr.Dataset:
    variables = {_local(name): _plain(tree.variables[name], tree) for name in names}
    hidden = tree.hidden.get(group, ())
    coordinates = {
        _local(name): variables[_local(name)] for name in names if name in dataset.coords or _local(name) in hidden
    }
    data = {name: variable for name, variable in variables.items() if name not in coordinates}
    attributes = dataset.attrs if not group else {}
    return xr.Dataset(data, xr.Coordinates(coordinates, indexes={}), _jsonable(attributes))


def _plain(variable: xr.Variable, tree: Tree) -> xr.Variable:
    dimensions = tuple(tree.dimensions[str(name)] for name in variable.dims)
    plain = xr.Variable(dimensions, variable.values, _jsonable(variable.attrs))
    if 0 < variable.nbytes <= _CHUNK:
        plain.encoding["chunks"] = variable.shape
    return plain


def _local(name: str) -> str:
    return name.rpartition("/")[2]


def _jsonable(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _json(value) for name, value in attributes.items()}


def _json(value: Any) -> Any:  # noqa: ANN401 — a value of JSON
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
