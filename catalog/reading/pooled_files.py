"""The archive's files as seen by a process that answers requests: reader processes open them.

A costly failure is remembered for a while, or each request for a file that hangs, or that crashes its reader, would
cost a reader again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

import cachebox
import numpy as np

from shotdap.catalog.entry import Changed, Entry, FileInspection, Missing, Undecided, Unreadable
from shotdap.catalog.file_access import FileHeaders, IntegrityChecker
from shotdap.catalog.readers.lazy import Array, BasicIndex, ChunkSource, convert_to_slices, count_indices
from shotdap.catalog.reading import reader_process
from shotdap.catalog.reading.header_record import HeaderRecord, VariableRecord
from shotdap.catalog.reading.process_pool import CallLimits, ProcessFailed, ProcessPool
from shotdap.catalog.reading.stored_frames import StoredFrames
from shotdap.catalog.reading.suspending import hand_over, is_suspendable, require_process, wait_for
from shotdap.catalog.storage import FileHandle, Version, VersionedFile, get_attempt_number
from shotdap.transforms import no_memo

_CallKey: TypeAlias = tuple[Callable[..., Any], str]
_Result = TypeVar("_Result")

_SECOND_ATTEMPT: Final = 2
_MAX_FAILURES: Final = 4096  # remembered
_FAILURE_SECONDS: Final = 60.0  # for which a call that crashed its readers is not tried again
_HANG_SECONDS: Final = 10.0  # for which a file that did not answer in time twice is not asked again
_MAX_TOUCHED: Final = 4096  # frames of which a part was read remembered
_MAX_VARIABLES: Final = 256  # of a dataset that is built in an event loop, which takes 20 µs for each
_SMALL_SHARE: Final = 8  # a part is small if it is less than the frame divided by this
_BAND_BYTES: Final = 8 << 20  # of a part that is sent from a reader at a time


@dataclass(frozen=True)
class _Failure:
    """The reason why a call is not made again for a while."""

    make_error: Callable[[], Unreadable]
    """Creates the exception anew: one that is raised repeatedly would collect tracebacks."""
    seconds: float
    """How long it counts."""
    time: float = field(default_factory=time.monotonic)

    @property
    def has_expired(self) -> bool:
        """True if the call may be made again."""
        return time.monotonic() > self.time + self.seconds


class PooledFiles:
    """The archive's files, opened by reader processes; see `ImageFiles`.

    Args:
        readers: the reader processes; each runs `reader_process.initialize_reader`.
        frames: what the readers leave in the store.
        inspection_limits: of one call that reads a file whole; `None` to trust files that were never inspected.
        refuse_changed: whether to refuse a file that changed since its inspection, rather than to warn.
    """

    def __init__(
        self, readers: ProcessPool, frames: StoredFrames, inspection_limits: CallLimits | None, *, refuse_changed: bool
    ) -> None:
        self._readers = readers
        self._frames = frames
        self._inspection_limits = inspection_limits
        self._refuse_changed = refuse_changed
        self._failures: cachebox.LRUCache[Hashable, _Failure] = cachebox.LRUCache(_MAX_FAILURES)
        self._touched: cachebox.LRUCache[Hashable, bool] = cachebox.LRUCache(_MAX_TOUCHED)

    def find_entry(self, find: Callable[[str], Entry], path: str) -> Entry:
        """Find an entry where that may hang, and look at its file on the same occasion.

        In an event loop, the first `take_snapshot` of the entry need not wait then.

        Args:
            find: finds the entry at a path; pickle has to carry it.
            path: its public path.

        Raises:
            NotFound: there is no such entry.
            Undecided: the folders do not answer.
        """
        if not is_suspendable():
            return self._readers.call_from_thread(find, path, subject=path)
        entry, version = self._call(reader_process.find_entry, path, find)
        if version is not None:
            hand_over(self._make_key(reader_process.find_settled_version, entry.file), version)
        return entry

    def get_file_version(self, entry: Entry) -> Version:
        """Return the present version of an entry's file; see `ImageFiles`."""
        return self._call(reader_process.get_file_version, entry.file)

    def take_snapshot(self, entry: Entry) -> tuple[VersionedFile, FileHandle | None]:
        """Look at an entry's file; see `ImageFiles`. Nothing in this process holds it."""
        return VersionedFile(self._call(reader_process.find_settled_version, entry.file)), None

    def fetch_file(self, entry: Entry, version: Version) -> None:
        """Do nothing: the reader fetches it."""

    def read_headers(self, entry: Entry, file: VersionedFile) -> FileHeaders:
        """Read the headers of a version; see `ImageFiles`."""
        inspect = partial(self._inspect, entry.file) if self._inspection_limits else None
        integrity = IntegrityChecker(inspect, refuse_changed=self._refuse_changed).check_integrity(entry, file, file)
        record = self._frames.find_object(file.version, reader_process.HEADERS)
        if not isinstance(record, HeaderRecord):
            record = self._call(reader_process.read_headers, entry.file, file.version)
        if len(record.variables) > _MAX_VARIABLES:
            require_process()
        dataset = record.build_dataset(partial(_PooledSource, self, entry.file, file.version))
        return FileHeaders(dataset, integrity, file)

    def is_available(self, headers: FileHeaders, file: VersionedFile) -> bool:
        """Return true: a reader opens the file again, if it has to."""
        return headers.content.version == file.version

    def find_frame(self, version: Version, name: tuple[str, *tuple[int, ...]]) -> Array | None:
        """Return a frame that is in the store."""
        return self._frames.find(version, name)

    def fill_frames(self, file: str, version: Version, names: tuple[tuple[str, tuple[int, ...]], ...]) -> None:
        """Have frames put into the store, as far as it has room for them."""
        self._call(reader_process.fill_frames, file, version, names)

    def read_part(self, file: str, version: Version, variable: str, key: BasicIndex) -> Array:
        """Have a hyperslab read from the file, without the store."""
        return self._call(reader_process.read_part, file, version, variable, key)

    def is_touched(self, frames: Hashable) -> bool:
        """Check whether a part of frames was read before."""
        return frames in self._touched

    def touch_frames(self, frames: Hashable) -> None:
        """Record that a part of frames was read, without the store."""
        self._touched[frames] = True

    def _inspect(self, file: str, versioned: VersionedFile, _content: VersionedFile) -> FileInspection:
        version = versioned.version
        found = self._frames.find_object(version, reader_process.INSPECTION)
        if isinstance(found, FileInspection):
            return found
        return self._call(reader_process.inspect_version, file, version, limits=self._inspection_limits)

    def _call(
        self,
        function: Callable[..., _Result],
        file: str,
        *arguments: object,
        limits: CallLimits | None = None,
    ) -> _Result:
        """Call a function of `reader_process`, now or as far as an event loop can wait for it."""
        attempt, key = self._make_key(function, file, *arguments)
        if attempt == _SECOND_ATTEMPT:
            require_process()  # a process of its own reads from a copy
        failure = self._failures.get(key)
        if failure is not None and not failure.has_expired:
            raise failure.make_error()
        call = partial(function, file, *arguments, attempt)

        async def start() -> _Result:
            with self._note_failures(key):
                return await self._readers.call(call, subject=file, limits=limits)

        def wait_in_thread() -> _Result:
            with self._note_failures(key):
                return self._readers.call_from_thread(call, subject=file, limits=limits)

        return wait_for((attempt, key), start, wait_in_thread)

    @staticmethod
    def _make_key(function: Callable[..., Any], *arguments: object) -> tuple[Literal[0, 1, 2], _CallKey]:
        """Return what identifies a call within a request: the number of the attempt, and the call."""
        return get_attempt_number(), (function, repr(arguments))

    @contextmanager
    def _note_failures(self, key: _CallKey) -> Iterator[None]:
        """Remember a failure of the call in the block, unless the next such call may succeed."""
        try:
            yield
        except (Changed, Missing):
            raise
        except Undecided as error:
            if error.retry_seconds:  # the first time, the reader may be to blame, which another one replaces
                seconds = _HANG_SECONDS if key in self._failures else 0
                self._failures[key] = _Failure(partial(Undecided, str(error), _HANG_SECONDS), seconds)
            raise
        except Unreadable as error:
            # To find other faults again is cheap, but for those that an inspection of the whole file finds. A shortage
            # of the machine, which is the cause of the error then, may end at any time.
            is_costly = isinstance(error, ProcessFailed) or key[0] is reader_process.inspect_version
            if is_costly and error.__cause__ is None:
                self._failures[key] = _Failure(partial(Unreadable, str(error)), _FAILURE_SECONDS)
            raise


@dataclass(frozen=True)
class _PooledSource:
    """An array of a file whose frames are in the store, or are put there by a reader."""

    files: PooledFiles
    file: str
    version: Version
    record: VariableRecord

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.record.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return self.record.dtype

    def read(self, key: BasicIndex) -> Array:
        """Read a hyperslab; see `ArraySource`.

        The first small part of a frame that is stored as it is costs no more than itself; the second has the frame put
        into the store.
        """
        record, version = self.record, self.version
        if record.frame_shape is None:
            return self.files.read_part(self.file, version, record.name, key)
        frames = ChunkSource(self, record.name, record.frame_shape, self._find_or_read_frame)
        names = [(record.name, numbers) for numbers in frames.list_chunks(key)]
        missing = tuple(name for name in names if self.files.find_frame(version, (name[0], *name[1])) is None)
        if not missing:
            return frames.read(key)
        touch = (version, missing)
        if not record.is_compressed and self._is_small(key, len(missing)) and not self.files.is_touched(touch):
            part = self.files.read_part(self.file, version, record.name, key)
            self.files.touch_frames(touch)
            return part
        self.files.fill_frames(self.file, version, missing)
        return frames.read(key)

    def _find_or_read_frame(self, name: Hashable, _decode: Callable[[], Array]) -> Array:
        """Return a frame from the store, or in bands from a reader, if the store has no room for it."""
        variable, *numbers = cast("tuple[str, *tuple[int, ...]]", name)
        found = self.files.find_frame(self.version, (variable, *numbers))
        if found is not None:
            return found
        require_process()
        frame = ChunkSource(self, variable, self.record.frame_shape or (), no_memo).bound_chunk(tuple(numbers))
        values = np.empty([count_indices(part) for part in frame], self.dtype)
        if not frame:
            values[...] = self.files.read_part(self.file, self.version, variable, ())
            return values
        first, *rest = frame
        step = max(1, _BAND_BYTES * len(values) // max(1, values.nbytes))
        for start in range(0, len(values), step):
            stop = min(start + step, len(values))
            band = (slice(first.start + start, first.start + stop, 1), *rest)
            values[start:stop] = self.files.read_part(self.file, self.version, variable, band)
        return values

    def _is_small(self, key: BasicIndex, frame_count: int) -> bool:
        """Check whether a hyperslab is small beside the frames that it needs."""
        size = math.prod(count_indices(part) for part in convert_to_slices(key))
        return size * _SMALL_SHARE < frame_count * math.prod(self.record.frame_shape or ())
