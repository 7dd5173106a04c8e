"""Rows into entries.

A build opens no file, and reads only the rows that came since the last one; a look into the files is another step (see
`inspection`), because it costs so differently. Each batch is written whole, with the watermark, so a build that is
killed goes on where it was.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType

from shotdap.catalog.archive import Archive, BadArchive, Row
from shotdap.catalog.entry import Entry, Fact
from shotdap.catalog.index import Record, SqlIndex
from shotdap.catalog.names import path_segment

__all__ = ["DEFAULT_TEMPLATE", "BuildReport", "PathTemplate", "build"]

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
class PathTemplate:
    """How a row's columns make a public path: ``{facility}/{shot}/{diagnostic}/{name}``."""

    text: str = DEFAULT_TEMPLATE

    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    def check(self, available: Iterable[str]) -> None:
        """Hold it against the columns that an archive has.

        Raises:
            BadArchive: it names a column that is not there, or none, or cannot make a path.
        """
        available = set(available)
        try:
            missing = [name for name in self.columns() if name not in available]
            sample = "" if missing else self.text.format_map(dict.fromkeys(self.columns(), "x"))
        except ValueError as error:
            raise BadArchive(f"The path template {self.text!r} does not read as one: {error}.") from error
        if missing or not self.columns():
            raise BadArchive(
                f"The path template {self.text!r} names {', '.join(missing) or 'no column'};"
                f" the columns are {', '.join(sorted(available))}."
            )
        if any(segment != path_segment(segment) for segment in sample.split("/")):
            raise BadArchive(
                f"The path template {self.text!r} makes no path: between its slashes are columns in braces, letters,"
                " digits, and - _ . only."
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
    taken = set(index.owners(list(set(wanted.values()))))
    paths = {}
    for key, path in wanted.items():
        paths[key] = path if path not in taken else next(_free(f"{path}.{path_segment(key)}", taken, index))
        taken.add(paths[key])
    return paths


def _free(path: str, taken: set[str], index: SqlIndex) -> Iterator[str]:
    numbered = (f"{path}.{number}" for number in count(2))
    return (path for path in chain([path], numbered) if path not in taken and not index.owners([path]))


def _entry(row: Row, path: str) -> Entry:
    return Entry(path, row.file, dict(row.facts))


def _same(fresh: Entry, known: Entry) -> bool:
    return (fresh.file, dict(fresh.facts)) == (known.file, dict(known.facts))
