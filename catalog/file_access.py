"""Access to the archive's files: find, hold, unpack, check and read the file of an entry.

`ImageFiles` is what the catalog needs of them. `ArchiveFiles` opens them in this process, for a library, a command and
the reader processes; in the processes that answer requests, `reading.pooled_files` has reader processes do it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias
from weakref import WeakValueDictionary

import cachebox
import xarray as xr

from shotdap.catalog import readers
from shotdap.catalog.entry import Changed, Entry, FileInspection, Health, Missing, Undecided, Unreadable
from shotdap.catalog.readers.gunzip import Unpacker, refuse_packed_file
from shotdap.catalog.readers.lazy import FrameMemory
from shotdap.catalog.reading.shared_frames import share_frames
from shotdap.catalog.storage import FileHandle, Store, Version, VersionedFile

_MAX_DESCRIPTOR = 512  # the highest that a snapshot keeps; a process usually has 1,024, and needs some for sockets
_MAX_INSPECTIONS = 4096  # remembered results for files that no inspection of the catalog has recorded


InspectFunction: TypeAlias = Callable[[VersionedFile, VersionedFile], FileInspection]
"""Hashes a file, and reads its content whole: the file itself, or its unpacked copy. It raises as `inspect_file`."""


@dataclass(frozen=True)
class FileHeaders:
    """What the headers of a file say."""

    dataset: xr.Dataset
    """The file's arrays, lazily, as its reader names them."""
    integrity: Mapping[str, str]
    """Attributes with the hash of the file's bytes, and with a warning if they are not those of its inspection."""
    content: VersionedFile
    """The file that the arrays are read from: the entry's own, or the unpacked one."""


class ImageFiles(Protocol):
    """The files of an archive, as far as a catalog needs them.

    Methods raise:

    - `Missing`: the file does not exist.
    - `Changed`: it is being written to, or is another version by now.
    - `Unreadable`: it is no file, or is outside the archive, or cannot be read, or the store does not answer.
    """

    def get_file_version(self, entry: Entry) -> Version:
        """Return the present version of an entry's file, settled or not."""
        ...

    def take_snapshot(self, entry: Entry) -> tuple[VersionedFile, FileHandle | None]:
        """Look at an entry's file; later reads return the bytes of this version, or fail.

        Returns:
            The version, one object for all callers; and a handle that keeps it readable after another version has
            replaced it. The handle is `None` if nothing in this process keeps it readable.
        """
        ...

    def fetch_file(self, entry: Entry, version: Version) -> None:
        """Fetch an entry's file to this machine, to its version's path, unless it is already there."""
        ...

    def read_headers(self, entry: Entry, file: VersionedFile) -> FileHeaders:
        """Read the headers of a version of an entry's file, and compare its bytes with those of its inspection."""
        ...

    def is_available(self, headers: FileHeaders, file: VersionedFile) -> bool:
        """Check whether the arrays of opened headers can still be read."""
        ...


class ArchiveFiles:
    """The files of an archive, opened by this process; see `ImageFiles`.

    Args:
        store: contains them.
        unpacker: unpacks files that are packed by gzip; without it they are not read.
        inspect: reads a file that was never inspected whole before it is served; without it, such a file is trusted.
        decoded: remembers what was decoded of files.
        refuse_changed: whether to refuse a file that changed since its inspection, rather than to warn.
        shared: remembers frames of all arrays for other processes, too; without it, arrays that are not compressed are
            read from the file each time.
    """

    def __init__(  # noqa: PLR0913 — each is one choice of a deployment, by keyword
        self,
        store: Store,
        unpacker: Unpacker | None,
        inspect: InspectFunction | None,
        decoded: FrameMemory,
        *,
        refuse_changed: bool,
        shared: FrameMemory | None = None,
    ) -> None:
        self._store = store
        self._unpacker = unpacker
        self._decoded = decoded
        self._shared = shared
        self._versioned_files: WeakValueDictionary[Version, VersionedFile] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._checker = IntegrityChecker(inspect, refuse_changed=refuse_changed)

    def get_file_version(self, entry: Entry) -> Version:
        """Return the present version of an entry's file; see `ImageFiles`."""
        return self._store.get_version(entry.file)

    def take_snapshot(self, entry: Entry) -> tuple[VersionedFile, FileHandle | None]:
        """Look at an entry's file; see `ImageFiles`. No handle is kept of a copy, or if too many files are open."""
        version = self._store.get_version(entry.file)
        opened = FileHandle(version.path) if version.identity else None
        if opened is not None:
            version = opened.wait_until_settled()
        with self._lock:
            file = self._versioned_files.setdefault(version, VersionedFile(version))
        if opened is None:
            return file, None
        handle = file.acquire_handle(opened)
        return file, handle if handle.descriptor < _MAX_DESCRIPTOR else None

    def fetch_file(self, entry: Entry, version: Version) -> None:
        """Fetch an entry's file to this machine; see `ImageFiles`."""
        self._store.fetch_file(entry.file, version)

    def read_headers(self, entry: Entry, file: VersionedFile) -> FileHeaders:
        """Read the headers of a file; see `ImageFiles`."""
        content = readers.find_content(file, self._unpacker or refuse_packed_file)
        integrity = self._checker.check_integrity(entry, file, content)
        dataset = readers.read(content, self._decoded.get_memo(file.version))
        if self._shared is not None:
            dataset, _ = share_frames(dataset, self._shared.get_memo(file.version))
        return FileHeaders(dataset, integrity, content)

    def is_available(self, headers: FileHeaders, file: VersionedFile) -> bool:
        """Check whether arrays can still be read: an unpacked file may have been removed to make room for others."""
        content = headers.content
        return content is file or (self._unpacker is not None and self._unpacker.touch_file(content.version.path))


class IntegrityChecker:
    """Compares files with their inspections.

    Args:
        inspect: inspects a file that no inspection of the catalog has recorded, once; without it, such a file is
            trusted.
        refuse_changed: whether to refuse a file that changed since its inspection, rather than to warn.
    """

    def __init__(self, inspect: InspectFunction | None, *, refuse_changed: bool) -> None:
        self._inspect = inspect
        self._refuse_changed = refuse_changed
        self._inspections: cachebox.LRUCache[Version, FileInspection | _InspectionFailure] = cachebox.LRUCache(
            _MAX_INSPECTIONS
        )

    def check_integrity(self, entry: Entry, file: VersionedFile, content: VersionedFile) -> dict[str, str]:
        """Compare a file's bytes with those of its inspection; return the result as attributes.

        Raises:
            Unreadable: the file cannot be read whole, or it changed and changed files are refused.
        """
        recorded = entry.last_good_inspection
        stamps = (file.version.size, file.version.modified)
        if recorded and entry.health is not Health.CHANGED and (recorded.size, recorded.modified) == stamps:
            return {"source": f"sha256:{recorded.sha256}"}
        inspection = self._inspect_once(self._inspect, file, content) if self._inspect else None
        source = {"source": f"sha256:{inspection.sha256}"} if inspection else {}
        if recorded is None or (inspection and inspection.sha256 == recorded.sha256):
            return source
        if self._refuse_changed:
            raise Unreadable("The file's bytes are not those that were inspected, so it is not served.")
        return source | {"integrity_warning": "The file's bytes are not those that were inspected."}

    def _inspect_once(self, inspect: InspectFunction, file: VersionedFile, content: VersionedFile) -> FileInspection:
        """Inspect a file. A failure is remembered, too, or each request for a file that hangs would wait for it."""
        result = self._inspections.get(file.version)
        if result is None or (isinstance(result, _InspectionFailure) and time.monotonic() > result.retry_time):
            try:
                result = inspect(file, content)
            except Undecided as error:
                result = _InspectionFailure(partial(Undecided, str(error)), time.monotonic() + error.retry_seconds)
            except (Changed, Missing):
                raise
            except Unreadable as error:
                result = _InspectionFailure(partial(Unreadable, str(error)))
            self._inspections[file.version] = result
        if isinstance(result, _InspectionFailure):
            raise result.make_error()
        return result


@dataclass(frozen=True)
class _InspectionFailure:
    """The reason why a file is not served."""

    make_error: Callable[[], Unreadable]
    """Creates the exception anew: one that is raised repeatedly would collect tracebacks."""
    retry_time: float = math.inf
    """The time of the next attempt, by the monotonic clock."""
