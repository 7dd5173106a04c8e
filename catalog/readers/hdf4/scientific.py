"""Scientific data sets (SDS): their headers, and the fastest source for the values of each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.readers.attributes import Attribute, decode_text, decode_unique_names, normalize_attributes
from shotdap.catalog.readers.hdf4 import library
from shotdap.catalog.readers.hdf4.contents import Hdf4Array, OmittedArray
from shotdap.catalog.readers.hdf4.data_descriptors import FileDirectory
from shotdap.catalog.readers.hdf4.value_sources import DECODERS, ByteRanges, EncodedSdsSource, Hdf4File, SdsSource
from shotdap.catalog.readers.lazy import ArraySource, ChunkSource
from shotdap.catalog.readers.shared_sources import (
    CHARACTER_CODES_NOTE,
    ENCODING_ATTRIBUTE,
    decode_characters,
    is_text_source,
    make_contiguous_source,
)
from shotdap.transforms import Memo
from shotdap.transforms.decoding import HDF4_OFFSET

_FAKE_DIMENSION_PATTERN = re.compile(r"fakeDim\d+")
_CALIBRATION_ATTRIBUTES = frozenset(
    {"scale_factor", "scale_factor_err", "add_offset", "add_offset_err", "calibrated_nt"}
)
_MAX_ARRAY_SIZE = 1 << 40
_MAX_CHUNK_SIZE = 1 << 30
"""Bytes that one compressed chunk may decode to, or that may be fill values: a file that claims more is a decompression
bomb, or damaged."""
_MAX_CHUNKS = (1 << 16) - 1
"""No file has more chunks: the reference number of a chunk is two bytes, and not 0. An array that claims more is mostly
fill values."""
_MAX_UNMERGED_CHUNKS = 256
_OPEN_COST = 512
"""When the library opens a file, each chunk costs as much time as decoding this number of bytes."""
_MAX_BLOCK_SIZE = 4 << 20
"""Maximum size in bytes of a block of merged chunks."""


@dataclass(frozen=True)
class _SdsDescription:
    """The header of one SDS."""

    index: int
    name: str
    shape: tuple[int, ...]
    number_type: int
    dimensions: tuple[str, ...]
    is_coordinate: bool
    has_scale: bool
    coder: int
    chunk_shape: tuple[int, ...] | None
    byte_ranges: ByteRanges
    """Byte ranges of the values, if they are not chunked."""
    chunk_ranges: Sequence[ByteRanges]
    """Byte ranges of the chunks, in C order; empty if the library reads them."""
    attributes: Mapping[str, Attribute]

    @property
    def is_unscaled_dimension(self) -> bool:
        """True for a dimension without a scale."""
        return self.is_coordinate and not self.has_scale

    @property
    def is_empty(self) -> bool:
        """True if no value was ever written: the library returns fill values."""
        return not self.chunk_shape and not self.byte_ranges and math.prod(self.shape) > 0

    @property
    def unsupported_reason(self) -> str:
        """The reason why it cannot be read; empty if it can."""
        dtype = library.get_memory_dtype(self.number_type)
        if dtype is None:
            return f"its HDF4 number type {self.number_type} is not known"
        if self.coder == library.SZIP and not library.can_decode_szip():
            return "it is compressed by szip, which the HDF4 library at hand lacks"
        plain = sum(length for _, length in self.byte_ranges) if self.coder == library.NO_COMPRESSION else 0
        if math.prod(self.chunk_shape or self.shape) * dtype.itemsize - plain > _MAX_CHUNK_SIZE:
            return f"a piece of it would decode to more than {_MAX_CHUNK_SIZE >> 20} MiB"
        return ""


def find_scientific_arrays(
    file: Hdf4File, directory: FileDirectory, memo: Memo
) -> tuple[list[Hdf4Array], list[OmittedArray], dict[str, Any]]:
    """Return a file's SDS, the unsupported SDS, and the file's raw attributes.

    Raises:
        Unreadable: the file is damaged.
    """
    with file.open_scientific_data() as library_file:
        count, attribute_count = library.count_scientific_data(library_file)
        attributes = decode_attribute_names(library.read_attributes(library_file, attribute_count))
        headers = [_read_description(library_file, index, directory) for index in range(count)]
    of_dimensions = {header.name: header.attributes for header in headers if header.is_unscaled_dimension}
    headers = [header for header in headers if not header.is_unscaled_dimension]
    # Invented names of dimensions become the array's and the axis' if the dimension has a scale, else empty.
    is_invented = _FAKE_DIMENSION_PATTERN.fullmatch
    scaled = {header.name for header in headers if header.is_coordinate and is_invented(header.name)}
    names: dict[str, str] = {}
    for header in headers:
        for axis, name in enumerate(header.dimensions):
            if is_invented(name) and header.name != name:
                names.setdefault(name, f"{header.name}_{axis}" if name in scaled else "")
    return (
        [_build_array(file, header, names, of_dimensions, memo) for header in headers if not header.unsupported_reason],
        [OmittedArray(header.name, header.unsupported_reason) for header in headers if header.unsupported_reason],
        attributes,
    )


def decode_attribute_names(raw: Mapping[bytes, Any]) -> dict[str, Any]:
    """Return attributes by their names as text."""
    return dict(zip(decode_unique_names(raw), raw.values(), strict=True))


def merge_annotations(raw: Mapping[bytes, Any], reference: int, directory: FileDirectory) -> dict[str, Attribute]:
    """Return the normalized attributes of an object, and each annotation that has no attribute of its name."""
    return normalize_attributes({**directory.object_annotations.get(reference, {}), **decode_attribute_names(raw)})


def _convert_calibration(attributes: dict[str, Attribute]) -> dict[str, Attribute]:
    """Convert HDF4's calibration of an array, if it has one, to a packing in CF's terms.

    ``SDsetcal`` writes five attributes; two have CF's names and another formula: value = scale_factor * (stored -
    add_offset). Every client reads them as CF's, so ``add_offset`` becomes -scale_factor * add_offset; `HDF4_OFFSET`
    keeps the original. Unless all five exist, the writer chose the attributes, and they are CF's.
    """
    scale, offset = attributes.get("scale_factor"), attributes.get("add_offset")
    if not (
        attributes.keys() >= _CALIBRATION_ATTRIBUTES
        and isinstance(scale, np.floating)
        and isinstance(offset, np.floating)
    ):
        return attributes
    return {**attributes, "add_offset": np.float64(0.0 - scale * offset), HDF4_OFFSET: offset}


def _read_description(library_file: int, index: int, directory: FileDirectory) -> _SdsDescription:
    with library.select_sds(library_file, index) as sds:
        header = library.read_sds_header(sds)
        dtype = library.get_memory_dtype(header.number_type)
        if math.prod(header.shape) * (dtype.itemsize if dtype else 1) > _MAX_ARRAY_SIZE:
            raise Unreadable("The HDF4 file is damaged: it claims an array that no disk could hold.")
        dimensions = [library.get_dimension(sds, axis) for axis in range(len(header.shape))]
        chunk, coder = library.get_chunk_shape(sds, len(header.shape)), library.get_compression(sds)
        chunk_ranges: Sequence[ByteRanges] = ()
        if chunk and coder in DECODERS:  # located now, while the file is open
            grid = [-(-size // max(1, length)) for size, length in zip(header.shape, chunk, strict=True)]
            if math.prod(grid) <= _MAX_CHUNKS:
                chunk_ranges = [library.get_byte_ranges(sds, position) for position in product(*map(range, grid))]
        raw_attributes = library.read_attributes(sds, header.attribute_count)
        return _SdsDescription(
            index=index,
            name=decode_text(header.name),
            shape=header.shape,
            number_type=header.number_type,
            dimensions=tuple(decode_text(name) for name, _ in dimensions),
            is_coordinate=library.is_coordinate(sds),
            has_scale=any(has_scale for _, has_scale in dimensions),
            coder=coder,
            chunk_shape=chunk,
            byte_ranges=() if chunk else library.get_byte_ranges(sds),
            chunk_ranges=chunk_ranges,
            attributes=_convert_calibration(merge_annotations(raw_attributes, library.get_reference(sds), directory)),
        )


def _build_array(
    file: Hdf4File,
    header: _SdsDescription,
    names: Mapping[str, str],
    dimension_attributes: Mapping[str, Mapping[str, Attribute]],
    memo: Memo,
) -> Hdf4Array:
    source = _make_source(file, header, memo)
    attributes = dict(header.attributes)
    if header.is_empty:
        attributes["never_written"] = np.int8(1)
    if source.dtype.kind == "S":
        source = decode_characters(source, str(attributes.get(ENCODING_ATTRIBUTE, "")))
        if is_text_source(source):
            attributes.pop(ENCODING_ATTRIBUTE, None)  # of the bytes in the file, now decoded
        else:
            attributes.setdefault("note", CHARACTER_CODES_NOTE)
    rank = len(source.shape)
    return Hdf4Array(
        names.get(header.name, header.name),
        tuple(names.get(name, name) for name in header.dimensions[:rank]),
        source,
        attributes,
        tuple(dimension_attributes.get(name, {}) for name in header.dimensions[:rank]),
    )


def _make_source(file: Hdf4File, header: _SdsDescription, memo: Memo) -> ArraySource:
    """Return the fastest source of an array's values; see `value_sources`."""
    stored = library.get_stored_dtype(header.number_type)
    library_source = SdsSource(file, header.index, header.shape, stored.newbyteorder("="))
    if header.coder == library.NO_COMPRESSION and not header.chunk_shape:
        match header.byte_ranges:
            case [(offset, length)] if length == math.prod(header.shape) * stored.itemsize:
                return make_contiguous_source(file.path, offset, header.shape, stored)
        return library_source
    chunk = header.chunk_shape or header.shape
    ranges = header.chunk_ranges if header.chunk_shape else [header.byte_ranges]
    is_decoded_here = header.coder in DECODERS and bool(ranges) and bool(chunk)
    source = (
        EncodedSdsSource(library_source, stored, header.coder, chunk, ranges) if is_decoded_here else library_source
    )
    # Many small chunks are merged to blocks, along the last dimensions first: the file is opened for each block, which
    # takes the library longer the more chunks there are. Few chunks are decoded one by one: then damage in one of them
    # does not affect the others.
    grid = [-(-size // max(1, length)) for size, length in zip(header.shape, chunk, strict=True)]
    block = list(chunk)
    number = math.prod(grid)
    block_length = min(_OPEN_COST * number, _MAX_BLOCK_SIZE) // stored.itemsize if number > _MAX_UNMERGED_CHUNKS else 0
    for axis, count in reversed(list(enumerate(grid))):
        block[axis] *= max(1, min(count, block_length // max(1, math.prod(block))))
    return ChunkSource(source, f"sds {header.index}", tuple(block), memo)
