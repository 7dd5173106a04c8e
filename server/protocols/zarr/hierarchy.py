"""A dataset as a Zarr hierarchy, in both versions at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import ceil

import xarray as xr
from zarr.core.group import GroupMetadata

from shotdap.server.protocols.zarr.attributes import Json, attributes, split_fill_value
from shotdap.server.protocols.zarr.chunk import Chunk
from shotdap.server.protocols.zarr.keys import DOCUMENTS, OF_ARRAYS, OF_GROUPS, chunk_key, places
from shotdap.server.protocols.zarr.layout import chunk_shape
from shotdap.server.protocols.zarr.metadata import ArrayMetadata, Described, array_metadata, documents, group_metadata
from shotdap.server.protocols.zarr.node_paths import Tree
from shotdap.server.protocols.zarr.options import NEW, OLD, Options, Version
from shotdap.server.protocols.zarr.types import Dtype, stored_type

__all__ = ["Hierarchy", "store"]

_LEFT_OUT = "zarr_left_out"
"""The attribute that names the variables which Zarr cannot hold."""


@dataclass(frozen=True, eq=False)  # two are the same only if they are one
class Hierarchy:
    """A dataset as Zarr has it. What is made of it once is kept; values are never."""

    dataset: xr.Dataset
    options: Options
    _made: dict[tuple[str, Version], ArrayMetadata] = field(default_factory=dict, init=False, repr=False)
    _documents: dict[str, bytes] = field(default_factory=dict, init=False, repr=False)

    def document(self, key: str) -> bytes | None:
        """A metadata document; `None` if there is none with this key."""
        path, _, name = key.rpartition("/")
        version = DOCUMENTS.get(name)
        if version is None or name not in self._document_names(path, version):
            return None
        if key not in self._documents:
            metadata = self._metadata(self._names[path], version) if path in self._names else self._group(path, version)
            self._documents.update({f"{path}/{each}".lstrip("/"): text for each, text in documents(metadata).items()})
        return self._documents[key]

    def chunk(self, key: str) -> Chunk | None:
        """The chunk with this key; `None` if there is no such array, or the key lies outside its grid."""
        for version, path, numbers in places(key):
            name = self._names.get(path)
            if name is not None:
                return self._chunk(name, version, numbers)
        return None

    def every_key(self, version: Version = NEW) -> Iterator[str]:
        """Every key, those of documents first, the root's before all others."""
        for path in (*self._groups, *self._names):
            yield from (f"{path}/{each}".lstrip("/") for each in self._document_names(path, version))
        for name, path in self._tree.paths.items():
            for numbers in product(*map(range, self._counts(name))):
                yield chunk_key(version, path, numbers)

    def _document_names(self, path: str, version: Version) -> tuple[str, ...]:
        """The names of the documents at a path; none where there is nothing."""
        if path in self._names:
            return OF_ARRAYS[version]
        return OF_GROUPS[version] if path in self._groups else ()

    def _chunk(self, name: str, version: Version, numbers: tuple[int, ...]) -> Chunk | None:
        variable, chunks, counts = self._tree.variables[name], self._chunks[name], self._counts(name)
        if version == OLD and not counts and numbers == (0,):  # where version 2 has what has no dimensions
            numbers = ()
        if len(numbers) != len(counts) or not all(
            0 <= each < count for each, count in zip(numbers, counts, strict=True)
        ):
            return None
        bounds = zip(numbers, chunks, variable.shape, strict=True)
        where = tuple(slice(number * length, min((number + 1) * length, size)) for number, length, size in bounds)
        is_packed = self.options.compression != "none"
        return Chunk(variable, where, chunks, self._types[name], self._metadata(name, version), is_packed)

    def _counts(self, name: str) -> tuple[int, ...]:
        """How many chunks there are along each dimension."""
        shape = self._tree.variables[name].shape
        return tuple(ceil(size / length) for size, length in zip(shape, self._chunks[name], strict=True))

    @cached_property
    def _types(self) -> Mapping[str, Dtype]:
        """The types of the variables that Zarr can hold."""
        types = ((str(name), stored_type(variable.dtype)) for name, variable in self.dataset.variables.items())
        return {name: each for name, each in types if each is not None}

    @cached_property
    def _tree(self) -> Tree:
        return Tree({name: self.dataset.variables[name] for name in self._types})

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """The name in the dataset of the array at each path."""
        return {path: name for name, path in self._tree.paths.items()}

    @cached_property
    def _chunks(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each variable's chunks."""
        types = self._types.items()
        return {name: chunk_shape(self.dataset.variables[name], each, self.options) for name, each in types}

    def _metadata(self, name: str, version: Version) -> ArrayMetadata:
        made = self._made.get((name, version))
        if made is None:
            made = self._made[name, version] = array_metadata(self._described(name), version)
        return made

    def _described(self, name: str) -> Described:
        variable, dtype = self._tree.variables[name], self._types[name]
        fill, others = split_fill_value(variable.attrs, dtype)
        renamed = {"original_name": name} if self._tree.paths[name] != name else {}
        return Described(
            shape=variable.shape,
            chunks=self._chunks[name],
            dtype=dtype,
            dimensions=tuple(self._tree.dimensions[str(dimension)] for dimension in variable.dims),
            attributes=attributes({**renamed, **others}),
            fill=fill,
            compression=self.options.compression,
        )

    def _group(self, path: str, version: Version) -> GroupMetadata:
        variables, groups = self._tree.below[path]
        arrays = {each: self._metadata(self._names[each], version) for each in variables}
        return group_metadata(path, arrays, {each: self._groups[each] for each in (path, *groups)}, version)

    @cached_property
    def _groups(self) -> Mapping[str, Mapping[str, Json]]:
        """The attributes of every group."""
        missing = [str(name) for name in self.dataset.variables if str(name) not in self._types]
        attrs = {**self.dataset.attrs, **({_LEFT_OUT: missing} if missing else {})}
        return {path: attributes(each) for path, each in self._tree.attributes(attrs).items()}


def store(dataset: xr.Dataset, options: Options) -> Iterator[tuple[str, Callable[[], bytes | memoryview]]]:
    """A whole dataset as a Zarr 3 store: each key, and what gives its bytes.

    The documents come first. A chunk is read, or computed, when its bytes are asked for, and kept by nobody: a dataset
    of any size goes through in the memory of one chunk.

    Args:
        dataset: lazy or not; names with slashes are groups, so a whole shot goes as it is.
        options: how it is cut and packed.
    """
    hierarchy = Hierarchy(dataset, options)
    for key in hierarchy.every_key():
        yield key, _bytes(hierarchy, key)


def _bytes(hierarchy: Hierarchy, key: str) -> Callable[[], bytes | memoryview]:
    document = hierarchy.document(key)
    if document is not None:
        return lambda: document
    chunk = hierarchy.chunk(key)
    if chunk is None:
        raise KeyError(key)
    return chunk.encode
