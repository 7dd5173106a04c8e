"""One version of a file: reading through it returns that version's bytes, or raises an error.

Files of an archive are replaced (a new file is renamed over the old one) and rewritten in place while they are read.
Three measures together ensure that the bytes of two versions are never mixed:

1. `FileHandle` opens the file. The descriptor still leads to the same file after another was renamed over it; meanwhile
   the kernel gives its inode number to no other file.
2. `FileHandle.wait_until_settled` waits until the file is *settled*. File time stamps come from a clock that ticks
   every 1 to 10 ms, so two changes within one tick leave the same stamps: git calls such a file racily clean. Once the
   clock has ticked, the next change leaves other stamps. An empty file may be about to be rewritten: while the kernel
   truncates it, it has its old time, so it has to stay empty for a while.
3. After each read, `VersionedFile.read_consistently` compares the stamps with those of the version. If they differ, the
   data are discarded: they may be torn.

Such a failed read is repeated once (`retry_if_changed`), from a private copy: a file that is rewritten faster than a
response is made from it can still be copied in between.

Limits: if a writer pauses for longer than the wait, the incomplete file is a version like any other; writing through a
memory map sets the stamps late, or not before ``msync``; if the clock of a file server differs from this machine's by
more than `_SETTLE_TIME`, a change within one tick of the server's clock may be hidden.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Final, Literal, Protocol, TypeVar
from weakref import ReferenceType, finalize, ref

from shotdap.catalog.entry import Changed, Missing, Unreadable
from shotdap.catalog.storage.store import Version

_Result = TypeVar("_Result")

_LOG = logging.getLogger("shotdap.files")
_MILLISECOND: Final = 1_000_000  # nanoseconds
_SETTLE_TIME: Final = 20 * _MILLISECOND  # a tick is 10 ms at most (HZ=100); the rest is for a file server's clock
_QUIET_TIME: Final = 100 * _MILLISECOND  # in a second attempt: a writer may pause between two blocks
_FRESH_TIME: Final = 2_000 * _MILLISECOND  # an unreadable file that changed more recently may still be written to
_MAX_CLOCK_SKEW: Final = 200 * _MILLISECOND  # by which a file's time may be ahead of this machine's clock
_MAX_SETTLE_PERIODS: Final = 8  # waits for a pause of the writer before the file is given up for now
# The clock of files' times; on a virtual machine, it may lag.
_COARSE_CLOCK: Final = 5 if sys.platform == "linux" else time.CLOCK_REALTIME  # CLOCK_REALTIME_COARSE, time.h
_FIRST_ATTEMPT, _SECOND_ATTEMPT = 1, 2
_DESCRIPTOR_FOLDER: Final = Path("/proc/self/fd")  # Linux; elsewhere files are opened and checked by their paths
_HAS_DESCRIPTOR_PATHS: Final = _DESCRIPTOR_FOLDER.is_dir()
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # do not block on a pipe without a writer
_MAX_COPY_SIZE: Final = 64 << 20  # bytes of memory for a private copy; copies are few and short-lived
_WRITING_MESSAGE: Final = "The file is being written to; ask again."


class FilePath(Protocol):
    """A file that readers open: a path, or one version of the file at a path."""

    def __fspath__(self) -> str:
        """Return a name that libraries can open."""
        ...

    def open(self, mode: Literal["rb"], /, buffering: int = -1) -> IO[bytes]:
        """Open the file at its first byte."""
        ...

    def stat(self) -> os.stat_result:
        """Return the file's status in the file system."""
        ...


def make_stat_version(path: Path, status: os.stat_result) -> Version:
    """Return the version of a file with this status."""
    return Version(path, status.st_size, status.st_mtime_ns, (status.st_ino, status.st_ctime_ns))


class FileHandle:
    """An open descriptor of one version of a file; it is closed when the last reference to this object is gone.

    Raises:
        Missing: there is no such file.
        Unreadable: the file cannot be opened, or is not a regular file.
    """

    def __init__(self, path: Path, copy: int | None = None) -> None:
        self.path = path
        self.is_copy = copy is not None
        try:
            self.descriptor = os.open(path, _OPEN_FLAGS) if copy is None else copy
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except OSError as error:
            raise Unreadable(f"The file cannot be opened: {error.strerror}.") from error
        # By `finalize`, since `__del__` runs while weak references still exist: another thread could revive this.
        finalize(self, os.close, self.descriptor).atexit = False
        status = self.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("The archive's row leads to something that is not a file.")
        self.version = make_stat_version(path, status)

    def __fspath__(self) -> str:
        """Return a name that leads to these bytes, even if another file is at the path by now."""
        return f"{_DESCRIPTOR_FOLDER}/{self.descriptor}" if _HAS_DESCRIPTOR_PATHS else str(self.path)

    @property
    def cross_process_path(self) -> str:
        """A name that leads another process of this user to these bytes if the kernel allows it; else the path."""
        process = Path(f"/proc/{os.getpid()}")
        is_accessible = _HAS_DESCRIPTOR_PATHS and process.stat().st_uid == os.geteuid()
        return f"{process}/fd/{self.descriptor}" if is_accessible else str(self.path)

    def stat(self) -> os.stat_result:
        """Return the file's current status in the file system.

        Raises:
            Changed: the path is gone, on systems without descriptor paths.
        """
        try:
            return os.fstat(self.descriptor) if _HAS_DESCRIPTOR_PATHS else self.path.stat()
        except FileNotFoundError as error:
            raise Changed from error

    def check_unchanged(self, version: Version) -> None:
        """Check that the file is still this version.

        Raises:
            Changed: it is not.
        """
        if self.is_copy or not version.identity:
            return
        status = self.stat()
        now = make_stat_version(version.path, status)
        if now[:3] != version[:3]:
            raise Changed
        # Removing the last name of a file changes its inode, but not its bytes.
        if now.identity != version.identity and status.st_nlink:
            raise Changed

    def copy_to_memory(self, version: Version) -> FileHandle:
        """Return a private, immutable copy of this version in memory.

        Raises:
            Changed: the file is another version by now.
        """
        copy = FileHandle(self.path, os.memfd_create("shotdap"))
        offset = 0
        while offset < version.size:
            count = os.sendfile(copy.descriptor, self.descriptor, offset, version.size - offset)
            if not count:
                raise Changed
            offset += count
        self.check_unchanged(version)
        copy.version = version
        return copy

    def wait_until_settled(self) -> Version:
        """Wait until the next change of the file will differ from the last; return the version at that time.

        Raises:
            Changed: the file changes again and again.
        """
        version = self.version
        changed_at = start = time.monotonic_ns()
        while True:
            now = time.clock_gettime_ns(_COARSE_CLOCK)  # before the check: a later change gets no earlier time
            try:
                self.check_unchanged(version)
            except Changed:
                version, changed_at = make_stat_version(self.path, self.stat()), time.monotonic_ns()
            age = now - version.identity[1] if version.size else time.monotonic_ns() - changed_at
            period = _QUIET_TIME if _attempt_number.get() == _SECOND_ATTEMPT or not version.size else _SETTLE_TIME
            if not -_MAX_CLOCK_SKEW < age < period:
                return version
            if time.monotonic_ns() - start > _MAX_SETTLE_PERIODS * period:
                raise Changed(_WRITING_MESSAGE)
            time.sleep(min(max(period - age, _MILLISECOND), period) / 1e9)


_current_reading: ContextVar[tuple[VersionedFile, FileHandle] | None] = ContextVar("reading", default=None)
_attempt_number: ContextVar[Literal[0, 1, 2]] = ContextVar("attempt_number", default=0)
"""0 without retry, 1 in the first of two attempts, 2 in the second."""


def get_current_file() -> VersionedFile | None:
    """Return the file that this thread is reading, if any; see `VersionedFile.read_consistently`."""
    reading = _current_reading.get()
    return reading[0] if reading else None


def get_attempt_number() -> Literal[0, 1, 2]:
    """Return the number of the present attempt; 0 without `begin_attempt`."""
    return _attempt_number.get()


@contextmanager
def begin_attempt(number: Literal[0, 1, 2]) -> Iterator[None]:
    """Mark a block as the first or second attempt.

    In the first attempt, an unreadable file that changed just now counts as changed. In the second, handles wait longer
    for a pause of the writers, and files are copied before they are read.
    """
    token = _attempt_number.set(number)
    try:
        yield
    finally:
        _attempt_number.reset(token)


def retry_if_changed(answer: Callable[[], _Result]) -> _Result:
    """Return a function's result; call it once more if a file changed while it was read.

    Raises:
        Changed: a file changed the second time too.
    """
    try:
        with begin_attempt(1):
            return answer()
    except Changed as error:
        _LOG.info("made again: %s", error)
        with begin_attempt(2):
            return answer()


class VersionedFile:
    """One version of a file, as a path that readers open; see `FilePath`.

    It holds no descriptor, so it can be kept for any time. While a handle is open, reads go through that handle;
    otherwise `read_consistently` opens the path, and checks that the same version is still there.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self._handle: ReferenceType[FileHandle] | None = None
        """A handle that somebody holds, if any."""
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[VersionedFile], tuple[Version]]:
        """Pickle the version only; another process opens the file itself."""
        return VersionedFile, (self.version,)

    @classmethod
    def from_path(cls, path: Path) -> VersionedFile:
        """Return the version that is at a path now, settled or not.

        Raises:
            Missing: there is no such file.
            Unreadable: it cannot be opened.
        """
        return cls(FileHandle(path).version)

    @classmethod
    def from_immutable_path(cls, path: Path) -> VersionedFile:
        """Return the only version of a file that is named after its content."""
        return cls(Version(path, 0, 0))

    def acquire_handle(self, opened: FileHandle | None = None) -> FileHandle:
        """Return a handle of this version, shared with other holders.

        Args:
            opened: a handle of this version that exists already; in a second attempt, it is copied.

        Raises:
            Missing: nothing is at the path any more.
            Changed: another version is at the path.
            Unreadable: the file cannot be opened.
        """
        with self._lock:
            handle = self._handle() if self._handle else None
            is_second = _attempt_number.get() == _SECOND_ATTEMPT
            copies = opened is not None and is_second and self.version.size <= _MAX_COPY_SIZE
            if handle is None or copies:
                handle = opened or FileHandle(self.version.path)
                handle = handle.copy_to_memory(self.version) if copies else handle
                handle.check_unchanged(self.version)
                self._handle = ref(handle)
        return handle

    @contextmanager
    def read_consistently(self) -> Iterator[FileHandle]:
        """Read the file in a block; if the block ends without an exception, all that it read is of this version.

        Raises:
            Missing: the file is gone.
            Changed: the file is or becomes another version, whatever the block raises because of that.
            Unreadable: the file cannot be opened.
        """
        handle, version = self.acquire_handle(), self.version
        handle.check_unchanged(version)
        token = _current_reading.set((self, handle))
        try:
            yield handle
        except Exception as error:
            try:
                handle.check_unchanged(version)
            except Changed as change:
                raise change from error
            if _attempt_number.get() == _FIRST_ATTEMPT and version.identity:
                is_fresh = not version.size or time.clock_gettime_ns(_COARSE_CLOCK) - version.identity[1] < _FRESH_TIME
                if is_fresh:  # it may still be written to
                    raise Changed from error
            raise
        finally:
            _current_reading.reset(token)
        handle.check_unchanged(version)

    def __fspath__(self) -> str:
        """Return a name that libraries can open; within `read_consistently` it leads to this version."""
        reading = _current_reading.get()
        if reading and reading[0] is self:
            return os.fspath(reading[1])
        handle = self._handle() if self._handle else None
        return os.fspath(handle) if handle else str(self.version.path)

    def open(self, mode: Literal["rb"], /, buffering: int = -1) -> IO[bytes]:
        """Open the file at its first byte; see `__fspath__`."""
        return Path(self).open(mode, buffering=buffering)

    def stat(self) -> os.stat_result:
        """Return the file's status in the file system; see `__fspath__`."""
        return Path(self).stat()
