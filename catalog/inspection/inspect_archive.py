"""Inspect the archive's files: which exist, are complete and unchanged.

Files are inspected in separate processes (see `sandbox`), several at a time, and the results are recorded in batches: a
killed inspection is resumed by the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from shotdap.catalog import readers
from shotdap.catalog.entry import Changed, Entry, FileInspection, Health, Missing, Undecided, Unreadable
from shotdap.catalog.index import InspectionResult, SqlIndex
from shotdap.catalog.inspection.check_file import inspect_file
from shotdap.catalog.inspection.sandbox import Sandbox, SandboxCall
from shotdap.catalog.readers.gunzip import UnpackFunction

_BATCH_SIZE = 64  # files per write


@dataclass(frozen=True)
class InspectionReport:
    """The result of an inspection, in files."""

    ok: int = 0
    missing: int = 0
    unreadable: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Inspector:
    """Inspects entries in isolated processes."""

    locate_file: Callable[[Entry], Path]
    """Returns the path of an entry's file, or raises `Missing` or `Unreadable`."""
    sandbox: Sandbox
    unpack: UnpackFunction
    attributes: tuple[str, ...] = ()
    """The names of the attributes to search by."""

    def inspect_entries(self, entries: list[Entry]) -> Iterator[tuple[Entry, InspectionResult]]:
        """Yield the result of each entry, in their order; the entries are inspected in parallel."""
        calls: list[SandboxCall[FileInspection] | Unreadable] = []
        for entry in entries:
            try:
                path = self.locate_file(entry)
                content = readers.find_content_path(path, self.unpack)
                calls.append(self.sandbox.start_call(inspect_file, path, content, self.attributes))
            except Unreadable as error:
                calls.append(error)
        for entry, call in zip(entries, calls, strict=True):
            yield entry, self._judge_entry(entry, call)

    def _judge_entry(self, entry: Entry, call: SandboxCall[FileInspection] | Unreadable) -> InspectionResult:
        """Return the result of an entry from its call, or from the exception that prevented the call."""
        try:
            if isinstance(call, Unreadable):
                raise call
            inspection = self.sandbox.wait_for_result(call)
        except Missing as error:
            return InspectionResult(Health.MISSING, str(error))
        except (Changed, Undecided) as error:
            if entry.health is not Health.UNSEEN:
                return InspectionResult(entry.health, entry.reason)  # nothing new is known
            return InspectionResult(Health.UNREADABLE, f"{error} The next inspection tries again.")
        except Unreadable as error:
            return InspectionResult(Health.UNREADABLE, str(error))
        if entry.last_good_inspection and entry.last_good_inspection.sha256 != inspection.sha256:
            return InspectionResult(Health.CHANGED, "The file's bytes are not those of its first inspection.")
        return InspectionResult(Health.OK, "", inspection)


def inspect_catalog(
    index: SqlIndex,
    inspector: Inspector,
    *,
    again: bool = False,
    doubtful: bool = True,
    progress: Callable[[int], None] | None = None,
) -> InspectionReport:
    """Inspect every file that was not inspected yet, and again those that could not be read.

    Args:
        index: records the results.
        inspector: inspects the files.
        again: inspect all files: a file whose bytes differ from its first inspection is marked as changed.
        doubtful: repeat the inspection of files that could not be read.
        progress: called after each file with the number of files so far.
    """
    counts = Counter[Health]()
    pages = iter(lambda: index.list_uninspected(_BATCH_SIZE), [])
    if again:
        pages = _read_pages(index.list_entries)
    elif doubtful:
        pages = chain(_read_pages(index.list_failed), pages)
    for entries in pages:
        results: list[tuple[Entry, InspectionResult]] = []
        for entry, result in inspector.inspect_entries(entries):
            results.append((entry, result))
            counts[result.health] += 1
            if progress is not None:
                progress(counts.total())
        index.record_inspections(results)
    return InspectionReport(
        counts[Health.OK], counts[Health.MISSING], counts[Health.UNREADABLE], counts[Health.CHANGED]
    )


def _read_pages(list_page: Callable[[int, str], list[Entry]]) -> Iterator[list[Entry]]:
    """Yield all pages of a list of entries."""
    after = ""
    while entries := list_page(_BATCH_SIZE, after):
        yield entries
        after = entries[-1].path
