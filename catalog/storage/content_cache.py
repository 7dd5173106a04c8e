"""Local copies of bytes that lie elsewhere, each under the SHA-256 of its content, in a folder of bounded size.

Beside each content stand links: one for each version of each place that these bytes were fetched from, named by a hash
of both. So a version is fetched once by all workers, survives a restart, and what two places share is kept once. A link
whose content made room for others leads nowhere, and the version is fetched anew.

Another link, named by a hash of the place, leads to the version that was last seen there: that is what there is to read
while the place does not answer.
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
        """A version by what identifies it; its path is where it is once `ensure_content` was asked for it.

        Args:
            identity: the place, and what tells this version of it from others.
            size: in bytes.
            modified: nanoseconds since 1970, or 0 where the place does not say.
        """
        return Version(self._folder.path / f"of-{_hash_identity((identity, size, modified))}", size, modified)

    def save_last_version(self, version: Version, *place: str) -> None:
        """Remember a version as the last one that was seen at a place, if that can be."""
        link = self._get_last_link(place)
        with suppress(OSError):
            if link.readlink() == Path(version.path.name):
                return
        with suppress(OSError):  # Unreadable, where there is no safe folder, is one: whoever fetches is told
            self._folder.ensure_private_folder()
            _replace_link(link, version.path.name)

    def find_last_version(self, *place: str) -> Version | None:
        """The version that was last seen at a place, if its bytes are here."""
        try:
            path = self._folder.path / self._get_last_link(place).readlink().name
            content = path.parent / path.readlink().name
            status = content.lstat()
        except OSError:
            return None
        version = Version(path, status.st_size, status.st_mtime_ns)
        return version if self._is_cached(version) else None

    def _get_last_link(self, place: tuple[str, ...]) -> Path:
        return self._folder.path / f"last-{_hash_identity(place)}"

    def ensure_content(self, version: Version, pieces: Callable[[], Iterable[bytes]]) -> None:
        """Have a version at its path, from its place if need be.

        Args:
            version: made by `make_version`.
            pieces: gives its bytes; called only if they are not here.

        Raises:
            Unreadable: it is too great, or has not as many bytes as it should, or there is no room for it.
        """
        with self._locks[hash(version.path) % len(self._locks)]:  # 32 requests for one file fetch it once
            if not self._is_cached(version):
                self._check(version)
                self._save_content(version, pieces())

    def _is_cached(self, version: Version) -> bool:
        try:
            content = version.path.readlink()
        except OSError:
            return False
        return content.parent == Path() and self._folder.touch_file(version.path.parent / content)

    def _check(self, version: Version) -> None:
        if version.size > self._folder.max_file_bytes:
            raise Unreadable(
                f"The file has more than {self._folder.max_file_bytes >> 20} MiB, which is the limit here."
            )

    def _save_content(self, version: Version, pieces: Iterable[bytes]) -> None:
        try:
            with self._folder.create_partial_file(version.path.name) as file:
                name = _write_pieces(pieces, file, version.size)
                content = self._folder.commit_file(file, name)
            os.utime(content, ns=(time.time_ns(), version.modified))
            _replace_link(version.path, name)
        except OSError as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(f"The file's local copy cannot be written: {error.strerror}.") from error


def _hash_identity(what: object) -> str:
    return hashlib.sha256(repr(what).encode("utf-8", "replace")).hexdigest()


def _write_pieces(pieces: Iterable[bytes], file: IO[bytes], size: int) -> str:
    """Write pieces to a file; the name that their content gives it."""
    sha256, written = hashlib.sha256(), 0
    for piece in pieces:
        sha256.update(piece)
        written += len(piece)
        if written > size:
            break
        file.write(piece)
    if written != size:
        raise Unreadable("The file did not arrive whole: its place says that it has more bytes, or fewer.")
    file.flush()
    return sha256.hexdigest()


def _replace_link(path: Path, name: str) -> None:
    """Make a link in one step, in place of any that is there."""
    half = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with suppress(FileNotFoundError):
        half.unlink()
    half.symlink_to(name)
    half.replace(path)
