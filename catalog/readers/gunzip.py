"""A folder of unpacked files: what is packed by gzip is unpacked once, and then read like any other file.

The folder (see `bounded_folder`) holds each file under the SHA-256 of what was packed, so equal files are unpacked once
and a changed file has another name. A dataset whose file was removed is opened anew by the catalog.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias

import cachebox

from shotdap.catalog.entry import Changed, Missing, Unreadable
from shotdap.catalog.storage import FilePath, Version, VersionedFile
from shotdap.catalog.storage.disk_cache import DiskCache

__all__ = ["UnpackFunction", "Unpacker", "get_cache_folder", "refuse_packed_file"]

UnpackFunction: TypeAlias = Callable[[FilePath], Path]
"""Gives the path of a packed file's content, which no other content ever has."""

_BLOCK_BYTES = 1 << 20  # bytes unpacked at a time
_MAX_HASHES = 4096  # hashes, by the packed file's version
_ERROR_PREFIX = "The file is packed by gzip, and the folder to unpack it in (the setting catalog.unpack)"


def refuse_packed_file(_path: FilePath) -> Path:
    """Unpack nothing.

    Raises:
        Unreadable: always.
    """
    raise Unreadable("The file is packed by gzip, and there is no folder to unpack it in.")


def get_cache_folder(name: str = "unpacked") -> Path:
    """Where unpacked files are kept unless a setting says otherwise: the user's cache folder, or the system's."""
    cache = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # there is no home
        return (Path(cache) if cache else Path("~/.cache").expanduser()) / "shotdap" / name
    return Path(tempfile.gettempdir()) / f"shotdap-{os.getuid()}" / name


class Unpacker:
    """Unpacks files into a folder that never holds much more than a limit.

    Args:
        folder: made when it is first needed.
        limit: bytes; one file may unpack to a quarter of it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._disk_cache = DiskCache(folder, limit, _ERROR_PREFIX)
        self._hashes: cachebox.LRUCache[Version, str] = cachebox.LRUCache(_MAX_HASHES)
        self._locks = tuple(threading.Lock() for _ in range(16))

    def __call__(self, path: FilePath) -> Path:
        """Unpack a file, unless that was done before.

        Raises:
            Missing: there is no such file.
            Changed: it changed between two reads.
            Unreadable: it is damaged, it unpacks to too much, or there is no room or no safe folder for it.
        """
        name = self._get_content_hash(path)
        target = self._disk_cache.path / name
        with self._locks[hash(name) % len(self._locks)]:  # 32 requests for one file unpack it once
            return target if self.touch_file(target) else self._unpack_file(path, name)

    def touch_file(self, target: Path) -> bool:
        """Say that an unpacked file is in use; false if it is no longer there."""
        return self._disk_cache.touch_file(target)

    def _get_content_hash(self, path: FilePath) -> str:
        """The hash of a file; it is remembered of a version that the file still was after it was read."""
        if not isinstance(path, VersionedFile):
            return _hash_file(path)
        name = self._hashes.get(path.version)
        if name is None:
            with path.read_consistently():
                name = _hash_file(path)
            self._hashes[path.version] = name
        return name

    def _unpack_file(self, path: FilePath, name: str) -> Path:
        with _wrap_gzip_errors(), path.open("rb") as packed, self._disk_cache.create_partial_file(name) as file:
            hashed = _HashingReader(packed)
            with gzip.open(hashed) as unpacked:
                self._copy_content(unpacked, file)
            if hashed.digest.hexdigest() != name:  # or other bytes would have this name for as long as the folder lives
                raise Changed
            with self._disk_cache.wrap_write_errors():
                return self._disk_cache.commit_file(file, name)

    def _copy_content(self, packed: gzip.GzipFile, file: IO[bytes]) -> None:
        size = 0
        while piece := packed.read(_BLOCK_BYTES):
            size += len(piece)
            if size > self._disk_cache.max_file_bytes:
                raise Unreadable(
                    f"The gzip file unpacks to more than {self._disk_cache.max_file_bytes >> 20} MiB, which is the limit here."
                )
            with self._disk_cache.wrap_write_errors():
                file.write(piece)


def _hash_file(path: FilePath) -> str:
    try:
        with path.open("rb") as packed:
            return hashlib.file_digest(packed, "sha256").hexdigest()  # type: ignore[arg-type]  # IO lacks readinto
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except OSError as error:
        raise Unreadable(f"The file cannot be opened: {error.strerror}.") from error


class _HashingReader(io.RawIOBase):
    """A file that is read once from its beginning to its end, with the SHA-256 of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes."""
        found = self._file.read(size)
        self.digest.update(found)
        return found


@contextmanager
def _wrap_gzip_errors() -> Iterator[None]:
    try:
        yield
    except Unreadable:
        raise
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Unreadable("The gzip file is damaged or cut short.") from error
    except OSError as error:
        raise Unreadable(f"The gzip file cannot be unpacked: {error.strerror}.") from error
