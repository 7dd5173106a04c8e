"""Sources that several formats share: values that lie in a file as in memory, frames put on a stack, characters.

Stored values are read, not memory-mapped: where a mapped file is cut short by someone else, or its server goes away,
the system kills the process that touches it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.readers.attributes import decode_text
from shotdap.catalog.readers.lazy import Array, ArraySource, BasicIndex
from shotdap.catalog.storage import FilePath

ENCODING_ATTRIBUTE = "_Encoding"
"""The attribute that names the encoding of characters: netCDF's own."""
CHARACTER_CODES_NOTE = "characters that are no text, as their codes"
"""What the attribute ``note`` says of such an array."""

_MAX_OVERREAD = 4  # bytes read for each byte wanted: a long read is faster than several short ones
_SMALL_READ_SIZE = 64 << 10  # bytes that cost no more than asking for them
_TEXT_SAMPLE_SIZE = 1 << 20  # characters that are looked at to see whether they are text
_MAX_TEXT_LENGTH = 1 << 16  # characters that NumPy keeps in an array; longer texts are objects
# For each code, whether it is a C0 control but tab, the ends of lines and of pages, and escape: text has none of them.
_IS_CONTROL_CODE = np.isin(np.arange(256), sorted({*range(32)} - {*b"\t\n\v\f\r\x1b"}))


@dataclass(frozen=True)
class StridedSource:
    """Numbers that lie uncompressed in a file, at regular distances; a slice reads little more than itself."""

    path: FilePath
    offset: int
    """Where the first number lies."""
    strides: tuple[int, ...]
    """For each dimension, the bytes from one index to the next; never negative."""
    shape: tuple[int, ...]
    stored_dtype: np.dtype[Any]
    """The numbers' type in the file, byte order included."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The same type in this machine's byte order."""
        return self.stored_dtype.newbyteorder("=")

    @property
    def end_offset(self) -> int:
        """Where the last number ends: the file has to be this long."""
        if 0 in self.shape:
            return 0
        return self.offset + _compute_span(self.shape, self.strides) + self.stored_dtype.itemsize

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        parts = [part if isinstance(part, slice) else slice(part, part + 1, 1) for part in key]
        counts = [len(range(part.start, part.stop, part.step)) for part in parts]
        start = self.offset + sum(part.start * stride for part, stride in zip(parts, self.strides, strict=True))
        steps = [part.step * stride for part, stride in zip(parts, self.strides, strict=True)]
        values = np.empty(counts, self.dtype)
        try:
            with self.path.open("rb") as file:
                self._fill_array(file, start, steps, values)
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except OSError as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(f"The file cannot be read: {error.strerror}.") from error
        return np.asarray(values[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)])

    def _fill_array(self, file: IO[bytes], start: int, steps: Sequence[int], values: Array) -> None:
        """Fill an array: in one read where most of what lies between is wanted, else index by index."""
        span = _compute_span(values.shape, steps) + self.stored_dtype.itemsize
        if span <= max(_MAX_OVERREAD * values.size * self.stored_dtype.itemsize, _SMALL_READ_SIZE):
            values[...] = np.ndarray(values.shape, self.stored_dtype, _read_exactly(file, start, span), 0, tuple(steps))
            return
        for index in range(values.shape[0]):
            self._fill_array(file, start + index * steps[0], steps[1:], values[index, ...])


def make_contiguous_source(path: FilePath, offset: int, shape: tuple[int, ...], stored: np.dtype[Any]) -> StridedSource:
    """Numbers without gaps, the last dimension's side by side."""
    strides = tuple(stored.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return StridedSource(path, offset, strides, shape, stored)


def _compute_span(counts: Sequence[int], strides: Sequence[int]) -> int:
    """The bytes from the first number to the last."""
    return sum((count - 1) * stride for count, stride in zip(counts, strides, strict=True))


def _read_exactly(file: IO[bytes], start: int, size: int) -> bytearray:
    buffer = bytearray(size)
    file.seek(start)
    if file.readinto(buffer) != size:  # type: ignore[attr-defined]  # IO lacks what every buffered file has
        raise Unreadable("The file is shorter than its headers say; it was cut short.")
    return buffer


@dataclass(frozen=True)
class StackedSource:
    """Frames of one shape and type, from one source each, as one array."""

    frames: tuple[ArraySource, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape: the number of frames, then that of a frame."""
        return (len(self.frames), *self.frames[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.frames[0].dtype

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab, of the frames that it touches and no other; see `ArraySource`."""
        first, *rest = key
        if not isinstance(first, slice):
            return self.frames[first].read(tuple(rest))
        numbers = range(first.start, first.stop, first.step)
        counts = (len(range(part.start, part.stop, part.step)) for part in rest if isinstance(part, slice))
        values = np.empty((len(numbers), *counts), self.dtype)
        for place, number in enumerate(numbers):
            values[place] = self.frames[number].read(tuple(rest))
        return values


def decode_characters(letters: ArraySource, encoding: str = "") -> ArraySource:
    """Return an array of characters as texts, its last dimension the letters of one; one that is no text, as its codes.

    Programs keep bytes in arrays of characters too. As texts they would lose NULs, and most clients would refuse the
    rest; so the first of them are looked at. Codes are uint8, and keep the array's shape.

    Args:
        letters: of the type ``S1``.
        encoding: what `ENCODING_ATTRIBUTE` says, if it does; texts that are not in it are decoded as any other.
    """
    texts = _TextSource(letters, encoding)
    return texts if _has_only_text(letters) else _CharacterCodeSource(letters)


def is_text_source(source: ArraySource) -> bool:
    """Return whether `decode_characters` took characters for text."""
    return isinstance(source, _TextSource)


def _has_only_text(letters: ArraySource) -> bool:
    """Return whether the first characters are text, each padded by NULs at its end and only there."""
    if 0 in letters.shape:
        return True
    key: list[slice] = []
    room = _TEXT_SAMPLE_SIZE
    for size in reversed(letters.shape):
        key.insert(0, slice(0, max(1, min(size, room)), 1))
        room //= size
    try:
        found = np.ascontiguousarray(letters.read(tuple(key)))
    except Unreadable:  # who asks for the values is told
        return True
    codes = found.view(np.uint8).reshape(-1, *found.shape[-1:])
    is_padding = np.logical_and.accumulate(codes[:, ::-1] == 0, axis=1)[:, ::-1]
    return not bool((_IS_CONTROL_CODE[codes] & ~is_padding).any())


@dataclass(frozen=True)
class _TextSource:
    """Characters as texts: the last dimension is the letters of one."""

    letters: ArraySource
    encoding: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.letters.shape[:-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Text of the greatest length that there can be."""
        longest = max((1, *self.letters.shape[-1:]))
        return np.dtype(f"U{longest}") if longest <= _MAX_TEXT_LENGTH else np.dtype(object)

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        length = self.letters.shape[-1:]
        if 0 in length:
            counts = [len(range(part.start, part.stop, part.step)) for part in key if isinstance(part, slice)]
            return np.full(counts, "", self.dtype)
        letters = np.ascontiguousarray(self.letters.read((*key, *(slice(0, size, 1) for size in length))))
        texts = letters.view(f"S{length[0]}")[..., 0] if length else letters
        return np.asarray(np.frompyfunc(self._decode_value, 1, 1)(texts), self.dtype)

    def _decode_value(self, text: bytes) -> str:
        try:
            return text.decode(self.encoding or "utf-8").rstrip("\0")
        except (LookupError, ValueError):
            return decode_text(text)


@dataclass(frozen=True)
class _CharacterCodeSource:
    """Characters as their codes."""

    letters: ArraySource

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.letters.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return np.dtype(np.uint8)

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        return np.ascontiguousarray(self.letters.read(key)).view(np.uint8)
