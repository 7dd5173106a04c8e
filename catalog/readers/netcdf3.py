"""Classic netCDF files: CDF-1, CDF-2 (64-bit offsets) and CDF-5 (64-bit data).

Strategy: the header, a few hundred bytes, says where each number lies; it is parsed here after its grammar, and slices
are read at the places that it names. No library at hand does as well: scipy's lets an attribute that is called ``data``
or ``dimensions`` replace the array or the file's table, trusts a size that the format calls redundant, memory-maps or
reads the file whole, and knows no CDF-5; netCDF-C is one more native library whose threads must be locked out.

The grammar is that of "NetCDF Classic Format Specification", NetCDF Users' Guide, appendix B; names in capitals are
its own.

Arrays of characters become texts, their last dimension the letters, as CF has it; see `characters`.
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
from shotdap.catalog.names import variable_names
from shotdap.catalog.readers.attributes import Attribute, clean, decoded, distinct
from shotdap.catalog.readers.dimensions import assembled, fitted
from shotdap.catalog.readers.lazy import Remember, Source, lazy_variable
from shotdap.catalog.readers.shared_sources import CODES, ENCODING, Stored, characters, dense, is_text
from shotdap.catalog.storage import FilePath

__all__ = ["read"]

_ABSENT, _NC_DIMENSION, _NC_VARIABLE, _NC_ATTRIBUTE = 0x00, 0x0A, 0x0B, 0x0C
_STREAMING = -1  # numrecs, all bits set: the writer never came back to say how many records there are
_ALIGNMENT = 4
_CHAR = np.dtype("S1")
_TYPES: Mapping[int, np.dtype[Any]] = MappingProxyType({
    1: np.dtype("i1"), 2: _CHAR, 3: np.dtype(">i2"), 4: np.dtype(">i4"), 5: np.dtype(">f4"), 6: np.dtype(">f8"),
    7: np.dtype("u1"), 8: np.dtype(">u2"), 9: np.dtype(">u4"), 10: np.dtype(">i8"), 11: np.dtype(">u8"),
})  # fmt: skip
_CLASSIC_TYPES = 6  # the types after this one are CDF-5's

_DAMAGED = "The netCDF header does not hold together; the file may be damaged or cut short."


def read(path: FilePath, _remember: Remember) -> xr.Dataset:
    """Read a file's headers; see `Reader`. Nothing is compressed, so nothing is remembered."""
    with _opened(path) as file:
        header = _Header.parsed(_Tokens(file, path.stat().st_size))
    names = variable_names((*(array.name for array in header.arrays), *header.dimensions))
    sources = {names[array.name]: _source(path, array, header) for array in header.arrays}
    own = {
        name: array.dimensions[: len(source.shape)]
        for array, (name, source) in zip(header.arrays, sources.items(), strict=True)
    }
    dimensions = fitted(
        {name: tuple(names[dimension] for dimension in each) for name, each in own.items()},
        {name: source.shape for name, source in sources.items()},
    )
    variables = {
        name: lazy_variable(dimensions[name], source, _described(array, name, source))
        for array, (name, source) in zip(header.arrays, sources.items(), strict=True)
    }
    return assembled(variables, clean(header.attributes), own)


@contextmanager
def _opened(path: FilePath) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error


@dataclass
class _Tokens:
    """The header's bytes, taken one item after the other; its sizes are four bytes, or eight in CDF-5."""

    file: IO[bytes]
    size: int
    """Of the whole file: nothing in it can be longer."""
    count_format: str = ">i"
    offset_format: str = ">i"
    types: int = _CLASSIC_TYPES

    def version(self) -> None:
        """Take the magic number, which says how wide the others are."""
        number = self.take(4)[3]
        self.count_format = ">q" if number == 5 else ">i"  # noqa: PLR2004 — CDF-5
        self.offset_format = ">i" if number == 1 else ">q"
        self.types = len(_TYPES) if number == 5 else _CLASSIC_TYPES  # noqa: PLR2004 — CDF-5

    def take(self, size: int) -> bytes:
        """Take so many bytes."""
        found = self.file.read(size) if 0 <= size <= self.size else b""
        if len(found) != size:
            raise Unreadable(_DAMAGED)
        return found

    def number(self, form: str) -> int:
        """Take a number."""
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def count(self) -> int:
        """Take NON_NEG, a number that is not negative."""
        count = self.number(self.count_format)
        if count < 0:
            raise Unreadable(_DAMAGED)
        return count

    def name(self) -> bytes:
        """Take a name: its length, its bytes, and the padding."""
        return self.padded(self.count())

    def padded(self, size: int) -> bytes:
        """Take so many bytes and those that fill the last four."""
        found = self.take(size)
        self.take(-size % _ALIGNMENT)
        return found

    def type(self) -> np.dtype[Any]:
        """Take an nc_type."""
        number = self.number(">i")
        if not 1 <= number <= self.types:
            raise Unreadable(_DAMAGED)
        return _TYPES[number]

    def list_of(self, tag: int) -> range:
        """Take a list's tag and length; its elements follow."""
        found, count = self.number(">i"), self.count()
        if found not in {tag, _ABSENT} or (found == _ABSENT and count) or count > self.size:
            raise Unreadable(_DAMAGED)
        return range(count)

    def attributes(self) -> dict[str, Any]:
        """Take an att_list."""
        found = [(self.name(), self._values()) for _ in self.list_of(_NC_ATTRIBUTE)]
        names = distinct(name for name, _ in found)
        return dict(zip(names, (value for _, value in found), strict=True))

    def _values(self) -> Any:  # noqa: ANN401 — bytes, or an array of any type
        dtype, count = self.type(), self.count()
        found = self.padded(count * dtype.itemsize)
        return found if dtype == _CHAR else np.frombuffer(found, dtype)


@dataclass(frozen=True)
class _Stated:
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
    arrays: tuple[_Stated, ...]
    records: int
    size: int
    """Of the whole file."""

    @classmethod
    def parsed(cls, tokens: _Tokens) -> _Header:
        """Parse a header.

        Raises:
            Unreadable: it does not follow the grammar, or the file is shorter than it says.
        """
        tokens.version()
        records = tokens.number(tokens.count_format)
        if records < _STREAMING:
            raise Unreadable(_DAMAGED)
        stated = [(tokens.name(), tokens.count()) for _ in tokens.list_of(_NC_DIMENSION)]
        dimensions = list(zip(distinct(name for name, _ in stated), (size for _, size in stated), strict=True))
        attributes = tokens.attributes()
        listed = [(tokens.name(), _stated(tokens, dimensions)) for _ in tokens.list_of(_NC_VARIABLE)]
        if any(len(dict(each)) < len(each) for each in (stated, listed)):
            raise Unreadable(_DAMAGED)
        names = distinct(name for name, _ in listed)
        arrays = tuple(replace(array, name=name) for name, (_, array) in zip(names, listed, strict=True))
        header = cls(dict(dimensions), attributes, arrays, records, tokens.size)
        return header if records != _STREAMING else header.with_as_many_records_as_fit()

    def with_as_many_records_as_fit(self) -> _Header:
        """The same, of a file whose writer never came back to say how many records it has."""
        begin = min((array.begin for array in self.arrays if self.has_records(array)), default=0)
        records = (self.size - begin) // self.record_size if self.record_size else 0
        return replace(self, records=max(records, 0))

    def has_records(self, array: _Stated) -> bool:
        """Whether an array grows along the record dimension."""
        return bool(array.dimensions) and self.dimensions[array.dimensions[0]] == 0

    @cached_property
    def record_size(self) -> int:
        """The bytes from one record to the next: every array's share padded, unless there is only one array.

        The sizes that the header states (vsize) are redundant, and wrong for arrays of more than 4 GiB.
        """
        shares = [self._share(array) for array in self.arrays if self.has_records(array)]
        return shares[0] if len(shares) == 1 else sum(share + -share % _ALIGNMENT for share in shares)

    def _share(self, array: _Stated) -> int:
        return array.dtype.itemsize * math.prod(self.dimensions[name] for name in array.dimensions[1:])

    def stored(self, path: FilePath, array: _Stated) -> Stored:
        """Where an array's numbers lie.

        Raises:
            Unreadable: beyond the end of the file.
        """
        lengths = tuple(self.dimensions[name] for name in array.dimensions)
        if self.has_records(array):
            one = dense(path, array.begin, lengths[1:], array.dtype)
            found = Stored(path, array.begin, (self.record_size, *one.strides), (self.records, *one.shape), one.stored)
        else:
            found = dense(path, array.begin, lengths, array.dtype)
        if found.end > self.size or array.begin < 0:
            raise Unreadable(f"The netCDF file is shorter than its array {array.name} needs; it was cut short.")
        return found


def _stated(tokens: _Tokens, dimensions: list[tuple[str, int]]) -> _Stated:
    """Take what follows an array's name."""
    rank = tokens.count()
    numbers = [tokens.count() for _ in range(min(rank, tokens.size))]
    attributes, dtype = tokens.attributes(), tokens.type()
    tokens.number(tokens.count_format)  # vsize, which is redundant
    begin = tokens.number(tokens.offset_format)
    if any(number >= len(dimensions) for number in numbers) or any(dimensions[n][1] == 0 for n in numbers[1:]):
        raise Unreadable(_DAMAGED)
    return _Stated("", tuple(dimensions[number][0] for number in numbers), attributes, dtype, begin)


def _source(path: FilePath, array: _Stated, header: _Header) -> Source:
    stored = header.stored(path, array)
    if array.dtype != _CHAR:
        return stored
    encoding = array.attributes.get(ENCODING, b"")
    return characters(stored, decoded(encoding) if isinstance(encoding, bytes) else "")


def _described(array: _Stated, name: str, source: Source) -> dict[str, Attribute]:
    attributes = clean(array.attributes)
    if is_text(source):
        attributes.pop(ENCODING, None)  # it was of the bytes
    elif array.dtype == _CHAR:
        attributes.setdefault("note", CODES)
    return attributes if name == array.name else {**attributes, "original_name": array.name}
