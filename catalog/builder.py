"""Rows into entries, then a look at each new file.

Two steps, because they cost so differently: `build` opens no file, and reads only the rows that came since the last
build; `inspect` looks into files, and whatever it finds wrong becomes the entry's reason. Neither ever stops for one
bad row or one bad file. Each batch is written whole, with the watermark, so a build that is killed goes on where it
was.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType

from shotdap.catalog.archive import Archive, BadArchive, Row
from shotdap.catalog.entry import Entry, Fact, Health, Missing, Unreadable
from shotdap.catalog.index import Record, SqlIndex
from shotdap.catalog.names import path_segment

__all__ = ["DEFAULT_TEMPLATE", "BuildReport", "InspectionReport", "PathTemplate", "build", "inspect"]

DEFAULT_TEMPLATE = "{facility}/{shot}/{diagnostic}/{name}"
"""A shot number is no key: OMEGA and OMEGA EP count separately, so the facility comes first."""

_BATCH = 1000
_UNKNOWN = "unknown"  # stands in a path for a column that is empty


@dataclass(frozen=True)
class BuildReport:
    """What a build did, in rows."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0

    def __add__(self, other: BuildReport) -> BuildReport:
        """The sum of two batches."""
        return BuildReport(self.added + other.added, self.changed + other.changed, self.unchanged + other.unchanged)


@dataclass(frozen=True)
class InspectionReport:
    """What an inspection found, in files."""

    ok: int = 0
    missing: int = 0
    unreadable: int = 0


@dataclass(frozen=True)
class PathTemplate:
    """How a row's columns make a public path: ``{facility}/{shot}/{diagnostic}/{name}``."""

    text: str = DEFAULT_TEMPLATE

    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    def check(self, available: Iterable[str]) -> None:
        """Hold it against the columns that an archive has.

        Raises:
            BadArchive: it names a column that is not there, or none.
        """
        available = set(available)
        missing = [name for name in self.columns() if name not in available]
        if missing or not self.columns():
            raise BadArchive(
                f"The path template {self.text!r} names {', '.join(missing) or 'no column'};"
                f" the columns are {', '.join(sorted(available))}."
            )

    def path(self, row: Row) -> str:
        """The public path of a row, every segment safe; a column without a value is called ``unknown``."""
        filled = {name: path_segment(_spelled(name, row.facts.get(name, ""))) for name in self.columns()}
        return self.text.format_map(filled)


def _slug(text: str) -> str:
    return re.sub(r"\s+", "-", text.strip()).lower()


_FORMATS = re.compile(r"\.(hdf4?|h4|hdf5|h5|he5|nc4?|cdf|tiff?|json|png|jpe?g)$", re.IGNORECASE)


def _stem(text: str) -> str:
    """A file's name without the folders above it and the ending that names its format."""
    return _FORMATS.sub("", PurePosixPath(PureWindowsPath(text).as_posix()).name)


_SPELLINGS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"facility": _slug, "diagnostic": _slug, "name": _stem}
)


def _spelled(column: str, value: Fact) -> str:
    return _SPELLINGS.get(column, str)(str(value)) or _UNKNOWN


def build(archive: Archive, index: SqlIndex, template: PathTemplate) -> BuildReport:
    """Bring the catalog up to date with its archive. No file is opened.

    Args:
        archive: read from the last build's watermark on.
        index: gets an entry for each row; an entry that is there already keeps its path for ever.
        template: makes the paths of new entries.

    Raises:
        BadArchive: the archive is not as configured, or cannot be reached.
    """
    report = BuildReport()
    for rows in _batches(archive.rows(index.watermark())):
        report += _put(rows, index, template)
    return report


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _put(rows: list[Row], index: SqlIndex, template: PathTemplate) -> BuildReport:
    known = index.records([row.key for row in rows])
    paths = _free_paths([row for row in rows if row.key not in known], index, template)
    fresh = {row.key: _entry(row, known[row.key].entry.path if row.key in known else paths[row.key]) for row in rows}
    changed = [key for key in fresh if key in known and not _same(fresh[key], known[key].entry)]
    versions = [row.version for row in rows if row.version is not None]
    index.put((Record(key, fresh[key]) for key in (*paths, *changed)), versions[-1] if versions else None)
    return BuildReport(len(paths), len(changed), len(fresh) - len(paths) - len(changed))


def _free_paths(rows: list[Row], index: SqlIndex, template: PathTemplate) -> dict[str, str]:
    """For each new row a path that no other has: where two rows ask for one, the later gets its key appended."""
    wanted = {row.key: template.path(row) for row in rows}
    taken = index.owners(list(set(wanted.values())))
    paths = {}
    for key, path in wanted.items():
        paths[key] = f"{path}.{path_segment(key)}" if path in taken else path
        taken[paths[key]] = key
    return paths


def _entry(row: Row, path: str) -> Entry:
    return Entry(path, row.file, dict(row.facts))


def _same(fresh: Entry, known: Entry) -> bool:
    return (fresh.file, dict(fresh.facts)) == (known.file, dict(known.facts))


def inspect(index: SqlIndex, look: Callable[[Entry], object]) -> InspectionReport:
    """Look into every file that was not looked into yet, and again into those that could not be read.

    Args:
        index: gets what was found.
        look: opens an entry; raises `Missing` or `Unreadable` where it cannot.
    """
    found = Counter[Health]()
    for entries in chain(_doubtful(index), iter(lambda: index.unseen(_BATCH), [])):
        verdicts = {entry.path: _judged(entry, look) for entry in entries}
        index.judge(verdicts)
        found.update(health for health, _ in verdicts.values())
    return InspectionReport(found[Health.OK], found[Health.MISSING], found[Health.UNREADABLE])


def _doubtful(index: SqlIndex) -> Iterator[list[Entry]]:
    after = ""
    while entries := index.doubtful(_BATCH, after):
        yield entries
        after = entries[-1].path


def _judged(entry: Entry, look: Callable[[Entry], object]) -> tuple[Health, str]:
    try:
        look(entry)
    except Missing as error:
        return Health.MISSING, str(error)
    except Unreadable as error:
        return Health.UNREADABLE, str(error)
    return Health.OK, ""
