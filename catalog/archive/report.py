"""A report on an archive: how its table and its files fit the settings of a deployment, in plain words.

It is for the administrator who writes these settings, and contains paths and values that no client may see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from shotdap.catalog.archive.archive import BadArchive, Row
from shotdap.catalog.archive.sql import SqlArchive
from shotdap.catalog.build.path_template import PathTemplate
from shotdap.catalog.entry import Unreadable
from shotdap.catalog.storage import Store

_MAX_SHOWN = 3  # rows, and files of one kind
_NO_ROWS = "Trouble: there is no row; the table is empty, or archive.where lets none through."
_MAX_LISTED = 10  # values of a column


def describe_archive(archive: SqlArchive, store: Store, template: PathTemplate, sample: int) -> Iterator[str]:
    """Yield the report line by line.

    Args:
        archive: the table, by the settings.
        store: the store of the bytes, by the settings.
        template: makes the public paths.
        sample: the number of rows and of their files to check.

    Raises:
        LostArchive: the database does not answer now.
        BadArchive: the settings do not fit the table; the message says what would.
    """
    names: dict[str, list[str]] = {}
    for ours, theirs in archive.columns.items():
        names.setdefault(theirs.lower(), []).append(ours)
    yield f"Table {archive.table} has {len(archive.reflected_table.columns)} columns:"
    for column in archive.reflected_table.columns:
        used = names.get(column.name.lower())
        yield f"  {column.name} ({column.type}){': ' + ', '.join(used) if used else ', not used'}"
    archive.build_statements()  # refuses missing columns, before the template is checked against the existing ones
    template.check_columns(archive.columns.keys() - {"key", "file", "version"})
    rows = tuple(islice(archive.read_rows(), sample))
    yield f"Rows looked at: {len(rows)}, the oldest first." if rows else _NO_ROWS
    for row in rows[:_MAX_SHOWN]:
        facts = ", ".join(f"{name}={value!r}" for name, value in row.facts.items())
        yield f"  {template.format_path(row)}: key={row.key!r}, file={row.file!r}, version={row.version!r}, {facts}"
    yield from _check_rows(archive, template, rows)
    failures: dict[str, str] = {}  # files that the store cannot find
    for row in rows:
        try:
            store.get_version(row.file)
        except (Unreadable, BadArchive) as error:
            failures[row.file] = str(error)
    yield f"Files looked for: {len(rows)}, of which {len(rows) - len(failures)} are there."
    for kind, count in Counter(failures.values()).items():
        yield f"Trouble: {count} times: {kind}"
        for file in islice((file for file, reason in failures.items() if reason == kind), _MAX_SHOWN):
            yield f"  {file!r} was looked for at {store.describe_location(file)}"


def _check_rows(archive: SqlArchive, template: PathTemplate, rows: Sequence[Row]) -> Iterator[str]:
    """Report ambiguous keys, missing versions, values without a mapping, and incomplete or ambiguous paths."""
    keys = Counter(row.key for row in rows)
    without = keys.pop("", 0)
    if without:
        yield f"Trouble: {without} rows have no key; the key has to identify a row for ever."
    repeated = [key for key, count in keys.items() if count > 1]
    if repeated:
        yield f"Trouble: {len(repeated)} keys belong to several rows, such as {repeated[0]!r}."
    without = sum(row.version is None for row in rows)
    if "version" not in archive.columns:
        yield "Note: no column is named for version, so each build reads the whole table."
    elif without:
        yield f"Note: {without} rows have no version; they are read again in each build."
    for name, spellings in archive.values.items():
        values = Counter(str(row.facts[name]) for row in rows if name in row.facts)
        unmapped = [repr(value) for value in values if value not in spellings.values()]
        if unmapped:
            more = f" and {len(unmapped) - _MAX_LISTED} more" if len(unmapped) > _MAX_LISTED else ""
            listed = ", ".join(unmapped[:_MAX_LISTED]) + more
            yield f"Note: archive.values.{name} does not mention {listed}; they stay as they are."
    for name in template.list_columns():
        empty = sum(name not in row.facts for row in rows)
        if empty:
            yield f'Note: {empty} rows have no {name}; their paths say "unknown" there.'
    paths = Counter(template.format_path(row) for row in rows)
    shared = [path for path, count in paths.items() if count > 1]
    if shared:
        yield f"Note: {len(shared)} paths are asked for by several rows, such as {shared[0]}; the later get their keys."
