"""Sources of the values of HDF4 arrays, in the fastest way that their storage allows.

Rule 1: of uncompressed, contiguous values only the slice is read, without the library (`StridedSource`).
Rule 2: deflated, run-length encoded or chunked uncompressed values are decoded here (`EncodedSdsSource`): by many
        threads at once, without opening the file by the library for each chunk (5 ms, or more if there are many
        chunks), and with zlib's checksum verified, which the library ignores: it returns pictures with flipped bits.
Rule 3: all other values are read by the library, one thread at a time (`SdsSource`, `RasterSource`).
Rule 4: uninitialised memory is never returned. If an element is shorter than its array, the library leaves the rest of
        the buffer unchanged: so buffers are zeroed here, and lengths are checked if they are known.
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
from typing import Any, TypeAlias

import numpy as np

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.readers.hdf4 import library
from shotdap.catalog.readers.lazy import (
    Array,
    BasicIndex,
    convert_to_slices,
    count_indices,
    drop_indexed_dimensions,
)
from shotdap.catalog.storage import FilePath
from shotdap.catalog.storage.raw_bytes import open_bytes


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
    def _wrap_library_errors(self) -> Iterator[None]:
        try:
            yield
        except library.LibraryError as error:
            raise Unreadable(f"The HDF4 library cannot read the file; it may be damaged ({error}).") from error


IMCOMP_BLOCK_SIZE = 4  # rows and columns of pixels in one block of IMCOMP


@dataclass(frozen=True)
class SdsSource:
    """An SDS, read by the library."""

    file: Hdf4File
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`. Steps are applied here: the library would seek to each value."""
        parts = convert_to_slices(key)
        lasts = [part.start + (count_indices(part) - 1) * part.step for part in parts]
        values = np.zeros([last + 1 - part.start for part, last in zip(parts, lasts, strict=True)], self.dtype)
        with self.file.open_scientific_data() as opened, library.select_sds(opened, self.index) as sds:
            library.read_hyperslab(sds, [part.start for part in parts], values)
        return drop_indexed_dimensions(values[tuple(slice(None, None, part.step) for part in parts)], key)


ByteRanges: TypeAlias = Sequence[tuple[int, int]]
"""Offsets and lengths of the bytes of an array, or of one chunk, in a file."""


@dataclass(frozen=True)
class EncodedSdsSource:
    """An SDS whose bytes are decoded here, whole or in chunks. Each read has to cover whole chunks."""

    library_source: SdsSource
    stored_dtype: np.dtype[Any]
    """The type in the file, byte order included."""
    coder: int
    chunk_shape: tuple[int, ...]
    """The shape of a chunk; the array's shape if it is not chunked."""
    chunk_ranges: Sequence[ByteRanges]
    """The byte ranges of each chunk, in C order; empty for a chunk that was never written."""

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
        parts = convert_to_slices(key)
        values = np.empty([count_indices(part) for part in parts], self.dtype)
        grid = [-(-size // chunk) for size, chunk in zip(self.shape, self.chunk_shape, strict=True)]
        chunk_size = math.prod(self.chunk_shape) * self.stored_dtype.itemsize
        starts = product(*(range(part.start, part.stop, n) for part, n in zip(parts, self.chunk_shape, strict=True)))
        with open_bytes(self.library_source.file.path, buffering=0) as file:
            for start in starts:
                number = 0  # of the chunk, in C order
                for position, length, count in zip(start, self.chunk_shape, grid, strict=True):
                    number = number * count + position // length
                ranges = self.chunk_ranges[number]
                encoded = b"".join(os.pread(file.fileno(), max(0, length), offset) for offset, length in ranges)
                content = DECODERS[self.coder](encoded, chunk_size) if ranges else None
                if content is None:  # the library knows the fill value of values that were never written
                    return self.library_source.read(key)
                target = tuple(
                    slice(position - part.start, min(position + length, part.stop) - part.start)
                    for position, length, part in zip(start, self.chunk_shape, parts, strict=True)
                )
                inside = tuple(slice(0, part.stop - part.start) for part in target)  # a last chunk exceeds the array
                values[target] = np.frombuffer(content, self.stored_dtype).reshape(self.chunk_shape)[inside]
        return drop_indexed_dimensions(values, key)


def _decode_deflate(packed: bytes, size: int) -> bytes | None:
    """Inflate, and verify zlib's checksum."""
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(packed, size + 1)
    except zlib.error as error:
        raise Unreadable("The file is damaged: compressed values do not inflate, or not to their checksum.") from error
    if not stream.eof or len(inflated) > size:
        raise Unreadable("The file is damaged: compressed values have no end where it should be.")
    return inflated if len(inflated) == size else None


def _decode_plain(content: bytes, size: int) -> bytes:
    """Check the length of uncompressed bytes."""
    if len(content) < size:
        raise Unreadable("The file is damaged: a chunk is shorter than its values need.")
    return content[:size]


def _decode_run_length(packed: bytes, size: int) -> bytes:
    """Undo run-length encoding: "Run-length encoding", HDF4 Specification, chapter 6; crle.c."""
    runs, done, position = [], 0, 0
    while done < size and position + 1 < len(packed):
        count = packed[position]
        if count & _RUN_MASK:
            run = packed[position + 1 : position + 2] * ((count & ~_RUN_MASK) + _MIN_RUN_LENGTH)
            position += 2
        else:
            run = packed[position + 1 : position + 2 + count]
            position += 2 + count
        runs.append(run)
        done += len(run)
    if done < size:
        raise Unreadable("The file is damaged: run-length encoded values end before the array does.")
    return b"".join(runs)[:size]


_RUN_MASK, _MIN_RUN_LENGTH = 0x80, 3  # RUN_MASK, RLE_MIN_RUN: crle_priv.h
DECODERS: Mapping[int, Callable[[bytes, int], bytes | None]] = MappingProxyType(
    {library.NO_COMPRESSION: _decode_plain, library.RLE: _decode_run_length, library.DEFLATE: _decode_deflate}
)
"""The decoders by compression: from encoded bytes and the decoded size to bytes; `None` if fewer were written."""


@dataclass(frozen=True)
class RasterSource:
    """A raster image, read whole: (y, x), or (y, x, component) if there are several components."""

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

        The library assumes that values are interlaced by pixel. The GR interface writes no others, but the older DF24
        does: so they are read in the order of the file, and transposed here.
        """
        order = _INTERLACE_AXES[self.header.interlace]
        values = np.zeros([self.header.shape[axis] for axis in order], self.dtype)
        with self.file.open_rasters() as opened, library.select_raster(opened, self.index) as image:
            ranges = library.get_raster_byte_ranges(image)
            if self.header.coder == library.NO_COMPRESSION and ranges and sum(n for _, n in ranges) < values.nbytes:
                raise Unreadable("The file is damaged: a raster image is shorter than its size needs.")
            if self.header.coder != library.IMCOMP:
                library.read_raster(image, self.header, values)
        if self.header.coder == library.IMCOMP:
            with open_bytes(self.file.path, buffering=0) as file:
                packed = b"".join(os.pread(file.fileno(), max(0, length), offset) for offset, length in ranges)
            # Four bytes hold 4 by 4 pixels, a bit for each, and the two colours that the bits select. The library
            # (dfimcomp.c) writes whole blocks only, one after the other, and so omits up to three rows and columns.
            # When it reads, it assumes that a row of blocks has as many bytes as the image is wide. If that is no
            # multiple of 4, it shifts each row of blocks, and writes beyond the image's end. So it is not used.
            size = IMCOMP_BLOCK_SIZE
            rows, columns = self.header.shape[0] // size, self.header.shape[1] // size
            if len(packed) < rows * columns * 4:
                raise Unreadable("The file is damaged: a raster image is shorter than its size needs.")
            blocks = np.frombuffer(packed, np.uint8, rows * columns * 4).reshape(rows, columns, 4)
            bits = np.unpackbits(blocks[..., :2], axis=-1).reshape(rows, columns, size, size)
            pixels = np.where(bits, blocks[..., 2, np.newaxis, np.newaxis], blocks[..., 3, np.newaxis, np.newaxis])
            values.reshape(self.header.shape[:2])[: rows * size, : columns * size] = pixels.swapaxes(1, 2).reshape(
                rows * size, columns * size
            )
        whole = np.ascontiguousarray(values.transpose(np.argsort(order)))
        return whole.reshape(self.shape)[key]


_INTERLACE_AXES = ((0, 1, 2), (0, 2, 1), (2, 0, 1))  # by pixel, by line, by component: gr_interlace_t, mfgr.h
