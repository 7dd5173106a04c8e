"""Scientific data sets (SDS): what the file says of them, and which way their values are best read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.lazy import Chunks, Remember, Source
from shotdap.catalog.readers.attributes import Attribute, clean, decoded
from shotdap.catalog.readers.hdf4 import library
from shotdap.catalog.readers.hdf4.arrays import Found, Omitted
from shotdap.catalog.readers.hdf4.directory import Directory
from shotdap.catalog.readers.hdf4.sources import Deflated, File, Scientific, Texts
from shotdap.catalog.readers.sources import dense

__all__ = ["described", "named", "scientific_arrays"]

_MADE_UP = re.compile(r"fakeDim\d+")
_LARGEST_ARRAY = 1 << 40
_LARGEST_CHUNK = 1 << 30
"""Bytes that one compressed piece may decode to, or that may be made up of fill values: what claims more is a
decompression bomb, or damaged."""


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
    pieces: Sequence[tuple[int, int]]
    """Where the values are, if they are not chunked."""
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
    notes = dict(_notes(headers))
    names = _dimension_names(wanted)
    return (
        [_found(file, header, names, notes, remember) for header in wanted if not header.obstacle],
        [Omitted(header.name, header.obstacle) for header in wanted if header.obstacle],
        attributes,
    )


def named(raw: Mapping[bytes, Any]) -> dict[str, Any]:
    """Attributes by their names as text."""
    return {decoded(name): value for name, value in raw.items()}


def described(raw: Mapping[bytes, Any], reference: int, listed: Directory) -> dict[str, Attribute]:
    """The attributes of an object, and its annotations where it has no attribute of that name."""
    return clean({**listed.annotations.get(reference, {}), **named(raw)})


def _header(opened: int, index: int, listed: Directory) -> _Header:
    with library.selected(opened, index) as sds:
        said = library.scientific_data(sds)
        dtype = library.memory_type(said.number_type)
        if math.prod(said.shape) * (dtype.itemsize if dtype else 1) > _LARGEST_ARRAY:
            raise Unreadable("The HDF4 file is damaged: it claims an array that no disk could hold.")
        dimensions = [library.dimension(sds, axis) for axis in range(len(said.shape))]
        chunk = library.chunk_shape(sds, len(said.shape))
        return _Header(
            index=index,
            name=decoded(said.name),
            shape=said.shape,
            number_type=said.number_type,
            dimensions=tuple(decoded(name) for name, _ in dimensions),
            is_coordinate=library.is_coordinate(sds),
            has_scale=any(has_scale for _, has_scale in dimensions),
            coder=library.compression(sds),
            chunk=chunk,
            pieces=() if chunk else library.pieces(sds),
            attributes=described(library.attributes(sds, said.attribute_count), library.reference(sds), listed),
        )


def _dimension_names(headers: Sequence[_Header]) -> dict[str, str]:
    """For each name that the library made up, ours: that of the array and the axis, if there is a scale to carry it."""
    scaled = {header.name for header in headers if header.is_coordinate and _MADE_UP.fullmatch(header.name)}
    names: dict[str, str] = {}
    for header in headers:
        for axis, name in enumerate(header.dimensions):
            if _MADE_UP.fullmatch(name) and header.name != name:
                names.setdefault(name, f"{header.name}_{axis}" if name in scaled else "")
    return names


def _notes(headers: Sequence[_Header]) -> Iterator[tuple[str, Mapping[str, Attribute]]]:
    """What is said of dimensions that have no scale to say it of: units, for one."""
    for header in headers:
        if header.is_invented and header.attributes:
            yield header.name, {f"{header.name}_{name}": value for name, value in header.attributes.items()}


def _found(
    file: File,
    header: _Header,
    names: Mapping[str, str],
    notes: Mapping[str, Mapping[str, Attribute]],
    remember: Remember,
) -> Found:
    source = _source(file, header, remember)
    dimensions = tuple(names.get(name, name) for name in header.dimensions)
    attributes = dict(header.attributes)
    for name in dimensions:
        attributes |= notes.get(name, {})
    if header.is_empty:
        attributes["never_written"] = np.int8(1)
    if source.dtype.kind == "S" and header.shape:
        return Found(names.get(header.name, header.name), dimensions[:-1], Texts(source), attributes)
    return Found(names.get(header.name, header.name), dimensions, source, attributes)


def _source(file: File, header: _Header, remember: Remember) -> Source:
    stored = library.stored_type(header.number_type)
    plain = Scientific(file, header.index, header.shape, stored.newbyteorder("="))
    if header.coder == library.NO_COMPRESSION and not header.chunk:
        return _uncompressed(plain, header, stored)
    source = Deflated(plain, stored, header.chunk) if header.coder == library.DEFLATE else plain
    return Chunks(source, f"sds {header.index}", header.chunk or header.shape, remember)


def _uncompressed(plain: Scientific, header: _Header, stored: np.dtype[Any]) -> Source:
    match header.pieces:
        case [(offset, length)] if length == math.prod(header.shape) * stored.itemsize:
            return dense(plain.file.path, offset, header.shape, stored)
    return plain
