"""Classic netCDF files: CDF-1, CDF-2 (64-bit offsets) and CDF-5 (64-bit data).

Strategy: the header, a few hundred bytes, says where each number lies; it is parsed here after its grammar, and slices
are read at the places that it names. No library at hand does as well: scipy's lets an attribute that is called ``data``
or ``dimensions`` replace the array or the file's table, trusts a size that the format calls redundant, memory-maps or
reads the file whole, and knows no CDF-5; netCDF-C is one more native library whose threads must be locked out.

The grammar is that of "NetCDF Classic Format Specification", NetCDF Users' Guide, appendix B; names in capitals are
its own.

Arrays of characters become texts, their last dimension the letters, as CF has it; see `decode_characters`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import xarray as xr

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.names import make_variable_names
from shotdap.catalog.readers.attributes import Attribute, decode_text, decode_unique_names, normalize_attributes
from shotdap.catalog.readers.dimensions import build_dataset, resolve_dimension_names
from shotdap.catalog.readers.lazy import ArraySource, Memo, create_lazy_variable
from shotdap.catalog.readers.shared_sources import (
    CHARACTER_CODES_NOTE,
    ENCODING_ATTRIBUTE,
    StridedSource,
    decode_characters,
    is_text_source,
    make_contiguous_source,
)
from shotdap.catalog.storage import FilePath

_ABSENT, _NC_DIMENSION, _NC_VARIABLE, _NC_ATTRIBUTE = 0x00, 0x0A, 0x0B, 0x0C
_STREAMING_RECORDS = -1  # numrecs, all bits set: the writer never came back to say how many records there are
_ALIGNMENT = 4
_CHAR_DTYPE = np.dtype("S1")
_DTYPES: Mapping[int, np.dtype[Any]] = MappingProxyType({
    1: np.dtype("i1"), 2: _CHAR_DTYPE, 3: np.dtype(">i2"), 4: np.dtype(">i4"), 5: np.dtype(">f4"), 6: np.dtype(">f8"),
    7: np.dtype("u1"), 8: np.dtype(">u2"), 9: np.dtype(">u4"), 10: np.dtype(">i8"), 11: np.dtype(">u8"),
})  # fmt: skip
_CLASSIC_TYPE_COUNT = 6  # the types after this one are CDF-5's

_DAMAGED_MESSAGE = "The netCDF header does not hold together; the file may be damaged or cut short."


def read(path: FilePath, _remember: Memo) -> xr.Dataset:
    """Read a file's headers; see `Reader`. Nothing is compressed, so nothing is remembered."""
    with _open_netcdf(path) as file:
        header = _Header.parse(_HeaderParser(file, path.stat().st_size))
    names = make_variable_names((*(array.name for array in header.arrays), *header.dimensions))
    sources = {names[array.name]: _make_source(path, array, header) for array in header.arrays}
    own = {
        name: array.dimensions[: len(source.shape)]
        for array, (name, source) in zip(header.arrays, sources.items(), strict=True)
    }
    dimensions = resolve_dimension_names(
        {name: tuple(names[dimension] for dimension in each) for name, each in own.items()},
        {name: source.shape for name, source in sources.items()},
    )
    variables = {
        name: create_lazy_variable(dimensions[name], source, _build_attributes(array, name, source))
        for array, (name, source) in zip(header.arrays, sources.items(), strict=True)
    }
    return build_dataset(variables, normalize_attributes(header.attributes), own)


@contextmanager
def _open_netcdf(path: FilePath) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error


@dataclass
class _HeaderParser:
    """The header's bytes, taken one item after the other; its sizes are four bytes, or eight in CDF-5."""

    file: IO[bytes]
    file_size: int
    """Of the whole file: nothing in it can be longer."""
    count_format: str = ">i"
    offset_format: str = ">i"
    type_count: int = _CLASSIC_TYPE_COUNT

    def read_version(self) -> None:
        """Take the magic number, which says how wide the others are."""
        number = self.read_bytes(4)[3]
        self.count_format = ">q" if number == 5 else ">i"  # noqa: PLR2004 — CDF-5
        self.offset_format = ">i" if number == 1 else ">q"
        self.type_count = len(_DTYPES) if number == 5 else _CLASSIC_TYPE_COUNT  # noqa: PLR2004 — CDF-5

    def read_bytes(self, size: int) -> bytes:
        """Take so many bytes."""
        found = self.file.read(size) if 0 <= size <= self.file_size else b""
        if len(found) != size:
            raise Unreadable(_DAMAGED_MESSAGE)
        return found

    def read_number(self, form: str) -> int:
        """Take a number."""
        return int(struct.unpack(form, self.read_bytes(struct.calcsize(form)))[0])

    def read_count(self) -> int:
        """Take NON_NEG, a number that is not negative."""
        count = self.read_number(self.count_format)
        if count < 0:
            raise Unreadable(_DAMAGED_MESSAGE)
        return count

    def read_name(self) -> bytes:
        """Take a name: its length, its bytes, and the padding."""
        return self.read_padded(self.read_count())

    def read_padded(self, size: int) -> bytes:
        """Take so many bytes and those that fill the last four."""
        found = self.read_bytes(size)
        self.read_bytes(-size % _ALIGNMENT)
        return found

    def read_type(self) -> np.dtype[Any]:
        """Take an nc_type."""
        number = self.read_number(">i")
        if not 1 <= number <= self.type_count:
            raise Unreadable(_DAMAGED_MESSAGE)
        return _DTYPES[number]

    def read_list(self, tag: int) -> range:
        """Take a list's tag and length; its elements follow."""
        found, count = self.read_number(">i"), self.read_count()
        if found not in {tag, _ABSENT} or (found == _ABSENT and count) or count > self.file_size:
            raise Unreadable(_DAMAGED_MESSAGE)
        return range(count)

    def read_attributes(self) -> dict[str, Any]:
        """Take an att_list."""
        found = [(self.read_name(), self._read_values()) for _ in self.read_list(_NC_ATTRIBUTE)]
        names = decode_unique_names(name for name, _ in found)
        return dict(zip(names, (value for _, value in found), strict=True))

    def _read_values(self) -> Any:  # noqa: ANN401 — bytes, or an array of any type
        dtype, count = self.read_type(), self.read_count()
        found = self.read_padded(count * dtype.itemsize)
        return found if dtype == _CHAR_DTYPE else np.frombuffer(found, dtype)


@dataclass(frozen=True)
class _ArrayHeader:
    """What the header states of one array."""

    name: str
    dimensions: tuple[str, ...]
    attributes: Mapping[str, Any]
    dtype: np.dtype[Any]
    begin: int


@dataclass(frozen=True)
class _Header:
    """What stands before the data."""

    dimensions: Mapping[str, int]
    """Lengths; 0 for the record dimension, of which there is at most one."""
    attributes: Mapping[str, Any]
    arrays: tuple[_ArrayHeader, ...]
    record_count: int
    file_size: int
    """Of the whole file."""

    @classmethod
    def parse(cls, tokens: _HeaderParser) -> _Header:
        """Parse a header.

        Raises:
            Unreadable: it does not follow the grammar, or the file is shorter than it says.
        """
        tokens.read_version()
        records = tokens.read_number(tokens.count_format)
        if records < _STREAMING_RECORDS:
            raise Unreadable(_DAMAGED_MESSAGE)
        stated = [(tokens.read_name(), tokens.read_count()) for _ in tokens.read_list(_NC_DIMENSION)]
        dimensions = list(
            zip(decode_unique_names(name for name, _ in stated), (size for _, size in stated), strict=True)
        )
        attributes = tokens.read_attributes()
        listed = [(tokens.read_name(), _read_array_header(tokens, dimensions)) for _ in tokens.read_list(_NC_VARIABLE)]
        if any(len(dict(each)) < len(each) for each in (stated, listed)):
            raise Unreadable(_DAMAGED_MESSAGE)
        names = decode_unique_names(name for name, _ in listed)
        arrays = tuple(replace(array, name=name) for name, (_, array) in zip(names, listed, strict=True))
        header = cls(dict(dimensions), attributes, arrays, records, tokens.file_size)
        return header if records != _STREAMING_RECORDS else header.infer_record_count()

    def infer_record_count(self) -> _Header:
        """The same, of a file whose writer never came back to say how many records it has."""
        begin = min((array.begin for array in self.arrays if self.has_records(array)), default=0)
        records = (self.file_size - begin) // self.record_size if self.record_size else 0
        return replace(self, record_count=max(records, 0))

    def has_records(self, array: _ArrayHeader) -> bool:
        """Whether an array grows along the record dimension."""
        return bool(array.dimensions) and self.dimensions[array.dimensions[0]] == 0

    @cached_property
    def record_size(self) -> int:
        """The bytes from one record to the next: every array's share padded, unless there is only one array.

        The sizes that the header states (vsize) are redundant, and wrong for arrays of more than 4 GiB.
        """
        shares = [self._share(array) for array in self.arrays if self.has_records(array)]
        return shares[0] if len(shares) == 1 else sum(share + -share % _ALIGNMENT for share in shares)

    def _share(self, array: _ArrayHeader) -> int:
        return array.dtype.itemsize * math.prod(self.dimensions[name] for name in array.dimensions[1:])

    def locate_array(self, path: FilePath, array: _ArrayHeader) -> StridedSource:
        """Where an array's numbers lie.

        Raises:
            Unreadable: beyond the end of the file.
        """
        lengths = tuple(self.dimensions[name] for name in array.dimensions)
        if self.has_records(array):
            one = make_contiguous_source(path, array.begin, lengths[1:], array.dtype)
            found = StridedSource(
                path, array.begin, (self.record_size, *one.strides), (self.record_count, *one.shape), one.stored_dtype
            )
        else:
            found = make_contiguous_source(path, array.begin, lengths, array.dtype)
        if found.end_offset > self.file_size or array.begin < 0:
            raise Unreadable(f"The netCDF file is shorter than its array {array.name} needs; it was cut short.")
        return found


def _read_array_header(tokens: _HeaderParser, dimensions: list[tuple[str, int]]) -> _ArrayHeader:
    """Take what follows an array's name."""
    rank = tokens.read_count()
    numbers = [tokens.read_count() for _ in range(min(rank, tokens.file_size))]
    attributes, dtype = tokens.read_attributes(), tokens.read_type()
    tokens.read_number(tokens.count_format)  # vsize, which is redundant
    begin = tokens.read_number(tokens.offset_format)
    if any(number >= len(dimensions) for number in numbers) or any(dimensions[n][1] == 0 for n in numbers[1:]):
        raise Unreadable(_DAMAGED_MESSAGE)
    return _ArrayHeader("", tuple(dimensions[number][0] for number in numbers), attributes, dtype, begin)


def _make_source(path: FilePath, array: _ArrayHeader, header: _Header) -> ArraySource:
    stored = header.locate_array(path, array)
    if array.dtype != _CHAR_DTYPE:
        return stored
    encoding = array.attributes.get(ENCODING_ATTRIBUTE, b"")
    return decode_characters(stored, decode_text(encoding) if isinstance(encoding, bytes) else "")


def _build_attributes(array: _ArrayHeader, name: str, source: ArraySource) -> dict[str, Attribute]:
    attributes = normalize_attributes(array.attributes)
    if is_text_source(source):
        attributes.pop(ENCODING_ATTRIBUTE, None)  # it was of the bytes
    elif array.dtype == _CHAR_DTYPE:
        attributes.setdefault("note", CHARACTER_CODES_NOTE)
    return attributes if name == array.name else {**attributes, "original_name": array.name}
