"""Build the catalog's entries from the rows of an archive.

A build opens no file, and reads only the rows since the last build; the inspection of files is a separate step (see
`inspection`), since its cost is so different. Each batch is written in one transaction, with the watermark, so a killed
build is resumed by the next. Of two builds at once, the later continues and the earlier ends (see `index.build_lock`).

Only a full build finds rows that are gone, or that changed without a greater version: it reads all rows, writes those
that differ, and removes the entries without a row. The path of a removed entry is reserved for its row.

Every row becomes an entry; if its values rule out that a file can be read, the entry contains the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from typing import Final, TypeAlias

from shotdap.catalog.archive.archive import Archive, Row, Watermark
from shotdap.catalog.build.path_template import PathTemplate, make_path_segment
from shotdap.catalog.build.prefetch import prefetch_items
from shotdap.catalog.build.row_values import check_row, get_row_key, normalize_facts
from shotdap.catalog.index import (
    ExistingEntry,
    NewRecord,
    Record,
    SqlIndex,
    WriteTransaction,
    make_new_record,
)

_BATCH_SIZE: Final = 10_240  # rows per transaction
_SWEEP_SIZE: Final = 50_000  # entries per query for those whose rows are gone


@dataclass(frozen=True)
class BuildReport:
    """The result of a build, in rows."""

    added: int = 0
    changed: int = 0
    """Entries whose row changed, such as the file's location."""
    unchanged: int = 0
    removed: int = 0
    """Entries whose row is gone; only a full build finds them."""

    @property
    def row_count(self) -> int:
        """The number of rows read."""
        return self.added + self.changed + self.unchanged

    def __add__(self, other: BuildReport) -> BuildReport:
        """Add the results of two batches."""
        return BuildReport(
            self.added + other.added,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.removed + other.removed,
        )


ProgressCallback: TypeAlias = Callable[[BuildReport], None]
"""Called after each batch with the results so far."""


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
        archive: read from the last build's watermark on, or completely.
        index: gets an entry for each row; an existing entry keeps its path permanently.
        template: makes the paths of new entries.
        full: read all rows, and remove the entries whose rows are gone.
        patient: raise `Busy` if another build is running, instead of superseding it.
        progress: called after each batch.

    Raises:
        BadArchive: the archive is not as configured, or cannot be reached; the rows read before are written.
        BadCatalog: the catalog's database has another version, or cannot be reached.
        Busy: another build is running.
        Superseded: another build has begun meanwhile.
    """
    lock = index.acquire_build_lock(patient=patient)
    try:
        is_rebuild = full and lock.watermark is not None
        report, seen, watermark = BuildReport(), _NumberSet(lock.counter), None
        rows = archive.read_rows(None if full else lock.watermark)
        with closing(prefetch_items(_read_batches(rows, template))) as batches:
            for batch in batches:
                watermark = watermark if batch.watermark is None else batch.watermark
                with index.begin_transaction(lock, None if is_rebuild else watermark) as transaction:
                    existing, batch_report = _write_batch(batch.records, transaction)
                seen.update(entry.id for entry in existing)
                report += batch_report
                if progress is not None:
                    progress(report)
        if full:
            after, removed = 0, 0
            while ids := index.list_ids(after, lock.counter, _SWEEP_SIZE):  # only those from before this build
                unseen = [each for each in ids if each not in seen]
                if unseen:
                    with index.begin_transaction(lock) as transaction:
                        transaction.remove_entries(unseen)
                removed, after = removed + len(unseen), ids[-1]
            report += BuildReport(removed=removed)
            with index.begin_transaction(lock, watermark):  # last: a killed rebuild must leave none that is older
                pass
        return report
    finally:
        index.release_build_lock(lock)


class _NumberSet:
    """A set of numbers up to a maximum, with one bit for each: 1.2 MB for ten million entries."""

    def __init__(self, maximum: int) -> None:
        self._bits = bytearray(maximum // 8 + 1)

    def update(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number >> 3 < len(self._bits):
                self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return bool(self._bits[number >> 3] >> (number & 7) & 1)


@dataclass(frozen=True)
class _Batch:
    """Some rows, prepared as far as possible without the catalog."""

    records: Mapping[str, NewRecord]
    """By the keys of their rows, with the paths of the template; of two rows with one key, the later one."""
    watermark: Watermark | None


def _read_batches(rows: Iterator[Row], template: PathTemplate) -> Generator[_Batch, None, None]:
    """Prepare rows in batches."""
    for row in rows:
        records, watermark = dict[str, NewRecord](), None
        for each in chain([row], islice(rows, _BATCH_SIZE - 1)):
            key = get_row_key(each)
            records[key] = make_new_record(
                key, template.format_path(each), each.file, normalize_facts(each), check_row(each)
            )
            watermark = watermark if each.version is None else each.version
        yield _Batch(records, watermark)


def _write_batch(
    records: Mapping[str, NewRecord], transaction: WriteTransaction
) -> tuple[Iterable[ExistingEntry], BuildReport]:
    """Write the new and changed records of a batch; return the entries that existed before, and the result."""
    existing = transaction.find_existing(list(records))
    new = [record for key, record in records.items() if key not in existing]
    paths = _resolve_paths({each.key: each.path for each in new}, transaction)
    transaction.add_records([each if paths[each.key] == each.path else each.with_path(paths[each.key]) for each in new])
    # Of the records with another hash, some have the same content: these get their new hashes only.
    rehashed = [records[key] for key, entry in existing.items() if records[key].row_hash != entry.row_hash]
    before = transaction.read_records([record.key for record in rehashed])
    hashes: dict[int, int] = {}
    changed: list[Record] = []
    for record in rehashed:
        entry, known = before[record.key].entry, existing[record.key]
        if (record.file, dict(record.facts)) == (entry.file, dict(entry.facts)):
            hashes[known.id] = record.row_hash
        else:
            changed.append(Record(record.key, replace(record.entry, path=known.path)))
    transaction.update_row_hashes(hashes)
    transaction.replace_records(changed)
    return existing.values(), BuildReport(len(new), len(changed), len(existing) - len(changed))


def _resolve_paths(template_paths: Mapping[str, str], transaction: WriteTransaction) -> dict[str, str]:
    """Return for each new row a path that no other row has or had; a row that reappears gets its own path again.

    If two rows have one path, the later row's key is appended. The result depends on the order of the rows, but not on
    the batches.
    """
    paths = transaction.find_removed_paths(list(template_paths))
    first = {key: path for key, path in template_paths.items() if key not in paths}
    counts = Counter(first.values())
    taken = transaction.find_taken_paths(list(counts))
    second = {
        key: f"{path}.{make_path_segment(key)}" for key, path in first.items() if counts[path] > 1 or path in taken
    }
    taken |= transaction.find_taken_paths(list(second.values()))
    looked_up = {*counts, *second.values()}

    def is_free(path: str) -> bool:
        return path not in taken and (path in looked_up or not transaction.find_taken_paths([path]))

    for key, path in first.items():
        paths[key] = path
        if path in taken:
            with_key = second.get(key) or f"{path}.{make_path_segment(key)}"
            paths[key] = next(filter(is_free, chain([with_key], (f"{with_key}.{number}" for number in count(2)))))
        taken.add(paths[key])
    return paths
