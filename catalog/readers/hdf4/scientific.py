"""Scientific data sets (SDS): what the file says of them, and which way their values are best read."""

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
from shotdap.catalog.readers.hdf4.data_descriptors import Directory
from shotdap.catalog.readers.hdf4.value_sources import DECODERS, ByteRanges, EncodedSdsSource, Hdf4File, SdsSource
from shotdap.catalog.readers.lazy import ArraySource, ChunkSource, Memo
from shotdap.catalog.readers.shared_sources import (
    CHARACTER_CODES_NOTE,
    ENCODING_ATTRIBUTE,
    decode_characters,
    is_text_source,
    make_contiguous_source,
)
from shotdap.transforms.decoding import HDF4_OFFSET

_FAKE_DIMENSION_PATTERN = re.compile(r"fakeDim\d+")
_CALIBRATION_ATTRIBUTES = frozenset(
    {"scale_factor", "scale_factor_err", "add_offset", "add_offset_err", "calibrated_nt"}
)
_MAX_ARRAY_SIZE = 1 << 40
_MAX_CHUNK_SIZE = 1 << 30
"""Bytes that one compressed piece may decode to, or that may be made up of fill values: what claims more is a
decompression bomb, or damaged."""
_MAX_CHUNKS = (1 << 16) - 1
"""No file has more: a chunk's reference number is two bytes, and not 0. What claims more is mostly fill values."""
_MAX_UNMERGED_CHUNKS = 256
_OPEN_COST = 512
"""For each of its chunks, opening a file takes the library as long as decoding so many bytes."""
_MAX_BLOCK_SIZE = 4 << 20
"""Bytes; more than that no chunks are put together for."""


@dataclass(frozen=True)
class _SdsDescription:
    """What a file says of one SDS."""

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
    """Where the values are, if they are not chunked."""
    chunk_ranges: Sequence[ByteRanges]
    """Where the chunks are, those of the last dimension side by side; empty where nobody has looked."""
    attributes: Mapping[str, Attribute]

    @property
    def is_unscaled_dimension(self) -> bool:
        """Whether it stands for a dimension that nobody scaled."""
        return self.is_coordinate and not self.has_scale

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever written into it: the library makes numbers up."""
        return not self.chunk_shape and not self.byte_ranges and math.prod(self.shape) > 0

    @property
    def unsupported_reason(self) -> str:
        """Why it cannot be read; empty where it can."""
        dtype = library.get_memory_dtype(self.number_type)
        if dtype is None:
            return f"its HDF4 number type {self.number_type} is not known"
        if self.coder == library.SZIP and not library.can_decode_szip():
            return "it is compressed by szip, which the HDF4 library at hand lacks"
        if math.prod(self.chunk_shape or self.shape) * dtype.itemsize - self._plain_bytes > _MAX_CHUNK_SIZE:
            return f"a piece of it would decode to more than {_MAX_CHUNK_SIZE >> 20} MiB"
        return ""

    @property
    def _plain_bytes(self) -> int:
        """How many bytes are in the file as they are."""
        return sum(length for _, length in self.byte_ranges) if self.coder == library.NO_COMPRESSION else 0


def find_scientific_arrays(
    file: Hdf4File, listed: Directory, memo: Memo
) -> tuple[list[Hdf4Array], list[OmittedArray], dict[str, Any]]:
    """A file's SDS, those that cannot be read, and the file's attributes, not cleaned.

    Raises:
        Unreadable: the file is damaged.
    """
    with file.open_scientific_data() as opened:
        count, attribute_count = library.count_scientific_data(opened)
        attributes = decode_attribute_names(library.read_attributes(opened, attribute_count))
        headers = [_read_description(opened, index, listed) for index in range(count)]
    wanted = [header for header in headers if not header.is_unscaled_dimension]
    notes = {header.name: header.attributes for header in headers if header.is_unscaled_dimension}
    names = _name_dimensions(wanted)
    return (
        [_build_array(file, header, names, notes, memo) for header in wanted if not header.unsupported_reason],
        [OmittedArray(header.name, header.unsupported_reason) for header in wanted if header.unsupported_reason],
        attributes,
    )


def decode_attribute_names(raw: Mapping[bytes, Any]) -> dict[str, Any]:
    """Attributes by their names as text."""
    return dict(zip(decode_unique_names(raw), raw.values(), strict=True))


def merge_annotations(raw: Mapping[bytes, Any], reference: int, listed: Directory) -> dict[str, Attribute]:
    """The attributes of an object, and its annotations where it has no attribute of that name."""
    return normalize_attributes({**listed.object_annotations.get(reference, {}), **decode_attribute_names(raw)})


def convert_calibration(attributes: dict[str, Attribute]) -> dict[str, Attribute]:
    """Return an array's attributes with HDF4's calibration, if it has one, stated as CF states a packing.

    ``SDsetcal`` writes five attributes, two of which have CF's names and another formula: value = scale_factor *
    (stored - add_offset). Every client reads them as CF's, so ``add_offset`` becomes -scale_factor * add_offset; the
    original is kept as `HDF4_OFFSET`. Without all five, the attributes are the writer's own, and CF's.
    """
    scale, offset = attributes.get("scale_factor"), attributes.get("add_offset")
    if not (
        attributes.keys() >= _CALIBRATION_ATTRIBUTES
        and isinstance(scale, np.floating)
        and isinstance(offset, np.floating)
    ):
        return attributes
    return {**attributes, "add_offset": np.float64(0.0 - scale * offset), HDF4_OFFSET: offset}


def _read_description(opened: int, index: int, listed: Directory) -> _SdsDescription:
    with library.select_sds(opened, index) as sds:
        said = library.read_sds_header(sds)
        dtype = library.get_memory_dtype(said.number_type)
        if math.prod(said.shape) * (dtype.itemsize if dtype else 1) > _MAX_ARRAY_SIZE:
            raise Unreadable("The HDF4 file is damaged: it claims an array that no disk could hold.")
        dimensions = [library.get_dimension(sds, axis) for axis in range(len(said.shape))]
        chunk, coder = library.get_chunk_shape(sds, len(said.shape)), library.get_compression(sds)
        return _SdsDescription(
            index=index,
            name=decode_text(said.name),
            shape=said.shape,
            number_type=said.number_type,
            dimensions=tuple(decode_text(name) for name, _ in dimensions),
            is_coordinate=library.is_coordinate(sds),
            has_scale=any(has_scale for _, has_scale in dimensions),
            coder=coder,
            chunk_shape=chunk,
            byte_ranges=() if chunk else library.get_byte_ranges(sds),
            chunk_ranges=_locate_chunks(sds, said.shape, chunk, coder) if chunk else (),
            attributes=convert_calibration(
                merge_annotations(
                    library.read_attributes(sds, said.attribute_count), library.get_reference(sds), listed
                )
            ),
        )


def _locate_chunks(sds: int, shape: Sequence[int], chunk: Sequence[int], coder: int) -> Sequence[ByteRanges]:
    """Where the chunks of an SDS are, if they are decoded here: asked once, while the file is open."""
    grid = _compute_chunk_grid(shape, chunk)
    if coder not in DECODERS or math.prod(grid) > _MAX_CHUNKS:
        return ()
    return [library.get_byte_ranges(sds, place) for place in product(*map(range, grid))]


def _compute_chunk_grid(shape: Sequence[int], chunk: Sequence[int]) -> list[int]:
    """How many chunks there are along each dimension."""
    return [-(-size // max(1, length)) for size, length in zip(shape, chunk, strict=True)]


def _name_dimensions(headers: Sequence[_SdsDescription]) -> dict[str, str]:
    """For each name that the library made up, ours: that of the array and the axis, if there is a scale to carry it."""
    scaled = {
        header.name for header in headers if header.is_coordinate and _FAKE_DIMENSION_PATTERN.fullmatch(header.name)
    }
    names: dict[str, str] = {}
    for header in headers:
        for axis, name in enumerate(header.dimensions):
            if _FAKE_DIMENSION_PATTERN.fullmatch(name) and header.name != name:
                names.setdefault(name, f"{header.name}_{axis}" if name in scaled else "")
    return names


def _build_array(
    file: Hdf4File,
    header: _SdsDescription,
    names: Mapping[str, str],
    notes: Mapping[str, Mapping[str, Attribute]],
    memo: Memo,
) -> Hdf4Array:
    source = _make_source(file, header, memo)
    attributes = dict(header.attributes)
    if header.is_empty:
        attributes["never_written"] = np.int8(1)
    if source.dtype.kind == "S":
        source = decode_characters(source, str(attributes.get(ENCODING_ATTRIBUTE, "")))
        if is_text_source(source):
            attributes.pop(ENCODING_ATTRIBUTE, None)  # it was of the bytes
        else:
            attributes.setdefault("note", CHARACTER_CODES_NOTE)
    rank = len(source.shape)
    return Hdf4Array(
        names.get(header.name, header.name),
        tuple(names.get(name, name) for name in header.dimensions[:rank]),
        source,
        attributes,
        tuple(notes.get(name, {}) for name in header.dimensions[:rank]),
    )


def _make_source(file: Hdf4File, header: _SdsDescription, memo: Memo) -> ArraySource:
    stored = library.get_stored_dtype(header.number_type)
    plain = SdsSource(file, header.index, header.shape, stored.newbyteorder("="))
    if header.coder == library.NO_COMPRESSION and not header.chunk_shape:
        return _make_uncompressed_source(plain, header, stored)
    name, chunk = f"sds {header.index}", header.chunk_shape or header.shape
    places = header.chunk_ranges if header.chunk_shape else [header.byte_ranges]
    is_packed = header.coder in DECODERS and bool(places) and bool(chunk)
    source = EncodedSdsSource(plain, stored, header.coder, chunk, places) if is_packed else plain
    return ChunkSource(source, name, _compute_block_shape(header.shape, chunk, stored.itemsize), memo)


def _compute_block_shape(shape: Sequence[int], chunk: Sequence[int], size: int) -> tuple[int, ...]:
    """Put small chunks together, along the last dimensions first, where there are many.

    The file is opened for each block, which takes the library the longer, the more chunks there are. Few are decoded
    one by one: what is damaged in one of them then spoils no other.
    """
    grid, block = _compute_chunk_grid(shape, chunk), list(chunk)
    number = math.prod(grid)
    values = min(_OPEN_COST * number, _MAX_BLOCK_SIZE) // size if number > _MAX_UNMERGED_CHUNKS else 0
    for axis, count in reversed(list(enumerate(grid))):
        block[axis] *= max(1, min(count, values // max(1, math.prod(block))))
    return tuple(block)


def _make_uncompressed_source(plain: SdsSource, header: _SdsDescription, stored: np.dtype[Any]) -> ArraySource:
    match header.byte_ranges:
        case [(offset, length)] if length == math.prod(header.shape) * stored.itemsize:
            return make_contiguous_source(plain.file.path, offset, header.shape, stored)
    return plain
