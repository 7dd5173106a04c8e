"""The directory of an HDF4 file, read without the library: is the file whole, and what is in it?

HDF4 Specification and Developer's Guide, chapter 2: behind the magic number stands a block of data descriptors (tag,
reference number, offset, length), which says where the next block is. The library follows these blocks in a circle
forever if they lead in one, opens whatever other file an external element names, and only finds out that the end is
missing when it reads there. So this comes first, and the library is not asked to open what it should not.
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
_SPECIAL_BIT, _EXTENDED_BIT = 0x4000, 0x8000  # SPECIALTAG, hdfi.h: an element that says itself how its data is stored
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
class Directory:
    """What is in a file, apart from arrays."""

    has_rasters: bool
    table_names: tuple[str, ...]
    """The names of the tables (Vdata) that somebody made."""
    file_annotations: Mapping[str, list[str]]
    """The file's own annotations, ``file_label`` and ``file_description``."""
    object_annotations: Mapping[int, Mapping[str, list[str]]]
    """The annotations of objects, ``label`` and ``description``, by the object's reference number."""


def read_directory(path: FilePath) -> Directory:
    """Read and check a file's directory.

    Raises:
        Missing: there is no such file.
        Unreadable: the file is damaged, cut short, or leads to other files.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _parse_directory(file)
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except (struct.error, IndexError) as error:
        raise Unreadable("The HDF4 file is damaged: one of its headers is cut short.") from error


def _parse_directory(file: IO[bytes]) -> Directory:
    elements = _read_descriptors(file)
    _check_special_elements(file, elements)
    tags = elements["tag"] & ~np.uint16(_SPECIAL_BIT)
    present = set(zip(tags.tolist(), elements["reference"].tolist(), strict=True))
    contents = {tag: list(_read_elements(file, elements[elements["tag"] == tag])) for tag in _READ_TAGS}
    for tag, is_sound in HEADER_CHECKS.items():
        if not all(is_sound(content, present) for content in contents[tag]):
            raise Unreadable(_CONTRADICTION_MESSAGE)
    texts = {
        name: list(map(decode_text, contents[tag])) for name, tag in _FILE_ANNOTATION_TAGS.items() if contents[tag]
    }
    return Directory(
        has_rasters=bool(_RASTER_TAGS.intersection(tags.tolist())),
        table_names=tuple(name for header in contents[_TABLE_TAG] if (name := _parse_table_name(header))),
        file_annotations=texts,
        object_annotations=_group_annotations({kind: contents[tag] for kind, tag in _OBJECT_ANNOTATION_TAGS.items()}),
    )


def _read_descriptors(file: IO[bytes]) -> _Descriptors:
    """All data descriptors that stand for something; the elements lie within the file."""
    size = os.fstat(file.fileno()).st_size
    found: _Descriptors = np.concatenate(list(_read_descriptor_blocks(file)))
    found = found[found["tag"] != _NULL_TAG]
    if min(found["offset"].min(initial=0), found["length"].min(initial=0)) < _UNWRITTEN:
        raise Unreadable(_CONTRADICTION_MESSAGE)
    found = found[(found["offset"] > _UNWRITTEN) & (found["length"] > _UNWRITTEN)]
    end = int((found["offset"].astype(np.int64) + found["length"]).max(initial=0))
    if end > size:
        raise Unreadable(f"The HDF4 file is damaged or cut short: it has {size} bytes, and its directory counts {end}.")
    return found


def _read_descriptor_blocks(file: IO[bytes]) -> Iterator[_Descriptors]:
    place, seen = 4, set[int]()  # behind the magic number
    while place:
        if place in seen:
            raise Unreadable("The HDF4 file is damaged: its directory runs in a circle.")
        seen.add(place)
        count, following = struct.unpack(">HI", _read_exactly(file, place, 6))
        yield np.frombuffer(_read_exactly(file, place + 6, count * _DESCRIPTOR_DTYPE.itemsize), _DESCRIPTOR_DTYPE)
        place = following


def _read_exactly(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    found = file.read(length)
    if len(found) < length:
        raise Unreadable("The HDF4 file is cut short: a part of its directory is missing.")
    return found


def _check_special_elements(file: IO[bytes], elements: _Descriptors) -> None:
    special = elements[(elements["tag"] & (_SPECIAL_BIT | _EXTENDED_BIT)) == _SPECIAL_BIT]
    for header in _read_elements(file, special):
        (code,) = struct.unpack_from(">H", header)
        if code == _EXTERNAL:
            raise Unreadable("The HDF4 file keeps values in other files, which the catalog has not allowed.")
        if code == _CHUNKED and not is_valid_chunking(header):
            raise Unreadable(_CONTRADICTION_MESSAGE)


def _read_elements(file: IO[bytes], elements: _Descriptors) -> Iterator[bytes]:
    """The bytes of each element; those of many small ones, which lie together, are read at once."""
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


def _group_annotations(kinds: Mapping[str, list[bytes]]) -> Mapping[int, Mapping[str, list[str]]]:
    """Texts by what they are about: their first four bytes are its tag and its reference number."""
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for kind, contents in kinds.items():
        for content in contents:
            _, reference = struct.unpack_from(">HH", content)
            found[reference][kind].append(decode_text(content[4:]))
    return found


def _parse_table_name(header: bytes) -> str:
    """The name of a table that somebody made; empty for the library's own.

    The header ("Vdata description", chapter 9): interlace, number of records, size of one, number of fields; for each
    field type, size, offset and order, two bytes each; the fields' names; the name; the class. A length of two bytes
    stands before each text.
    """
    if any(name in header for name in INTERNAL_CLASSES):
        return ""
    (fields,) = struct.unpack_from(">H", header, 8)
    place = 10 + 8 * fields
    for _ in range(fields):
        place += 2 + struct.unpack_from(">H", header, place)[0]
    (length,) = struct.unpack_from(">H", header, place)
    return decode_text(header[place + 2 : place + 2 + length]) or "a table without a name"
