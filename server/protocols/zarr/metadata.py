"""Metadata documents, by zarr-python.

An array's metadata is what zarr-python makes of an array that is created in memory, of which nothing is written. The
metadata of all that is in a group stands in the group's own document too (*consolidated*): a client opens a dataset
by one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import zarr
from zarr.codecs import BloscCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.group import ConsolidatedMetadata, GroupMetadata
from zarr.core.metadata import ArrayV2Metadata, ArrayV3Metadata
from zarr.storage import MemoryStore

from shotdap.server.protocols.zarr.attributes import DIMENSIONS, Json, fill_attribute
from shotdap.server.protocols.zarr.options import OLD, Compression, Version
from shotdap.server.protocols.zarr.types import TEXT, Array, Dtype

__all__ = ["ArrayMetadata", "Described", "array_metadata", "documents"]

ArrayMetadata: TypeAlias = ArrayV2Metadata | ArrayV3Metadata

_COMPRESSORS: Final[Mapping[tuple[Compression, Version], Any]] = MappingProxyType(
    {
        ("none", 2): None,
        ("none", 3): None,
        ("lz4", 2): {"id": "blosc", "cname": "lz4", "clevel": 1, "shuffle": 1, "blocksize": 0},
        ("lz4", 3): BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"),
        ("zstd", 2): {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 0},
        ("zstd", 3): BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
    }
)


@dataclass(frozen=True)
class Described:
    """All that is said of one array."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: Dtype
    dimensions: tuple[str, ...]
    attributes: Mapping[str, Json]
    fill: Array | None
    """The value that marks an element which is missing."""
    compression: Compression


def array_metadata(array: Described, version: Version) -> ArrayMetadata:
    """What Zarr says of an array."""
    is_old = version == OLD
    names: dict[str, Any] = {} if is_old else {"dimension_names": array.dimensions}
    written = {DIMENSIONS: list(array.dimensions)} if is_old else {}
    created = zarr.create_array(
        MemoryStore(),
        shape=array.shape,
        chunks=array.chunks,
        dtype=str if array.dtype == TEXT else array.dtype,
        compressors=_COMPRESSORS[array.compression, version],
        fill_value=_fill(array, version),
        attributes={**written, **array.attributes, **fill_attribute(array.fill, version)},
        zarr_format=version,
        **names,
    )
    return created.metadata


def _fill(array: Described, version: Version) -> Any:  # noqa: ANN401 — a number, a text, or nothing
    """The array's own fill value, which xarray masks by in version 2; version 3 has one for every array."""
    if array.fill is not None:
        return array.fill[()]
    if version == OLD:
        return None
    return "" if array.dtype == TEXT else array.dtype.type(0)


def documents(
    arrays: Mapping[str, ArrayMetadata], groups: Mapping[str, Mapping[str, Json]], version: Version
) -> dict[str, bytes]:
    """Every metadata document of a hierarchy, by its key.

    Args:
        arrays: by their paths.
        groups: the attributes of every group by its path, the root's under ``""``.
        version: of Zarr.
    """
    inside = {path: GroupMetadata(dict(each), version) for path, each in groups.items() if path}
    nodes: dict[str, Any] = {**arrays, **inside}
    made: dict[str, bytes] = {}
    for path, metadata in nodes.items():
        if path not in inside:
            made |= _written(path, metadata)
    for path, attributes in groups.items():
        below = {name[len(path) + 1 if path else 0 :]: each for name, each in nodes.items() if _is_below(name, path)}
        consolidated = ConsolidatedMetadata(below)
        made |= _written(path, GroupMetadata(dict(attributes), version, consolidated))
    return made


def _is_below(name: str, group: str) -> bool:
    return not group or name.startswith(f"{group}/")


def _written(path: str, metadata: ArrayMetadata | GroupMetadata) -> dict[str, bytes]:
    """The documents of one node."""
    buffers = metadata.to_buffer_dict(default_buffer_prototype())
    return {f"{path}/{name}" if path else name: buffer.to_bytes() for name, buffer in buffers.items()}
