"""Classic netCDF files: CDF-1, CDF-2 (64-bit offsets) and CDF-5 (64-bit data).

Strategy: the header, a few hundred bytes, states the offset of each array; it is parsed here by its grammar, and slices
are read at these offsets. No available library does as well: scipy's lets an attribute named ``data`` or ``dimensions``
replace the array or the file's table, trusts a size that the format calls redundant, memory-maps the file or reads all
of it, and does not support CDF-5; netCDF-C is one more native library whose threads need a lock.

The grammar is in "NetCDF Classic Format Specification", NetCDF Users' Guide, appendix B, with its names in capitals.

Arrays of characters become texts, their last dimension the letters, as in CF; see `decode_characters`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import xarray as xr

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.names import make_variable_names
from shotdap.catalog.readers.attributes import decode_text, decode_unique_names, normalize_attributes
from shotdap.catalog.readers.dimensions import build_dataset, resolve_dimension_names
from shotdap.catalog.readers.lazy import ArraySource, create_lazy_variable
from shotdap.catalog.readers.shared_sources import (
    CHARACTER_CODES_NOTE,
    ENCODING_ATTRIBUTE,
    StridedSource,
    decode_characters,
    is_text_source,
    make_contiguous_source,
)
from shotdap.catalog.storage import FilePath
from shotdap.transforms import Memo

_ABSENT, _NC_DIMENSION, _NC_VARIABLE, _NC_ATTRIBUTE = 0x00, 0x0A, 0x0B, 0x0C
_STREAMING_RECORDS = -1  # numrecs, all bits set: the writer never updated the number of records
_ALIGNMENT = 4
_CHAR_DTYPE = np.dtype("S1")
_DTYPES: Mapping[int, np.dtype[Any]] = MappingProxyType({
    1: np.dtype("i1"), 2: _CHAR_DTYPE, 3: np.dtype(">i2"), 4: np.dtype(">i4"), 5: np.dtype(">f4"), 6: np.dtype(">f8"),
    7: np.dtype("u1"), 8: np.dtype(">u2"), 9: np.dtype(">u4"), 10: np.dtype(">i8"), 11: np.dtype(">u8"),
})  # fmt: skip
_CLASSIC_TYPE_COUNT = 6  # the later types exist in CDF-5 only

_DAMAGED_MESSAGE = "The netCDF header does not hold together; the file may be damaged or cut short."


def read(path: FilePath, _remember: Memo) -> xr.Dataset:
    """Read a file's headers; see `Reader`. Nothing is compressed, so nothing is cached."""
    try:
        with path.open("rb") as file:
            header = _Header.parse(_HeaderParser(file, path.stat().st_size))
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    names = make_variable_names((*(array.name for array in header.arrays), *header.dimensions))
    sources, own_names, attributes = {}, {}, {}
    for array in header.arrays:
        name = names[array.name]
        source = sources[name] = header.make_source(path, array)
        own_names[name] = array.dimensions[: len(source.shape)]
        attributes[name] = normalize_attributes(array.attributes)
        if is_text_source(source):
            attributes[name].pop(ENCODING_ATTRIBUTE, None)  # of the bytes in the file, now decoded
        elif array.dtype == _CHAR_DTYPE:
            attributes[name].setdefault("note", CHARACTER_CODES_NOTE)
        if name != array.name:
            attributes[name]["original_name"] = array.name
    dimensions = resolve_dimension_names(
        {name: tuple(names[own] for own in owns) for name, owns in own_names.items()},
        {name: source.shape for name, source in sources.items()},
    )
    variables = {
        name: create_lazy_variable(dimensions[name], source, attributes[name]) for name, source in sources.items()
    }
    return build_dataset(variables, normalize_attributes(header.attributes), own_names)


@dataclass
class _HeaderParser:
    """A parser that reads the header one item after the other; its sizes are four bytes, or eight in CDF-5."""

    file: IO[bytes]
    file_size: int
    """Size of the whole file: no item is longer."""
    count_format: str = ">i"
    offset_format: str = ">i"
    type_count: int = _CLASSIC_TYPE_COUNT

    def read_version(self) -> None:
        """Read the magic number, which determines the widths of the other numbers."""
        number = self.read_bytes(4)[3]
        self.count_format = ">q" if number == 5 else ">i"  # noqa: PLR2004 — CDF-5
        self.offset_format = ">i" if number == 1 else ">q"
        self.type_count = len(_DTYPES) if number == 5 else _CLASSIC_TYPE_COUNT  # noqa: PLR2004 — CDF-5

    def read_bytes(self, size: int) -> bytes:
        """Read exactly this number of bytes."""
        content = self.file.read(size) if 0 <= size <= self.file_size else b""
        if len(content) != size:
            raise Unreadable(_DAMAGED_MESSAGE)
        return content

    def read_number(self, form: str) -> int:
        """Read a number in a format of `struct`."""
        return int(struct.unpack(form, self.read_bytes(struct.calcsize(form)))[0])

    def read_count(self) -> int:
        """Read NON_NEG, a number that is not negative."""
        count = self.read_number(self.count_format)
        if count < 0:
            raise Unreadable(_DAMAGED_MESSAGE)
        return count

    def read_name(self) -> bytes:
        """Read a name: its length, its bytes, and the padding."""
        return self.read_padded(self.read_count())

    def read_padded(self, size: int) -> bytes:
        """Read this number of bytes, and skip the padding to a multiple of four."""
        content = self.read_bytes(size)
        self.read_bytes(-size % _ALIGNMENT)
        return content

    def read_type(self) -> np.dtype[Any]:
        """Read an nc_type."""
        number = self.read_number(">i")
        if not 1 <= number <= self.type_count:
            raise Unreadable(_DAMAGED_MESSAGE)
        return _DTYPES[number]

    def read_list(self, tag: int) -> range:
        """Read a list's tag and length; its elements follow."""
        actual, count = self.read_number(">i"), self.read_count()
        if actual not in {tag, _ABSENT} or (actual == _ABSENT and count) or count > self.file_size:
            raise Unreadable(_DAMAGED_MESSAGE)
        return range(count)

    def read_attributes(self) -> dict[str, Any]:
        """Read an att_list."""
        names, values = [], []
        for _ in self.read_list(_NC_ATTRIBUTE):
            names.append(self.read_name())
            dtype, count = self.read_type(), self.read_count()
            content = self.read_padded(count * dtype.itemsize)
            values.append(content if dtype == _CHAR_DTYPE else np.frombuffer(content, dtype))
        return dict(zip(decode_unique_names(names), values, strict=True))


@dataclass(frozen=True)
class _ArrayHeader:
    """The header of one array."""

    name: str
    dimensions: tuple[str, ...]
    attributes: Mapping[str, Any]
    dtype: np.dtype[Any]
    begin: int


@dataclass(frozen=True)
class _Header:
    """The header of a file."""

    dimensions: Mapping[str, int]
    """Lengths; 0 for the record dimension; a file has at most one."""
    attributes: Mapping[str, Any]
    arrays: tuple[_ArrayHeader, ...]
    record_count: int
    file_size: int
    """Size of the whole file."""

    @classmethod
    def parse(cls, parser: _HeaderParser) -> _Header:
        """Parse a header.

        Raises:
            Unreadable: the header does not follow the grammar, or the file is shorter than the header states.
        """
        parser.read_version()
        record_count = parser.read_number(parser.count_format)
        if record_count < _STREAMING_RECORDS:
            raise Unreadable(_DAMAGED_MESSAGE)
        sizes = [(parser.read_name(), parser.read_count()) for _ in parser.read_list(_NC_DIMENSION)]
        names = decode_unique_names(name for name, _ in sizes)
        dimensions = [(name, size) for name, (_, size) in zip(names, sizes, strict=True)]
        attributes = parser.read_attributes()
        headers: list[tuple[bytes, _ArrayHeader]] = []
        for _ in parser.read_list(_NC_VARIABLE):
            name, rank = parser.read_name(), parser.read_count()
            numbers = [parser.read_count() for _ in range(min(rank, parser.file_size))]
            own_attributes, dtype = parser.read_attributes(), parser.read_type()
            parser.read_number(parser.count_format)  # vsize, which is redundant
            begin = parser.read_number(parser.offset_format)
            if any(number >= len(dimensions) for number in numbers) or any(dimensions[n][1] == 0 for n in numbers[1:]):
                raise Unreadable(_DAMAGED_MESSAGE)
            own_dimensions = tuple(dimensions[number][0] for number in numbers)
            headers.append((name, _ArrayHeader("", own_dimensions, own_attributes, dtype, begin)))
        if len(dict(sizes)) < len(sizes) or len(dict(headers)) < len(headers):
            raise Unreadable(_DAMAGED_MESSAGE)
        names = decode_unique_names(name for name, _ in headers)
        arrays = tuple(replace(array, name=name) for name, (_, array) in zip(names, headers, strict=True))
        header = cls(dict(dimensions), attributes, arrays, record_count, parser.file_size)
        if record_count != _STREAMING_RECORDS:
            return header
        begin = min((array.begin for array in arrays if header.has_records(array)), default=0)
        inferred = (header.file_size - begin) // header.record_size if header.record_size else 0
        return replace(header, record_count=max(inferred, 0))

    def has_records(self, array: _ArrayHeader) -> bool:
        """Check whether an array grows along the record dimension."""
        return bool(array.dimensions) and self.dimensions[array.dimensions[0]] == 0

    @cached_property
    def record_size(self) -> int:
        """The bytes from one record to the next: the sum of all arrays' padded shares; a single array is not padded.

        The sizes that the header states (vsize) are redundant, and wrong for arrays of more than 4 GiB.
        """
        shares = [
            array.dtype.itemsize * math.prod(self.dimensions[name] for name in array.dimensions[1:])
            for array in self.arrays
            if self.has_records(array)
        ]
        return shares[0] if len(shares) == 1 else sum(share + -share % _ALIGNMENT for share in shares)

    def make_source(self, path: FilePath, array: _ArrayHeader) -> ArraySource:
        """Return the source of an array's values.

        Raises:
            Unreadable: the values would end beyond the end of the file.
        """
        lengths = tuple(self.dimensions[name] for name in array.dimensions)
        if self.has_records(array):
            record = make_contiguous_source(path, array.begin, lengths[1:], array.dtype)
            strides, shape = (self.record_size, *record.strides), (self.record_count, *record.shape)
            source = StridedSource(path, array.begin, strides, shape, array.dtype)
        else:
            source = make_contiguous_source(path, array.begin, lengths, array.dtype)
        if source.end_offset > self.file_size or array.begin < 0:
            raise Unreadable(f"The netCDF file is shorter than its array {array.name} needs; it was cut short.")
        if array.dtype != _CHAR_DTYPE:
            return source
        encoding = array.attributes.get(ENCODING_ATTRIBUTE, b"")
        return decode_characters(source, decode_text(encoding) if isinstance(encoding, bytes) else "")
