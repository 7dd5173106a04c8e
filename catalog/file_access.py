"""An archive's files: where an entry's is, whether it is what an inspection saw, and whether it can be trusted."""

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

__all__ = ["ArchiveFiles"]

_MAX_DESCRIPTOR = 512  # of a file that is held; processes may usually have 1,024, and sockets are some
_MAX_INSPECTIONS = 4096  # examinations remembered, of files that no inspection has seen


class ArchiveFiles:
    """The files of an archive.

    Args:
        store: has them.
        unpacker: unpacks files that are packed by gzip; without it they are not read.
        isolation: where a file that no inspection has seen is read whole before it is read here; without it, such a
            file is trusted.
        refuse_changed: whether to refuse a file that is not what an inspection saw, rather than to warn.
    """

    def __init__(
        self, store: Store, unpacker: Unpacker | None, isolation: Sandbox | None, *, refuse_changed: bool
    ) -> None:
        self._store = store
        self._unpacker = unpacker
        self._sandbox = isolation
        self._refuse_changed = refuse_changed
        self._versioned_files: WeakValueDictionary[Version, VersionedFile] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._inspections: cachebox.LRUCache[Version, FileInspection | _InspectionFailure] = cachebox.LRUCache(
            _MAX_INSPECTIONS
        )

    def get_file_version(self, entry: Entry) -> Version:
        """An entry's file at this moment; a look at it, without opening it.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive, or its place does not answer.
        """
        return self._store.get_version(entry.file)

    def take_snapshot(self, entry: Entry) -> tuple[VersionedFile, FileHandle | None]:
        """Look at an entry's file, so that whoever reads it gets the version of this moment, or an error.

        Returns:
            The version, the same object for all who look at it; and what keeps it readable after another version has
            taken its place. The latter is missing where the bytes are a copy, or too many files are held already.

        Raises:
            Missing: the file is not there.
            Changed: it is being written to.
            Unreadable: what is there is no file, or lies outside the archive, or cannot be opened, or its place does
                not answer.
        """
        version = self._store.get_version(entry.file)
        found = FileHandle(version.path) if version.identity else None
        if found is not None:
            version = found.wait_until_settled()
        with self._lock:
            file = self._versioned_files.setdefault(version, VersionedFile(version))
        if found is None:
            return file, None
        held = file.acquire_handle(found)
        return file, held if held.descriptor < _MAX_DESCRIPTOR else None

    def fetch_file(self, entry: Entry, version: Version) -> None:
        """Have an entry's file on this machine, at its version's path, from elsewhere if it is not here yet.

        Raises:
            Missing: the file is not there any more.
            Changed: it is another version by now.
            Unreadable: its place does not answer.
        """
        self._store.fetch_file(entry.file, version)

    def find_content(self, file: VersionedFile) -> VersionedFile:
        """Return the file that arrays are read from: the file itself, or what it was unpacked to.

        Raises:
            Changed: it is another version by now.
            Unreadable: it is packed, and cannot be unpacked.
        """
        return readers.find_content(file, self._unpacker or refuse_packed_file)

    def is_available(self, content: VersionedFile, file: VersionedFile) -> bool:
        """Whether a content can still be read: an unpacked file may have made room for others since."""
        return content is file or (self._unpacker is not None and self._unpacker.touch_file(content.version.path))

    def check_integrity(self, entry: Entry, file: VersionedFile, content: VersionedFile) -> dict[str, str]:
        """What can be said of a file's bytes, as attributes.

        Raises:
            Unreadable: the file cannot be read whole in isolation, or is not what was inspected, where that matters.
        """
        seen = entry.first_inspection
        stated = (file.version.size, file.version.modified)
        if seen is not None and entry.health is not Health.CHANGED and (seen.size, seen.modified) == stated:
            return {"source": f"sha256:{seen.sha256}"}
        found = self._inspect_once(file, content)
        source = {"source": f"sha256:{found.sha256}"} if found else {}
        if seen is None or (found and found.sha256 == seen.sha256):
            return source
        if self._refuse_changed:
            raise Unreadable("The file's bytes are not those that were inspected, so it is not served.")
        return source | {"integrity_warning": "The file's bytes are not those that were inspected."}

    def _inspect_once(self, file: VersionedFile, content: VersionedFile) -> FileInspection | None:
        if self._sandbox is None:
            return None
        found = self._inspections.get(file.version)
        if found is None or (isinstance(found, _InspectionFailure) and time.monotonic() > found.retry_time):
            found = self._inspections[file.version] = self._try_inspect(self._sandbox, file, content)
        if isinstance(found, _InspectionFailure):
            raise found.make_error()
        return found

    def _try_inspect(
        self, isolation: Sandbox, file: VersionedFile, content: VersionedFile
    ) -> FileInspection | _InspectionFailure:
        """Examine a file. A refusal is remembered, or each request for a file that hangs would wait for it."""
        try:
            with file.read_consistently() as held, content.read_consistently() as unpacked:
                return isolation(inspect_file, Path(held.cross_process_path), Path(unpacked.cross_process_path))
        except Undecided as error:
            return _InspectionFailure(partial(Undecided, str(error)), time.monotonic() + error.retry_seconds)
        except (Changed, Missing):
            raise
        except Unreadable as error:
            return _InspectionFailure(partial(Unreadable, str(error)))


@dataclass(frozen=True)
class _InspectionFailure:
    """Why a file is not served."""

    make_error: Callable[[], Unreadable]
    """Makes the exception: one that is raised over and over would collect tracebacks."""
    retry_time: float = math.inf
    """When to try again, by the monotonic clock."""
