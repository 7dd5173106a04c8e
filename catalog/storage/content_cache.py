"""Local copies of remote files, named by the SHA-256 of their content, in a folder of bounded size.

Links lead to each content: one for each version of each location that it was fetched from, named by a hash of both. So
all workers fetch a version once, it survives a restart, and content that two locations share is stored once. If the
content of a link was removed to make room, the version is fetched again.

Another link, named by a hash of the location, leads to the version last seen there: it is read while the location does
not answer.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.storage.disk_cache import DiskCache
from shotdap.catalog.storage.store import Version

_FOLDER_PURPOSE = "The file lies elsewhere, and the folder for local copies (the setting archive.cache)"


class FileCache:
    """A folder of local copies that never holds much more than a limit.

    Args:
        folder: made when it is first needed.
        limit: bytes; one file may have a quarter of it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = DiskCache(folder, limit, _FOLDER_PURPOSE)
        self._locks = tuple(threading.Lock() for _ in range(16))

    def make_version(self, *identity: str, size: int, modified: int) -> Version:
        """Make a version from its identity; its path becomes valid after `ensure_content`.

        Args:
            identity: the location, and what distinguishes this version from the others there.
            size: in bytes.
            modified: nanoseconds since 1970, or 0 if the location does not tell.
        """
        return Version(self._folder.path / f"of-{_hash_identity((identity, size, modified))}", size, modified)

    def save_last_version(self, version: Version, *location: str) -> None:
        """Save a version as the last one seen at a location, if the folder permits."""
        link = self._folder.path / f"last-{_hash_identity(location)}"
        with suppress(OSError):
            if link.readlink() == Path(version.path.name):
                return
        with suppress(OSError):  # Unreadable, without a safe folder, is one too: fetching will raise it
            self._folder.ensure_private_folder()
            _replace_link(link, version.path.name)

    def find_last_version(self, *location: str) -> Version | None:
        """Return the version last seen at a location, if its bytes are in the folder."""
        try:
            link = self._folder.path / f"last-{_hash_identity(location)}"
            path = self._folder.path / link.readlink().name
            content = path.parent / path.readlink().name
            status = content.lstat()
        except OSError:
            return None
        version = Version(path, status.st_size, status.st_mtime_ns)
        return version if self._is_cached(version) else None

    def ensure_content(self, version: Version, pieces: Callable[[], Iterable[bytes]]) -> None:
        """Make a version readable at its path; fetch it if it is not in the folder.

        Args:
            version: made by `make_version`.
            pieces: returns its bytes; called only if they are not in the folder.

        Raises:
            Unreadable: it is too large, or its size differs from the stated size, or the disk has no room for it.
        """
        with self._locks[hash(version.path) % len(self._locks)]:  # 32 requests for one file fetch it once
            if self._is_cached(version):
                return
            limit = self._folder.max_file_bytes
            if version.size > limit:
                raise Unreadable(f"The file has more than {limit >> 20} MiB, which is the limit here.")
            try:
                with self._folder.create_partial_file(version.path.name) as file:
                    name = _write_pieces(pieces(), file, version.size)
                    content = self._folder.commit_file(file, name)
                os.utime(content, ns=(time.time_ns(), version.modified))
                _replace_link(version.path, name)
            except Unreadable:
                raise
            except OSError as error:
                raise Unreadable(f"The file's local copy cannot be written: {error.strerror}.") from error

    def _is_cached(self, version: Version) -> bool:
        try:
            content = version.path.readlink()
        except OSError:
            return False
        return content.parent == Path() and self._folder.touch_file(version.path.parent / content)


def _hash_identity(identity: object) -> str:
    return hashlib.sha256(repr(identity).encode("utf-8", "replace")).hexdigest()


def _write_pieces(pieces: Iterable[bytes], file: IO[bytes], size: int) -> str:
    """Write pieces to a file; return its name, the SHA-256 of its content."""
    sha256, total = hashlib.sha256(), 0
    for piece in pieces:
        sha256.update(piece)
        total += len(piece)
        if total > size:
            break
        file.write(piece)
    if total != size:
        raise Unreadable("The file did not arrive whole: its place says that it has more bytes, or fewer.")
    file.flush()
    return sha256.hexdigest()


def _replace_link(path: Path, name: str) -> None:
    """Make a link atomically; replace an existing one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(name)
    temporary.replace(path)
