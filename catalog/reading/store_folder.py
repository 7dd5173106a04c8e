"""A folder of files that many processes write and remove: bounded by bytes, and right after a kill -9 at any moment.

`DiskCache` bounds a folder too, but differs where it matters here: it scans the folder at each new file, and two
processes that write at once can exceed its limit. Here files are new every few milliseconds, and in ``/dev/shm`` each
byte over the limit is memory of the machine. So space is reserved before it is written:

- A file in the making is named ``.tmp.PID.TOKEN.BYTES``: its name tells the bytes that are reserved for it. Its writer
  holds a lock on it (`flock`), which the kernel releases when the writer dies, so whoever gets the lock may remove it.
- The file ``.accounts`` holds the total of all bytes. Whoever holds its lock may reserve, rename and evict. The total
  is never less than the truth. It may be more, because files are removed without the lock and processes are killed.
  When it reaches the limit, the folder is scanned: that corrects the total, sweeps, and evicts the least recently used
  frames down to nine tenths of the limit.
- The same file holds the number of the system's boot. After another boot the folder is emptied: files are not
  synchronised to the disk, so a crash of the machine may have left damaged ones.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.readers.gunzip import get_cache_folder
from shotdap.catalog.storage.private_folder import ensure_private_folder

FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The errors of a file system without room."""

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 — only a folder in it, checked to be private
_ERROR_PREFIX: Final = "The folder of decoded frames"
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_PAGE_BYTES: Final = 4096  # the unit in which file systems allocate
_WRITE_BYTES: Final = 1 << 20  # in one call; larger writes were not faster
_GROWTH_BYTES: Final = 4 << 20  # by which the reservation of a file of unknown size grows
_GROWTH_DIVISOR: Final = 64  # in a small folder it grows by a 64th of the limit
_LOW_WATER: Final = 0.9  # of the limit remains after an eviction, so that not every new file scans the folder
_BODY_SECONDS: Final = 60  # after which a body that nobody opened is abandoned
_OPEN_FLAGS: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK_PREFIX: Final = ".lock."
_PARTIAL_PREFIX: Final = ".tmp."
_BODY_PREFIX: Final = ".body."


def choose_folder(name: str, limit: int) -> Path:
    """Choose where to keep frames: in shared memory where that has room for them, else in the user's cache folder.

    Args:
        name: of the deployment; different names get different folders.
        limit: of the folder, in bytes.
    """
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    folder = _SHARED_MEMORY / f"shotdap-{os.getuid()}-{digest}"
    with suppress(OSError):
        mounts = Path("/proc/mounts").read_text("utf-8", "replace").splitlines()
        if any(mount.split(" ")[1:3] == [str(_SHARED_MEMORY), "tmpfs"] for mount in mounts):
            status, kept = os.statvfs(_SHARED_MEMORY), 0
            with suppress(FileNotFoundError):
                kept = sum(each.lstat().st_blocks * 512 for each in folder.iterdir())
            # A quarter more than the limit: evicted frames take memory while an answer is made of them.
            if status.f_bavail * status.f_frsize + kept >= limit + limit // 4:
                ensure_private_folder(folder, _ERROR_PREFIX)
                return folder
    return get_cache_folder(f"frames-{digest}")


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a folder while the block lasts; the last one who holds it removes it, with all its files.

    So two servers of an archive on one machine can share it, also while one of them replaces the other.

    Args:
        folder: of frames; a lock is beside it. Where no lock can be made, nothing is removed.
    """
    path = folder.with_name(f"{folder.name}.lock")
    try:
        lock = _share_lock(path)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            path.unlink(missing_ok=True)
        os.close(lock)


def _share_lock(path: Path) -> int:
    """Return a lock that others may hold as well.

    Raises:
        OSError: none can be made.
    """
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o600)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if os.fstat(lock).st_nlink:
            return lock
        os.close(lock)  # the last holder removed it


class PartialFile:
    """A file in the making. It appears in the folder under its own name when it is committed, complete.

    Args:
        folder: where it is.
        descriptor: open and locked.
        path: its present name.
        reserved: bytes that may be written without asking again.
    """

    def __init__(self, folder: StoreFolder, descriptor: int, path: Path, reserved: int) -> None:
        self._folder, self._descriptor, self._has_evicted = folder, descriptor, False
        self.path, self.reserved, self.size, self.is_committed = path, reserved, 0, False

    def write(self, content: bytes | memoryview) -> None:
        """Append bytes.

        Raises:
            OSError: `FULL_ERRNOS` where there is no room even after an eviction.
        """
        if not memoryview(content).nbytes:
            return  # its shape may be one that cannot be cast
        rest = memoryview(content).cast("B")
        if self.size + len(rest) > self.reserved:
            growth = min(_GROWTH_BYTES, self._folder.limit // _GROWTH_DIVISOR)
            self._folder.extend_partial(self, max(growth, self.size + len(rest) - self.reserved))
        while rest:
            try:  # write(2), because storing into a map of a full file system is a signal and no error
                count = os.write(self._descriptor, rest[:_WRITE_BYTES])
            except OSError as error:
                if error.errno not in FULL_ERRNOS or self._has_evicted:
                    raise
                self._has_evicted = True
                self._folder.evict(len(rest))
            else:
                self.size += count
                rest = rest[count:]


class StoreFolder:
    """A private folder of files that together never have more bytes than a limit.

    Args:
        path: made, with mode 0700, unless it exists.
        limit: in bytes; what other processes reserve in the same folder counts, too.

    Raises:
        Unreadable: there is no safe folder.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit = path, limit
        self.prepare()

    def prepare(self) -> None:
        """Make the folder; remove what dead processes left, and everything that is from before the system's last boot.

        Raises:
            Unreadable: there is no safe folder.
        """
        ensure_private_folder(self.path, _ERROR_PREFIX)
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:
            boot = "unknown"
        try:
            with _lock_accounts(_open_accounts(self.path)) as accounts:
                with os.scandir(self.path) as entries:
                    names = [entry.name for entry in entries]
                if accounts.read_boot() == boot:
                    for name in names:
                        self._sweep_file(name)
                else:
                    for name in names:
                        if _NAME.fullmatch(name) or name.startswith((_LOCK_PREFIX, _PARTIAL_PREFIX, _BODY_PREFIX)):
                            (self.path / name).unlink(missing_ok=True)
                    accounts.initialize(boot)
        except OSError as error:
            raise Unreadable(f"{_ERROR_PREFIX} cannot be used: {error.strerror}.") from error

    def _open_accounts(self) -> int:
        """Open the accounts; make the folder again if the system removed it, as some do when their user logs out."""
        try:
            return _open_accounts(self.path)
        except FileNotFoundError:
            self.prepare()
            return _open_accounts(self.path)

    def locate(self, name: str) -> str:
        """Return the path of a frame; as text, because joining paths takes as long as opening a file.

        Raises:
            ValueError: this is not a name that `make_key` returns.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a key of frames.")
        return f"{self.path}/{name}"

    @contextmanager
    def create_partial(self, size: int = 0) -> Iterator[PartialFile]:
        """Create a file to write in a block; remove it after the block unless it was committed.

        Args:
            size: the bytes to reserve at once, if they are known.

        Raises:
            OSError: `FULL_ERRNOS` where the limit leaves no room.
        """
        reserved = _round_to_pages(size)
        path = Path(f"{self.path}/{_PARTIAL_PREFIX}{os.getpid()}.{secrets.token_hex(8)}.{reserved}")
        with _lock_accounts(self._open_accounts()) as accounts:
            self._reserve(accounts, reserved)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN_FLAGS, 0o600)
            partial = PartialFile(self, descriptor, path, reserved)
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # free: nobody sweeps while the accounts are locked
        try:
            yield partial
        finally:
            if not partial.is_committed:
                with suppress(OSError):
                    partial.path.unlink()
            with suppress(OSError):
                os.close(descriptor)

    def extend_partial(self, partial: PartialFile, size: int) -> None:
        """Reserve more bytes for a file in the making.

        Raises:
            OSError: `FULL_ERRNOS` where the limit leaves no room.
        """
        with _lock_accounts(self._open_accounts()) as accounts:
            growth = _round_to_pages(size)
            self._reserve(accounts, growth)
            reserved = partial.reserved + growth
            path = partial.path.with_name(f"{partial.path.name.rpartition('.')[0]}.{reserved}")
            partial.path.rename(path)
            partial.path, partial.reserved = path, reserved

    def commit_partial(self, partial: PartialFile, name: str) -> Path:
        """Give a complete file its name."""
        target = self.path / name
        with _lock_accounts(self._open_accounts()) as accounts:  # a scan would miss a file that is renamed meanwhile
            partial.path.rename(target)
            partial.is_committed = True
            if (total := accounts.read_total()) is not None:
                accounts.write_total(total - partial.reserved + _round_to_pages(partial.size))
        return target

    def commit_body(self, partial: PartialFile) -> Path:
        """Give a complete body a name. It can be opened for a minute, then it is abandoned."""
        return self.commit_partial(partial, f"{_BODY_PREFIX}{os.getpid()}.{secrets.token_hex(8)}")

    def has_body(self, path: Path) -> bool:
        """Return whether a path is that of a body in this folder."""
        return path.parent == self.path and path.name.startswith(_BODY_PREFIX)

    def lock_name(self, name: str) -> int | None:
        """Wait for the exclusive right to make a file; return the lock, or `None` if the last holder gave it up.

        Raises:
            OSError: no lock can be made.
        """
        path = f"{self.path}/{_LOCK_PREFIX}{name}"
        while True:
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o600)
            except FileNotFoundError:  # the system removed the folder, as some do when their user logs out
                self.prepare()
                lock = os.open(path, os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                status = os.fstat(lock)
            except BaseException:
                os.close(lock)
                raise
            if status.st_nlink:
                return lock
            os.close(lock)  # the last holder removed it
            if status.st_size:
                return None

    def unlock_name(self, name: str, lock: int, *, give_up: bool = False) -> None:
        """Release a lock.

        Args:
            name: of the file.
            lock: returned by `lock_name`.
            give_up: tell those who wait that the file cannot be made here, so that they do not wait for each other.
        """
        with suppress(OSError):
            if give_up:
                os.write(lock, b"-")
        with suppress(OSError):  # removed while it is held; `lock_name` sees that
            (self.path / f"{_LOCK_PREFIX}{name}").unlink()
        os.close(lock)

    def read_used_bytes(self) -> int:
        """Return an upper bound of the bytes of all files."""
        with _lock_accounts(self._open_accounts()) as accounts:
            total = accounts.read_total()
            return self._scan()[0] if total is None else total

    def evict(self, size: int) -> None:
        """Remove the least recently used frames, at least this number of bytes if there are as many."""
        with _lock_accounts(self._open_accounts()) as accounts:
            used, frames = self._scan()
            accounts.write_total(self._remove_frames(frames, used, used - size))

    def _reserve(self, accounts: _Accounts, size: int) -> None:
        total = accounts.read_total()
        if total is None or total + size > self.limit:
            total, frames = self._scan()
            if total - sum(frame.size for frame in frames) + size > self.limit:
                accounts.write_total(total)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if total + size > self.limit:
                total = self._remove_frames(frames, total, int(self.limit * _LOW_WATER) - size)
        accounts.write_total(total + size)

    def _scan(self) -> tuple[int, list[_StoredFrame]]:
        """Sweep; return the bytes of all files, and the frames. The accounts are locked."""
        others, frames = 0, list[_StoredFrame]()
        with os.scandir(self.path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if _NAME.fullmatch(entry.name):
                        status = entry.stat(follow_symlinks=False)
                        frames.append(_StoredFrame(status.st_mtime_ns, entry.name, _round_to_pages(status.st_size)))
                    else:
                        others += self._sweep_file(entry.name)
        return others + sum(frame.size for frame in frames), frames

    def _remove_frames(self, frames: list[_StoredFrame], total: int, goal: int) -> int:
        """Remove the least recently used frames until the total is not above a goal; return the new total."""
        for frame in sorted(frames):
            if total <= goal:
                break
            (self.path / frame.name).unlink(missing_ok=True)
            total -= frame.size
        return total

    def _sweep_file(self, name: str) -> int:
        """Remove a file that a dead process left; return the bytes that it takes if it stays. The accounts are locked.

        Frames are not looked at.
        """
        path = self.path / name
        with suppress(FileNotFoundError):
            if name.startswith(_BODY_PREFIX):
                status = path.lstat()
                if abs(time.time() - status.st_mtime) < _BODY_SECONDS:
                    return _round_to_pages(status.st_size)
                path.unlink()
            elif name.startswith((_PARTIAL_PREFIX, _LOCK_PREFIX)) and not _remove_if_unlocked(path):
                return int(name.rpartition(".")[2]) if name.startswith(_PARTIAL_PREFIX) else 0
        return 0


class _StoredFrame(NamedTuple):
    """A complete frame in the folder, in the order of eviction."""

    used: int
    """When some process last began to use it: nanoseconds since 1970."""
    name: str
    size: int


class _Accounts:
    """The content of the locked file of accounts: the total of bytes, and the number of the boot."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read_total(self) -> int | None:
        """Return an upper bound of the bytes in the folder; `None` if it is not known."""
        with suppress(ValueError):
            return int(os.pread(self._descriptor, 20, 0))
        return None

    def read_boot(self) -> str:
        """Return the number of the boot in which the folder was filled; empty if it is not known."""
        return os.pread(self._descriptor, 64, 20).decode("ascii", "replace").strip()

    def write_total(self, total: int) -> None:
        """Write the total: 20 digits, in one write, which a kill does not divide."""
        os.pwrite(self._descriptor, b"%020d" % total, 0)

    def initialize(self, boot: str) -> None:
        """Write the content for an empty folder."""
        os.pwrite(self._descriptor, b"%020d %s" % (0, boot.encode()), 0)


def _open_accounts(folder: Path) -> int:
    """Return a new descriptor, for each call: threads of a process exclude each other, too."""
    return os.open(f"{folder}/.accounts", os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o600)


@contextmanager
def _lock_accounts(descriptor: int) -> Iterator[_Accounts]:
    """Hold the accounts in a block, and close their descriptor after it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield _Accounts(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_unlocked(path: Path) -> bool:
    """Remove a file that no process has locked; return whether it is gone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN_FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:  # else its name may be another file's by now
            path.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _round_to_pages(size: int) -> int:
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES
