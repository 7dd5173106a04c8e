"""A folder of files that can be made again, never much larger than a limit.

Any number of processes can share it without locks: a file gets its name only when it is complete (it is written under
another name, then renamed). Used files are touched; when the folder is too large, the least recently used files are
removed first. Touching sets the time of access, so the time of change can be the original's.

The folder belongs to this user alone: a folder that is a link, or that others own or may enter, is refused.
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
from shotdap.catalog.storage.private_folder import ensure_private_folder

_FILE_SIZE_DIVISOR = 4  # one file may take a quarter of the folder
_STALE_SECONDS = 3600  # after which a partial file is abandoned
_PARTIAL_SUFFIX = ".part"


@dataclass(frozen=True)
class DiskCache:
    """A folder of complete files with a limited size."""

    path: Path
    """Made when it is first needed."""
    max_bytes: int
    error_prefix: str
    """The beginning of error messages: ``The file is packed by gzip, and the folder to unpack it in``."""

    @property
    def max_file_bytes(self) -> int:
        """The maximum size of one file."""
        return self.max_bytes // _FILE_SIZE_DIVISOR

    def touch_file(self, target: Path) -> bool:
        """Mark a file as used; return whether it exists and is a file of this user."""
        try:
            descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
            is_own_file = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
            if is_own_file:
                os.utime(descriptor, ns=(time.time_ns(), status.st_mtime_ns))
        except OSError:
            return False
        else:
            return is_own_file
        finally:
            os.close(descriptor)

    @contextmanager
    def create_partial_file(self, name: str) -> Iterator[IO[bytes]]:
        """Create a file to write in a block; remove it after the block unless it was committed.

        Raises:
            Unreadable: there is no safe folder for it.
        """
        self.ensure_private_folder()
        with self.wrap_write_errors():  # with mode 0600 and a new name
            file = tempfile.NamedTemporaryFile(  # noqa: SIM115 — closed below, where that may fail
                dir=self.path, prefix=f".{name[:16]}.", suffix=_PARTIAL_SUFFIX, delete=False
            )
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)
            with suppress(OSError):  # on a full disk, closing fails as writing did; a committed file was flushed
                file.close()

    @contextmanager
    def wrap_write_errors(self) -> Iterator[None]:
        """Turn an error of the file system in a block into one of writing to this folder.

        Raises:
            Unreadable: the block failed.
        """
        try:
            yield
        except OSError as error:
            raise Unreadable(f"{self.error_prefix} cannot be written to: {error.strerror}.") from error

    def commit_file(self, file: IO[bytes], name: str) -> Path:
        """Give a partial file its final name, and remove the least recently used files that exceed the limit."""
        file.flush()
        partial, target = Path(file.name), self.path / name
        files: list[_CachedFile] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process removed it
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        is_partial = entry.name.endswith(_PARTIAL_SUFFIX)
                        last_used = status.st_mtime if is_partial else status.st_atime
                        files.append(_CachedFile(Path(entry.path), status.st_size, last_used, is_partial))
                    elif not Path(entry.path).exists():  # a link whose content is gone
                        Path(entry.path).unlink(missing_ok=True)
        excess = sum(each.size for each in files) - self.max_bytes
        for each in sorted(files, key=lambda each: each.last_used):
            is_abandoned = each.is_partial and each.last_used < time.time() - _STALE_SECONDS
            if is_abandoned or (excess > 0 and not each.is_partial and each.path != partial):
                each.path.unlink(missing_ok=True)
                excess -= each.size
        partial.replace(target)
        return target

    def ensure_private_folder(self) -> None:
        """Make the folder, or check that it is this user's alone.

        Raises:
            Unreadable: the folder cannot be made, or is not this user's alone.
        """
        ensure_private_folder(self.path, self.error_prefix)


@dataclass(frozen=True)
class _CachedFile:
    """A file of the folder."""

    path: Path
    size: int
    last_used: float
    is_partial: bool
    """Whether some process is still writing it."""
