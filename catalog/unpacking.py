"""A folder of unpacked files: what is packed by gzip is unpacked once, and then read like any other file.

The folder holds each file under the SHA-256 of what was packed, so equal files are unpacked once and a changed file has
another name. It can be shared by any number of processes: a file appears under its name complete (written aside, then
renamed), and nothing needs a lock between processes. Used files are touched; when there are too many bytes, those
untouched longest are removed first. A dataset whose file was removed is opened anew by the catalog.

The folder belongs to this user alone: one that is a link, or that others own or may enter, is not used.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import cachebox

from shotdap.catalog.entry import Missing, Unreadable

__all__ = ["Unpack", "Unpacker", "refuse", "usual_folder"]

Unpack: TypeAlias = Callable[[Path], Path]
"""Gives the path of a packed file's content."""

_PIECE = 1 << 20  # bytes unpacked at a time
_SHARE = 4  # one file may take this part of the folder at most
_ABANDONED = 3600  # seconds after which a half-written file is nobody's
_HALF = ".part"
_REMEMBERED = 4096  # hashes, by the packed file's version


def refuse(_path: Path) -> Path:
    """Unpack nothing.

    Raises:
        Unreadable: always.
    """
    raise Unreadable("The file is packed by gzip, and there is no folder to unpack it in.")


def usual_folder() -> Path:
    """Where unpacked files are kept unless a setting says otherwise: the user's cache folder, or the system's."""
    cache = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # there is no home
        return (Path(cache) if cache else Path("~/.cache").expanduser()) / "shotdap" / "unpacked"
    return Path(tempfile.gettempdir()) / f"shotdap-{os.getuid()}" / "unpacked"


class Unpacker:
    """Unpacks files into a folder that never holds much more than a limit.

    Args:
        folder: made when it is first needed.
        limit: bytes; one file may unpack to a quarter of it.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._names: cachebox.LRUCache[tuple[Path, int, int, int], str] = cachebox.LRUCache(_REMEMBERED)
        self._locks = tuple(threading.Lock() for _ in range(16))

    def __call__(self, path: Path) -> Path:
        """Unpack a file, unless that was done before.

        Raises:
            Missing: there is no such file.
            Unreadable: it is damaged, it unpacks to too much, or there is no room or no safe folder for it.
        """
        target = self._folder / self._name(path)
        with self._locks[hash(target) % len(self._locks)]:  # 32 requests for one file unpack it once
            if not self.touch(target):
                self._prepare()
                self._unpack(path, target)
        return target

    def touch(self, target: Path) -> bool:
        """Say that an unpacked file is in use; false if it is no longer there."""
        try:
            descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            is_ours = _is_own_file(os.fstat(descriptor))
            if is_ours:
                os.utime(descriptor)
        except OSError:
            return False
        else:
            return is_ours
        finally:
            os.close(descriptor)

    def _name(self, path: Path) -> str:
        try:
            status = path.stat()
            key = (path, status.st_ino, status.st_size, status.st_mtime_ns)
            name = self._names.get(key)
            if name is None:
                with path.open("rb") as packed:
                    name = self._names[key] = hashlib.file_digest(packed, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except OSError as error:
            raise Unreadable(f"The file cannot be opened: {error.strerror}.") from error
        return name

    def _prepare(self) -> None:
        """Make the folder, or see that it is this user's alone.

        Raises:
            Unreadable: it cannot be made, or is not.
        """
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self._folder.mkdir(mode=0o700)
            status = self._folder.lstat()
        except OSError as error:
            raise Unreadable(
                "The file is packed by gzip, and the folder to unpack it in (the setting catalog.unpack) cannot be"
                f" made: {error.strerror}."
            ) from error
        is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
        if not is_private:
            raise Unreadable(
                "The file is packed by gzip, and the folder to unpack it in (the setting catalog.unpack) is a link,"
                " or not this user's alone."
            )

    def _unpack(self, path: Path, target: Path) -> None:
        half: Path | None = None
        try:
            with _damage(), gzip.open(path) as packed, tempfile.NamedTemporaryFile(  # mode 0600, and never there before
                dir=self._folder, prefix=f".{target.name[:16]}.", suffix=_HALF, delete=False
            ) as file:  # fmt: skip
                half = Path(file.name)
                self._copy(packed, file)
            self._make_room(half)
            half.replace(target)
        except BaseException:
            if half is not None:
                half.unlink(missing_ok=True)
            raise

    def _copy(self, packed: gzip.GzipFile, file: IO[bytes]) -> None:
        most, size = self._limit // _SHARE, 0
        while piece := packed.read(_PIECE):
            size += len(piece)
            if size > most:
                raise Unreadable(f"The gzip file unpacks to more than {most >> 20} MiB, which is the limit here.")
            file.write(piece)

    def _make_room(self, newest: Path) -> None:
        """Remove what was used longest ago, until the folder holds no more than its limit."""
        found = sorted(_files(self._folder), key=lambda file: file.used)
        excess = sum(file.size for file in found) - self._limit
        for file in found:
            abandoned = file.is_half and file.used < time.time() - _ABANDONED
            if abandoned or (excess > 0 and not file.is_half and file.path != newest):
                file.path.unlink(missing_ok=True)
                excess -= file.size


@dataclass(frozen=True)
class _File:
    """A file of the folder."""

    path: Path
    size: int
    used: float

    @property
    def is_half(self) -> bool:
        """Whether some process is still writing it."""
        return self.path.name.endswith(_HALF)


def _files(folder: Path) -> Iterator[_File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process removed it
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield _File(Path(entry.path), status.st_size, status.st_mtime)


def _is_own_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()


@contextmanager
def _damage() -> Iterator[None]:
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
