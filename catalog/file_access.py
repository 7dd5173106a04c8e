"""Access to the archive's files: find, hold, unpack and check the file of an entry."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import cachebox

from shotdap.catalog import readers
from shotdap.catalog.entry import Changed, Entry, FileInspection, Health, Missing, Unreadable
from shotdap.catalog.inspection.check_file import inspect_file
from shotdap.catalog.inspection.sandbox import Sandbox, Undecided
from shotdap.catalog.readers.gunzip import Unpacker, refuse_packed_file
from shotdap.catalog.storage import FileHandle, Store, Version, VersionedFile

_MAX_DESCRIPTOR = 512  # the highest that a snapshot keeps; a process usually has 1,024, and needs some for sockets
_MAX_INSPECTIONS = 4096  # remembered results for files that no inspection of the catalog has recorded


class ArchiveFiles:
    """The files of an archive.

    Args:
        store: contains them.
        unpacker: unpacks files that are packed by gzip; without it they are not read.
        sandbox: the sandbox in which a file that was never inspected is read whole before it is read here; without
            it, such a file is trusted.
        refuse_changed: whether to refuse a file that changed since its inspection, rather than to warn.
    """

    def __init__(
        self, store: Store, unpacker: Unpacker | None, sandbox: Sandbox | None, *, refuse_changed: bool
    ) -> None:
        self._store = store
        self._unpacker = unpacker
        self._sandbox = sandbox
        self._refuse_changed = refuse_changed
        self._versioned_files: WeakValueDictionary[Version, VersionedFile] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._inspections: cachebox.LRUCache[Version, FileInspection | _InspectionFailure] = cachebox.LRUCache(
            _MAX_INSPECTIONS
        )

    def get_file_version(self, entry: Entry) -> Version:
        """Return the present version of an entry's file, without opening it.

        Raises:
            Missing: the file does not exist.
            Unreadable: it is no file, or is outside the archive, or the store does not answer.
        """
        return self._store.get_version(entry.file)

    def take_snapshot(self, entry: Entry) -> tuple[VersionedFile, FileHandle | None]:
        """Look at an entry's file; later reads return the bytes of this version, or fail.

        Returns:
            The version, one object for all callers; and a handle that keeps it readable after another version has
            replaced it. The handle is `None` if the bytes are a copy, or if too many files are open.

        Raises:
            Missing: the file does not exist.
            Changed: it is being written to.
            Unreadable: it is no file, or is outside the archive, or cannot be opened, or the store does not
                answer.
        """
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
        """Fetch an entry's file to this machine, to its version's path, unless it is already there.

        Raises:
            Missing: the file no longer exists.
            Changed: it is another version by now.
            Unreadable: the store does not answer.
        """
        self._store.fetch_file(entry.file, version)

    def find_content(self, file: VersionedFile) -> VersionedFile:
        """Return the file that arrays are read from: the file itself, or its unpacked copy.

        Raises:
            Changed: it is another version by now.
            Unreadable: it is packed, and cannot be unpacked.
        """
        return readers.find_content(file, self._unpacker or refuse_packed_file)

    def is_available(self, content: VersionedFile, file: VersionedFile) -> bool:
        """Check whether a content can still be read: an unpacked file may have been removed to make room for others."""
        return content is file or (self._unpacker is not None and self._unpacker.touch_file(content.version.path))

    def check_integrity(self, entry: Entry, file: VersionedFile, content: VersionedFile) -> dict[str, str]:
        """Compare a file's bytes with those of its inspection; return the result as attributes.

        Raises:
            Unreadable: the file cannot be read whole in the sandbox, or it changed and changed files are refused.
        """
        recorded = entry.last_good_inspection
        stamps = (file.version.size, file.version.modified)
        if recorded and entry.health is not Health.CHANGED and (recorded.size, recorded.modified) == stamps:
            return {"source": f"sha256:{recorded.sha256}"}
        inspection = self._inspect_once(self._sandbox, file, content) if self._sandbox else None
        source = {"source": f"sha256:{inspection.sha256}"} if inspection else {}
        if recorded is None or (inspection and inspection.sha256 == recorded.sha256):
            return source
        if self._refuse_changed:
            raise Unreadable("The file's bytes are not those that were inspected, so it is not served.")
        return source | {"integrity_warning": "The file's bytes are not those that were inspected."}

    def _inspect_once(self, sandbox: Sandbox, file: VersionedFile, content: VersionedFile) -> FileInspection:
        """Inspect a file. A failure is remembered, too, or each request for a file that hangs would wait for it."""
        result = self._inspections.get(file.version)
        if result is None or (isinstance(result, _InspectionFailure) and time.monotonic() > result.retry_time):
            try:
                with file.read_consistently() as handle, content.read_consistently() as unpacked:
                    paths = (Path(handle.cross_process_path), Path(unpacked.cross_process_path))
                    result = sandbox(inspect_file, *paths)
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
