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
from shotdap.catalog.build.path_template import PathTemplate, segment
from shotdap.catalog.build.prefetch import ahead
from shotdap.catalog.build.row_values import facts_of, fault_of, key_of
from shotdap.catalog.entry import Entry
from shotdap.catalog.index import Draft, Known, Record, SqlIndex, Turn, Writing, draft

__all__ = ["BuildReport", "Progress", "build"]

_BATCH: Final = 10_240  # rows between two writings
_SWEPT: Final = 50_000  # entries looked through at a time for those whose rows are gone


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
    def rows(self) -> int:
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


Progress: TypeAlias = Callable[[BuildReport], None]
"""Told after each batch what has been done until then."""


def build(  # noqa: PLR0913 — each is one choice, by keyword
    archive: Archive,
    index: SqlIndex,
    template: PathTemplate,
    *,
    full: bool = False,
    patient: bool = False,
    progress: Progress | None = None,
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
    turn = index.begin(patient=patient)
    try:
        return _Run(index, turn, template, progress or _quietly).run(archive, full=full)
    finally:
        index.end(turn)


def _quietly(_report: BuildReport) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class _Run:
    """One build."""

    index: SqlIndex
    turn: Turn
    template: PathTemplate
    progress: Progress

    def run(self, archive: Archive, *, full: bool) -> BuildReport:
        """Read rows, and write what is new of them."""
        is_again = full and self.turn.watermark is not None
        report, seen, watermark = BuildReport(), _Numbers(self.turn.counter), None
        rows = archive.rows(None if full else self.turn.watermark)
        with closing(ahead(_batches(rows, self.template))) as batches:
            for batch in batches:
                watermark = watermark if batch.watermark is None else batch.watermark
                with self.index.writing(self.turn, None if is_again else watermark) as writing:
                    known, done = _put(batch.drafts, writing)
                seen.add(entry.id for entry in known)
                report += done
                self.progress(report)
        if full:
            report += self._sweep(seen)
            with self.index.writing(self.turn, watermark):  # earlier, a killed build would have set it back
                pass
        return report

    def _sweep(self, seen: _Numbers) -> BuildReport:
        """Remove the entries that were there before and whose rows were not seen."""
        removed, after = 0, 0
        while numbers := self.index.numbers(after, self.turn.counter, _SWEPT):
            gone = [number for number in numbers if number not in seen]
            if gone:
                with self.index.writing(self.turn) as writing:
                    writing.remove(gone)
            removed, after = removed + len(gone), numbers[-1]
        return BuildReport(removed=removed)


class _Numbers:
    """A set of numbers up to a greatest one, in a bit for each: 1.2 MB for ten million entries."""

    def __init__(self, greatest: int) -> None:
        self._bits = bytearray(greatest // 8 + 1)

    def add(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number >> 3 < len(self._bits):
                self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return bool(self._bits[number >> 3] >> (number & 7) & 1)


@dataclass(frozen=True)
class _Batch:
    """Some rows, as far as they can be dealt with before the catalog is asked."""

    drafts: Mapping[str, Draft]
    """By their rows' keys, with the paths that they ask for; of two rows with one key the later counts."""
    watermark: Watermark | None


def _batches(rows: Iterator[Row], template: PathTemplate) -> Generator[_Batch, None, None]:
    for row in rows:
        drafts, watermark = dict[str, Draft](), None
        for each in chain([row], islice(rows, _BATCH - 1)):
            key = key_of(each)
            drafts[key] = draft(key, template.path(each), each.file, facts_of(each), fault_of(each))
            watermark = watermark if each.version is None else each.version
        yield _Batch(drafts, watermark)


def _put(drafts: Mapping[str, Draft], writing: Writing) -> tuple[Iterable[Known], BuildReport]:
    """Write what is new of a batch; the entries that were there, and what was done."""
    known = writing.known(list(drafts))
    new = [draft for key, draft in drafts.items() if key not in known]
    writing.add(_named(new, writing))
    changed = _changed(
        [drafts[key] for key, there in known.items() if drafts[key].stamp != there.stamp], writing, known
    )
    writing.replace(changed)
    return known.values(), BuildReport(len(new), len(changed), len(known) - len(changed))


def _changed(drafts: Sequence[Draft], writing: Writing, known: Mapping[str, Known]) -> list[Record]:
    """Records of those drafts whose stamp is another one because they differ; the others get their stamps."""
    before = writing.records([draft.key for draft in drafts])
    differ = [draft for draft in drafts if not _same(draft, before[draft.key].entry)]
    changed = {draft.key for draft in differ}
    writing.stamped({known[draft.key].id: draft.stamp for draft in drafts if draft.key not in changed})
    return [Record(draft.key, replace(draft.entry, path=known[draft.key].path)) for draft in differ]


def _named(drafts: Sequence[Draft], writing: Writing) -> list[Draft]:
    """New drafts, each with a path of its own."""
    paths = _paths({each.key: each.path for each in drafts}, writing)
    return [each if paths[each.key] == each.path else each.at(paths[each.key]) for each in drafts]


def _paths(wanted: Mapping[str, str], writing: Writing) -> dict[str, str]:
    """For each new row a path that no other has or had; one that comes back gets its own again.

    Where two rows ask for one path, the later gets its key appended. The outcome depends on the order of the rows, and
    not on how they come in batches.
    """
    paths = writing.former(list(wanted))
    first = {key: path for key, path in wanted.items() if key not in paths}
    asked = Counter(first.values())
    taken = writing.taken(list(asked))
    second = {key: _with_key(path, key) for key, path in first.items() if asked[path] > 1 or path in taken}
    taken |= writing.taken(list(second.values()))
    looked_up = {*asked, *second.values()}

    def is_free(path: str) -> bool:
        return path not in taken and (path in looked_up or not writing.taken([path]))

    for key, path in first.items():
        paths[key] = path if path not in taken else next(filter(is_free, _choices(path, key)))
        taken.add(paths[key])
    return paths


def _choices(path: str, key: str) -> Iterator[str]:
    """What an entry may be called, the best first."""
    yield path
    yield _with_key(path, key)
    for number in count(2):
        yield f"{_with_key(path, key)}.{number}"


def _with_key(path: str, key: str) -> str:
    return f"{path}.{segment(key)}"


def _same(fresh: Draft, known: Entry) -> bool:
    return (fresh.file, dict(fresh.facts)) == (known.file, dict(known.facts))
