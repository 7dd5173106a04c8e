"""Rows into entries.

A build opens no file, and reads only the rows that came since the last one; a look into the files is another step (see
`inspection`), because it costs so differently. Each batch is written whole, with the watermark, so a build that is
killed goes on where it was. Of two builds at once the later goes on and the earlier ends (see `index.turns`).

Rows that are gone, or changed without a greater version, only a full build finds: it reads all rows, writes those that
differ, and removes the entries of which it saw no row. A removed entry's path stays its row's, should that come back.

Whatever stands in a row, it becomes an entry; where no file can be read because of it, one with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from typing import Final, TypeAlias

from shotdap.catalog.archive.archive import Archive, Row, Watermark
from shotdap.catalog.build.path_template import PathTemplate, make_path_segment
from shotdap.catalog.build.prefetch import prefetch_items
from shotdap.catalog.build.row_values import check_row, get_row_key, normalize_facts
from shotdap.catalog.entry import Entry
from shotdap.catalog.index import (
    BuildLock,
    ExistingEntry,
    NewRecord,
    Record,
    SqlIndex,
    WriteTransaction,
    make_new_record,
)

_BATCH_SIZE: Final = 10_240  # rows between two writings
_SWEEP_SIZE: Final = 50_000  # entries looked through at a time for those whose rows are gone


@dataclass(frozen=True)
class BuildReport:
    """What a build did, in rows."""

    added: int = 0
    changed: int = 0
    """Entries whose row says something else, such as where the file is now."""
    unchanged: int = 0
    removed: int = 0
    """Entries whose row is gone; only a full build finds them."""

    @property
    def row_count(self) -> int:
        """How many rows were read."""
        return self.added + self.changed + self.unchanged

    def __add__(self, other: BuildReport) -> BuildReport:
        """The sum of two batches."""
        return BuildReport(
            self.added + other.added,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.removed + other.removed,
        )


ProgressCallback: TypeAlias = Callable[[BuildReport], None]
"""Told after each batch what has been done until then."""


def build_catalog(  # noqa: PLR0913 — each is one choice, by keyword
    archive: Archive,
    index: SqlIndex,
    template: PathTemplate,
    *,
    full: bool = False,
    patient: bool = False,
    progress: ProgressCallback | None = None,
) -> BuildReport:
    """Bring the catalog up to date with its archive. No file is opened.

    Args:
        archive: read from the last build's watermark on, or whole.
        index: gets an entry for each row; an entry that is there already keeps its path for ever.
        template: makes the paths of new entries.
        full: read all rows, and remove the entries whose rows are gone.
        patient: leave another build alone that is at work, rather than take its place.
        progress: told after each batch.

    Raises:
        BadArchive: the archive is not as configured, or cannot be reached; what was read until then is written.
        BadCatalog: the catalog's database is of another version, or cannot be reached.
        Busy: another build is at work.
        Superseded: another build has begun in the meantime.
    """
    turn = index.acquire_build_lock(patient=patient)
    try:
        return _Build(index, turn, template, progress or _ignore_progress).run(archive, full=full)
    finally:
        index.release_build_lock(turn)


def _ignore_progress(_report: BuildReport) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class _Build:
    """One build."""

    index: SqlIndex
    turn: BuildLock
    template: PathTemplate
    progress: ProgressCallback

    def run(self, archive: Archive, *, full: bool) -> BuildReport:
        """Read rows, and write what is new of them."""
        is_again = full and self.turn.watermark is not None
        report, seen, watermark = BuildReport(), _NumberSet(self.turn.counter), None
        rows = archive.read_rows(None if full else self.turn.watermark)
        with closing(prefetch_items(_read_batches(rows, self.template))) as batches:
            for batch in batches:
                watermark = watermark if batch.watermark is None else batch.watermark
                with self.index.begin_transaction(self.turn, None if is_again else watermark) as writing:
                    known, done = _write_batch(batch.drafts, writing)
                seen.update(entry.id for entry in known)
                report += done
                self.progress(report)
        if full:
            report += self._remove_unseen(seen)
            with self.index.begin_transaction(self.turn, watermark):  # earlier, a killed build would have set it back
                pass
        return report

    def _remove_unseen(self, seen: _NumberSet) -> BuildReport:
        """Remove the entries that were there before and whose rows were not seen."""
        removed, after = 0, 0
        while numbers := self.index.list_ids(after, self.turn.counter, _SWEEP_SIZE):
            gone = [number for number in numbers if number not in seen]
            if gone:
                with self.index.begin_transaction(self.turn) as writing:
                    writing.remove_entries(gone)
            removed, after = removed + len(gone), numbers[-1]
        return BuildReport(removed=removed)


class _NumberSet:
    """A set of numbers up to a greatest one, in a bit for each: 1.2 MB for ten million entries."""

    def __init__(self, greatest: int) -> None:
        self._bits = bytearray(greatest // 8 + 1)

    def update(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number >> 3 < len(self._bits):
                self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return bool(self._bits[number >> 3] >> (number & 7) & 1)


@dataclass(frozen=True)
class _Batch:
    """Some rows, as far as they can be dealt with before the catalog is asked."""

    drafts: Mapping[str, NewRecord]
    """By their rows' keys, with the paths that they ask for; of two rows with one key the later counts."""
    watermark: Watermark | None


def _read_batches(rows: Iterator[Row], template: PathTemplate) -> Generator[_Batch, None, None]:
    for row in rows:
        drafts, watermark = dict[str, NewRecord](), None
        for each in chain([row], islice(rows, _BATCH_SIZE - 1)):
            key = get_row_key(each)
            drafts[key] = make_new_record(
                key, template.format_path(each), each.file, normalize_facts(each), check_row(each)
            )
            watermark = watermark if each.version is None else each.version
        yield _Batch(drafts, watermark)


def _write_batch(
    drafts: Mapping[str, NewRecord], writing: WriteTransaction
) -> tuple[Iterable[ExistingEntry], BuildReport]:
    """Write what is new of a batch; the entries that were there, and what was done."""
    known = writing.find_existing(list(drafts))
    new = [draft for key, draft in drafts.items() if key not in known]
    writing.add_records(_assign_paths(new, writing))
    changed = _collect_changed(
        [drafts[key] for key, there in known.items() if drafts[key].row_hash != there.row_hash], writing, known
    )
    writing.replace_records(changed)
    return known.values(), BuildReport(len(new), len(changed), len(known) - len(changed))


def _collect_changed(
    drafts: Sequence[NewRecord], writing: WriteTransaction, known: Mapping[str, ExistingEntry]
) -> list[Record]:
    """Records of those drafts whose stamp is another one because they differ; the others get their stamps."""
    before = writing.read_records([draft.key for draft in drafts])
    differ = [draft for draft in drafts if not _same(draft, before[draft.key].entry)]
    changed = {draft.key for draft in differ}
    writing.update_row_hashes({known[draft.key].id: draft.row_hash for draft in drafts if draft.key not in changed})
    return [Record(draft.key, replace(draft.entry, path=known[draft.key].path)) for draft in differ]


def _assign_paths(drafts: Sequence[NewRecord], writing: WriteTransaction) -> list[NewRecord]:
    """New drafts, each with a path of its own."""
    paths = _resolve_paths({each.key: each.path for each in drafts}, writing)
    return [each if paths[each.key] == each.path else each.with_path(paths[each.key]) for each in drafts]


def _resolve_paths(wanted: Mapping[str, str], writing: WriteTransaction) -> dict[str, str]:
    """For each new row a path that no other has or had; one that comes back gets its own again.

    Where two rows ask for one path, the later gets its key appended. The outcome depends on the order of the rows, and
    not on how they come in batches.
    """
    paths = writing.find_removed_paths(list(wanted))
    first = {key: path for key, path in wanted.items() if key not in paths}
    asked = Counter(first.values())
    taken = writing.find_taken_paths(list(asked))
    second = {key: _append_key(path, key) for key, path in first.items() if asked[path] > 1 or path in taken}
    taken |= writing.find_taken_paths(list(second.values()))
    looked_up = {*asked, *second.values()}

    def is_free(path: str) -> bool:
        return path not in taken and (path in looked_up or not writing.find_taken_paths([path]))

    for key, path in first.items():
        paths[key] = path if path not in taken else next(filter(is_free, _list_candidates(path, key)))
        taken.add(paths[key])
    return paths


def _list_candidates(path: str, key: str) -> Iterator[str]:
    """What an entry may be called, the best first."""
    yield path
    yield _append_key(path, key)
    for number in count(2):
        yield f"{_append_key(path, key)}.{number}"


def _append_key(path: str, key: str) -> str:
    return f"{path}.{make_path_segment(key)}"


def _same(fresh: NewRecord, known: Entry) -> bool:
    return (fresh.file, dict(fresh.facts)) == (known.file, dict(known.facts))
