"""One version of a file: whoever reads through it gets that version's bytes, or an error.

Files of an archive are replaced (a new file is renamed over the old one) and rewritten in place while they are read.
Three things together rule out that bytes of two versions are taken for one:

1. A look at a file (`FileHandle`) opens it. The descriptor keeps leading to what was looked at after another file was
   renamed over it; the kernel gives its inode number to no other file meanwhile.
2. A look waits until the file is *settled* (`FileHandle.wait_until_settled`). Time stamps of files come from a clock that ticks every
   1 to 10 ms, so two changes within one tick leave the same stamps: git calls such a file racily clean. Once the clock
   has ticked, the next change leaves other stamps. A file that is empty may be about to be rewritten: while the kernel
   cuts it off it has its old time, so it has to stay empty for a while.
3. After each read (`VersionedFile.read_consistently`) the stamps are compared with those of the look. Where they differ, what was
   read is thrown away: it may be torn.

What turns out to be read in vain is read once more (`retry_if_changed`), then from a private copy: a file that is
rewritten faster than an answer is made from it can still be copied in between.

Limits: a file whose writer pauses in the middle, for longer than a look waits, is a version like any other; writing
through a memory map sets the stamps late, or not before ``msync``; a file system whose server's clock
differs from this machine's by more than `_SETTLE_TIME` may hide a change within one tick of the server's clock.
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

Result = TypeVar("Result")

_LOG = logging.getLogger("shotdap.files")
_MILLISECOND: Final = 1_000_000  # nanoseconds
_SETTLE_TIME: Final = 20 * _MILLISECOND  # a tick is 10 ms at most (HZ=100); the rest is for a file server's clock
_QUIET_TIME: Final = 100 * _MILLISECOND  # in a second try: a writer may pause between two pieces
_FRESH_TIME: Final = 2_000 * _MILLISECOND  # a file that was changed so lately, and cannot be read, may be written to
_MAX_CLOCK_SKEW: Final = (
    200 * _MILLISECOND
)  # a time may be by so much ahead of our clock, where that lags or is not the file server's
_MAX_SETTLE_PERIODS: Final = (
    8  # times that a look waits for a pause, before a file that is being written to is given up for now
)
_COARSE_CLOCK: Final = 5 if sys.platform == "linux" else time.CLOCK_REALTIME  # CLOCK_REALTIME_COARSE, time.h
_FIRST_ATTEMPT, _SECOND_ATTEMPT = 1, 2  # tries
_DESCRIPTOR_FOLDER: Final = Path("/proc/self/fd")  # Linux; elsewhere files are opened by their paths, and checked so
_HAS_DESCRIPTOR_PATHS: Final = _DESCRIPTOR_FOLDER.is_dir()
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that nobody writes to is no reason to wait
_MAX_COPY_SIZE: Final = 64 << 20  # bytes of memory for a private copy; few are made, and not for long
_WRITING_MESSAGE: Final = "The file is being written to; ask again."


class FilePath(Protocol):
    """What readers open: a path, or one version of what is at a path."""

    def __fspath__(self) -> str:
        """Return a name that libraries can open."""
        ...

    def open(self, mode: Literal["rb"], /, buffering: int = -1) -> IO[bytes]:
        """Open the file at its first byte."""
        ...

    def stat(self) -> os.stat_result:
        """Return what the file system says of the file."""
        ...


def _get_coarse_time() -> int:
    """Return the time that a file which is changed now would get: on a virtual machine, the clock for it may lag."""
    return time.clock_gettime_ns(_COARSE_CLOCK)


def make_stat_version(path: Path, status: os.stat_result) -> Version:
    """Return the version that a look at a path has found."""
    return Version(path, status.st_size, status.st_mtime_ns, (status.st_ino, status.st_ctime_ns))


class FileHandle:
    """An open descriptor of one version of a file; it is closed when nobody refers to this object any more.

    Raises:
        Missing: there is no such file.
        Unreadable: it cannot be opened, or is no file.
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
        # By `finalize`, as `__del__` runs while weak references still lead here: another thread could revive this.
        finalize(self, os.close, self.descriptor).atexit = False
        status = self.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("The archive's row leads to something that is not a file.")
        self.version = make_stat_version(path, status)

    def __fspath__(self) -> str:
        """Return a name that leads to these bytes, whatever is at the path by now."""
        return f"{_DESCRIPTOR_FOLDER}/{self.descriptor}" if _HAS_DESCRIPTOR_PATHS else str(self.path)

    @property
    def cross_process_path(self) -> str:
        """A name that leads another process of this user to these bytes, if the kernel lets it; else the path."""
        process = Path(f"/proc/{os.getpid()}")
        return f"{process}/fd/{self.descriptor}" if _HAS_DESCRIPTOR_PATHS and process.stat().st_uid == os.geteuid() else (
            str(self.path)
        )  # fmt: skip

    def stat(self) -> os.stat_result:
        """Return what the file system says of the file now.

        Raises:
            Changed: nothing is at its path any more, on systems that lead to files by their paths only.
        """
        try:
            return os.fstat(self.descriptor) if _HAS_DESCRIPTOR_PATHS else self.path.stat()
        except FileNotFoundError as error:
            raise Changed from error

    def check_unchanged(self, version: Version) -> None:
        """Make sure that the file is as it was when it was looked at.

        Raises:
            Changed: it is not.
        """
        if self.is_copy or not version.identity:
            return
        status = self.stat()
        now = make_stat_version(version.path, status)
        if now[:3] != version[:3]:
            raise Changed
        # That the last name of the file is gone is no change of its bytes, but one of its inode.
        if now.identity != version.identity and status.st_nlink:
            raise Changed

    def copy_to_memory(self, version: Version) -> FileHandle:
        """Return a private copy in memory, which nobody can change, of a version that this is.

        Raises:
            Changed: it is no longer.
        """
        copy = FileHandle(self.path, os.memfd_create("shotdap"))
        place = 0
        while place < version.size:
            sent = os.sendfile(copy.descriptor, self.descriptor, place, version.size - place)
            if not sent:
                raise Changed
            place += sent
        self.check_unchanged(version)
        copy.version = version
        return copy

    def wait_until_settled(self) -> Version:
        """Wait until the next change of the file can be told from its last; return the version that it is then.

        Raises:
            Changed: it is changed again and again meanwhile.
        """
        version = self.version
        seen = begun = time.monotonic_ns()
        while True:
            now = _get_coarse_time()  # before the look: what changes after it gets no earlier time
            try:
                self.check_unchanged(version)
            except Changed:
                version, seen = make_stat_version(self.path, self.stat()), time.monotonic_ns()
            age = now - version.identity[1] if version.size else time.monotonic_ns() - seen
            settled = _QUIET_TIME if _attempt_number.get() == _SECOND_ATTEMPT or not version.size else _SETTLE_TIME
            if not -_MAX_CLOCK_SKEW < age < settled:
                return version
            if time.monotonic_ns() - begun > _MAX_SETTLE_PERIODS * settled:
                raise Changed(_WRITING_MESSAGE)
            time.sleep(min(max(settled - age, _MILLISECOND), settled) / 1e9)


_current_reading: ContextVar[tuple[VersionedFile, FileHandle] | None] = ContextVar("reading", default=None)
_attempt_number: ContextVar[int] = ContextVar("tries", default=0)
"""0 where nobody tries again, 1 in the first of two tries, 2 in the second."""


def get_current_file() -> VersionedFile | None:
    """Return the file that this thread is reading, if any; see `VersionedFile.read_consistently`."""
    reading = _current_reading.get()
    return reading[0] if reading else None


@contextmanager
def begin_attempt(number: Literal[1, 2]) -> Iterator[None]:
    """Answer in a block for the first or second time.

    In a first try, a file that was changed just now and cannot be read counts as changed. In a second try, looks at
    files wait longer for a pause of their writers, and what they see is copied before it is read.
    """
    token = _attempt_number.set(number)
    try:
        yield
    finally:
        _attempt_number.reset(token)


def retry_if_changed(answer: Callable[[], Result]) -> Result:
    """Return what a function returns; call it again, once, where a file has changed while it was read.

    Raises:
        Changed: so it was the second time.
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

    It can be kept for as long as one likes: it holds no descriptor by itself. Where somebody holds one, it leads there;
    else `read_consistently` opens the path, and makes sure that the same version is still there.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self._handle: ReferenceType[FileHandle] | None = None
        """What somebody holds open, if anybody does."""
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[VersionedFile], tuple[Version]]:
        """Let pickle carry the version; another process opens the file itself."""
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
        """Return the one version that a path ever has, a file that is named after its content."""
        return cls(Version(path, 0, 0))

    def acquire_handle(self, found: FileHandle | None = None) -> FileHandle:
        """Return an open descriptor of this version, the one that others hold if they do.

        Args:
            found: one that was opened already for this version; in a second try, it is copied.

        Raises:
            Missing: nothing is at the path any more.
            Changed: another version is.
            Unreadable: it cannot be opened.
        """
        with self._lock:
            held = self._handle() if self._handle else None
            copies = (
                found is not None and _attempt_number.get() == _SECOND_ATTEMPT and self.version.size <= _MAX_COPY_SIZE
            )
            if held is None or copies:
                held = found or FileHandle(self.version.path)
                held = held.copy_to_memory(self.version) if copies else held
                held.check_unchanged(self.version)
                self._handle = ref(held)
        return held

    @contextmanager
    def read_consistently(self) -> Iterator[FileHandle]:
        """Read the file in a block, whose outcome is of this version if it ends without an exception.

        Raises:
            Missing: the file is gone.
            Changed: the file is or becomes another version, whatever else the block raises for that.
            Unreadable: the file cannot be opened.
        """
        held = self.acquire_handle()
        held.check_unchanged(self.version)
        token = _current_reading.set((self, held))
        try:
            yield held
        except Exception as error:
            try:
                held.check_unchanged(self.version)
            except Changed as change:
                raise change from error
            if _attempt_number.get() == _FIRST_ATTEMPT and self._is_fresh():
                raise Changed from error
            raise
        finally:
            _current_reading.reset(token)
        held.check_unchanged(self.version)

    def _is_fresh(self) -> bool:
        version = self.version
        return bool(version.identity) and (not version.size or _get_coarse_time() - version.identity[1] < _FRESH_TIME)

    def __fspath__(self) -> str:
        """Return a name that libraries can open; within `read_consistently` it leads to this version."""
        reading = _current_reading.get()
        if reading and reading[0] is self:
            return os.fspath(reading[1])
        held = self._handle() if self._handle else None
        return os.fspath(held) if held else str(self.version.path)

    def open(self, mode: Literal["rb"], /, buffering: int = -1) -> IO[bytes]:
        """Open the file at its first byte; see `__fspath__`."""
        return Path(self).open(mode, buffering=buffering)

    def stat(self) -> os.stat_result:
        """Return what the file system says of the file; see `__fspath__`."""
        return Path(self).stat()
