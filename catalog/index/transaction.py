"""Write to the catalog: one transaction at a time, and each keeps all tables consistent."""

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
from shotdap.catalog.index.search.visibility import read_laboratory_time
from shotdap.catalog.index.tables import (
    ATTRIBUTES,
    ENTRIES,
    FACET_COUNTS,
    FACT_NAMES,
    FOLDERS,
    PAST_ENTRIES,
    REMOVED_ENTRIES,
    ROOT_FOLDER,
    STATE,
    escape_text,
)

_INSERT_REMOVED: Final = REMOVED_ENTRIES.insert()
_INSERT_PAST: Final = PAST_ENTRIES.insert()
_INSERT_ATTRIBUTES: Final = ATTRIBUTES.insert()
_PAST_COLUMNS: Final = sorted({column.name for column in PAST_ENTRIES.columns} - {"change", "moment"})
_UPDATE_ROW_HASH: Final = ENTRIES.update().where(ENTRIES.c.id == sa.bindparam("at")).values(stamp=sa.bindparam("now"))
_COUNT_BATCH_SIZE: Final = 100  # facet counts that one statement writes
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
    """An entry in the catalog, as far as a build needs it."""

    id: int
    path: str
    row_hash: int | None


@dataclass
class WriteTransaction:
    """A transaction that writes; no other one writes until it ends."""

    connection: sa.Connection
    counter: int
    """The last number in use."""
    fulltext: FullTextIndex
    facet_counts: Counter[FacetKey] = field(default_factory=Counter)
    """The differences to the counts in the database."""

    @cached_property
    def has_removed_entries(self) -> bool:
        """True if any entry was removed before this transaction."""
        return self.connection.execute(sa.select(REMOVED_ENTRIES.c.change).limit(1)).first() is not None

    @cached_property
    def fact_names(self) -> set[str]:
        """The names of all facts of any row."""
        return set(self.connection.execute(sa.select(FACT_NAMES.c.name)).scalars())

    def find_existing(self, keys: Sequence[str]) -> dict[str, ExistingEntry]:
        """Return the entries of rows that have one, by the rows' keys."""
        columns = sa.select(ENTRIES.c.key, ENTRIES.c.id, ENTRIES.c.path, ENTRIES.c.stamp)
        rows = select_by_values(self.connection, columns, ENTRIES.c.key, keys)
        return {row.key: ExistingEntry(row.id, row.path, row.stamp) for row in rows}

    def find_removed_paths(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the paths of removed rows, by the rows' keys."""
        if not self.has_removed_entries:
            return {}
        columns = sa.select(REMOVED_ENTRIES.c.key, REMOVED_ENTRIES.c.path)
        return {row.key: row.path for row in select_by_values(self.connection, columns, REMOVED_ENTRIES.c.key, keys)}

    def find_taken_paths(self, paths: Sequence[str]) -> set[str]:
        """Return the paths, of those given, that an entry has, or had before it was removed."""
        columns = (ENTRIES.c.path, REMOVED_ENTRIES.c.path) if self.has_removed_entries else (ENTRIES.c.path,)
        return {
            row[0] for column in columns for row in select_by_values(self.connection, sa.select(column), column, paths)
        }

    def read_records(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the records of rows, by the rows' keys."""
        rows = _select_entries(self.connection, ENTRIES.c.key, keys)
        return {row["key"]: Record(row["key"], decode_entry_row(row)) for row in rows}

    def add_records(self, records: Sequence[NewRecord]) -> None:
        """Write records whose keys and paths are new, or were removed before."""
        parents = [record.path.rpartition("/")[0] for record in records]
        folder_ids, numbers = self._ensure_folders(set(parents)), self._reserve_numbers(len(records))
        rows = map(make_insert_values, records, numbers, map(folder_ids.__getitem__, parents))
        insert_rows(self.connection, ENTRIES, rows)
        self._add_fact_names(record.facts for record in records)
        if self.has_removed_entries:
            _delete_rows(self.connection, REMOVED_ENTRIES, REMOVED_ENTRIES.c.key, [record.key for record in records])
        self.fulltext.add_entries(self.connection, zip(numbers, [record.words for record in records], strict=True))
        self.facet_counts.update(record.facet_key for record in records)

    def replace_records(self, records: Sequence[Record]) -> None:
        """Write records whose keys and paths exist."""
        by_key = {record.key: record for record in records}
        old_rows = _select_entries(self.connection, ENTRIES.c.key, list(by_key))
        if not old_rows:
            return
        self._delete_derived_rows(old_rows)
        rows = [
            make_update_values(by_key[row["key"]], row["id"], number, row["folder"])
            for number, row in zip(self._reserve_numbers(len(old_rows)), old_rows, strict=True)
        ]
        self._update_entries(rows)
        self._add_fact_names(record.entry.facts for record in records)
        self._keep_past_entries(
            (old, new["change"]) for old, new in zip(old_rows, rows, strict=True) if old["facts"] != new["facts"]
        )
        words = ((row["id"], join_entry_words(row["path"], row["facts"])) for row in rows)
        self.fulltext.add_entries(self.connection, words)
        self.facet_counts.update(map(make_facet_key, rows))

    def remove_entries(self, ids: Sequence[int]) -> None:
        """Remove entries; no other entry ever gets their paths."""
        rows = _select_entries(self.connection, ENTRIES.c.id, ids)
        if not rows:
            return
        self._delete_derived_rows(rows)
        _delete_rows(self.connection, ENTRIES, ENTRIES.c.id, [row["id"] for row in rows])
        removals = [
            {"key": row["key"], "path": row["path"], "change": number}
            for number, row in zip(self._reserve_numbers(len(rows)), rows, strict=True)
        ]
        execute_many(self.connection, _INSERT_REMOVED, removals)
        self._keep_past_entries((row, removal["change"]) for row, removal in zip(rows, removals, strict=True))
        folders = {row["folder"] for row in rows}
        while folders := folders - {ROOT_FOLDER}:  # delete those that are empty now, then their parents, and so on
            used = {
                row[0]
                for column in (ENTRIES.c.folder, FOLDERS.c.parent)
                for row in select_by_values(self.connection, sa.select(column).distinct(), column, sorted(folders))
            }
            empty = sorted(folders - used)
            parents = select_by_values(self.connection, sa.select(FOLDERS.c.parent), FOLDERS.c.id, empty)
            folders = {row[0] for row in parents}
            _delete_rows(self.connection, FOLDERS, FOLDERS.c.id, empty)

    def update_row_hashes(self, hashes: Mapping[int, int]) -> None:
        """Write row hashes, by the ids of entries that have not changed otherwise."""
        execute_many(
            self.connection, _UPDATE_ROW_HASH, ({"at": number, "now": value} for number, value in hashes.items())
        )

    def record_inspections(self, results: Iterable[tuple[Entry, InspectionResult]]) -> None:
        """Write the inspection results of entries whose file is still the one that was inspected.

        A result without a file inspection keeps the one before.
        """
        by_path = {entry.path: (entry, result) for entry, result in results}
        rows = [
            dict(row)
            for row in _select_entries(self.connection, ENTRIES.c.path, list(by_path))
            if row["file"] == by_path[row["path"]][0].file
        ]
        self.facet_counts.subtract(map(make_facet_key, rows))
        attribute_rows: dict[int, list[dict[str, Any]]] = {}
        for number, row in zip(self._reserve_numbers(len(rows)), rows, strict=True):
            _, result = by_path[row["path"]]
            row |= {"health": result.health.value, "reason": result.reason, "change": number}
            if result.file_inspection:
                row["seen"] = asdict(result.file_inspection)
                attribute_rows[row["id"]] = make_attribute_rows(row["id"], row["date"], result.file_inspection)
        self._update_entries(rows)
        self.facet_counts.update(map(make_facet_key, rows))
        _delete_rows(self.connection, ATTRIBUTES, ATTRIBUTES.c.entry, list(attribute_rows))
        execute_many(self.connection, _INSERT_ATTRIBUTES, chain.from_iterable(attribute_rows.values()))

    def write_counters(self) -> None:
        """Write the counter and the facet counts, at the end of the transaction."""
        self.connection.execute(STATE.update(), {"counter": self.counter})
        rows = [(*key, difference) for key, difference in self.facet_counts.items() if difference]
        for start in range(0, len(rows), _COUNT_BATCH_SIZE):
            insert = _DIALECT_INSERTS[self.connection.dialect.name](FACET_COUNTS)
            insert = insert.values(rows[start : start + _COUNT_BATCH_SIZE])
            total = FACET_COUNTS.c.count + insert.excluded.count
            self.connection.execute(
                insert.on_conflict_do_update(index_elements=list(FACET_COUNTS.primary_key), set_={"count": total})
            )

    def _reserve_numbers(self, count: int) -> range:
        first, self.counter = self.counter + 1, self.counter + count
        return range(first, self.counter + 1)

    def _update_entries(self, rows: Sequence[dict[str, Any]]) -> None:
        values = [{"at": row["id"], **{f"new_{name}": row[name] for name in _UPDATED_COLUMNS}} for row in rows]
        execute_many(self.connection, _UPDATE_ENTRIES, values)

    def _delete_derived_rows(self, rows: Sequence[sa.RowMapping]) -> None:
        """Remove the words, the counts and the attributes of entries."""
        words = ((row["id"], join_entry_words(row["path"], row["facts"])) for row in rows)
        self.fulltext.remove_entries(self.connection, words)
        self.facet_counts.subtract(map(make_facet_key, rows))
        _delete_rows(self.connection, ATTRIBUTES, ATTRIBUTES.c.entry, [row["id"] for row in rows])

    def _keep_past_entries(self, rows: Iterable[tuple[sa.RowMapping, int]]) -> None:
        """Keep what entries were before a change, with its number: a reader may have seen that, and nothing since."""
        moment = read_laboratory_time().isoformat(timespec="seconds")
        past = (
            {name: row[name] for name in _PAST_COLUMNS} | {"change": number, "moment": moment} for row, number in rows
        )
        execute_many(self.connection, _INSERT_PAST, past)

    def _add_fact_names(self, facts: Iterable[Mapping[str, Fact]]) -> None:
        new_names = {name[:MAX_TEXT_LENGTH] for name in set[str]().union(*facts)} - self.fact_names
        insert_rows(self.connection, FACT_NAMES, ((escape_text(name),) for name in sorted(new_names)))
        self.fact_names |= new_names

    def _ensure_folders(self, paths: set[str]) -> dict[str, int]:
        """Return the ids of folders; create those that do not exist, with the folders above them."""
        ids, missing, unknown = {"": ROOT_FOLDER}, set[str](), paths - {""}
        columns = sa.select(FOLDERS.c.path, FOLDERS.c.id)
        while unknown:
            rows = select_by_values(self.connection, columns, FOLDERS.c.path, sorted(unknown))
            ids |= {row.path: row.id for row in rows}
            missing |= unknown - ids.keys()
            unknown = {path.rpartition("/")[0] for path in unknown - ids.keys()} - ids.keys() - missing
        new_paths = sorted(missing)  # a folder comes before its children
        ids |= zip(new_paths, self._reserve_numbers(len(new_paths)), strict=True)
        new_rows = (
            (ids[path], escape_text(path), ids[parent], escape_text(name))
            for path in new_paths
            for parent, _, name in [path.rpartition("/")]
        )
        insert_rows(self.connection, FOLDERS, new_rows)
        return ids


def _select_entries(connection: sa.Connection, key: sa.Column[Any], values: Sequence[Any]) -> list[sa.RowMapping]:
    return [row._mapping for row in select_by_values(connection, sa.select(ENTRIES), key, values)]  # noqa: SLF001 — SQLAlchemy's public name


def _delete_rows(connection: sa.Connection, table: sa.Table, key: sa.Column[Any], values: Sequence[Any]) -> None:
    if values:
        connection.execute(table.delete().where(make_in_condition(connection, key, values)))
