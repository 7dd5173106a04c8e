"""Sources that several formats share: uncompressed values, stacked frames, characters.

Values are read, not memory-mapped: if another process truncates a mapped file, or its server goes away, the system
kills the process that touches it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.readers.attributes import decode_text
from shotdap.catalog.readers.lazy import (
    Array,
    ArraySource,
    BasicIndex,
    convert_to_slices,
    count_indices,
    drop_indexed_dimensions,
)
from shotdap.catalog.storage import FilePath
from shotdap.catalog.storage.raw_bytes import open_bytes

ENCODING_ATTRIBUTE = "_Encoding"
"""netCDF's attribute that names the encoding of characters."""
CHARACTER_CODES_NOTE = "characters that are no text, as their codes"
"""The attribute ``note`` of an array of characters that is not text."""

_MAX_OVERREAD = 4  # bytes read for each byte needed: one long read is faster than several short ones
_SMALL_READ_SIZE = 64 << 10  # bytes; reading fewer takes as long as the system call
_TEXT_SAMPLE_SIZE = 1 << 20  # characters inspected to decide whether they are text
_MAX_TEXT_LENGTH = 1 << 16  # characters of a fixed-length text in NumPy; longer texts are objects
# For each code, whether it is a C0 control other than tab, line ends, form feed and escape: text contains none of them.
_IS_CONTROL_CODE = np.isin(np.arange(256), sorted({*range(32)} - {*b"\t\n\v\f\r\x1b"}))


@dataclass(frozen=True)
class StridedSource:
    """Uncompressed numbers in a file, at regular distances; a slice reads little more than its own bytes."""

    path: FilePath
    offset: int
    """Offset of the first number in the file."""
    strides: tuple[int, ...]
    """For each dimension, the bytes from one index to the next; never negative."""
    shape: tuple[int, ...]
    stored_dtype: np.dtype[Any]
    """The type of the numbers in the file, byte order included."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The same type in this machine's byte order."""
        return self.stored_dtype.newbyteorder("=")

    @property
    def end_offset(self) -> int:
        """Offset of the end of the last number: the minimum size of the file."""
        if 0 in self.shape:
            return 0
        return self.offset + _compute_span(self.shape, self.strides) + self.stored_dtype.itemsize

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        parts = convert_to_slices(key)
        start = self.offset + sum(part.start * stride for part, stride in zip(parts, self.strides, strict=True))
        steps = [part.step * stride for part, stride in zip(parts, self.strides, strict=True)]
        values = np.empty([count_indices(part) for part in parts], self.dtype)
        with open_bytes(self.path) as file:
            self._fill_array(file, start, steps, values)
        return drop_indexed_dimensions(values, key)

    def _fill_array(self, file: IO[bytes], start: int, steps: Sequence[int], values: Array) -> None:
        """Fill an array: by one read if most bytes in between are needed, else index by index."""
        span = _compute_span(values.shape, steps) + self.stored_dtype.itemsize
        if span <= max(_MAX_OVERREAD * values.size * self.stored_dtype.itemsize, _SMALL_READ_SIZE):
            buffer = bytearray(span)
            file.seek(start)
            if file.readinto(buffer) != span:  # type: ignore[attr-defined]  # IO lacks what every buffered file has
                raise Unreadable("The file is shorter than its headers say; it was cut short.")
            values[...] = np.ndarray(values.shape, self.stored_dtype, buffer, 0, tuple(steps))
            return
        for index in range(values.shape[0]):
            self._fill_array(file, start + index * steps[0], steps[1:], values[index, ...])


def make_contiguous_source(path: FilePath, offset: int, shape: tuple[int, ...], stored: np.dtype[Any]) -> StridedSource:
    """Return a source of numbers in C order without gaps."""
    strides = tuple(stored.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return StridedSource(path, offset, strides, shape, stored)


def _compute_span(counts: Sequence[int], strides: Sequence[int]) -> int:
    """Return the distance in bytes from the first number to the last."""
    return sum((count - 1) * stride for count, stride in zip(counts, strides, strict=True))


@dataclass(frozen=True)
class StackedSource:
    """Frames of one shape and type, from one source each, as one array."""

    frames: tuple[ArraySource, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape: the number of frames, then the shape of a frame."""
        return (len(self.frames), *self.frames[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.frames[0].dtype

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab from the frames that it touches only; see `ArraySource`."""
        first, *rest = key
        if not isinstance(first, slice):
            return self.frames[first].read(tuple(rest))
        numbers = range(first.start, first.stop, first.step)
        counts = (count_indices(part) for part in rest if isinstance(part, slice))
        values = np.empty((len(numbers), *counts), self.dtype)
        for position, number in enumerate(numbers):
            values[position] = self.frames[number].read(tuple(rest))
        return values


def decode_characters(letters: ArraySource, encoding: str = "") -> ArraySource:
    """Return an array of characters as texts, or as character codes if it is not text.

    The last dimension is the letters of one text. Programs store bytes in arrays of characters too. As texts they would
    lose NULs, and most clients would refuse the rest; so the first characters are inspected. Codes are uint8, and keep
    the array's shape.

    Args:
        letters: characters of the type ``S1``.
        encoding: the value of `ENCODING_ATTRIBUTE`, if any; texts that are not in it are decoded like any other.
    """
    texts = _TextSource(letters, encoding)
    if 0 in letters.shape:
        return texts
    key: list[slice] = []
    budget = _TEXT_SAMPLE_SIZE
    for size in reversed(letters.shape):
        key.insert(0, slice(0, max(1, min(size, budget)), 1))
        budget //= size
    try:
        sample = np.ascontiguousarray(letters.read(tuple(key)))
    except Unreadable:  # raised again when the values are read
        return texts
    codes = sample.view(np.uint8).reshape(-1, *sample.shape[-1:])
    is_padding = np.logical_and.accumulate(codes[:, ::-1] == 0, axis=1)[:, ::-1]  # NULs at the end, and only there
    return _CharacterCodeSource(letters) if (_IS_CONTROL_CODE[codes] & ~is_padding).any() else texts


def is_text_source(source: ArraySource) -> bool:
    """Check whether `decode_characters` treats the characters as text."""
    return isinstance(source, _TextSource)


@dataclass(frozen=True)
class _TextSource:
    """Characters as texts: the last dimension is the letters of one text."""

    letters: ArraySource
    encoding: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.letters.shape[:-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Text of the maximum length."""
        longest = max((1, *self.letters.shape[-1:]))
        return np.dtype(f"U{longest}") if longest <= _MAX_TEXT_LENGTH else np.dtype(object)

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        length = self.letters.shape[-1:]
        if 0 in length:
            return np.full([count_indices(part) for part in key if isinstance(part, slice)], "", self.dtype)
        letters = np.ascontiguousarray(self.letters.read((*key, *(slice(0, size, 1) for size in length))))
        texts = letters.view(f"S{length[0]}")[..., 0] if length else letters

        def decode(text: bytes) -> str:
            try:
                return text.decode(self.encoding or "utf-8").rstrip("\0")
            except (LookupError, ValueError):
                return decode_text(text)

        return np.asarray(np.frompyfunc(decode, 1, 1)(texts), self.dtype)


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
