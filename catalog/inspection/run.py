"""A look into the archive's files: which are there, whole and unchanged.

Each file is examined in a process of its own (see `isolation`), several at a time, and what was found is written down
in batches: an inspection that is killed goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from shotdap.catalog import readers
from shotdap.catalog.entry import Changed, Entry, Examination, Health, Missing, Unreadable
from shotdap.catalog.index import SqlIndex, Verdict
from shotdap.catalog.inspection.check_file import examine
from shotdap.catalog.inspection.sandbox import Isolation, Undecided
from shotdap.catalog.readers.gunzip import Unpack

__all__ = ["InspectionReport", "Inspector", "inspect"]

_BATCH = 64  # files between two writes


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

    locate: Callable[[Entry], Path]
    """Finds an entry's file; raises `Missing` or `Unreadable` where it cannot."""
    isolation: Isolation
    unpack: Unpack
    attributes: tuple[str, ...] = ()
    """The names of the attributes to search by."""

    def verdicts(self, entries: list[Entry]) -> Iterator[tuple[Entry, Verdict]]:
        """What is found of each entry, in their order; they are examined side by side."""
        begun = [(entry, self._begin(entry)) for entry in entries]
        for entry, outcome in begun:
            yield entry, _verdict(entry, outcome)

    def _begin(self, entry: Entry) -> Callable[[], Examination]:
        try:
            path = self.locate(entry)
            call = self.isolation.start(examine, path, readers.unpacked(path, self.unpack), self.attributes)
        except Unreadable as error:
            return _raising(error)
        return lambda: self.isolation.outcome(call)


def inspect(
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
    for entries in _all(index.after) if again else _to_do(index, doubtful=doubtful):
        verdicts: list[tuple[Entry, Verdict]] = []
        for entry, verdict in inspector.verdicts(entries):
            verdicts.append((entry, verdict))
            found[verdict.health] += 1
            if progress is not None:
                progress(found.total())
        index.judge(verdicts)
    return InspectionReport(found[Health.OK], found[Health.MISSING], found[Health.UNREADABLE], found[Health.CHANGED])


def _to_do(index: SqlIndex, *, doubtful: bool) -> Iterator[list[Entry]]:
    unseen = iter(lambda: index.unseen(_BATCH), [])
    return chain(_all(index.doubtful), unseen) if doubtful else unseen


def _all(page: Callable[[int, str], list[Entry]]) -> Iterator[list[Entry]]:
    after = ""
    while entries := page(_BATCH, after):
        yield entries
        after = entries[-1].path


def _verdict(entry: Entry, outcome: Callable[[], Examination]) -> Verdict:
    try:
        examination = outcome()
    except Missing as error:
        return Verdict(Health.MISSING, str(error))
    except (Changed, Undecided) as error:
        if entry.health is not Health.UNSEEN:
            return Verdict(entry.health, entry.reason)  # nothing was found out
        return Verdict(Health.UNREADABLE, f"{error} The next inspection tries again.")
    except Unreadable as error:
        return Verdict(Health.UNREADABLE, str(error))
    if entry.seen and entry.seen.sha256 != examination.sha256:
        return Verdict(Health.CHANGED, "The file's bytes are not those of its first inspection.")
    return Verdict(Health.OK, "", examination)


def _raising(error: Exception) -> Callable[[], Examination]:
    def outcome() -> Examination:
        raise error

    return outcome
