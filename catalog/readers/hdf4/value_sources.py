"""Where the values of an HDF4 array come from: the shortest way that their storage allows.

Rule 1: what lies in the file as it is, is read from there, just the slice, without the library (`StridedSource`).
Rule 2: what is deflated, run-length encoded or chunked without compression (`EncodedSdsSource`) is decoded here: many threads at
        once, without opening the file by the library for each chunk (5 ms and more where chunks are many), and with the
        checksum of zlib verified, which the library never looks at: it serves a picture whose bits have flipped.
Rule 3: all else (`SdsSource`, `RasterSource`) is the library's, one thread at a time.
Rule 4: memory that nobody wrote is never served. Where an element is shorter than its array, the library leaves the
        rest of its buffer, or of ours, as it was: so ours are zeroed, and lengths are checked where they are known.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.readers.hdf4 import library
from shotdap.catalog.readers.lazy import Array, BasicIndex
from shotdap.catalog.storage import FilePath


@dataclass(frozen=True)
class Hdf4File:
    """A file that the library reads."""

    path: FilePath

    @contextmanager
    def open_scientific_data(self) -> Iterator[int]:
        """Open the file's scientific data sets."""
        with self._wrap_library_errors(), library.open_scientific_data(self.path) as file:
            yield file

    @contextmanager
    def open_rasters(self) -> Iterator[int]:
        """Open the file's raster images."""
        with self._wrap_library_errors(), library.open_rasters(self.path) as images:
            yield images

    @contextmanager
    def open_bytes(self) -> Iterator[IO[bytes]]:
        """Open the file's bytes.

        Raises:
            Missing: it is gone.
            Unreadable: it cannot be read.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                yield file
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except OSError as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(f"The file cannot be read: {error.strerror}.") from error

    @contextmanager
    def _wrap_library_errors(self) -> Iterator[None]:
        try:
            yield
        except library.LibraryError as error:
            raise Unreadable(f"The HDF4 library cannot read the file; it may be damaged ({error}).") from error


IMCOMP_BLOCK_SIZE = 4  # rows and columns of pixels in one block of IMCOMP


def _convert_to_slices(key: BasicIndex) -> list[slice]:
    return [part if isinstance(part, slice) else slice(part, part + 1, 1) for part in key]


def _count_indices(part: slice) -> int:
    return len(range(part.start, part.stop, part.step))


def _drop_index_dimensions(values: Array, key: BasicIndex) -> Array:
    """Drop the dimensions that were asked for by an index; they are of size 1."""
    return values[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]


@dataclass(frozen=True)
class SdsSource:
    """An SDS, read by the library."""

    file: Hdf4File
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`. Steps are taken here: the library would seek to each value."""
        parts = _convert_to_slices(key)
        lasts = [part.start + (_count_indices(part) - 1) * part.step for part in parts]
        values = np.zeros([last + 1 - part.start for part, last in zip(parts, lasts, strict=True)], self.dtype)
        with self.file.open_scientific_data() as opened, library.select_sds(opened, self.index) as sds:
            library.read_hyperslab(sds, [part.start for part in parts], values)
        return _drop_index_dimensions(values[tuple(slice(None, None, part.step) for part in parts)], key)


ByteRanges: TypeAlias = Sequence[tuple[int, int]]
"""Where in a file the bytes of an array, or of one chunk of it, are: offsets and lengths."""


@dataclass(frozen=True)
class EncodedSdsSource:
    """An SDS whose bytes are decoded here, whole or in chunks. It is to be read by whole chunks only."""

    library_source: SdsSource
    stored_dtype: np.dtype[Any]
    """The type, with its order of bytes, in the file."""
    coder: int
    chunk_shape: tuple[int, ...]
    """The shape of a chunk; the array's where it has none."""
    chunk_ranges: Sequence[ByteRanges]
    """Of each chunk, those of the last dimension side by side; nothing for one that was never written."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.library_source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.library_source.dtype

    def read(self, key: BasicIndex) -> Array:
        """Read one chunk or a box of several; see `ArraySource`."""
        parts = _convert_to_slices(key)
        values = np.empty([_count_indices(part) for part in parts], self.dtype)
        grid = [-(-size // chunk) for size, chunk in zip(self.shape, self.chunk_shape, strict=True)]
        touched = product(*(_split_slice(part, size) for part, size in zip(parts, self.chunk_shape, strict=True)))
        with self.library_source.file.open_bytes() as file:
            for number, inside, outside in (tuple(zip(*axes, strict=True)) for axes in touched):
                content = self._decode_chunk(file, self.chunk_ranges[_flatten_index(number, grid)])
                if content is None:  # the library knows what to fill in for values that were never written
                    return self.library_source.read(key)
                values[outside] = np.frombuffer(content, self.stored_dtype).reshape(self.chunk_shape)[inside]
        return _drop_index_dimensions(values, key)

    def _decode_chunk(self, file: IO[bytes], pieces: ByteRanges) -> bytes | None:
        """Return the bytes of one chunk; nothing where fewer were ever written."""
        if not pieces:
            return None
        size = math.prod(self.chunk_shape) * self.stored_dtype.itemsize
        return DECODERS[self.coder](b"".join(_read_range(file, offset, length) for offset, length in pieces), size)


def _flatten_index(numbers: Sequence[int], grid: Sequence[int]) -> int:
    flat = 0
    for number, count in zip(numbers, grid, strict=True):
        flat = flat * count + number
    return flat


def _split_slice(part: slice, size: int) -> Iterator[tuple[int, slice, slice]]:
    """For each chunk of a slice along one dimension: its number, what of it is wanted, and where in the slice that is.

    The last chunk may stick out of the array.
    """
    for start in range(part.start, part.stop, size):
        end = min(start + size, part.stop)
        yield start // size, slice(0, end - start), slice(start - part.start, end - part.start)


def _read_range(file: IO[bytes], offset: int, length: int) -> bytes:
    return os.pread(file.fileno(), max(0, length), offset)


def _decode_deflate(packed: bytes, size: int) -> bytes | None:
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(packed, size + 1)
    except zlib.error as error:
        raise Unreadable("The file is damaged: compressed values do not inflate, or not to their checksum.") from error
    if not stream.eof or len(inflated) > size:
        raise Unreadable("The file is damaged: compressed values have no end where it should be.")
    return inflated if len(inflated) == size else None


def _decode_plain(content: bytes, size: int) -> bytes:
    if len(content) < size:
        raise Unreadable("The file is damaged: a chunk is shorter than its values need.")
    return content[:size]


def _decode_run_length(packed: bytes, size: int) -> bytes:
    """Undo run-length encoding: "Run-length encoding", HDF4 Specification, chapter 6; crle.c."""
    runs, done, place = [], 0, 0
    while done < size and place + 1 < len(packed):
        count = packed[place]
        if count & _RUN_MASK:
            run = packed[place + 1 : place + 2] * ((count & ~_RUN_MASK) + _MIN_RUN_LENGTH)
            place += 2
        else:
            run = packed[place + 1 : place + 2 + count]
            place += 2 + count
        runs.append(run)
        done += len(run)
    if done < size:
        raise Unreadable("The file is damaged: run-length encoded values end before the array does.")
    return b"".join(runs)[:size]


_RUN_MASK, _MIN_RUN_LENGTH = 0x80, 3  # RUN_MASK, RLE_MIN_RUN: crle_priv.h
DECODERS: Mapping[int, Callable[[bytes, int], bytes | None]] = MappingProxyType(
    {library.NO_COMPRESSION: _decode_plain, library.RLE: _decode_run_length, library.DEFLATE: _decode_deflate}
)
"""For each compression that is undone here: from packed bytes to so many; nothing where fewer were ever written."""


@dataclass(frozen=True)
class RasterSource:
    """A raster image, read whole: (y, x), or (y, x, component) where there are several."""

    file: Hdf4File
    index: int
    header: library.RasterHeader
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        height, width, components = self.header.shape
        return (height, width) if components == 1 else (height, width, components)

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`.

        The library takes the values of every file for interlaced by pixel. The GR interface writes no others, but the
        older DF24 does: so they are taken as they are stored, and put in order here.
        """
        order = _INTERLACE_AXES[self.header.interlace]
        values = np.zeros([self.header.shape[axis] for axis in order], self.dtype)
        with self.file.open_rasters() as opened, library.select_raster(opened, self.index) as image:
            pieces = library.get_raster_byte_ranges(image)
            if self.header.coder == library.NO_COMPRESSION and pieces and sum(n for _, n in pieces) < values.nbytes:
                raise Unreadable("The file is damaged: a raster image is shorter than its size needs.")
            if self.header.coder != library.IMCOMP:
                library.read_raster(image, self.header, values)
        if self.header.coder == library.IMCOMP:
            with self.file.open_bytes() as file:
                packed = b"".join(_read_range(file, offset, length) for offset, length in pieces)
            _decode_imcomp(packed, values.reshape(self.header.shape[:2]))
        whole = np.ascontiguousarray(values.transpose(np.argsort(order)))
        return whole.reshape(self.shape)[key]


def _decode_imcomp(packed: bytes, values: NDArray[np.uint8]) -> None:
    """Undo IMCOMP: four bytes hold 4 by 4 pixels, a bit for each, and the two colours that the bit chooses from.

    The library (dfimcomp.c) writes whole blocks only, one after the other, and so leaves out up to three rows and
    columns. When it reads, it takes a row of blocks for as many bytes as the image is wide. Where that is no multiple
    of 4 it shifts each row of blocks, and writes behind the image's end. So it is not asked.
    """
    rows, columns = values.shape[0] // IMCOMP_BLOCK_SIZE, values.shape[1] // IMCOMP_BLOCK_SIZE
    if len(packed) < rows * columns * 4:
        raise Unreadable("The file is damaged: a raster image is shorter than its size needs.")
    blocks = np.frombuffer(packed, np.uint8, rows * columns * 4).reshape(rows, columns, 4)
    bits = np.unpackbits(blocks[..., :2], axis=-1).reshape(rows, columns, IMCOMP_BLOCK_SIZE, IMCOMP_BLOCK_SIZE)
    pixels = np.where(bits, blocks[..., 2, np.newaxis, np.newaxis], blocks[..., 3, np.newaxis, np.newaxis])
    values[: rows * IMCOMP_BLOCK_SIZE, : columns * IMCOMP_BLOCK_SIZE] = pixels.swapaxes(1, 2).reshape(
        rows * IMCOMP_BLOCK_SIZE, columns * IMCOMP_BLOCK_SIZE
    )


_INTERLACE_AXES = ((0, 1, 2), (0, 2, 1), (2, 0, 1))  # by pixel, by line, by component: gr_interlace_t, mfgr.h
