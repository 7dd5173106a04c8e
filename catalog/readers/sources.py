"""Sources that several formats share: values that lie in a file as they would in memory, and frames put on a stack.

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
from shotdap.catalog.lazy import Array, Key, Source
from shotdap.catalog.storage import FilePath

__all__ = ["Stack", "Stored", "dense"]

_WASTE = 4  # bytes read for each byte wanted: a long read is faster than several short ones
_SHORT = 64 << 10  # bytes that cost no more than asking for them


@dataclass(frozen=True)
class Stored:
    """Numbers that lie uncompressed in a file, at regular distances; a slice reads little more than itself."""

    path: FilePath
    offset: int
    """Where the first number lies."""
    strides: tuple[int, ...]
    """For each dimension, the bytes from one index to the next; never negative."""
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    """The numbers' type in the file, byte order included."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The same type in this machine's byte order."""
        return self.stored.newbyteorder("=")

    @property
    def end(self) -> int:
        """Where the last number ends: the file has to be this long."""
        if 0 in self.shape:
            return 0
        return self.offset + _span(self.shape, self.strides) + self.stored.itemsize

    def read(self, key: Key) -> Array:
        """Read a hyperslab; see `Source`."""
        parts = [part if isinstance(part, slice) else slice(part, part + 1, 1) for part in key]
        counts = [len(range(part.start, part.stop, part.step)) for part in parts]
        start = self.offset + sum(part.start * stride for part, stride in zip(parts, self.strides, strict=True))
        steps = [part.step * stride for part, stride in zip(parts, self.strides, strict=True)]
        values = np.empty(counts, self.dtype)
        try:
            with self.path.open("rb") as file:
                self._gather(file, start, steps, values)
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except OSError as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(f"The file cannot be read: {error.strerror}.") from error
        return np.asarray(values[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)])

    def _gather(self, file: IO[bytes], start: int, steps: Sequence[int], values: Array) -> None:
        """Fill an array: in one read where most of what lies between is wanted, else index by index."""
        span = _span(values.shape, steps) + self.stored.itemsize
        if span <= max(_WASTE * values.size * self.stored.itemsize, _SHORT):
            values[...] = np.ndarray(values.shape, self.stored, _bytes_at(file, start, span), 0, tuple(steps))
            return
        for index in range(values.shape[0]):
            self._gather(file, start + index * steps[0], steps[1:], values[index, ...])


def dense(path: FilePath, offset: int, shape: tuple[int, ...], stored: np.dtype[Any]) -> Stored:
    """Numbers without gaps, the last dimension's side by side."""
    strides = tuple(stored.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Stored(path, offset, strides, shape, stored)


def _span(counts: Sequence[int], strides: Sequence[int]) -> int:
    """The bytes from the first number to the last."""
    return sum((count - 1) * stride for count, stride in zip(counts, strides, strict=True))


def _bytes_at(file: IO[bytes], start: int, size: int) -> bytearray:
    buffer = bytearray(size)
    file.seek(start)
    if file.readinto(buffer) != size:  # type: ignore[attr-defined]  # IO lacks what every buffered file has
        raise Unreadable("The file is shorter than its headers say; it was cut short.")
    return buffer


@dataclass(frozen=True)
class Stack:
    """Frames of one shape and type, from one source each, as one array."""

    frames: tuple[Source, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape: the number of frames, then that of a frame."""
        return (len(self.frames), *self.frames[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.frames[0].dtype

    def read(self, key: Key) -> Array:
        """Read a hyperslab, of the frames that it touches and no other; see `Source`."""
        first, *rest = key
        if not isinstance(first, slice):
            return self.frames[first].read(tuple(rest))
        numbers = range(first.start, first.stop, first.step)
        counts = (len(range(part.start, part.stop, part.step)) for part in rest if isinstance(part, slice))
        values = np.empty((len(numbers), *counts), self.dtype)
        for place, number in enumerate(numbers):
            values[place] = self.frames[number].read(tuple(rest))
        return values
