"""An archive's files: where an entry's is, whether it is what an inspection saw, and whether it can be trusted."""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import cachebox

from shotdap.catalog import readers
from shotdap.catalog.entry import Entry, Examination, Health, Missing, Unreadable
from shotdap.catalog.examination import examine
from shotdap.catalog.isolation import Isolation, Undecided
from shotdap.catalog.storage import Store, Version
from shotdap.catalog.unpacking import Unpacker, refuse

__all__ = ["Files", "open_regular"]

_EXAMINED = 4096  # examinations remembered, of files that no inspection has seen


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; a pipe or a device that has taken its place is not waited for.

    Raises:
        Missing: the file is not there.
        Unreadable: it may not be read, or is no file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Missing("The file is missing from the archive.") from error
    except OSError as error:
        raise Unreadable(f"The file cannot be opened: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreadable("The archive's row leads to something that is not a file.")
    return os.fdopen(descriptor, "rb")


class Files:
    """The files of an archive.

    Args:
        store: has them.
        unpacker: unpacks files that are packed by gzip; without it they are not read.
        isolation: where a file that no inspection has seen is read whole before it is read here; without it, such a
            file is trusted.
        refuse_changed: whether to refuse a file that is not what an inspection saw, rather than to warn.
    """

    def __init__(
        self, store: Store, unpacker: Unpacker | None, isolation: Isolation | None, *, refuse_changed: bool
    ) -> None:
        self._store = store
        self._unpacker = unpacker
        self._isolation = isolation
        self._refuse_changed = refuse_changed
        self._examined: cachebox.LRUCache[Version, Examination | _Refusal] = cachebox.LRUCache(_EXAMINED)

    def version(self, entry: Entry) -> Version:
        """An entry's file at this moment; a look at it, without opening it.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive, or its place does not answer.
        """
        return self._store.version(entry.file)

    def fetched(self, entry: Entry, version: Version) -> Path:
        """An entry's file on this machine; what is kept elsewhere is fetched where it is not here yet.

        Raises:
            Missing: the file is not there any more.
            Unreadable: its place does not answer.
        """
        self._store.fetch(entry.file, version)
        return version.path

    def content(self, version: Version) -> Path:
        """The file that arrays are read from: the file itself, or what it was unpacked to.

        Raises:
            Unreadable: it is packed, and cannot be unpacked.
        """
        return readers.unpacked(version.path, self._unpacker or refuse)

    def is_there(self, content: Path, version: Version) -> bool:
        """Whether a content can still be read: an unpacked file may have made room for others since."""
        return content == version.path or (self._unpacker is not None and self._unpacker.touch(content))

    def integrity(self, entry: Entry, version: Version, content: Path) -> dict[str, str]:
        """What can be said of a file's bytes, as attributes.

        Raises:
            Unreadable: the file cannot be read whole in isolation, or is not what was inspected, where that matters.
        """
        seen = entry.seen
        if seen is not None and entry.health is not Health.CHANGED and (seen.size, seen.modified) == version[1:]:
            return {"source": f"sha256:{seen.sha256}"}
        found = self._examine(version, content)
        source = {"source": f"sha256:{found.sha256}"} if found else {}
        if seen is None or (found and found.sha256 == seen.sha256):
            return source
        if self._refuse_changed:
            raise Unreadable("The file's bytes are not those that were inspected, so it is not served.")
        return source | {"integrity_warning": "The file's bytes are not those that were inspected."}

    def _examine(self, version: Version, content: Path) -> Examination | None:
        if self._isolation is None:
            return None
        found = self._examined.get(version)
        if found is None or (isinstance(found, _Refusal) and time.monotonic() > found.until):
            found = self._examined[version] = self._try(self._isolation, version, content)
        if isinstance(found, _Refusal):
            raise found.error()
        return found

    def _try(self, isolation: Isolation, version: Version, content: Path) -> Examination | _Refusal:
        """Examine a file. A refusal is remembered, or each request for a file that hangs would wait for it."""
        try:
            return isolation(examine, version.path, content)
        except Undecided as error:
            return _Refusal(partial(Undecided, str(error)), time.monotonic() + error.seconds)
        except Missing:
            raise
        except Unreadable as error:
            return _Refusal(partial(Unreadable, str(error)))


@dataclass(frozen=True)
class _Refusal:
    """Why a file is not served."""

    error: Callable[[], Unreadable]
    """Makes the exception: one that is raised over and over would collect tracebacks."""
    until: float = math.inf
    """When to try again, by the monotonic clock."""
