"""Arrays that read what is asked of them, and remember what was dear to decode.

A compressed array can only be decoded a chunk at a time, and the cameras' files keep one frame in one chunk: any slice
of a frame costs the whole frame. So frames are decoded once and remembered, in one cache for all files bounded by
bytes. What is not compressed is read from the file, just the slice.
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
from shotdap.transforms import Memo, no_memo

__all__ = [
    "ArraySource",
    "BlockSource",
    "ChunkSource",
    "FrameCache",
    "KeyedLocks",
    "Memo",
    "bind_memo_to_version",
    "create_lazy_variable",
    "no_memo",
    "wrap_decoder_errors",
]

_LOG = logging.getLogger("shotdap.files")
_SHORTAGE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM})

Array: TypeAlias = NDArray[Any]
BasicIndex: TypeAlias = tuple[int | slice, ...]


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
        """Read a hyperslab: for each dimension an index, which drops it, or a slice, whose bounds are all known.

        Raises:
            Unreadable: the file cannot be read, or not there.
        """
        ...


def create_lazy_variable(
    dimensions: tuple[str, ...], source: ArraySource, attributes: Mapping[str, Any]
) -> xr.Variable:
    """Return a variable whose values stay in the file until they are asked for.

    In a reader, which `readers.read` calls while it reads one version of a file, the values are of that version, or
    reading them raises `ImageChange`.
    """
    file = get_current_file()
    if file is not None and not isinstance(
        source, BlockSource | ChunkSource
    ):  # these read through what `bind_memo_to_version` has made
        source = _VersionedSource(source, file)
    return xr.Variable(dimensions, indexing.LazilyIndexedArray(_FileArray(source)), attributes)


def bind_memo_to_version(remember: Memo, file: VersionedFile) -> Memo:
    """Return a `Memo` that remembers nothing but what was decoded of one version of a file."""

    def decode_one_version(decode: Callable[[], Array]) -> Array:
        with file.read_consistently():
            return decode()

    return lambda name, decode: remember(name, partial(decode_one_version, decode))


@dataclass(frozen=True)
class _VersionedSource:
    """A source that is read while its file is one version."""

    source: ArraySource
    file: VersionedFile

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.source.dtype

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        with self.file.read_consistently():
            return self.source.read(key)


class _FileArray(BackendArray):
    """A source as xarray wants it."""

    def __init__(self, source: ArraySource) -> None:
        self.source = source
        self.shape = source.shape
        self.dtype = source.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read_hyperslab)

    def _read_hyperslab(self, key: BasicIndex) -> Array:
        bounded = tuple(map(_normalize_index, key, self.shape))
        counts = tuple(len(range(part.start, part.stop, part.step)) for part in bounded if isinstance(part, slice))
        if 0 in counts:
            return np.empty(counts, self.dtype)
        with wrap_decoder_errors():
            return self.source.read(bounded)


@contextmanager
def wrap_decoder_errors() -> Iterator[None]:
    """Turn whatever a decoder raises of a damaged file into a refusal to read it; the log says what it was.

    Raises:
        Unreadable: the file cannot be read; what it was already, or in place of any other exception.
        MemoryError: there is too little memory, which is not the file's fault.
        OSError: the machine is short of something else, which is not the file's fault either.
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


def _normalize_index(part: int | slice, size: int) -> int | slice:
    """The same index, counted from the start, its bounds known; xarray has turned negative steps already."""
    return slice(*part.indices(size)) if isinstance(part, slice) else range(size)[part]


@dataclass(frozen=True)
class BlockSource:
    """A compressed source, decoded in blocks along its first dimension, each remembered."""

    source: ArraySource
    name: str
    block_length: int
    """How many indices of the first dimension one block holds: 1 for frames that are a chunk each."""
    memo: Memo

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.source.dtype

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
class ChunkSource:
    """A source stored in chunks of any shape; each is decoded whole, when it is touched, and remembered."""

    source: ArraySource
    name: str
    chunk_shape: tuple[int, ...]
    """A chunk's shape; those at the far edges may stick out of the array."""
    memo: Memo

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.source.dtype

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`."""
        ranges = [
            range(part.start, part.stop, part.step) if isinstance(part, slice) else range(part, part + 1)
            for part in key
        ]
        touched = [list(_find_overlaps(indices, size)) for indices, size in zip(ranges, self.chunk_shape, strict=True)]
        pieces = list(product(*touched))
        if len(pieces) == 1:
            values = self._read_chunk_part(pieces[0])
        else:
            values = np.empty([len(indices) for indices in ranges], self.dtype)
            for piece in pieces:
                values[tuple(touch.result_slice for touch in piece)] = self._read_chunk_part(piece)
        return values[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]

    def _read_chunk_part(self, piece: Sequence[_ChunkOverlap]) -> Array:
        numbers = tuple(touch.chunk_number for touch in piece)
        bounds = zip(numbers, self.chunk_shape, self.shape, strict=True)
        whole = tuple(slice(number * size, min((number + 1) * size, end), 1) for number, size, end in bounds)
        chunk = self.memo((self.name, *numbers), partial(self.source.read, whole))
        return chunk[tuple(touch.chunk_slice for touch in piece)]


@dataclass(frozen=True)
class _ChunkOverlap:
    """What indices along one dimension have to do with one chunk."""

    chunk_number: int
    """Which chunk, along this dimension."""
    chunk_slice: slice
    """Where they are in the chunk."""
    result_slice: slice
    """Where they are in what was asked for."""


def _find_overlaps(indices: range, size: int) -> Iterator[_ChunkOverlap]:
    done = 0
    for number in range(indices[0] // size, indices[-1] // size + 1):
        inside = _clip_to_block(indices, number * size, size)
        if inside is not None:
            count = len(range(inside.start, inside.stop, inside.step))
            yield _ChunkOverlap(number, inside, slice(done, done + count))
            done += count


def _clip_to_block(indices: range, offset: int, size: int) -> slice | None:
    """The part of some indices that falls into one block, counted from the block's start; `None` if there is none."""
    skipped = max(0, -((indices.start - offset) // indices.step))  # steps before the block, rounded up
    start = indices.start + skipped * indices.step
    stop = min(indices.stop, offset + size)
    return slice(start - offset, stop - offset, indices.step) if start < stop else None


class KeyedLocks:
    """One thread at a time for each key.

    A lock of its own for each: computing a result takes turns at the frames that it is made of, while it has its own.
    Locks that keys share would make two such threads wait for each other. A thread may have its turn within its turn:
    a reader looks at values while it has the headers open.
    """

    def __init__(self) -> None:
        self._registry_lock = threading.Lock()
        self._locks: dict[Hashable, tuple[AbstractContextManager[bool], int]] = {}

    @contextmanager
    def lock_key(self, key: Hashable) -> Iterator[None]:
        """Wait for one's turn at a key, and have it."""
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


class FrameCache:
    """Decoded frames of all files, and results that need them entire, the least recently used dropped first."""

    def __init__(self, limit: int) -> None:
        self._frames: cachebox.LRUCache[Hashable, Array] = cachebox.LRUCache(
            max(limit, 1), getsizeof=lambda _key, frame: frame.nbytes
        )
        self._key_locks = KeyedLocks()

    def get_memo(self, file: Hashable) -> Memo:
        """What is remembered of one file, named so that a changed file has another name."""
        return partial(self._get_or_decode, file)

    def _get_or_decode(self, file: Hashable, name: Hashable, decode: Callable[[], Array]) -> Array:
        key = (file, name)
        with self._key_locks.lock_key(key):  # two requests for one frame decode it once
            frame = self._frames.get(key)
            if frame is None:
                frame = decode()
                frame.flags.writeable = False  # it is shared by every request to come
                with suppress(OverflowError):  # greater than the whole cache
                    self._frames[key] = frame
            return frame
