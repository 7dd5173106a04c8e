"""A folder of decompressed files: a gzip file is decompressed once, and then read like any other file.

The folder (see `disk_cache`) names each file after the SHA-256 of the gzip file, so equal files are decompressed once
and a changed file has another name. The catalog reopens a dataset whose decompressed file was removed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeAlias

import cachebox

from shotdap.catalog.entry import Changed, Missing, Unreadable
from shotdap.catalog.storage import FilePath, Version, VersionedFile
from shotdap.catalog.storage.disk_cache import DiskCache
from shotdap.catalog.storage.raw_bytes import hash_file

UnpackFunction: TypeAlias = Callable[[FilePath], Path]
"""Returns the path of a gzip file's decompressed content; no other content ever gets this path."""

_BLOCK_BYTES = 1 << 20  # bytes decompressed at a time
_MAX_HASHES = 4096  # hashes to remember, by the gzip file's version
_ERROR_PREFIX = "The file is packed by gzip, and the folder to unpack it in (the setting catalog.unpack)"


def refuse_packed_file(_path: FilePath) -> Path:
    """Refuse to decompress any file.

    Raises:
        Unreadable: always.
    """
    raise Unreadable("The file is packed by gzip, and there is no folder to unpack it in.")


def get_cache_folder(name: str = "unpacked") -> Path:
    """Return the default folder for decompressed files: in the user's cache folder, or the system's."""
    cache = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # there is no home
        return (Path(cache) if cache else Path("~/.cache").expanduser()) / "shotdap" / name
    return Path(tempfile.gettempdir()) / f"shotdap-{os.getuid()}" / name


class Unpacker:
    """Decompresses files into a folder that never holds much more than a limit.

    Args:
        folder: made when it is first needed.
        limit: bytes; one file may decompress to a quarter of it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._disk_cache = DiskCache(folder, limit, _ERROR_PREFIX)
        self._hashes: cachebox.LRUCache[Version, str] = cachebox.LRUCache(_MAX_HASHES)
        self._locks = tuple(threading.Lock() for _ in range(16))

    def __call__(self, path: FilePath) -> Path:
        """Decompress a file, unless that was done before; return the path of its content.

        Raises:
            Missing: there is no such file.
            Changed: the file changed between two reads.
            Unreadable: the file is damaged or decompresses to too much, or there is no room or no safe folder for it.
        """
        if isinstance(path, VersionedFile):
            name = self._hashes.get(path.version)
            if name is None:
                with path.read_consistently():
                    name = hash_file(path)
                self._hashes[path.version] = name  # only now: while it was hashed, the file was still this version
        else:
            name = hash_file(path)
        target = self._disk_cache.path / name
        with self._locks[hash(name) % len(self._locks)]:  # 32 requests for one file decompress it once
            if self.touch_file(target):
                return target
            try:
                return self._decompress_file(path, name)
            except FileNotFoundError as error:
                raise Missing("The file is missing from the archive.") from error
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise Unreadable("The gzip file is damaged or cut short.") from error
            except Unreadable:
                raise
            except OSError as error:
                raise Unreadable(f"The gzip file cannot be unpacked: {error.strerror}.") from error

    def touch_file(self, target: Path) -> bool:
        """Mark a decompressed file as used; return whether it still exists."""
        return self._disk_cache.touch_file(target)

    def _decompress_file(self, path: FilePath, name: str) -> Path:
        limit, size = self._disk_cache.max_file_bytes, 0
        with path.open("rb") as compressed, self._disk_cache.create_partial_file(name) as file:
            hashing = _HashingReader(compressed)
            with gzip.open(hashing) as content:
                while piece := content.read(_BLOCK_BYTES):
                    size += len(piece)
                    if size > limit:
                        raise Unreadable(
                            f"The gzip file unpacks to more than {limit >> 20} MiB, which is the limit here."
                        )
                    with self._disk_cache.wrap_write_errors():
                        file.write(piece)
            if hashing.digest.hexdigest() != name:  # else other bytes would keep this name as long as the folder exists
                raise Changed
            with self._disk_cache.wrap_write_errors():
                return self._disk_cache.commit_file(file, name)


class _HashingReader(io.RawIOBase):
    """A file that is read once from beginning to end, with the SHA-256 of the bytes read so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes."""
        content = self._file.read(size)
        self.digest.update(content)
        return content
