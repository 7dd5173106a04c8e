"""One version of a file: whoever reads through it gets that version's bytes, or an error.

Files of an archive are replaced (a new file is renamed over the old one) and rewritten in place while they are read.
Three things together rule out that bytes of two versions are taken for one:

1. A look at a file (`HeldFile`) opens it. The descriptor keeps leading to what was looked at after another file was
   renamed over it; the kernel gives its inode number to no other file meanwhile.
2. A look waits until the file is *settled* (`HeldFile.settle`). Time stamps of files come from a clock that ticks every
   1 to 10 ms, so two changes within one tick leave the same stamps: git calls such a file racily clean. Once the clock
   has ticked, the next change leaves other stamps. A file that is empty may be about to be rewritten: while the kernel
   cuts it off it has its old time, so it has to stay empty for a while.
3. After each read (`VersionedFile.reading`) the stamps are compared with those of the look. Where they differ, what was
   read is thrown away: it may be torn.

What turns out to be read in vain is read once more (`retry_changed`), then from a private copy: a file that is
rewritten faster than an answer is made from it can still be copied in between.

Limits: a file whose writer pauses in the middle, for longer than a look waits, is a version like any other; writing
through a memory map sets the stamps late, or not before ``msync``; a file system whose server's clock
differs from this machine's by more than `_SETTLED` may hide a change within one tick of the server's clock.
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

__all__ = ["FilePath", "HeldFile", "VersionedFile", "attempt", "file_being_read", "retry_changed", "version_of"]

Result = TypeVar("Result")

_LOG = logging.getLogger("shotdap.files")
_MS: Final = 1_000_000  # nanoseconds
_SETTLED: Final = 20 * _MS  # a tick is 10 ms at most (HZ=100); the rest is for a file server's clock
_QUIET: Final = 100 * _MS  # in a second try: a writer may pause between two pieces
_FRESH: Final = 2_000 * _MS  # a file that was changed so lately, and cannot be read, may be written to
_AHEAD: Final = 200 * _MS  # a time may be by so much ahead of our clock, where that lags or is not the file server's
_PATIENCE: Final = 8  # times that a look waits for a pause, before a file that is being written to is given up for now
_CLOCK: Final = 5 if sys.platform == "linux" else time.CLOCK_REALTIME  # CLOCK_REALTIME_COARSE, time.h
_FIRST, _SECOND = 1, 2  # tries
_DESCRIPTORS: Final = Path("/proc/self/fd")  # Linux; elsewhere files are opened by their paths, and checked so
_BY_DESCRIPTOR: Final = _DESCRIPTORS.is_dir()
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that nobody writes to is no reason to wait
_MOST_COPIED: Final = 64 << 20  # bytes of memory for a private copy; few are made, and not for long
_WRITTEN_TO: Final = "The file is being written to; ask again."


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


def _now() -> int:
    """Return the time that a file which is changed now would get: on a virtual machine, the clock for it may lag."""
    return time.clock_gettime_ns(_CLOCK)


def version_of(path: Path, status: os.stat_result) -> Version:
    """Return the version that a look at a path has found."""
    return Version(path, status.st_size, status.st_mtime_ns, (status.st_ino, status.st_ctime_ns))


class HeldFile:
    """An open descriptor of one version of a file; it is closed when nobody refers to this object any more.

    Raises:
        Missing: there is no such file.
        Unreadable: it cannot be opened, or is no file.
    """

    def __init__(self, path: Path, copy: int | None = None) -> None:
        self.path = path
        self.is_copy = copy is not None
        try:
            self.descriptor = os.open(path, _FLAGS) if copy is None else copy
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except OSError as error:
            raise Unreadable(f"The file cannot be opened: {error.strerror}.") from error
        # By `finalize`, as `__del__` runs while weak references still lead here: another thread could revive this.
        finalize(self, os.close, self.descriptor).atexit = False
        status = self.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("The archive's row leads to something that is not a file.")
        self.version = version_of(path, status)

    def __fspath__(self) -> str:
        """Return a name that leads to these bytes, whatever is at the path by now."""
        return f"{_DESCRIPTORS}/{self.descriptor}" if _BY_DESCRIPTOR else str(self.path)

    @property
    def name_elsewhere(self) -> str:
        """A name that leads another process of this user to these bytes, if the kernel lets it; else the path."""
        process = Path(f"/proc/{os.getpid()}")
        return f"{process}/fd/{self.descriptor}" if _BY_DESCRIPTOR and process.stat().st_uid == os.geteuid() else (
            str(self.path)
        )  # fmt: skip

    def stat(self) -> os.stat_result:
        """Return what the file system says of the file now.

        Raises:
            Changed: nothing is at its path any more, on systems that lead to files by their paths only.
        """
        try:
            return os.fstat(self.descriptor) if _BY_DESCRIPTOR else self.path.stat()
        except FileNotFoundError as error:
            raise Changed from error

    def check(self, version: Version) -> None:
        """Make sure that the file is as it was when it was looked at.

        Raises:
            Changed: it is not.
        """
        if self.is_copy or not version.identity:
            return
        status = self.stat()
        now = version_of(version.path, status)
        if now[:3] != version[:3]:
            raise Changed
        # That the last name of the file is gone is no change of its bytes, but one of its inode.
        if now.identity != version.identity and status.st_nlink:
            raise Changed

    def copy(self, version: Version) -> HeldFile:
        """Return a private copy in memory, which nobody can change, of a version that this is.

        Raises:
            Changed: it is no longer.
        """
        copy = HeldFile(self.path, os.memfd_create("shotdap"))
        place = 0
        while place < version.size:
            sent = os.sendfile(copy.descriptor, self.descriptor, place, version.size - place)
            if not sent:
                raise Changed
            place += sent
        self.check(version)
        copy.version = version
        return copy

    def settle(self) -> Version:
        """Wait until the next change of the file can be told from its last; return the version that it is then.

        Raises:
            Changed: it is changed again and again meanwhile.
        """
        version = self.version
        seen = begun = time.monotonic_ns()
        while True:
            now = _now()  # before the look: what changes after it gets no earlier time
            try:
                self.check(version)
            except Changed:
                version, seen = version_of(self.path, self.stat()), time.monotonic_ns()
            age = now - version.identity[1] if version.size else time.monotonic_ns() - seen
            settled = _QUIET if _tries.get() == _SECOND or not version.size else _SETTLED
            if not -_AHEAD < age < settled:
                return version
            if time.monotonic_ns() - begun > _PATIENCE * settled:
                raise Changed(_WRITTEN_TO)
            time.sleep(min(max(settled - age, _MS), settled) / 1e9)


_reading: ContextVar[tuple[VersionedFile, HeldFile] | None] = ContextVar("reading", default=None)
_tries: ContextVar[int] = ContextVar("tries", default=0)
"""0 where nobody tries again, 1 in the first of two tries, 2 in the second."""


def file_being_read() -> VersionedFile | None:
    """Return the file that this thread is reading, if any; see `VersionedFile.reading`."""
    reading = _reading.get()
    return reading[0] if reading else None


@contextmanager
def attempt(number: Literal[1, 2]) -> Iterator[None]:
    """Answer in a block for the first or second time.

    In a first try, a file that was changed just now and cannot be read counts as changed. In a second try, looks at
    files wait longer for a pause of their writers, and what they see is copied before it is read.
    """
    token = _tries.set(number)
    try:
        yield
    finally:
        _tries.reset(token)


def retry_changed(answer: Callable[[], Result]) -> Result:
    """Return what a function returns; call it again, once, where a file has changed while it was read.

    Raises:
        Changed: so it was the second time.
    """
    try:
        with attempt(1):
            return answer()
    except Changed as error:
        _LOG.info("made again: %s", error)
        with attempt(2):
            return answer()


class VersionedFile:
    """One version of a file, as a path that readers open; see `FilePath`.

    It can be kept for as long as one likes: it holds no descriptor by itself. Where somebody holds one, it leads there;
    else `reading` opens the path, and makes sure that the same version is still there.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self._held: ReferenceType[HeldFile] | None = None
        """What somebody holds open, if anybody does."""
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[VersionedFile], tuple[Version]]:
        """Let pickle carry the version; another process opens the file itself."""
        return VersionedFile, (self.version,)

    @classmethod
    def at(cls, path: Path) -> VersionedFile:
        """Return the version that is at a path now, settled or not.

        Raises:
            Missing: there is no such file.
            Unreadable: it cannot be opened.
        """
        return cls(HeldFile(path).version)

    @classmethod
    def fixed(cls, path: Path) -> VersionedFile:
        """Return the one version that a path ever has, a file that is named after its content."""
        return cls(Version(path, 0, 0))

    def hold(self, found: HeldFile | None = None) -> HeldFile:
        """Return an open descriptor of this version, the one that others hold if they do.

        Args:
            found: one that was opened already for this version; in a second try, it is copied.

        Raises:
            Missing: nothing is at the path any more.
            Changed: another version is.
            Unreadable: it cannot be opened.
        """
        with self._lock:
            held = self._held() if self._held else None
            copies = found is not None and _tries.get() == _SECOND and self.version.size <= _MOST_COPIED
            if held is None or copies:
                held = found or HeldFile(self.version.path)
                held = held.copy(self.version) if copies else held
                held.check(self.version)
                self._held = ref(held)
        return held

    @contextmanager
    def reading(self) -> Iterator[HeldFile]:
        """Read the file in a block, whose outcome is of this version if it ends without an exception.

        Raises:
            Missing: the file is gone.
            Changed: the file is or becomes another version, whatever else the block raises for that.
            Unreadable: the file cannot be opened.
        """
        held = self.hold()
        held.check(self.version)
        token = _reading.set((self, held))
        try:
            yield held
        except Exception as error:
            try:
                held.check(self.version)
            except Changed as change:
                raise change from error
            if _tries.get() == _FIRST and self._is_fresh():
                raise Changed from error
            raise
        finally:
            _reading.reset(token)
        held.check(self.version)

    def _is_fresh(self) -> bool:
        version = self.version
        return bool(version.identity) and (not version.size or _now() - version.identity[1] < _FRESH)

    def __fspath__(self) -> str:
        """Return a name that libraries can open; within `reading` it leads to this version."""
        reading = _reading.get()
        if reading and reading[0] is self:
            return os.fspath(reading[1])
        held = self._held() if self._held else None
        return os.fspath(held) if held else str(self.version.path)

    def open(self, mode: Literal["rb"], /, buffering: int = -1) -> IO[bytes]:
        """Open the file at its first byte; see `__fspath__`."""
        return Path(self).open(mode, buffering=buffering)

    def stat(self) -> os.stat_result:
        """Return what the file system says of the file; see `__fspath__`."""
        return Path(self).stat()
