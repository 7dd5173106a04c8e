"""Writing to the catalog: one transaction at a time, each of which leaves every table in step with the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shotdap.catalog.entry import Entry, Fact
from shotdap.catalog.index.bulk_insert import execute_many, insert_rows
from shotdap.catalog.index.fulltext import FullTextIndex, join_entry_words
from shotdap.catalog.index.in_list import make_in_condition, select_by_values
from shotdap.catalog.index.records import (
    MAX_TEXT_LENGTH,
    FacetKey,
    InspectionResult,
    NewRecord,
    Record,
    decode_entry_row,
    make_attribute_rows,
    make_facet_key,
    make_insert_values,
    make_update_values,
)
from shotdap.catalog.index.tables import (
    ATTRIBUTES,
    ENTRIES,
    FACET_COUNTS,
    FACT_NAMES,
    FOLDERS,
    REMOVED_ENTRIES,
    ROOT_FOLDER,
    STATE,
    escape_text,
)

__all__ = ["ExistingEntry", "WriteTransaction"]

_INSERT_REMOVED: Final = REMOVED_ENTRIES.insert()
_INSERT_ATTRIBUTES: Final = ATTRIBUTES.insert()
_UPDATE_ROW_HASH: Final = ENTRIES.update().where(ENTRIES.c.id == sa.bindparam("at")).values(stamp=sa.bindparam("now"))
_COUNT_BATCH: Final = 100  # tallies that one statement writes
_DIALECT_INSERTS: Final[Mapping[str, Callable[[sa.Table], sqlite.Insert | postgresql.Insert]]] = MappingProxyType(
    {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
)
_UPDATED_COLUMNS: Final = sorted({column.name for column in ENTRIES.columns} - {"id", "key", "path", "folder", "name"})
_UPDATE_ENTRIES: Final = (
    ENTRIES.update()
    .where(ENTRIES.c.id == sa.bindparam("at"))
    .values({name: sa.bindparam(f"new_{name}", type_=ENTRIES.c[name].type) for name in _UPDATED_COLUMNS})
)


@dataclass(frozen=True)
class ExistingEntry:
    """An entry that is there, as far as a build needs it."""

    id: int
    path: str
    row_hash: int | None


@dataclass
class WriteTransaction:
    """A transaction that writes; nobody else does until it ends."""

    connection: sa.Connection
    counter: int
    """The last number that was given."""
    fulltext: FullTextIndex
    facet_counts: Counter[FacetKey] = field(default_factory=Counter)

    @cached_property
    def has_removed_entries(self) -> bool:
        """Whether any entry was ever removed, before this transaction."""
        return self.connection.execute(sa.select(REMOVED_ENTRIES.c.change).limit(1)).first() is not None

    @cached_property
    def fact_names(self) -> set[str]:
        """The names of all facts that any row has said."""
        return set(self.connection.execute(sa.select(FACT_NAMES.c.name)).scalars())

    def find_existing(self, keys: Sequence[str]) -> dict[str, ExistingEntry]:
        """The entries of these rows, as far as there are any, by the rows' keys."""
        columns = (ENTRIES.c.key, ENTRIES.c.id, ENTRIES.c.path, ENTRIES.c.stamp)
        found = select_by_values(self.connection, sa.select(*columns), ENTRIES.c.key, keys)
        return {row.key: ExistingEntry(row.id, row.path, row.stamp) for row in found}

    def find_removed_paths(self, keys: Sequence[str]) -> dict[str, str]:
        """The paths that rows had which were removed, by their keys."""
        if not self.has_removed_entries:
            return {}
        columns = sa.select(REMOVED_ENTRIES.c.key, REMOVED_ENTRIES.c.path)
        return {row.key: row.path for row in select_by_values(self.connection, columns, REMOVED_ENTRIES.c.key, keys)}

    def find_taken_paths(self, paths: Sequence[str]) -> set[str]:
        """Those of these paths that some entry has, or had."""
        columns = (ENTRIES.c.path, REMOVED_ENTRIES.c.path) if self.has_removed_entries else (ENTRIES.c.path,)
        return {
            row[0] for column in columns for row in select_by_values(self.connection, sa.select(column), column, paths)
        }

    def read_records(self, keys: Sequence[str]) -> dict[str, Record]:
        """The whole entries of these rows, by the rows' keys."""
        found = _select_entries(self.connection, ENTRIES.c.key, keys)
        return {row["key"]: Record(row["key"], decode_entry_row(row)) for row in found}

    def add_records(self, records: Sequence[NewRecord]) -> None:
        """Write records whose keys and paths are new, or were removed before."""
        above = [record.path.rpartition("/")[0] for record in records]
        folders, numbers = self._ensure_folders(set(above)), self._reserve_numbers(len(records))
        insert_rows(
            self.connection, ENTRIES, map(make_insert_values, records, numbers, map(folders.__getitem__, above))
        )
        self._add_fact_names(record.facts for record in records)
        if self.has_removed_entries:
            _delete_rows(self.connection, REMOVED_ENTRIES, REMOVED_ENTRIES.c.key, [record.key for record in records])
        self.fulltext.add_entries(self.connection, zip(numbers, [record.words for record in records], strict=True))
        self.facet_counts.update(record.facet_key for record in records)

    def replace_records(self, records: Sequence[Record]) -> None:
        """Write records anew whose keys and paths are there."""
        fresh = {record.key: record for record in records}
        before = _select_entries(self.connection, ENTRIES.c.key, list(fresh))
        if not before:
            return
        self._delete_derived_rows(before)
        rows = [
            make_update_values(fresh[row["key"]], row["id"], number, row["folder"])
            for number, row in zip(self._reserve_numbers(len(before)), before, strict=True)
        ]
        self._update_entries(rows)
        self._add_fact_names(record.entry.facts for record in records)
        self.fulltext.add_entries(self.connection, map(_make_words_row, rows))
        self.facet_counts.update(map(make_facet_key, rows))

    def remove_entries(self, numbers: Sequence[int]) -> None:
        """Take entries out, by their ids; their paths stay theirs."""
        rows = _select_entries(self.connection, ENTRIES.c.id, numbers)
        if not rows:
            return
        self._delete_derived_rows(rows)
        _delete_rows(self.connection, ENTRIES, ENTRIES.c.id, [row["id"] for row in rows])
        graves = [
            {"key": row["key"], "path": row["path"], "change": number}
            for number, row in zip(self._reserve_numbers(len(rows)), rows, strict=True)
        ]
        execute_many(self.connection, _INSERT_REMOVED, graves)
        self._delete_empty_folders({row["folder"] for row in rows})

    def update_row_hashes(self, stamps: dict[int, int]) -> None:
        """Write down stamps, by the ids of entries that are otherwise as they were."""
        execute_many(self.connection, _UPDATE_ROW_HASH, ({"at": number, "now": now} for number, now in stamps.items()))

    def record_inspections(self, verdicts: Iterable[tuple[Entry, InspectionResult]]) -> None:
        """Write down what an inspection found of entries that are still as it saw them.

        What was seen before stays where nothing new was.
        """
        judged = {entry.path: (entry, verdict) for entry, verdict in verdicts}
        rows = [
            dict(row)
            for row in _select_entries(self.connection, ENTRIES.c.path, list(judged))
            if row["file"] == judged[row["path"]][0].file
        ]
        self.facet_counts.subtract(map(make_facet_key, rows))
        for number, row in zip(self._reserve_numbers(len(rows)), rows, strict=True):
            _, verdict = judged[row["path"]]
            row |= {"health": verdict.health.value, "reason": verdict.reason, "change": number}
            row["seen"] = asdict(verdict.file_inspection) if verdict.file_inspection else row["seen"]
        self._update_entries(rows)
        self.facet_counts.update(map(make_facet_key, rows))
        seen = [(row["id"], row["date"], judged[row["path"]][1].file_inspection) for row in rows]
        self._describe({number: make_attribute_rows(number, date, found) for number, date, found in seen if found})

    def write_counters(self) -> None:
        """Write down what was numbered and counted; the last thing in a transaction."""
        self.connection.execute(STATE.update(), {"counter": self.counter})
        counted = [(*kind, difference) for kind, difference in self.facet_counts.items() if difference]
        for start in range(0, len(counted), _COUNT_BATCH):
            _add_facet_counts(self.connection, counted[start : start + _COUNT_BATCH])

    def _reserve_numbers(self, count: int) -> range:
        first, self.counter = self.counter + 1, self.counter + count
        return range(first, self.counter + 1)

    def _update_entries(self, rows: Sequence[dict[str, Any]]) -> None:
        execute_many(
            self.connection,
            _UPDATE_ENTRIES,
            [{"at": row["id"], **{f"new_{n}": row[n] for n in _UPDATED_COLUMNS}} for row in rows],
        )

    def _delete_derived_rows(self, rows: Sequence[sa.RowMapping]) -> None:
        """Take what is derived of entries out."""
        self.fulltext.remove_entries(self.connection, map(_make_words_row, rows))
        self.facet_counts.subtract(map(make_facet_key, rows))
        _delete_rows(self.connection, ATTRIBUTES, ATTRIBUTES.c.entry, [row["id"] for row in rows])

    def _describe(self, described: dict[int, list[dict[str, Any]]]) -> None:
        _delete_rows(self.connection, ATTRIBUTES, ATTRIBUTES.c.entry, list(described))
        execute_many(self.connection, _INSERT_ATTRIBUTES, chain.from_iterable(described.values()))

    def _add_fact_names(self, facts: Iterable[Mapping[str, Fact]]) -> None:
        """Write down the names of facts that are new."""
        fresh = {name[:MAX_TEXT_LENGTH] for name in set[str]().union(*facts)} - self.fact_names
        insert_rows(self.connection, FACT_NAMES, ((escape_text(name),) for name in sorted(fresh)))
        self.fact_names |= fresh

    def _ensure_folders(self, paths: set[str]) -> dict[str, int]:
        """The ids of folders, made where there are none, with those above them."""
        ids, absent, wanted = {"": ROOT_FOLDER}, set[str](), paths - {""}
        columns = sa.select(FOLDERS.c.path, FOLDERS.c.id)
        while wanted:
            ids |= {
                row.path: row.id for row in select_by_values(self.connection, columns, FOLDERS.c.path, sorted(wanted))
            }
            absent |= wanted - ids.keys()
            wanted = {path.rpartition("/")[0] for path in wanted - ids.keys()} - ids.keys() - absent
        new = sorted(absent)  # a folder comes before what is in it
        ids |= zip(new, self._reserve_numbers(len(new)), strict=True)
        rows = (
            (ids[path], escape_text(path), ids[parent], escape_text(name))
            for path in new
            for parent, _, name in [path.rpartition("/")]
        )
        insert_rows(self.connection, FOLDERS, rows)
        return ids

    def _delete_empty_folders(self, folders: set[int]) -> None:
        """Take folders out that nothing is in any more, and then those above them."""
        while folders := folders - {ROOT_FOLDER}:
            full = _find_used_ids(self.connection, ENTRIES.c.folder, folders) | _find_used_ids(
                self.connection, FOLDERS.c.parent, folders
            )
            empty = sorted(folders - full)
            above = select_by_values(self.connection, sa.select(FOLDERS.c.parent), FOLDERS.c.id, empty)
            folders = {row[0] for row in above}
            _delete_rows(self.connection, FOLDERS, FOLDERS.c.id, empty)


def _make_words_row(row: sa.RowMapping | dict[str, Any]) -> tuple[int, str]:
    return row["id"], join_entry_words(row["path"], row["facts"])


def _select_entries(connection: sa.Connection, key: sa.Column[Any], values: Sequence[Any]) -> list[sa.RowMapping]:
    return [row._mapping for row in select_by_values(connection, sa.select(ENTRIES), key, values)]  # noqa: SLF001 — SQLAlchemy's public name for it


def _find_used_ids(connection: sa.Connection, key: sa.Column[Any], values: Iterable[int]) -> set[int]:
    return {row[0] for row in select_by_values(connection, sa.select(key).distinct(), key, sorted(values))}


def _delete_rows(connection: sa.Connection, table: sa.Table, key: sa.Column[Any], values: Sequence[Any]) -> None:
    if values:
        connection.execute(table.delete().where(make_in_condition(connection, key, values)))


def _add_facet_counts(connection: sa.Connection, counted: Sequence[tuple[str, str, str, str, int]]) -> None:
    """Add to tallies, and make those that are not there."""
    insert = _DIALECT_INSERTS[connection.dialect.name](FACET_COUNTS).values(counted)
    total = FACET_COUNTS.c.count + insert.excluded.count
    connection.execute(
        insert.on_conflict_do_update(index_elements=list(FACET_COUNTS.primary_key), set_={"count": total})
    )
