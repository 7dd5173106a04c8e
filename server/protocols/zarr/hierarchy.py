"""A dataset as a Zarr hierarchy, in both versions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import product
from math import ceil

import xarray as xr

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
"""Attribute that lists the variables which Zarr cannot hold."""


@dataclass(frozen=True, eq=False)  # compared by identity
class Hierarchy:
    """A dataset in Zarr's terms. It caches documents and metadata, but no values."""

    dataset: xr.Dataset
    options: ZarrOptions
    _metadata_cache: dict[tuple[str, ZarrVersion], ArrayMetadata] = field(default_factory=dict, init=False, repr=False)
    _document_cache: dict[str, bytes] = field(default_factory=dict, init=False, repr=False)

    def get_document(self, key: str) -> bytes | None:
        """Return a metadata document; `None` if there is none with this key."""
        path, _, name = key.rpartition("/")
        version = DOCUMENT_VERSIONS.get(name)
        if version is None or name not in self._list_document_names(path, version):
            return None
        if key not in self._document_cache:
            if path in self._names_by_path:
                metadata = self._get_array_metadata(self._names_by_path[path], version)
            else:
                variables, groups = self._tree.descendants[path]
                arrays = {each: self._get_array_metadata(self._names_by_path[each], version) for each in variables}
                attributes = {each: self._group_attributes[each] for each in (path, *groups)}
                metadata = build_group_metadata(path, arrays, attributes, version)
            for each, document in serialize_metadata(metadata).items():
                self._document_cache[f"{path}/{each}".lstrip("/")] = document
        return self._document_cache[key]

    def get_chunk(self, key: str) -> Chunk | None:
        """Return the chunk with this key; `None` if there is no such array, or the key is outside its grid."""
        for version, path, numbers in parse_chunk_key(key):
            name = self._names_by_path.get(path)
            if name is None:
                continue
            variable, shape, counts = self._tree.variables[name], self._chunk_shapes[name], self._count_chunks(name)
            # The chunk of an array without dimensions has a number in version 2.
            position = () if version == V2 and not counts and numbers == (0,) else numbers
            if len(position) != len(counts) or any(map(operator.ge, position, counts)):
                return None
            bounds = zip(position, shape, variable.shape, strict=True)
            region = tuple(slice(number * length, min((number + 1) * length, size)) for number, length, size in bounds)
            metadata, is_compressed = self._get_array_metadata(name, version), self.options.compression != "none"
            return Chunk(variable, region, shape, self._dtypes[name], metadata, is_compressed)
        return None

    def iter_keys(self, version: ZarrVersion = V3) -> Iterator[str]:
        """Yield every key: first those of documents, and of these first the ones of the root."""
        for path in (*self._group_attributes, *self._names_by_path):
            yield from (f"{path}/{each}".lstrip("/") for each in self._list_document_names(path, version))
        for name, path in self._tree.variable_paths.items():
            for numbers in product(*map(range, self._count_chunks(name))):
                yield format_chunk_key(version, path, numbers)

    def _list_document_names(self, path: str, version: ZarrVersion) -> tuple[str, ...]:
        """Return the names of the documents at a path; none if there is no node."""
        if path in self._names_by_path:
            return ARRAY_DOCUMENTS[version]
        return GROUP_DOCUMENTS[version] if path in self._group_attributes else ()

    def _count_chunks(self, name: str) -> tuple[int, ...]:
        """Return the number of chunks along each dimension."""
        shape = self._tree.variables[name].shape
        return tuple(ceil(size / length) for size, length in zip(shape, self._chunk_shapes[name], strict=True))

    @cached_property
    def _dtypes(self) -> Mapping[str, Dtype]:
        """The types of the variables that Zarr can hold."""
        dtypes = ((str(name), resolve_stored_dtype(each.dtype)) for name, each in self.dataset.variables.items())
        return {name: dtype for name, dtype in dtypes if dtype is not None}

    @cached_property
    def _tree(self) -> GroupTree:
        return GroupTree({name: self.dataset.variables[name] for name in self._dtypes})

    @cached_property
    def _names_by_path(self) -> Mapping[str, str]:
        """The name of each array in the dataset, by its path."""
        return {path: name for name, path in self._tree.variable_paths.items()}

    @cached_property
    def _chunk_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of the chunks of each variable."""
        variables = self.dataset.variables
        return {name: compute_chunk_shape(variables[name], dtype, self.options) for name, dtype in self._dtypes.items()}

    def _get_array_metadata(self, name: str, version: ZarrVersion) -> ArrayMetadata:
        if (name, version) not in self._metadata_cache:
            variable, dtype = self._tree.variables[name], self._dtypes[name]
            fill, others = split_fill_value(variable.attrs, dtype)
            renamed = {"original_name": name} if self._tree.variable_paths[name] != name else {}
            description = ArrayDescription(
                shape=variable.shape,
                chunks=self._chunk_shapes[name],
                dtype=dtype,
                dimensions=tuple(self._tree.dimension_names[str(dimension)] for dimension in variable.dims),
                attributes=encode_attributes({**renamed, **others}),
                fill_value=fill,
                compression=self.options.compression,
            )
            self._metadata_cache[name, version] = build_array_metadata(description, version)
        return self._metadata_cache[name, version]

    @cached_property
    def _group_attributes(self) -> Mapping[str, Mapping[str, Json]]:
        """The attributes of every group."""
        omitted = [str(name) for name in self.dataset.variables if str(name) not in self._dtypes]
        attrs = {**self.dataset.attrs, **({_OMITTED_ATTRIBUTE: omitted} if omitted else {})}
        return {path: encode_attributes(each) for path, each in self._tree.split_attributes_by_group(attrs).items()}


def iter_store_entries(
    dataset: xr.Dataset, options: ZarrOptions
) -> Iterator[tuple[str, Callable[[], bytes | memoryview]]]:
    """Yield a whole dataset as a Zarr 3 store: each key, and a function that returns its bytes.

    Documents precede chunks. The function of a chunk reads or computes its values, which are not kept: a dataset of any
    size needs the memory of one chunk.

    Args:
        dataset: lazy or not; names with slashes are groups, so a whole shot is possible, too.
        options: chunking and compression.
    """
    hierarchy = Hierarchy(dataset, options)
    for key in hierarchy.iter_keys():
        document, chunk = hierarchy.get_document(key), hierarchy.get_chunk(key)
        if document is not None:
            yield key, partial(bytes, document)
        elif chunk is not None:
            yield key, chunk.encode
        else:  # readers would take a missing chunk for fill values
            raise KeyError(key)
