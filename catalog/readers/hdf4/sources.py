"""Where the values of an HDF4 array come from: the shortest way that their storage allows.

Rule 1: what lies in the file as it is, is read from there, just the slice, without the library (`Stored`).
Rule 2: what is deflated (`Deflated`) is inflated by Python's zlib: many threads at once, and with the checksum verified
        at the end of the stream, which the library never looks at: it serves a picture whose bits have flipped.
Rule 3: all else (`Scientific`, `Raster`) is the library's, one thread at a time.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.lazy import Array, Key, Source
from shotdap.catalog.readers.attributes import decoded
from shotdap.catalog.readers.hdf4 import library
from shotdap.catalog.storage import FilePath

__all__ = ["Deflated", "File", "Raster", "Scientific", "Texts"]


@dataclass(frozen=True)
class File:
    """A file that the library reads."""

    path: FilePath

    @contextmanager
    def scientific(self) -> Iterator[int]:
        """Open the file's scientific data sets."""
        with self._understood(), library.scientific(self.path) as file:
            yield file

    @contextmanager
    def rasters(self) -> Iterator[int]:
        """Open the file's raster images."""
        with self._understood(), library.rasters(self.path) as images:
            yield images

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except library.LibraryError as error:
            raise Unreadable(f"The HDF4 library cannot read the file; it may be damaged ({error}).") from error


def _slices(key: Key) -> list[slice]:
    return [part if isinstance(part, slice) else slice(part, part + 1, 1) for part in key]


def _count(part: slice) -> int:
    return len(range(part.start, part.stop, part.step))


def _without_indices(values: Array, key: Key) -> Array:
    """Drop the dimensions that were asked for by an index; they are of size 1."""
    return values[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]


@dataclass(frozen=True)
class Scientific:
    """An SDS, read by the library."""

    file: File
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: Key) -> Array:
        """Read a hyperslab; see `Source`. Steps are taken here: the library would seek to each value."""
        parts = _slices(key)
        lasts = [part.start + (_count(part) - 1) * part.step for part in parts]
        values = np.empty([last + 1 - part.start for part, last in zip(parts, lasts, strict=True)], self.dtype)
        with self.file.scientific() as opened, library.selected(opened, self.index) as sds:
            library.read_box(sds, [part.start for part in parts], values)
        return _without_indices(values[tuple(slice(None, None, part.step) for part in parts)], key)


@dataclass(frozen=True)
class Deflated:
    """An SDS that is deflated, whole or in chunks. It is to be read by whole chunks only."""

    plain: Scientific
    stored: np.dtype[Any]
    """The type, with its order of bytes, in the file."""
    chunk: tuple[int, ...] | None
    """The shape of a chunk, if there are any."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.plain.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.plain.dtype

    def read(self, key: Key) -> Array:
        """Read one chunk; see `Source`."""
        parts = _slices(key)
        pieces = self._pieces(parts)
        shape = self.chunk or self.shape
        inflated = self._inflated(pieces, math.prod(shape) * self.stored.itemsize)
        if inflated is None:
            return self.plain.read(key)
        values = np.frombuffer(inflated, self.stored).reshape(shape)
        inside = values[tuple(slice(0, part.stop - part.start) for part in parts)]  # chunks at the edge stick out
        return _without_indices(inside.astype(self.dtype), key)

    def _pieces(self, parts: Sequence[slice]) -> list[tuple[int, int]]:
        place = [part.start // size for part, size in zip(parts, self.chunk, strict=True)] if self.chunk else None
        with self.plain.file.scientific() as opened, library.selected(opened, self.plain.index) as sds:
            return library.pieces(sds, place)

    def _inflated(self, pieces: Sequence[tuple[int, int]], size: int) -> bytes | None:
        """The values' bytes; nothing where fewer were ever written, and the library fills in what is missing."""
        if not pieces:
            return None
        stream = zlib.decompressobj()
        try:
            inflated = stream.decompress(self._bytes(pieces), size + 1)
        except zlib.error as error:
            raise Unreadable("The file is damaged: compressed values do not inflate, or not to their checksum.") from (
                error
            )
        if not stream.eof or len(inflated) > size:
            raise Unreadable("The file is damaged: compressed values have no end where it should be.")
        return inflated if len(inflated) == size else None

    def _bytes(self, pieces: Sequence[tuple[int, int]]) -> bytes:
        with self.plain.file.path.open("rb", buffering=0) as file:
            found = []
            for offset, length in pieces:
                file.seek(offset)
                found.append(file.read(max(0, length)))
        return b"".join(found)


@dataclass(frozen=True)
class Raster:
    """A raster image, read whole: (y, x), or (y, x, component) where there are several."""

    file: File
    index: int
    header: library.Image
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        height, width, components = self.header.shape
        return (height, width) if components == 1 else (height, width, components)

    def read(self, key: Key) -> Array:
        """Read a hyperslab; see `Source`.

        The library takes the values of every file for interlaced by pixel. The GR interface writes no others, but the
        older DF24 does: so they are taken as they are stored, and put in order here.
        """
        order = _INTERLACES[self.header.interlace]
        values = np.empty([self.header.shape[axis] for axis in order], self.dtype)
        with self.file.rasters() as opened, library.selected_raster(opened, self.index) as image:
            library.read_raster(image, self.header, values)
        whole = np.ascontiguousarray(values.transpose(np.argsort(order)))
        return whole.reshape(self.shape)[key]


_INTERLACES = ((0, 1, 2), (0, 2, 1), (2, 0, 1))  # by pixel, by line, by component: gr_interlace_t, mfgr.h


@dataclass(frozen=True)
class Texts:
    """Characters, the last dimension of which makes texts."""

    source: Source

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.source.shape[:-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Text of the greatest length that there can be."""
        return np.dtype(f"U{max(1, self.source.shape[-1])}")

    def read(self, key: Key) -> Array:
        """Read a hyperslab; see `Source`."""
        length = self.source.shape[-1]
        characters = np.ascontiguousarray(self.source.read((*key, slice(0, length, 1))))
        texts = characters.view(f"S{length}")[..., 0]
        return np.asarray([decoded(text) for text in texts.reshape(-1).tolist()], self.dtype).reshape(texts.shape)
