"""Decoded frames in files of NumPy's format .npy, which all processes of a machine map into their memory.

A frame is decoded by one process and found by all. There is no owner process: any of them may be killed at any moment.

Rule 1: a file gets its name only when it is complete, and is never changed or cut afterwards. Cutting a mapped file
        would kill those who map it.
Rule 2: a frame's key tells its content (fingerprint of the file, array, index), so frames stay right after a restart.
Rule 3: a store that has no room costs time and no answer: the array is returned as it was computed.
Rule 4: an evicted frame takes memory as long as a process maps it. So the maps of a process are bounded, too, and a map
        is dropped soon after its file was evicted. An array in use keeps its map by reference.
"""

from __future__ import annotations

import io
import logging
import mmap
import os
import resource
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from shotdap.catalog.reading.store_folder import FULL_ERRNOS, StoreFolder

_LOG = logging.getLogger("shotdap.frames")
_FRAME_SIZE_DIVISOR: Final = 4  # one frame may take a quarter of the folder
_TOUCH_SECONDS: Final = 1.0  # a frame in use is marked as used this often
_CHECK_SECONDS: Final = 5.0  # all maps are checked for evicted files this often
_MAX_MAPS: Final = 512  # each takes a descriptor: mmap duplicates it
_STORED_KINDS: Final = frozenset("biufcmMSUV")
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_key(*parts: object) -> str:
    """Return the key of a frame that these values identify.

    Args:
        parts: values whose `repr` tells all of them: texts, numbers, paths, tuples and frozen dataclasses of these.

    Raises:
        TypeError: a part is an array or has only the `repr` of every object; neither identifies a value.
    """
    for part in parts:
        if isinstance(part, np.ndarray) or type(part).__repr__ is object.__repr__:
            raise TypeError(f"A {type(part).__name__} cannot be a part of a key.")
    return blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


@dataclass(frozen=True)
class SpooledBody:
    """The body of an answer, which one process wrote into the store and another one sends."""

    path: Path
    size: int


class FrameStore:
    """Frames in a folder that never has more bytes than a limit, filled once however many processes ask.

    Safe for use by several threads.

    Args:
        folder: this user's alone; made unless it exists. See `choose_folder`.
        limit: bytes of all files; a frame may have a quarter of it.
        map_limit: bytes of the frames that this process keeps mapped; half of the limit if it is not given. Maps count
            against a limit of the process's address space (``RLIMIT_AS``).

    Raises:
        Unreadable: there is no safe folder.
    """

    def __init__(self, folder: Path, limit: int, *, map_limit: int | None = None) -> None:
        self._folder = StoreFolder(folder, limit)
        self._map_limit = limit // 2 if map_limit is None else map_limit
        self._max_maps = min(_MAX_MAPS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
        self._maps: OrderedDict[str, _MappedFrame] = OrderedDict()  # least recently touched first
        self._mapped_bytes = 0
        self._next_check = time.monotonic() + _CHECK_SECONDS
        self._lock = threading.Lock()  # for changes of the above
        self._filling: set[tuple[int, str]] = set()  # threads and keys
        self._logged: set[int | None] = set()  # numbers of errors

    @property
    def limit(self) -> int:
        """The most bytes of all files."""
        return self._folder.limit

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    def read_used_bytes(self) -> int:
        """Return an upper bound of the bytes of all files.

        Raises:
            OSError: the folder is away.
        """
        return self._folder.read_used_bytes()

    def find_frame(self, key: str) -> NDArray[Any] | None:
        """Return a frame as a read-only array, or `None` if the store does not have it.

        Finding a frame again makes no system call, except one each second for marking it as used.
        """
        frame = self._maps.get(key)
        if frame is None:
            return self._open_frame(key)
        now = time.monotonic()
        return frame.array if now < frame.touch_due else self._touch_frame(key, frame, now)

    def fill_frame(self, key: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return a frame; compute it and store it if the store does not have it.

        While one process computes it, others that ask for it wait. `compute` may fill frames of other keys.

        Args:
            key: made by `make_key`.
            compute: returns the array. What it raises is raised here, and the next one who waits tries again.

        Returns:
            A read-only array in native byte order. It is not stored if it has no values of fixed size, if it takes more
            than a quarter of the limit, or if the folder has no room.
        """
        if (frame := self.find_frame(key)) is not None:
            return frame
        owner = (threading.get_ident(), key)
        if owner in self._filling:
            raise RuntimeError("A frame cannot be computed from itself.")
        try:
            lock = self._folder.lock_name(key)
        except OSError as error:
            self._log_error(error)
            lock = None
        give_up = False
        self._filling.add(owner)
        try:
            if lock is not None and (frame := self.find_frame(key)) is not None:
                return frame  # the last holder of the lock stored it
            values = _normalize(compute())
            give_up = not self._store_frame(key, values)
            frame = None if give_up else self.find_frame(key)
            return values if frame is None else frame
        finally:
            self._filling.discard(owner)
            if lock is not None:
                self._folder.unlock_name(key, lock, give_up=give_up)

    def spool_body(self, blocks: Iterable[bytes | memoryview]) -> SpooledBody:
        """Write the body of an answer into the store, for another process that opens it within a minute.

        Raises:
            OSError: there is no room for it (`ENOSPC`).
        """
        with self._folder.create_partial() as partial:
            for block in blocks:
                partial.write(block)
            return SpooledBody(self._folder.commit_body(partial), partial.size)

    def open_body(self, body: SpooledBody) -> memoryview:
        """Return the bytes of a body, and remove its file.

        Raises:
            OSError: it was opened before, or is abandoned.
        """
        if not self._folder.has_body(body.path):
            raise FileNotFoundError("There is no such body.")
        descriptor = os.open(body.path, _OPEN_FLAGS)
        try:
            body.path.unlink()
            if os.fstat(descriptor).st_size != body.size:
                raise OSError("The body is not whole.")
            return memoryview(mmap.mmap(descriptor, body.size, access=mmap.ACCESS_READ) if body.size else b"")
        finally:
            os.close(descriptor)

    def drop_unlinked_maps(self) -> None:
        """Drop the maps of frames that were evicted: they take memory as long as a process maps them.

        Finding and filling do this from time to time. A process that does neither can call it.
        """
        with self._lock:
            for key, frame in list(self._maps.items()):
                if not self._is_linked(key, frame):
                    self._drop_map(key)

    def _store_frame(self, key: str, values: NDArray[Any]) -> bool:
        if not _is_storable(values):
            return False
        header = io.BytesIO()
        npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(values))
        size = header.tell() + values.nbytes
        if size > self._folder.limit // _FRAME_SIZE_DIVISOR:
            return False
        try:
            with self._folder.create_partial(size) as partial:
                partial.write(header.getvalue())
                if values.nbytes:  # as bytes, because the buffer protocol lacks times and complex numbers
                    partial.write(values.reshape(-1).view(np.uint8).data)
                self._folder.commit_partial(partial, key)
        except OSError as error:
            self._log_error(error)
            return False
        return True

    def _open_frame(self, key: str) -> NDArray[Any] | None:
        """Map a frame that this process has not mapped."""
        path = self._folder.locate(key)
        try:
            descriptor = os.open(path, _OPEN_FLAGS)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._log_error(error)
            return None
        try:
            status = os.fstat(descriptor)
            array = _map_array(descriptor, status.st_size)
            os.utime(descriptor)
        except OSError as error:
            self._log_error(error)
            return None
        except ValueError:  # the disk damaged it
            Path(path).unlink(missing_ok=True)
            return None
        finally:
            os.close(descriptor)
        now = time.monotonic()
        with self._lock:
            self._drop_map(key)  # another thread may have opened it meanwhile
            self._maps[key] = _MappedFrame(array, status.st_size, status.st_ino, now + _TOUCH_SECONDS)
            self._mapped_bytes += status.st_size
            while len(self._maps) > 1 and (self._mapped_bytes > self._map_limit or len(self._maps) > self._max_maps):
                self._drop_map(next(iter(self._maps)))
        self._check_maps(now)
        return array

    def _touch_frame(self, key: str, frame: _MappedFrame, now: float) -> NDArray[Any]:
        """Mark a frame as used; return it from its present file if that is another one by now."""
        with self._lock:
            frame.touch_due = now + _TOUCH_SECONDS
            if key in self._maps:
                self._maps.move_to_end(key)
            is_linked = self._is_linked(key, frame)
            if not is_linked and self._maps.get(key) is frame:
                self._drop_map(key)
        if is_linked:
            with suppress(OSError):
                os.utime(self._folder.locate(key))
        self._check_maps(now)
        if is_linked or (present := self._open_frame(key)) is None:
            return frame.array
        return present

    def _check_maps(self, now: float) -> None:
        if now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            self.drop_unlinked_maps()

    def _is_linked(self, key: str, frame: _MappedFrame) -> bool:
        try:
            return Path(self._folder.locate(key)).lstat().st_ino == frame.inode
        except OSError:
            return False

    def _drop_map(self, key: str) -> None:
        """Drop a map, if there is one. The lock is held."""
        if (frame := self._maps.pop(key, None)) is not None:
            self._mapped_bytes -= frame.size

    def _log_error(self, error: OSError) -> None:
        """Log an error of the file system once; the store goes on without the file."""
        if error.errno not in self._logged:
            self._logged.add(error.errno)
            reason = "it has no room" if error.errno in FULL_ERRNOS else error.strerror
            _LOG.warning("The store of frames cannot keep a frame, or give one: %s.", reason)


@dataclass(slots=True)
class _MappedFrame:
    """A frame that this process has mapped."""

    array: NDArray[Any]
    size: int
    inode: int
    """The number of its file, which no other file gets as long as it is mapped."""
    touch_due: float
    """When to mark it as used again, on the monotonic clock."""


def _normalize(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array as the store would return it: read-only, in native byte order, in C order."""
    values = np.asanyarray(values)  # an index may have returned a scalar
    if _is_storable(values):
        dtype = np.dtype(values.dtype.str).newbyteorder("=")  # without the metadata that h5py adds
        normalized = np.asarray(values, dtype, order="C").view()
    else:
        normalized = values.view()
    normalized.flags.writeable = False
    return normalized


def _is_storable(values: NDArray[Any]) -> bool:
    """Return whether .npy keeps all of an array: no objects, masks, fields, or types of other libraries."""
    if isinstance(values, np.ma.MaskedArray) or values.dtype.kind not in _STORED_KINDS:
        return False
    return np.dtype(values.dtype.str) == values.dtype and values.dtype.itemsize > 0


def _map_array(descriptor: int, size: int) -> NDArray[Any]:
    """Map the array in an open file.

    Raises:
        OSError: the system cannot map it.
        ValueError: this is not a complete file of this format.
    """
    content = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)  # ValueError if it is empty
    offset = 10 + int.from_bytes(content[8:10], "little")
    shape, dtype = _parse_header(content[:offset])
    count = prod(shape)
    if size != offset + count * dtype.itemsize:
        raise ValueError("The file is cut short.")
    if count == 0:
        empty = np.empty(shape, dtype)
        empty.flags.writeable = False
        return empty
    return np.frombuffer(content, dtype, count, offset).reshape(shape)


@lru_cache(maxsize=1024)  # the frames of a diagnostic have one header; NumPy parses it as Python, in 50 µs
def _parse_header(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    file = io.BytesIO(header)
    npy.read_magic(file)
    shape, _, dtype = npy.read_array_header_1_0(file)
    return shape, dtype
