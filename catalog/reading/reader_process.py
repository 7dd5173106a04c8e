"""The functions that reader processes run: they open files, and leave what they read in the store.

Each takes the file as the archive's row names it, the version that the caller has in mind, and at the end the number of
the caller's attempt (see `retry_if_changed`). They raise the exceptions of `ImageFiles`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

import cachebox
import numpy as np
import xarray as xr

from shotdap.catalog import readers
from shotdap.catalog.entry import Changed, Entry, FileInspection, Unreadable
from shotdap.catalog.inspection.check_file import inspect_file
from shotdap.catalog.readers.gunzip import Unpacker, refuse_packed_file
from shotdap.catalog.readers.lazy import Array, BasicIndex, ChunkSource, FrameCache, get_source, wrap_decoder_errors
from shotdap.catalog.reading.header_record import HeaderRecord
from shotdap.catalog.reading.shared_frames import share_frames
from shotdap.catalog.reading.stored_frames import StoredFrames
from shotdap.catalog.storage import FileHandle, Store, Version, VersionedFile, begin_attempt

Attempt: TypeAlias = Literal[0, 1, 2]

HEADERS: Final = "headers"
"""Name under which the headers of a version are in the store."""
INSPECTION: Final = "inspection"
"""Name under which the inspection of a version is in the store."""

_MAX_OPEN_FILES: Final = 8  # of one process; a file is usually read by several calls in succession
_DECODED_BYTES: Final = 64 << 20  # of frames that a reader decodes at a time, and that are cut to other frames


@dataclass(frozen=True)
class _OpenFile:
    """A version of a file whose headers have been read."""

    file: VersionedFile
    handle: FileHandle
    """Keeps this version readable."""
    content: VersionedFile
    dataset: xr.Dataset
    compressed: frozenset[str]


@dataclass(frozen=True)
class ReaderState:
    """What a reader process needs."""

    store: Store
    unpacker: Unpacker | None
    frames: StoredFrames
    decoded: FrameCache = field(default_factory=lambda: FrameCache(_DECODED_BYTES))
    opened: cachebox.LRUCache[Version, _OpenFile] = field(default_factory=lambda: cachebox.LRUCache(_MAX_OPEN_FILES))

    def open_version(self, file: str, version: Version) -> _OpenFile:
        """Read the headers of a version, unless it is open."""
        opened = self.opened.get(version)
        is_there = opened is not None
        if opened is not None and opened.content is not opened.file:  # unpacked: it may have been removed to make room
            is_there = self.unpacker is not None and self.unpacker.touch_file(opened.content.version.path)
        if opened is None or not is_there:
            self.store.fetch_file(file, version)
            versioned = VersionedFile(version)
            handle = versioned.acquire_handle()
            content = readers.find_content(versioned, self.unpacker or refuse_packed_file)
            dataset = readers.read(content, self.decoded.get_memo(version))
            shared, compressed = share_frames(dataset, self.frames.get_memo(version))
            opened = self.opened[version] = _OpenFile(versioned, handle, content, shared, compressed)
        return opened


_states: list[ReaderState] = []  # of this process: one, once it is initialized


def initialize_reader(make_state: Callable[[], ReaderState]) -> None:
    """Prepare this process to be a reader."""
    _states[:] = [make_state()]


def get_file_version(file: str, _attempt: Attempt) -> Version:
    """Return the present version of a file, settled or not."""
    return _states[0].store.get_version(file)


def find_settled_version(file: str, attempt: Attempt) -> Version:
    """Return the version of a file, which the next change of it will differ from."""
    version = _states[0].store.get_version(file)
    if not version.identity:
        return version
    with begin_attempt(attempt):
        return FileHandle(version.path).wait_until_settled()


def find_entry(path: str, find: Callable[[str], Entry], attempt: Attempt) -> tuple[Entry, Version | None]:
    """Find the entry at a path of a directory tree, and look at its file.

    Returns:
        The entry, and the result of `find_settled_version` for it; `None` if that fails.
    """
    entry = find(path)
    try:
        return entry, find_settled_version(entry.file, attempt)
    except Unreadable:
        return entry, None


def inspect_version(file: str, version: Version, attempt: Attempt) -> FileInspection:
    """Hash a file, and read its content whole, unless that was done before."""
    state = _states[0]
    with begin_attempt(attempt):
        opened = state.open_version(file, version)
        return inspect_in_process(state.frames, opened.file, opened.content)


def inspect_in_process(frames: StoredFrames, file: VersionedFile, content: VersionedFile) -> FileInspection:
    """Inspect a version of a file in this process, unless one of this machine did so before; see `inspect_file`."""

    def inspect() -> FileInspection:
        with file.read_consistently() as handle, content.read_consistently() as unpacked:
            return inspect_file(Path(handle), Path(unpacked))

    return frames.remember_object(file.version, INSPECTION, inspect)


def read_headers(file: str, version: Version, attempt: Attempt) -> HeaderRecord:
    """Read the headers of a file."""
    state = _states[0]

    def read() -> HeaderRecord:
        opened = state.open_version(file, version)
        return HeaderRecord.from_dataset(opened.dataset, opened.compressed)

    with begin_attempt(attempt):
        return state.frames.remember_object(version, HEADERS, read)


def fill_frames(file: str, version: Version, names: Sequence[tuple[str, tuple[int, ...]]], attempt: Attempt) -> None:
    """Put frames into the store, each by its variable and its place; see `share_frames`."""
    with begin_attempt(attempt):
        opened = _states[0].open_version(file, version)
        for variable, numbers in names:
            source = get_source(opened.dataset.variables[variable])
            if not isinstance(source, ChunkSource):
                raise Changed  # the caller has headers of another version of the reader
            with wrap_decoder_errors():
                source.read(source.bound_chunk(numbers))


def read_part(file: str, version: Version, variable: str, key: BasicIndex, attempt: Attempt) -> Array:
    """Read a hyperslab from the file; nothing is put into the store."""
    with begin_attempt(attempt):
        source = get_source(_states[0].open_version(file, version).dataset.variables[variable])
        if source is None:
            raise Changed
        with wrap_decoder_errors():
            # Not `ascontiguousarray`, which gives a single number a dimension.
            return np.asarray((source.source if isinstance(source, ChunkSource) else source).read(key), order="C")
