"""Lazy arrays: they read only the requested hyperslab, and cache what is expensive to decode.

A compressed array can only be decoded a chunk at a time, and the cameras' files keep one frame in one chunk: any slice
of a frame costs the whole frame. So frames are decoded once and cached, for all files in one cache of bounded size. Of
an uncompressed array only the slice is read from the file.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Protocol, TypeAlias

import cachebox
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.storage import VersionedFile
from shotdap.catalog.storage.versioned_file import get_current_file
from shotdap.transforms import Memo

_LOG = logging.getLogger("shotdap.files")
_SHORTAGE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM})

Array: TypeAlias = NDArray[Any]
BasicIndex: TypeAlias = tuple[int | slice, ...]


def convert_to_slices(key: BasicIndex) -> list[slice]:
    """Return a slice for each dimension; an index becomes a slice of length 1."""
    return [part if isinstance(part, slice) else slice(part, part + 1, 1) for part in key]


def count_indices(part: slice) -> int:
    """Return the number of indices in a slice with explicit bounds and step."""
    return len(range(part.start, part.stop, part.step))


def drop_indexed_dimensions(values: Array, key: BasicIndex) -> Array:
    """Drop the dimensions that are selected by an index; their size is 1."""
    return np.asarray(values[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)])


class ArraySource(Protocol):
    """An array in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        ...

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab.

        Args:
            key: for each dimension an index, which drops the dimension, or a slice with explicit bounds and step.

        Raises:
            Unreadable: the file is missing or cannot be read.
        """
        ...


def create_lazy_variable(
    dimensions: tuple[str, ...], source: ArraySource, attributes: Mapping[str, Any]
) -> xr.Variable:
    """Return a variable whose values stay in the file until they are needed.

    `readers.read` calls each reader while it reads one version of a file: the values are that version's, or reading
    them raises `Changed`.
    """
    file = get_current_file()
    # Block and chunk sources read through the memo that `bind_memo_to_version` returned, which checks the version.
    if file is not None and not isinstance(source, BlockSource | ChunkSource):
        source = _VersionedSource(source, file)
    return xr.Variable(dimensions, indexing.LazilyIndexedArray(_FileArray(source)), attributes)


def get_source(variable: xr.Variable) -> ArraySource | None:
    """Return the source of a variable that a reader made; `None` if its values are in memory."""
    data = variable._data  # noqa: SLF001 — xarray has no public way to a lazy array
    array = data.array if isinstance(data, indexing.LazilyIndexedArray) else None
    return array.source if isinstance(array, _FileArray) else None


def is_stored(variable: xr.Variable) -> bool:
    """Check whether the values of a variable, or of a part of one, are those of a file, or are in memory."""
    data = variable._data  # noqa: SLF001 — as above
    return isinstance(data, np.ndarray) or get_source(variable) is not None


def replace_source(variable: xr.Variable, source: ArraySource) -> xr.Variable:
    """Return a variable of the same dimensions and attributes that is read from another source."""
    return xr.Variable(variable.dims, indexing.LazilyIndexedArray(_FileArray(source)), variable.attrs)


def bind_memo_to_version(memo: Memo, file: VersionedFile) -> Memo:
    """Return a memo that keeps only what was decoded from this version of the file."""

    def decode_one_version(decode: Callable[[], Array]) -> Array:
        with file.read_consistently():
            return decode()

    return lambda name, decode: memo(name, partial(decode_one_version, decode))


@dataclass(frozen=True)
class _SourceWrapper:
    """A source that reads from another one of the same shape and type."""

    source: ArraySource

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.source.dtype


@dataclass(frozen=True)
class _VersionedSource(_SourceWrapper):
    """A source that is read while its file is one version."""

    file: VersionedFile

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        with self.file.read_consistently():
            return self.source.read(key)


class _FileArray(BackendArray):
    """A source behind xarray's interface for lazy arrays."""

    def __init__(self, source: ArraySource) -> None:
        self.source = source
        self.shape = source.shape
        self.dtype = source.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        def read_hyperslab(basic: BasicIndex) -> Array:
            bounded = tuple(  # counted from the start; xarray has already reversed negative steps
                slice(*part.indices(size)) if isinstance(part, slice) else range(size)[part]
                for part, size in zip(basic, self.shape, strict=True)
            )
            counts = tuple(count_indices(part) for part in bounded if isinstance(part, slice))
            if 0 in counts:
                return np.empty(counts, self.dtype)
            with wrap_decoder_errors():
                return self.source.read(bounded)

        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, read_hyperslab)


@contextmanager
def wrap_decoder_errors() -> Iterator[None]:
    """Turn any exception of a decoder in the block into `Unreadable`; log the exception.

    Raises:
        Unreadable: the file cannot be read; it passes unchanged, and replaces any other exception.
        MemoryError: the machine lacks memory, which is not the file's fault.
        OSError: the machine lacks another resource, which is not the file's fault either.
    """
    try:
        yield
    except (Unreadable, MemoryError):
        raise
    except OSError as error:
        if error.errno in _SHORTAGE_ERRNOS:
            raise
        reason = error.strerror or "decoding it failed; it may be damaged"
        raise Unreadable(f"The file cannot be read: {reason}.") from error
    except Exception as error:
        _LOG.warning("a decoder failed", exc_info=True)
        message = f"The file cannot be read: decoding it failed ({type(error).__name__}); it may be damaged."
        raise Unreadable(message) from error


@dataclass(frozen=True)
class BlockSource(_SourceWrapper):
    """A compressed source, decoded in blocks along its first dimension; each block is cached."""

    name: str
    block_length: int
    """Number of indices of the first dimension in one block: 1 for frames that are a chunk each."""
    memo: Memo

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        first, *rest = key
        if not isinstance(first, slice):
            return self._read_block(first // self.block_length)[(first % self.block_length, *rest)]
        indices = range(first.start, first.stop, first.step)
        pieces = [
            self._read_block(number)[(inside, *rest)]
            for number in range(indices[0] // self.block_length, indices[-1] // self.block_length + 1)
            if (inside := _clip_to_block(indices, number * self.block_length, self.block_length)) is not None
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _read_block(self, number: int) -> Array:
        rows = slice(number * self.block_length, min((number + 1) * self.block_length, self.shape[0]), 1)
        whole = (slice(0, size, 1) for size in self.shape[1:])
        return self.memo((self.name, number), partial(self.source.read, (rows, *whole)))


@dataclass(frozen=True)
class ChunkSource(_SourceWrapper):
    """A source stored in chunks of any shape; each is decoded whole, when it is touched, and remembered."""

    name: str
    chunk_shape: tuple[int, ...]
    """A chunk's shape; those at the far edges may stick out of the array."""
    memo: Memo

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        pieces = list(product(*self._find_overlaps(key)))
        if len(pieces) == 1:
            values = self._read_chunk_part(pieces[0])
        else:
            values = np.empty([count_indices(part) for part in convert_to_slices(key)], self.dtype)
            for piece in pieces:
                values[tuple(overlap.result_slice for overlap in piece)] = self._read_chunk_part(piece)
        return drop_indexed_dimensions(values, key)

    def list_chunks(self, key: BasicIndex) -> list[tuple[int, ...]]:
        """List the chunks that a hyperslab touches, each by its number along each dimension."""
        return [tuple(overlap.chunk_number for overlap in piece) for piece in product(*self._find_overlaps(key))]

    def bound_chunk(self, numbers: tuple[int, ...]) -> tuple[slice, ...]:
        """Return the hyperslab that a chunk is; those at the far edges end with the array."""
        bounds = zip(numbers, self.chunk_shape, self.shape, strict=True)
        return tuple(slice(number * size, min((number + 1) * size, end), 1) for number, size, end in bounds)

    def _find_overlaps(self, key: BasicIndex) -> list[list[_ChunkOverlap]]:
        """Find, along each dimension, the overlap with each chunk that contains one of the indices."""
        overlaps: list[list[_ChunkOverlap]] = []
        for part, size in zip(convert_to_slices(key), self.chunk_shape, strict=True):
            indices = range(part.start, part.stop, part.step)
            along, done = list[_ChunkOverlap](), 0
            for number in range(indices[0] // size, indices[-1] // size + 1):
                inside = _clip_to_block(indices, number * size, size)
                if inside is not None:
                    count = count_indices(inside)
                    along.append(_ChunkOverlap(number, inside, slice(done, done + count)))
                    done += count
            overlaps.append(along)
        return overlaps

    def _read_chunk_part(self, piece: Sequence[_ChunkOverlap]) -> Array:
        numbers = tuple(overlap.chunk_number for overlap in piece)
        chunk = self.memo((self.name, *numbers), partial(self.source.read, self.bound_chunk(numbers)))
        return chunk[tuple(overlap.chunk_slice for overlap in piece)]


@dataclass(frozen=True)
class _ChunkOverlap:
    """The overlap of one chunk with the requested indices, along one dimension."""

    chunk_number: int
    """The chunk's number along this dimension."""
    chunk_slice: slice
    """The indices within the chunk."""
    result_slice: slice
    """Their places in the result."""


def _clip_to_block(indices: range, offset: int, size: int) -> slice | None:
    """Return the indices that are in one block, counted from the block's start; `None` if no index is."""
    skipped = max(0, -((indices.start - offset) // indices.step))  # steps before the block, rounded up
    start = indices.start + skipped * indices.step
    stop = min(indices.stop, offset + size)
    return slice(start - offset, stop - offset, indices.step) if start < stop else None


class KeyedLocks:
    """A reentrant lock for each key.

    Each key has its own lock: a thread that computes a result holds the result's lock while it takes those of the
    frames. If keys shared locks, two such threads could deadlock. The locks are reentrant, since a reader reads values
    while it has the headers open.
    """

    def __init__(self) -> None:
        self._registry_lock = threading.Lock()
        self._locks: dict[Hashable, tuple[AbstractContextManager[bool], int]] = {}

    @contextmanager
    def lock_key(self, key: Hashable) -> Iterator[None]:
        """Hold the lock of a key in a block."""
        with self._registry_lock:
            lock, waiting = self._locks.get(key, (threading.RLock(), 0))
            self._locks[key] = (lock, waiting + 1)
        try:
            with lock:
                yield
        finally:
            with self._registry_lock:
                lock, waiting = self._locks.pop(key)
                if waiting > 1:
                    self._locks[key] = (lock, waiting - 1)


class FrameMemory(Protocol):
    """Remembers arrays: frames that were decoded, and results that need whole frames."""

    def get_memo(self, owner: Hashable, /) -> Memo:
        """Return the memo of one file, or of one image; `owner` has to differ between versions of it."""
        ...


class FrameCache:
    """An LRU cache of decoded frames of all files, and of results that need whole frames."""

    def __init__(self, limit: int) -> None:
        self._frames: cachebox.LRUCache[Hashable, Array] = cachebox.LRUCache(
            max(limit, 1), getsizeof=lambda _key, frame: frame.nbytes
        )
        self._key_locks = KeyedLocks()

    def get_memo(self, owner: Hashable, /) -> Memo:
        """Return the memo of one file, or of one image; see `FrameMemory`."""

        def get_or_decode(name: Hashable, decode: Callable[[], Array]) -> Array:
            key = (owner, name)
            with self._key_locks.lock_key(key):  # two requests for one frame decode it once
                frame = self._frames.get(key)
                if frame is None:
                    frame = decode()
                    frame.flags.writeable = False  # all requests share it
                    with suppress(OverflowError):  # larger than the whole cache
                        self._frames[key] = frame
                return frame

        return get_or_decode
