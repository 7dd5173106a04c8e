"""A folder of files that can be made again, never much larger than a limit.

It can be shared by any number of processes: a file appears under its name complete (written aside, then renamed), and
nothing needs a lock between processes. Used files are touched; when there are too many bytes, those untouched longest
are removed first. What was touched is the time of access, so that the time of change can be the original's.

The folder belongs to this user alone: one that is a link, or that others own or may enter, is not used.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shotdap.catalog.entry import Unreadable

__all__ = ["BoundedFolder"]

_SHARE = 4  # one file may take this part of the folder at most
_ABANDONED = 3600  # seconds after which a half-written file is nobody's
_HALF = ".part"


@dataclass(frozen=True)
class BoundedFolder:
    """Where files are written whole, and removed when others need the room."""

    path: Path
    """Made when it is first needed."""
    limit: int
    """Bytes."""
    purpose: str
    """What a refusal says before its reason: ``The file is packed by gzip, and the folder to unpack it in``."""

    @property
    def most(self) -> int:
        """The bytes that one file may have."""
        return self.limit // _SHARE

    def touch(self, target: Path) -> bool:
        """Say that a file is in use; false if it is no longer there."""
        try:
            descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
            is_ours = _is_own_file(status)
            if is_ours:
                os.utime(descriptor, ns=(time.time_ns(), status.st_mtime_ns))
        except OSError:
            return False
        else:
            return is_ours
        finally:
            os.close(descriptor)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A new file to be written and then kept; removed if it is not.

        Raises:
            Unreadable: there is no safe folder for it.
        """
        self.prepare()
        with self.explain_failure():  # mode 0600, and never there before
            file = tempfile.NamedTemporaryFile(  # noqa: SIM115 — closed below, where that may fail
                dir=self.path, prefix=f".{name[:16]}.", suffix=_HALF, delete=False
            )
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)
            with suppress(OSError):  # on a full disk closing fails as writing did; what was kept has been flushed
                file.close()

    @contextmanager
    def explain_failure(self) -> Iterator[None]:
        """Say of a failure within the block that the folder cannot be written to, and why.

        Raises:
            Unreadable: something failed.
        """
        try:
            yield
        except OSError as error:
            raise Unreadable(f"{self.purpose} cannot be written to: {error.strerror}.") from error

    def keep(self, file: IO[bytes], name: str) -> Path:
        """Give a file that was written its name, and make room for it."""
        file.flush()
        half, target = Path(file.name), self.path / name
        self._make_room(half)
        half.replace(target)
        return target

    def prepare(self) -> None:
        """Make the folder, or see that it is this user's alone.

        Raises:
            Unreadable: it cannot be made, or is not.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
            status = self.path.lstat()
        except OSError as error:
            raise Unreadable(f"{self.purpose} cannot be made: {error.strerror}.") from error
        is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
        if not is_private:
            raise Unreadable(f"{self.purpose} is a link, or not this user's alone.")

    def _make_room(self, newest: Path) -> None:
        """Remove what was used longest ago, until the folder holds no more than its limit."""
        found = sorted(_files(self.path), key=lambda file: file.used)
        excess = sum(file.size for file in found) - self.limit
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
        return _is_half(self.path.name)


def _is_half(name: str) -> bool:
    return name.endswith(_HALF)


def _files(folder: Path) -> Iterator[_File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process removed it
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    used = status.st_mtime if _is_half(entry.name) else status.st_atime
                    yield _File(Path(entry.path), status.st_size, used)
                elif not Path(entry.path).exists():
                    Path(entry.path).unlink(missing_ok=True)  # a name whose content has made room for others


def _is_own_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
