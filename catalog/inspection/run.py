"""A look into the archive's files: which are there, whole and unchanged.

Each file is examined in a process of its own (see `sandbox`), several at a time, and what was found is written down
in batches: an inspection that is killed goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from shotdap.catalog import readers
from shotdap.catalog.entry import Changed, Entry, FileInspection, Health, Missing, Unreadable
from shotdap.catalog.index import InspectionResult, SqlIndex
from shotdap.catalog.inspection.check_file import inspect_file
from shotdap.catalog.inspection.sandbox import Sandbox, Undecided
from shotdap.catalog.readers.gunzip import UnpackFunction

_BATCH_SIZE = 64  # files between two writes


@dataclass(frozen=True)
class InspectionReport:
    """What an inspection found, in files."""

    ok: int = 0
    missing: int = 0
    unreadable: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Inspector:
    """Examines entries in isolated processes."""

    locate_file: Callable[[Entry], Path]
    """Finds an entry's file; raises `Missing` or `Unreadable` where it cannot."""
    sandbox: Sandbox
    unpack: UnpackFunction
    attributes: tuple[str, ...] = ()
    """The names of the attributes to search by."""

    def inspect_entries(self, entries: list[Entry]) -> Iterator[tuple[Entry, InspectionResult]]:
        """What is found of each entry, in their order; they are examined side by side."""
        begun = [(entry, self._start_inspection(entry)) for entry in entries]
        for entry, outcome in begun:
            yield entry, _make_verdict(entry, outcome)

    def _start_inspection(self, entry: Entry) -> Callable[[], FileInspection]:
        try:
            path = self.locate_file(entry)
            call = self.sandbox.start_call(
                inspect_file, path, readers.find_content_path(path, self.unpack), self.attributes
            )
        except Unreadable as error:
            return _make_raiser(error)
        return lambda: self.sandbox.wait_for_result(call)


def inspect_catalog(
    index: SqlIndex,
    inspector: Inspector,
    *,
    again: bool = False,
    doubtful: bool = True,
    progress: Callable[[int], None] | None = None,
) -> InspectionReport:
    """Look into every file that was not looked into yet, and again into those that could not be read.

    Args:
        index: gets what was found.
        inspector: looks.
        again: look into all files: a file whose bytes are others than at its last inspection is marked as changed.
        doubtful: try those again that could not be read.
        progress: told after each file how many that makes.
    """
    found = Counter[Health]()
    for entries in _read_pages(index.list_entries) if again else _read_pending(index, doubtful=doubtful):
        verdicts: list[tuple[Entry, InspectionResult]] = []
        for entry, verdict in inspector.inspect_entries(entries):
            verdicts.append((entry, verdict))
            found[verdict.health] += 1
            if progress is not None:
                progress(found.total())
        index.record_inspections(verdicts)
    return InspectionReport(found[Health.OK], found[Health.MISSING], found[Health.UNREADABLE], found[Health.CHANGED])


def _read_pending(index: SqlIndex, *, doubtful: bool) -> Iterator[list[Entry]]:
    unseen = iter(lambda: index.list_uninspected(_BATCH_SIZE), [])
    return chain(_read_pages(index.list_failed), unseen) if doubtful else unseen


def _read_pages(page: Callable[[int, str], list[Entry]]) -> Iterator[list[Entry]]:
    after = ""
    while entries := page(_BATCH_SIZE, after):
        yield entries
        after = entries[-1].path


def _make_verdict(entry: Entry, outcome: Callable[[], FileInspection]) -> InspectionResult:
    try:
        examination = outcome()
    except Missing as error:
        return InspectionResult(Health.MISSING, str(error))
    except (Changed, Undecided) as error:
        if entry.health is not Health.UNSEEN:
            return InspectionResult(entry.health, entry.reason)  # nothing was found out
        return InspectionResult(Health.UNREADABLE, f"{error} The next inspection tries again.")
    except Unreadable as error:
        return InspectionResult(Health.UNREADABLE, str(error))
    if entry.first_inspection and entry.first_inspection.sha256 != examination.sha256:
        return InspectionResult(Health.CHANGED, "The file's bytes are not those of its first inspection.")
    return InspectionResult(Health.OK, "", examination)


def _make_raiser(error: Exception) -> Callable[[], FileInspection]:
    def raise_error() -> FileInspection:
        raise error

    return raise_error
