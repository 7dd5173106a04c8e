"""A survey of an archive: what its table and its files look like by a deployment's settings, in plain words.

It is for the administrator who writes these settings, and names paths and values that no client is ever told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from shotdap.catalog.archive.archive import BadArchive, Row
from shotdap.catalog.archive.sql import SqlArchive
from shotdap.catalog.build.path_template import PathTemplate
from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.storage import Store

_MAX_SHOWN = 3  # rows, files and the like that are shown whole
_NO_ROWS = "Trouble: there is no row; the table is empty, or archive.where lets none through."
_MAX_LISTED = 10  # values of a column that are listed


@dataclass(frozen=True)
class _Sample:
    """Some rows, and what is asked of them."""

    archive: SqlArchive
    store: Store
    template: PathTemplate
    rows: Sequence[Row]


def describe_archive(archive: SqlArchive, store: Store, template: PathTemplate, sample: int) -> Iterator[str]:
    """Say, line by line, what is found.

    Args:
        archive: the table, by the settings.
        store: where the bytes are, by the settings.
        template: makes the public paths.
        sample: how many rows to look at; so many files are looked for, too.

    Raises:
        LostArchive: the database does not answer now.
        BadArchive: the settings do not fit the table; the message says what would.
    """
    yield from _describe_columns(archive)
    archive.build_statements()  # refuses columns that are not there, before the template is held against them
    template.check_columns(archive.columns.keys() - {"key", "file", "version"})
    rows = tuple(islice(archive.read_rows(), sample))
    yield f"Rows looked at: {len(rows)}, the oldest first." if rows else _NO_ROWS
    found = _Sample(archive, store, template, rows)
    for look in (_describe_rows, _check_keys, _check_versions, _check_value_mappings, _check_paths, _check_files):
        yield from look(found)


def _describe_columns(archive: SqlArchive) -> Iterator[str]:
    """The table's columns and types, and our names for them."""
    names: dict[str, list[str]] = {}
    for ours, theirs in archive.columns.items():
        names.setdefault(theirs.lower(), []).append(ours)
    yield f"Table {archive.table} has {len(archive.reflected_table.columns)} columns:"
    for column in archive.reflected_table.columns:
        used = names.get(column.name.lower())
        yield f"  {column.name} ({column.type}){': ' + ', '.join(used) if used else ', not used'}"


def _describe_rows(sample: _Sample) -> Iterator[str]:
    for row in sample.rows[:_MAX_SHOWN]:
        facts = ", ".join(f"{name}={value!r}" for name, value in row.facts.items())
        yield f"  {sample.template.format_path(row)}: key={row.key!r}, file={row.file!r}, version={row.version!r}, {facts}"


def _check_keys(sample: _Sample) -> Iterator[str]:
    """Keys that identify no row."""
    keys = Counter(row.key for row in sample.rows)
    without = keys.pop("", 0)
    if without:
        yield f"Trouble: {without} rows have no key; the key has to identify a row for ever."
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        yield f"Trouble: {len(twice)} keys belong to several rows, such as {twice[0]!r}."


def _check_versions(sample: _Sample) -> Iterator[str]:
    """Whether the next build can read only what is new."""
    if "version" not in sample.archive.columns:
        yield "Note: no column is named for version, so each build reads the whole table."
        return
    without = sum(row.version is None for row in sample.rows)
    if without:
        yield f"Note: {without} rows have no version; they are read again in each build."


def _check_value_mappings(sample: _Sample) -> Iterator[str]:
    """Values that the settings spell, and those that they do not mention."""
    for name, spellings in sample.archive.values.items():
        found = Counter(str(row.facts[name]) for row in sample.rows if name in row.facts)
        unmapped = [value for value in found if value not in spellings.values()]
        if unmapped:
            yield f"Note: archive.values.{name} does not mention {_format_values(unmapped)}; they stay as they are."


def _check_paths(sample: _Sample) -> Iterator[str]:
    """Columns of the public path that are empty, and paths that several rows ask for."""
    for name in sample.template.list_columns():
        empty = sum(name not in row.facts for row in sample.rows)
        if empty:
            yield f'Note: {empty} rows have no {name}; their paths say "unknown" there.'
    paths = Counter(sample.template.format_path(row) for row in sample.rows)
    shared = [path for path, count in paths.items() if count > 1]
    if shared:
        yield f"Note: {len(shared)} paths are asked for by several rows, such as {shared[0]}; the later get their keys."


def _check_files(sample: _Sample) -> Iterator[str]:
    """Whether the files are where the rows say."""
    failures = {row.file: reason for row in sample.rows if (reason := _find_file_error(sample.store, row.file))}
    yield f"Files looked for: {len(sample.rows)}, of which {len(sample.rows) - len(failures)} are there."
    for kind, count in Counter(failures.values()).items():
        yield f"Trouble: {count} times: {kind}"
        for file in islice((file for file, reason in failures.items() if reason == kind), _MAX_SHOWN):
            yield f"  {file!r} was looked for at {sample.store.describe_location(file)}"


def _find_file_error(store: Store, file: str) -> str | None:
    try:
        store.get_version(file)
    except (Missing, Unreadable, BadArchive) as error:
        return str(error)
    return None


def _format_values(values: Sequence[str]) -> str:
    more = f" and {len(values) - _MAX_LISTED} more" if len(values) > _MAX_LISTED else ""
    return ", ".join(repr(value) for value in values[:_MAX_LISTED]) + more
