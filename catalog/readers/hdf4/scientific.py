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
from shotdap.catalog.readers.attributes import Attribute, clean, decoded, distinct
from shotdap.catalog.readers.hdf4 import library
from shotdap.catalog.readers.hdf4.contents import Found, Omitted
from shotdap.catalog.readers.hdf4.data_descriptors import Directory
from shotdap.catalog.readers.hdf4.value_sources import DECODERS, File, Packed, Pieces, Scientific
from shotdap.catalog.readers.lazy import Chunks, Remember, Source
from shotdap.catalog.readers.shared_sources import CODES, ENCODING, characters, dense, is_text
from shotdap.transforms.decoding import HDF4_OFFSET

__all__ = ["described", "named", "scientific_arrays"]

_MADE_UP = re.compile(r"fakeDim\d+")
_CALIBRATION = frozenset({"scale_factor", "scale_factor_err", "add_offset", "add_offset_err", "calibrated_nt"})
_LARGEST_ARRAY = 1 << 40
_LARGEST_CHUNK = 1 << 30
"""Bytes that one compressed piece may decode to, or that may be made up of fill values: what claims more is a
decompression bomb, or damaged."""
_MOST_CHUNKS = (1 << 16) - 1
"""No file has more: a chunk's reference number is two bytes, and not 0. What claims more is mostly fill values."""
_FEW_CHUNKS = 256
_OPENING = 512
"""For each of its chunks, opening a file takes the library as long as decoding so many bytes."""
_LARGEST_BLOCK = 4 << 20
"""Bytes; more than that no chunks are put together for."""


@dataclass(frozen=True)
class _Header:
    """What a file says of one SDS."""

    index: int
    name: str
    shape: tuple[int, ...]
    number_type: int
    dimensions: tuple[str, ...]
    is_coordinate: bool
    has_scale: bool
    coder: int
    chunk: tuple[int, ...] | None
    pieces: Pieces
    """Where the values are, if they are not chunked."""
    chunks: Sequence[Pieces]
    """Where the chunks are, those of the last dimension side by side; empty where nobody has looked."""
    attributes: Mapping[str, Attribute]

    @property
    def is_invented(self) -> bool:
        """Whether it stands for a dimension that nobody scaled."""
        return self.is_coordinate and not self.has_scale

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever written into it: the library makes numbers up."""
        return not self.chunk and not self.pieces and math.prod(self.shape) > 0

    @property
    def obstacle(self) -> str:
        """Why it cannot be read; empty where it can."""
        dtype = library.memory_type(self.number_type)
        if dtype is None:
            return f"its HDF4 number type {self.number_type} is not known"
        if self.coder == library.SZIP and not library.decodes_szip():
            return "it is compressed by szip, which the HDF4 library at hand lacks"
        if math.prod(self.chunk or self.shape) * dtype.itemsize - self._plain_bytes > _LARGEST_CHUNK:
            return f"a piece of it would decode to more than {_LARGEST_CHUNK >> 20} MiB"
        return ""

    @property
    def _plain_bytes(self) -> int:
        """How many bytes are in the file as they are."""
        return sum(length for _, length in self.pieces) if self.coder == library.NO_COMPRESSION else 0


def scientific_arrays(
    file: File, listed: Directory, remember: Remember
) -> tuple[list[Found], list[Omitted], dict[str, Any]]:
    """A file's SDS, those that cannot be read, and the file's attributes, not cleaned.

    Raises:
        Unreadable: the file is damaged.
    """
    with file.scientific() as opened:
        count, attribute_count = library.scientific_contents(opened)
        attributes = named(library.attributes(opened, attribute_count))
        headers = [_header(opened, index, listed) for index in range(count)]
    wanted = [header for header in headers if not header.is_invented]
    notes = {header.name: header.attributes for header in headers if header.is_invented}
    names = _dimension_names(wanted)
    return (
        [_found(file, header, names, notes, remember) for header in wanted if not header.obstacle],
        [Omitted(header.name, header.obstacle) for header in wanted if header.obstacle],
        attributes,
    )


def named(raw: Mapping[bytes, Any]) -> dict[str, Any]:
    """Attributes by their names as text."""
    return dict(zip(distinct(raw), raw.values(), strict=True))


def described(raw: Mapping[bytes, Any], reference: int, listed: Directory) -> dict[str, Attribute]:
    """The attributes of an object, and its annotations where it has no attribute of that name."""
    return clean({**listed.annotations.get(reference, {}), **named(raw)})


def convert_calibration(attributes: dict[str, Attribute]) -> dict[str, Attribute]:
    """Return an array's attributes with HDF4's calibration, if it has one, stated as CF states a packing.

    ``SDsetcal`` writes five attributes, two of which have CF's names and another formula: value = scale_factor *
    (stored - add_offset). Every client reads them as CF's, so ``add_offset`` becomes -scale_factor * add_offset; the
    original is kept as `HDF4_OFFSET`. Without all five, the attributes are the writer's own, and CF's.
    """
    scale, offset = attributes.get("scale_factor"), attributes.get("add_offset")
    if not (attributes.keys() >= _CALIBRATION and isinstance(scale, np.floating) and isinstance(offset, np.floating)):
        return attributes
    return {**attributes, "add_offset": np.float64(0.0 - scale * offset), HDF4_OFFSET: offset}


def _header(opened: int, index: int, listed: Directory) -> _Header:
    with library.selected(opened, index) as sds:
        said = library.scientific_data(sds)
        dtype = library.memory_type(said.number_type)
        if math.prod(said.shape) * (dtype.itemsize if dtype else 1) > _LARGEST_ARRAY:
            raise Unreadable("The HDF4 file is damaged: it claims an array that no disk could hold.")
        dimensions = [library.dimension(sds, axis) for axis in range(len(said.shape))]
        chunk, coder = library.chunk_shape(sds, len(said.shape)), library.compression(sds)
        return _Header(
            index=index,
            name=decoded(said.name),
            shape=said.shape,
            number_type=said.number_type,
            dimensions=tuple(decoded(name) for name, _ in dimensions),
            is_coordinate=library.is_coordinate(sds),
            has_scale=any(has_scale for _, has_scale in dimensions),
            coder=coder,
            chunk=chunk,
            pieces=() if chunk else library.pieces(sds),
            chunks=_chunks(sds, said.shape, chunk, coder) if chunk else (),
            attributes=convert_calibration(
                described(library.attributes(sds, said.attribute_count), library.reference(sds), listed)
            ),
        )


def _chunks(sds: int, shape: Sequence[int], chunk: Sequence[int], coder: int) -> Sequence[Pieces]:
    """Where the chunks of an SDS are, if they are decoded here: asked once, while the file is open."""
    grid = _grid(shape, chunk)
    if coder not in DECODERS or math.prod(grid) > _MOST_CHUNKS:
        return ()
    return [library.pieces(sds, place) for place in product(*map(range, grid))]


def _grid(shape: Sequence[int], chunk: Sequence[int]) -> list[int]:
    """How many chunks there are along each dimension."""
    return [-(-size // max(1, length)) for size, length in zip(shape, chunk, strict=True)]


def _dimension_names(headers: Sequence[_Header]) -> dict[str, str]:
    """For each name that the library made up, ours: that of the array and the axis, if there is a scale to carry it."""
    scaled = {header.name for header in headers if header.is_coordinate and _MADE_UP.fullmatch(header.name)}
    names: dict[str, str] = {}
    for header in headers:
        for axis, name in enumerate(header.dimensions):
            if _MADE_UP.fullmatch(name) and header.name != name:
                names.setdefault(name, f"{header.name}_{axis}" if name in scaled else "")
    return names


def _found(
    file: File,
    header: _Header,
    names: Mapping[str, str],
    notes: Mapping[str, Mapping[str, Attribute]],
    remember: Remember,
) -> Found:
    source = _source(file, header, remember)
    attributes = dict(header.attributes)
    if header.is_empty:
        attributes["never_written"] = np.int8(1)
    if source.dtype.kind == "S":
        source = characters(source, str(attributes.get(ENCODING, "")))
        if is_text(source):
            attributes.pop(ENCODING, None)  # it was of the bytes
        else:
            attributes.setdefault("note", CODES)
    rank = len(source.shape)
    return Found(
        names.get(header.name, header.name),
        tuple(names.get(name, name) for name in header.dimensions[:rank]),
        source,
        attributes,
        tuple(notes.get(name, {}) for name in header.dimensions[:rank]),
    )


def _source(file: File, header: _Header, remember: Remember) -> Source:
    stored = library.stored_type(header.number_type)
    plain = Scientific(file, header.index, header.shape, stored.newbyteorder("="))
    if header.coder == library.NO_COMPRESSION and not header.chunk:
        return _uncompressed(plain, header, stored)
    name, chunk = f"sds {header.index}", header.chunk or header.shape
    places = header.chunks if header.chunk else [header.pieces]
    is_packed = header.coder in DECODERS and bool(places) and bool(chunk)
    source = Packed(plain, stored, header.coder, chunk, places) if is_packed else plain
    return Chunks(source, name, _block(header.shape, chunk, stored.itemsize), remember)


def _block(shape: Sequence[int], chunk: Sequence[int], size: int) -> tuple[int, ...]:
    """Put small chunks together, along the last dimensions first, where there are many.

    The file is opened for each block, which takes the library the longer, the more chunks there are. Few are decoded
    one by one: what is damaged in one of them then spoils no other.
    """
    grid, block = _grid(shape, chunk), list(chunk)
    number = math.prod(grid)
    values = min(_OPENING * number, _LARGEST_BLOCK) // size if number > _FEW_CHUNKS else 0
    for axis, count in reversed(list(enumerate(grid))):
        block[axis] *= max(1, min(count, values // max(1, math.prod(block))))
    return tuple(block)


def _uncompressed(plain: Scientific, header: _Header, stored: np.dtype[Any]) -> Source:
    match header.pieces:
        case [(offset, length)] if length == math.prod(header.shape) * stored.itemsize:
            return dense(plain.file.path, offset, header.shape, stored)
    return plain
