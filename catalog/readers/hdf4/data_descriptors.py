"""The directory of an HDF4 file, read without the library to check that the file is complete and safe to open.

HDF4 Specification and Developer's Guide, chapter 2: a block of data descriptors (tag, reference number, offset, length)
follows the magic number and contains the offset of the next block. The library follows a cycle of blocks forever, opens
any other file that an external element names, and notices a missing end only when it reads there. So the directory is
checked first, and the library never opens a file that fails.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.readers.attributes import decode_text
from shotdap.catalog.readers.hdf4.header_checks import HEADER_CHECKS, INTERNAL_CLASSES, is_valid_chunking
from shotdap.catalog.storage import FilePath

_DESCRIPTOR_DTYPE = np.dtype([("tag", ">u2"), ("reference", ">u2"), ("offset", ">i4"), ("length", ">i4")])
_UNWRITTEN = -1  # INVALID_OFFSET, INVALID_LENGTH: hfile.h
_NULL_TAG = 1  # DFTAG_NULL: an unused descriptor; all tags: htags.h
_SPECIAL_BIT, _EXTENDED_BIT = 0x4000, 0x8000  # SPECIALTAG, hdfi.h: an element with a header about its storage
_EXTERNAL, _CHUNKED = 2, 5  # SPECIAL_EXT, SPECIAL_CHUNKED: hdf.h
_RASTER_TAGS = frozenset({200, 202, 203, 204, 300, 302, 303, 306})  # ID8, RI8, CI8, II8, ID, RI, CI, RIG
_TABLE_TAG = 1962  # VH, the header of a Vdata
_FILE_ANNOTATION_TAGS: Mapping[str, int] = MappingProxyType({"file_label": 100, "file_description": 101})  # FID, FD
_OBJECT_ANNOTATION_TAGS: Mapping[str, int] = MappingProxyType({"label": 104, "description": 105})  # DIL, DIA
_READ_TAGS = frozenset({*HEADER_CHECKS, _TABLE_TAG, *_FILE_ANNOTATION_TAGS.values(), *_OBJECT_ANNOTATION_TAGS.values()})
_CONTRADICTION_MESSAGE = "The HDF4 file is damaged: its headers contradict each other."
_MAX_TEXT_SIZE = 1 << 20

_Descriptors: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class FileDirectory:
    """The contents of a file apart from arrays."""

    has_rasters: bool
    table_names: tuple[str, ...]
    """The names of the users' tables (Vdata)."""
    file_annotations: Mapping[str, list[str]]
    """The file's own annotations, ``file_label`` and ``file_description``."""
    object_annotations: Mapping[int, Mapping[str, list[str]]]
    """The annotations of objects, ``label`` and ``description``, by the object's reference number."""


def read_checked_directory(path: FilePath) -> FileDirectory:
    """Read and check a file's directory.

    Raises:
        Missing: there is no such file.
        Unreadable: the file is damaged, cut short, or leads to other files.
    """
    try:
        with path.open("rb", buffering=0) as file:
            elements = _read_descriptors(file)
            for header in _read_elements(file, elements, _SPECIAL_BIT, _SPECIAL_BIT | _EXTENDED_BIT):
                (code,) = struct.unpack_from(">H", header)
                if code == _EXTERNAL:
                    raise Unreadable("The HDF4 file keeps values in other files, which the catalog has not allowed.")
                if code == _CHUNKED and not is_valid_chunking(header):
                    raise Unreadable(_CONTRADICTION_MESSAGE)
            contents = {tag: list(_read_elements(file, elements, tag)) for tag in _READ_TAGS}
        tags = (elements["tag"] & ~np.uint16(_SPECIAL_BIT)).tolist()
        keys = set(zip(tags, elements["reference"].tolist(), strict=True))
        for tag, is_valid in HEADER_CHECKS.items():
            if not all(is_valid(content, keys) for content in contents[tag]):
                raise Unreadable(_CONTRADICTION_MESSAGE)
        annotations: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for kind, tag in _OBJECT_ANNOTATION_TAGS.items():
            for content in contents[tag]:
                _, reference = struct.unpack_from(">HH", content)  # the tag and reference number of its object
                annotations[reference][kind].append(decode_text(content[4:]))
        table_names = [_parse_table_name(header) for header in contents[_TABLE_TAG]]
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except (struct.error, IndexError) as error:
        raise Unreadable("The HDF4 file is damaged: one of its headers is cut short.") from error
    return FileDirectory(
        has_rasters=not _RASTER_TAGS.isdisjoint(tags),
        table_names=tuple(filter(None, table_names)),
        file_annotations={
            name: list(map(decode_text, contents[tag])) for name, tag in _FILE_ANNOTATION_TAGS.items() if contents[tag]
        },
        object_annotations=annotations,
    )


def _read_descriptors(file: IO[bytes]) -> _Descriptors:
    """Read all data descriptors in use; their elements are within the file."""
    size = os.fstat(file.fileno()).st_size
    blocks: list[_Descriptors] = []
    offset, seen = 4, set[int]()  # after the magic number
    while offset:
        if offset in seen:
            raise Unreadable("The HDF4 file is damaged: its directory runs in a circle.")
        seen.add(offset)
        count, next_offset = struct.unpack(">HI", _read_exactly(file, offset, 6))
        content = _read_exactly(file, offset + 6, count * _DESCRIPTOR_DTYPE.itemsize)
        blocks.append(np.frombuffer(content, _DESCRIPTOR_DTYPE))
        offset = next_offset
    descriptors: _Descriptors = np.concatenate(blocks)
    descriptors = descriptors[descriptors["tag"] != _NULL_TAG]
    if min(descriptors["offset"].min(initial=0), descriptors["length"].min(initial=0)) < _UNWRITTEN:
        raise Unreadable(_CONTRADICTION_MESSAGE)
    descriptors = descriptors[(descriptors["offset"] > _UNWRITTEN) & (descriptors["length"] > _UNWRITTEN)]
    end = int((descriptors["offset"].astype(np.int64) + descriptors["length"]).max(initial=0))
    if end > size:
        raise Unreadable(f"The HDF4 file is damaged or cut short: it has {size} bytes, and its directory counts {end}.")
    return descriptors


def _read_exactly(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    content = file.read(length)
    if len(content) < length:
        raise Unreadable("The HDF4 file is cut short: a part of its directory is missing.")
    return content


def _read_elements(file: IO[bytes], descriptors: _Descriptors, tag: int, mask: int = 0xFFFF) -> Iterator[bytes]:
    """Yield the bytes of each element with a tag; many small elements side by side are read at once."""
    elements = descriptors[(descriptors["tag"] & mask) == tag]
    if not elements.size:
        return
    first, end = int(elements["offset"].min()), int((elements["offset"] + elements["length"]).max())
    if end - first <= _MAX_TEXT_SIZE:
        together = memoryview(_read_exactly(file, first, end - first))
        for _, _, offset, length in elements.tolist():
            yield bytes(together[offset - first : offset - first + length])
    else:
        for _, _, offset, length in elements.tolist():
            yield _read_exactly(file, offset, min(length, _MAX_TEXT_SIZE))


def _parse_table_name(header: bytes) -> str:
    """Return the name of a user's table; empty for the library's own.

    The header ("Vdata description", chapter 9): interlace, number of records, size of one, number of fields; for each
    field type, size, offset and order, two bytes each; the fields' names; the name; the class. A length of two bytes
    precedes each text.
    """
    if any(name in header for name in INTERNAL_CLASSES):
        return ""
    (fields,) = struct.unpack_from(">H", header, 8)
    offset = 10 + 8 * fields
    for _ in range(fields):
        offset += 2 + struct.unpack_from(">H", header, offset)[0]
    (length,) = struct.unpack_from(">H", header, offset)
    return decode_text(header[offset + 2 : offset + 2 + length]) or "a table without a name"
