"""A dataset as a Zarr hierarchy, in both versions at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import ceil

import xarray as xr
from zarr.core.group import GroupMetadata

from shotdap.server.protocols.zarr.chunk import Chunk
from shotdap.server.protocols.zarr.json_attributes import Json, encode_attributes, split_fill_value
from shotdap.server.protocols.zarr.keys import (
    ARRAY_DOCUMENTS,
    DOCUMENT_VERSIONS,
    GROUP_DOCUMENTS,
    format_chunk_key,
    parse_chunk_key,
)
from shotdap.server.protocols.zarr.layout import compute_chunk_shape
from shotdap.server.protocols.zarr.metadata import (
    ArrayDescription,
    ArrayMetadata,
    build_array_metadata,
    build_group_metadata,
    serialize_metadata,
)
from shotdap.server.protocols.zarr.node_paths import GroupTree
from shotdap.server.protocols.zarr.options import V2, V3, ZarrOptions, ZarrVersion
from shotdap.server.protocols.zarr.stored_dtypes import Dtype, resolve_stored_dtype

_OMITTED_ATTRIBUTE = "zarr_left_out"
"""The attribute that names the variables which Zarr cannot hold."""


@dataclass(frozen=True, eq=False)  # two are the same only if they are one
class Hierarchy:
    """A dataset as Zarr has it. What is made of it once is kept; values are never."""

    dataset: xr.Dataset
    options: ZarrOptions
    _metadata_cache: dict[tuple[str, ZarrVersion], ArrayMetadata] = field(default_factory=dict, init=False, repr=False)
    _document_cache: dict[str, bytes] = field(default_factory=dict, init=False, repr=False)

    def get_document(self, key: str) -> bytes | None:
        """A metadata document; `None` if there is none with this key."""
        path, _, name = key.rpartition("/")
        version = DOCUMENT_VERSIONS.get(name)
        if version is None or name not in self._list_document_names(path, version):
            return None
        if key not in self._document_cache:
            metadata = (
                self._get_array_metadata(self._names_by_path[path], version)
                if path in self._names_by_path
                else self._build_group_metadata(path, version)
            )
            self._document_cache.update(
                {f"{path}/{each}".lstrip("/"): text for each, text in serialize_metadata(metadata).items()}
            )
        return self._document_cache[key]

    def get_chunk(self, key: str) -> Chunk | None:
        """The chunk with this key; `None` if there is no such array, or the key lies outside its grid."""
        for version, path, numbers in parse_chunk_key(key):
            name = self._names_by_path.get(path)
            if name is not None:
                return self._build_chunk(name, version, numbers)
        return None

    def iter_keys(self, version: ZarrVersion = V3) -> Iterator[str]:
        """Every key, those of documents first, the root's before all others."""
        for path in (*self._group_attributes, *self._names_by_path):
            yield from (f"{path}/{each}".lstrip("/") for each in self._list_document_names(path, version))
        for name, path in self._tree.variable_paths.items():
            for numbers in product(*map(range, self._count_chunks(name))):
                yield format_chunk_key(version, path, numbers)

    def _list_document_names(self, path: str, version: ZarrVersion) -> tuple[str, ...]:
        """The names of the documents at a path; none where there is nothing."""
        if path in self._names_by_path:
            return ARRAY_DOCUMENTS[version]
        return GROUP_DOCUMENTS[version] if path in self._group_attributes else ()

    def _build_chunk(self, name: str, version: ZarrVersion, numbers: tuple[int, ...]) -> Chunk | None:
        variable, chunks, counts = self._tree.variables[name], self._chunk_shapes[name], self._count_chunks(name)
        if version == V2 and not counts and numbers == (0,):  # where version 2 has what has no dimensions
            numbers = ()
        if len(numbers) != len(counts) or not all(
            0 <= each < count for each, count in zip(numbers, counts, strict=True)
        ):
            return None
        bounds = zip(numbers, chunks, variable.shape, strict=True)
        where = tuple(slice(number * length, min((number + 1) * length, size)) for number, length, size in bounds)
        is_packed = self.options.compression != "none"
        return Chunk(variable, where, chunks, self._dtypes[name], self._get_array_metadata(name, version), is_packed)

    def _count_chunks(self, name: str) -> tuple[int, ...]:
        """How many chunks there are along each dimension."""
        shape = self._tree.variables[name].shape
        return tuple(ceil(size / length) for size, length in zip(shape, self._chunk_shapes[name], strict=True))

    @cached_property
    def _dtypes(self) -> Mapping[str, Dtype]:
        """The types of the variables that Zarr can hold."""
        types = ((str(name), resolve_stored_dtype(variable.dtype)) for name, variable in self.dataset.variables.items())
        return {name: each for name, each in types if each is not None}

    @cached_property
    def _tree(self) -> GroupTree:
        return GroupTree({name: self.dataset.variables[name] for name in self._dtypes})

    @cached_property
    def _names_by_path(self) -> Mapping[str, str]:
        """The name in the dataset of the array at each path."""
        return {path: name for name, path in self._tree.variable_paths.items()}

    @cached_property
    def _chunk_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each variable's chunks."""
        types = self._dtypes.items()
        return {name: compute_chunk_shape(self.dataset.variables[name], each, self.options) for name, each in types}

    def _get_array_metadata(self, name: str, version: ZarrVersion) -> ArrayMetadata:
        made = self._metadata_cache.get((name, version))
        if made is None:
            made = self._metadata_cache[name, version] = build_array_metadata(self._describe_array(name), version)
        return made

    def _describe_array(self, name: str) -> ArrayDescription:
        variable, dtype = self._tree.variables[name], self._dtypes[name]
        fill, others = split_fill_value(variable.attrs, dtype)
        renamed = {"original_name": name} if self._tree.variable_paths[name] != name else {}
        return ArrayDescription(
            shape=variable.shape,
            chunks=self._chunk_shapes[name],
            dtype=dtype,
            dimensions=tuple(self._tree.dimension_names[str(dimension)] for dimension in variable.dims),
            attributes=encode_attributes({**renamed, **others}),
            fill_value=fill,
            compression=self.options.compression,
        )

    def _build_group_metadata(self, path: str, version: ZarrVersion) -> GroupMetadata:
        variables, groups = self._tree.descendants[path]
        arrays = {each: self._get_array_metadata(self._names_by_path[each], version) for each in variables}
        return build_group_metadata(
            path, arrays, {each: self._group_attributes[each] for each in (path, *groups)}, version
        )

    @cached_property
    def _group_attributes(self) -> Mapping[str, Mapping[str, Json]]:
        """The attributes of every group."""
        missing = [str(name) for name in self.dataset.variables if str(name) not in self._dtypes]
        attrs = {**self.dataset.attrs, **({_OMITTED_ATTRIBUTE: missing} if missing else {})}
        return {path: encode_attributes(each) for path, each in self._tree.split_attributes_by_group(attrs).items()}


def iter_store_entries(
    dataset: xr.Dataset, options: ZarrOptions
) -> Iterator[tuple[str, Callable[[], bytes | memoryview]]]:
    """A whole dataset as a Zarr 3 store: each key, and what gives its bytes.

    The documents come first. A chunk is read, or computed, when its bytes are asked for, and kept by nobody: a dataset
    of any size goes through in the memory of one chunk.

    Args:
        dataset: lazy or not; names with slashes are groups, so a whole shot goes as it is.
        options: how it is cut and packed.
    """
    hierarchy = Hierarchy(dataset, options)
    for key in hierarchy.iter_keys():
        yield key, _resolve_encoder(hierarchy, key)


def _resolve_encoder(hierarchy: Hierarchy, key: str) -> Callable[[], bytes | memoryview]:
    document = hierarchy.get_document(key)
    if document is not None:
        return lambda: document
    chunk = hierarchy.get_chunk(key)
    if chunk is None:
        raise KeyError(key)
    return chunk.encode
