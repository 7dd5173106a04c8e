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

_FILE_SIZE_DIVISOR = 4  # one file may take this part of the folder at most
_STALE_SECONDS = 3600  # seconds after which a half-written file is nobody's
_PARTIAL_SUFFIX = ".part"


@dataclass(frozen=True)
class DiskCache:
    """Where files are written whole, and removed when others need the room."""

    path: Path
    """Made when it is first needed."""
    max_bytes: int
    """Bytes."""
    error_prefix: str
    """What a refusal says before its reason: ``The file is packed by gzip, and the folder to unpack it in``."""

    @property
    def max_file_bytes(self) -> int:
        """The bytes that one file may have."""
        return self.max_bytes // _FILE_SIZE_DIVISOR

    def touch_file(self, target: Path) -> bool:
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
    def create_partial_file(self, name: str) -> Iterator[IO[bytes]]:
        """A new file to be written and then kept; removed if it is not.

        Raises:
            Unreadable: there is no safe folder for it.
        """
        self.ensure_private_folder()
        with self.wrap_write_errors():  # mode 0600, and never there before
            file = tempfile.NamedTemporaryFile(  # noqa: SIM115 — closed below, where that may fail
                dir=self.path, prefix=f".{name[:16]}.", suffix=_PARTIAL_SUFFIX, delete=False
            )
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)
            with suppress(OSError):  # on a full disk closing fails as writing did; what was kept has been flushed
                file.close()

    @contextmanager
    def wrap_write_errors(self) -> Iterator[None]:
        """Say of a failure within the block that the folder cannot be written to, and why.

        Raises:
            Unreadable: something failed.
        """
        try:
            yield
        except OSError as error:
            raise Unreadable(f"{self.error_prefix} cannot be written to: {error.strerror}.") from error

    def commit_file(self, file: IO[bytes], name: str) -> Path:
        """Give a file that was written its name, and make room for it."""
        file.flush()
        half, target = Path(file.name), self.path / name
        self._prune_files(half)
        half.replace(target)
        return target

    def ensure_private_folder(self) -> None:
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
            raise Unreadable(f"{self.error_prefix} cannot be made: {error.strerror}.") from error
        is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
        if not is_private:
            raise Unreadable(f"{self.error_prefix} is a link, or not this user's alone.")

    def _prune_files(self, newest: Path) -> None:
        """Remove what was used longest ago, until the folder holds no more than its limit."""
        found = sorted(_scan_files(self.path), key=lambda file: file.last_used)
        excess = sum(file.size for file in found) - self.max_bytes
        for file in found:
            abandoned = file.is_partial and file.last_used < time.time() - _STALE_SECONDS
            if abandoned or (excess > 0 and not file.is_partial and file.path != newest):
                file.path.unlink(missing_ok=True)
                excess -= file.size


@dataclass(frozen=True)
class _CachedFile:
    """A file of the folder."""

    path: Path
    size: int
    last_used: float

    @property
    def is_partial(self) -> bool:
        """Whether some process is still writing it."""
        return _is_partial(self.path.name)


def _is_partial(name: str) -> bool:
    return name.endswith(_PARTIAL_SUFFIX)


def _scan_files(folder: Path) -> Iterator[_CachedFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process removed it
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    used = status.st_mtime if _is_partial(entry.name) else status.st_atime
                    yield _CachedFile(Path(entry.path), status.st_size, used)
                elif not Path(entry.path).exists():
                    Path(entry.path).unlink(missing_ok=True)  # a name whose content has made room for others


def _is_own_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
