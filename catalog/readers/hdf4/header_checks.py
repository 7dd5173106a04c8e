"""Checks that the headers of an HDF4 file agree with each other, before the library reads them.

The library trusts headers: if damage makes one contradict another, it writes beyond its buffers, frees memory twice or
divides by zero, and the process ends. So the relations that the HDF4 specification demands, and that the library relies
on, are verified here. That is no proof: read untrusted files in a separate process.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import TypeAlias

from shotdap.catalog.readers.hdf4.library import get_memory_dtype

_ElementKeys: TypeAlias = AbstractSet[tuple[int, int]]
"""The elements of a file, by tag and reference number."""

# Classes of the library's internal tables (Vdata): HDF_INTERNAL_VDS, vgp.c.
INTERNAL_CLASSES = (b"Attr0.0", b"DimVal0.", b"SDSVar", b"CoordVar", b"_HDF_CHK_TBL_", b"RIATTR0.0", b"UDim0.0")

_MAX_RANK = 32  # H4_MAX_VAR_DIMS, hlimits.h
_MAX_RASTER_HEADER_SIZE = 64  # bytes of the library's buffer: GRtbuf, mfgr.c
_TYPE_HEADER_SIZE = 4  # bytes: HDF4 Specification, "Number type"
_TYPE_TAG, _SHAPE_TAG = 106, 701  # NT, SDD; all tags: htags.h
_UNLIMITED_FLAG = 0x0100  # hchunks.h
_CHUNKING_HEADER = struct.Struct(">2x4xB4xIII8xI")  # version, length, chunk's size, number's size, rank
_CHUNKED_DIMENSION = struct.Struct(">III")  # flag, size, size of a chunk


def _is_valid_data_group(header: bytes, keys: _ElementKeys) -> bool:
    """Check a numeric data group, tags and references: the elements of the sizes and the type must exist."""
    members = list(struct.iter_unpack(">HH", header[: len(header) // 4 * 4]))
    required = [member for member in members if member[0] in (_TYPE_TAG, _SHAPE_TAG)]
    return any(tag == _SHAPE_TAG for tag, _ in required) and keys >= set(required)


def _is_valid_shape(header: bytes, keys: _ElementKeys) -> bool:
    """Check the sizes of an array: the rank, a size for each dimension, the type of the values and of each scale."""
    rank: int = struct.unpack_from(">H", header)[0]
    if rank > _MAX_RANK or len(header) < 2 + 4 * rank + 4 * (rank + 1):
        return False
    return struct.unpack_from(">HH", header, 2 + 4 * rank) in keys


def _is_valid_table(header: bytes, _keys: _ElementKeys) -> bool:
    """Check an internal table: each field has the size of its numbers, and a record the sum of its fields' sizes."""
    if not any(name in header for name in INTERNAL_CLASSES):
        return True
    record: int
    fields: int
    record, fields = struct.unpack_from(">HH", header, 6)
    numbers: tuple[int, ...] = struct.unpack_from(f">{4 * fields}H", header, 10)
    types, sizes, orders = numbers[:fields], numbers[fields : 2 * fields], numbers[3 * fields :]
    dtypes = [get_memory_dtype(number_type) for number_type in types]
    are_sizes_valid = all(
        dtype is None or size == dtype.itemsize * order
        for dtype, size, order in zip(dtypes, sizes, orders, strict=True)
    )
    return sum(sizes) == record and are_sizes_valid


def _is_valid_vgroup(header: bytes, _keys: _ElementKeys) -> bool:
    """Check a group: the number of members, their tags and references, and two texts, each after its length."""
    members: int = struct.unpack_from(">H", header)[0]
    end: int = 2 + 4 * members
    for _ in ("name", "class"):
        end += 2 + struct.unpack_from(">H", header, end)[0]
    return end <= len(header)


HEADER_CHECKS: Mapping[int, Callable[[bytes, _ElementKeys], bool]] = MappingProxyType({
    106: lambda header, _keys: len(header) == _TYPE_HEADER_SIZE,  # NT
    300: lambda header, _keys: len(header) <= _MAX_RASTER_HEADER_SIZE,  # ID
    307: lambda header, _keys: len(header) <= _MAX_RASTER_HEADER_SIZE,  # LD
    720: _is_valid_data_group,  # NDG
    701: _is_valid_shape,  # SDD
    1962: _is_valid_table,  # VH
    1965: _is_valid_vgroup,  # VG
})  # fmt: skip
"""The checks of elements, by their tags."""


def is_valid_chunking(header: bytes) -> bool:
    """Check the header of a chunked element for consistency: "Format of the special element header", hchunks.c."""
    _version, length, chunk_length, number_size, rank = _CHUNKING_HEADER.unpack_from(header)
    if not 0 < rank <= _MAX_RANK:
        return False
    dimensions = [_CHUNKED_DIMENSION.unpack_from(header, _CHUNKING_HEADER.size + 12 * axis) for axis in range(rank)]
    (fill_size,) = struct.unpack_from(">I", header, _CHUNKING_HEADER.size + 12 * rank)
    bounded = not any(flag & _UNLIMITED_FLAG for flag, _, _ in dimensions)
    return (
        fill_size == number_size
        and chunk_length == math.prod(chunk for _, _, chunk in dimensions) > 0
        and (not bounded or length == math.prod(size for _, size, _ in dimensions))
    )
