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
from shotdap.catalog.index.bulk_insert import executed, inserted
from shotdap.catalog.index.fulltext import Words, words_of
from shotdap.catalog.index.in_list import among, selected
from shotdap.catalog.index.records import (
    LONGEST,
    Draft,
    Kind,
    Record,
    Verdict,
    attributes,
    entry_of,
    kind_of,
    row_of,
    stored,
)
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES, FOLDERS, NAMES, REMOVED, STATE, TALLIES, TOP, written

__all__ = ["Known", "Writing"]

_INSERT_REMOVED: Final = REMOVED.insert()
_INSERT_ATTRIBUTES: Final = ATTRIBUTES.insert()
_STAMP: Final = ENTRIES.update().where(ENTRIES.c.id == sa.bindparam("at")).values(stamp=sa.bindparam("now"))
_KINDS: Final = 100  # tallies that one statement writes
_UPSERTS: Final[Mapping[str, Callable[[sa.Table], sqlite.Insert | postgresql.Insert]]] = MappingProxyType(
    {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
)
_UPDATED: Final = sorted({column.name for column in ENTRIES.columns} - {"id", "key", "path", "folder", "name"})
_UPDATE: Final = (
    ENTRIES.update()
    .where(ENTRIES.c.id == sa.bindparam("at"))
    .values({name: sa.bindparam(f"new_{name}", type_=ENTRIES.c[name].type) for name in _UPDATED})
)


@dataclass(frozen=True)
class Known:
    """An entry that is there, as far as a build needs it."""

    id: int
    path: str
    stamp: int | None


@dataclass
class Writing:
    """A transaction that writes; nobody else does until it ends."""

    connection: sa.Connection
    counter: int
    """The last number that was given."""
    words: Words
    tallies: Counter[Kind] = field(default_factory=Counter)

    @cached_property
    def has_removed(self) -> bool:
        """Whether any entry was ever removed, before this transaction."""
        return self.connection.execute(sa.select(REMOVED.c.change).limit(1)).first() is not None

    @cached_property
    def names(self) -> set[str]:
        """The names of all facts that any row has said."""
        return set(self.connection.execute(sa.select(NAMES.c.name)).scalars())

    def known(self, keys: Sequence[str]) -> dict[str, Known]:
        """The entries of these rows, as far as there are any, by the rows' keys."""
        columns = (ENTRIES.c.key, ENTRIES.c.id, ENTRIES.c.path, ENTRIES.c.stamp)
        found = selected(self.connection, sa.select(*columns), ENTRIES.c.key, keys)
        return {row.key: Known(row.id, row.path, row.stamp) for row in found}

    def former(self, keys: Sequence[str]) -> dict[str, str]:
        """The paths that rows had which were removed, by their keys."""
        if not self.has_removed:
            return {}
        columns = sa.select(REMOVED.c.key, REMOVED.c.path)
        return {row.key: row.path for row in selected(self.connection, columns, REMOVED.c.key, keys)}

    def taken(self, paths: Sequence[str]) -> set[str]:
        """Those of these paths that some entry has, or had."""
        columns = (ENTRIES.c.path, REMOVED.c.path) if self.has_removed else (ENTRIES.c.path,)
        return {row[0] for column in columns for row in selected(self.connection, sa.select(column), column, paths)}

    def records(self, keys: Sequence[str]) -> dict[str, Record]:
        """The whole entries of these rows, by the rows' keys."""
        found = _selected_mappings(self.connection, ENTRIES.c.key, keys)
        return {row["key"]: Record(row["key"], entry_of(row)) for row in found}

    def add(self, records: Sequence[Draft]) -> None:
        """Write records whose keys and paths are new, or were removed before."""
        above = [record.path.rpartition("/")[0] for record in records]
        folders, numbers = self._folders(set(above)), self._numbers(len(records))
        inserted(self.connection, ENTRIES, map(stored, records, numbers, map(folders.__getitem__, above)))
        self._name(record.facts for record in records)
        if self.has_removed:
            _delete(self.connection, REMOVED, REMOVED.c.key, [record.key for record in records])
        self.words.add(self.connection, zip(numbers, [record.words for record in records], strict=True))
        self.tallies.update(record.kind for record in records)

    def replace(self, records: Sequence[Record]) -> None:
        """Write records anew whose keys and paths are there."""
        fresh = {record.key: record for record in records}
        before = _selected_mappings(self.connection, ENTRIES.c.key, list(fresh))
        if not before:
            return
        self._forget(before)
        rows = [
            row_of(fresh[row["key"]], row["id"], number, row["folder"])
            for number, row in zip(self._numbers(len(before)), before, strict=True)
        ]
        self._update(rows)
        self._name(record.entry.facts for record in records)
        self.words.add(self.connection, map(_worded, rows))
        self.tallies.update(map(kind_of, rows))

    def remove(self, numbers: Sequence[int]) -> None:
        """Take entries out, by their ids; their paths stay theirs."""
        rows = _selected_mappings(self.connection, ENTRIES.c.id, numbers)
        if not rows:
            return
        self._forget(rows)
        _delete(self.connection, ENTRIES, ENTRIES.c.id, [row["id"] for row in rows])
        graves = [
            {"key": row["key"], "path": row["path"], "change": number}
            for number, row in zip(self._numbers(len(rows)), rows, strict=True)
        ]
        executed(self.connection, _INSERT_REMOVED, graves)
        self._drop_empty({row["folder"] for row in rows})

    def stamped(self, stamps: dict[int, int]) -> None:
        """Write down stamps, by the ids of entries that are otherwise as they were."""
        executed(self.connection, _STAMP, ({"at": number, "now": now} for number, now in stamps.items()))

    def judge(self, verdicts: Iterable[tuple[Entry, Verdict]]) -> None:
        """Write down what an inspection found of entries that are still as it saw them.

        What was seen before stays where nothing new was.
        """
        judged = {entry.path: (entry, verdict) for entry, verdict in verdicts}
        rows = [
            dict(row)
            for row in _selected_mappings(self.connection, ENTRIES.c.path, list(judged))
            if row["file"] == judged[row["path"]][0].file
        ]
        self.tallies.subtract(map(kind_of, rows))
        for number, row in zip(self._numbers(len(rows)), rows, strict=True):
            _, verdict = judged[row["path"]]
            row |= {"health": verdict.health.value, "reason": verdict.reason, "change": number}
            row["seen"] = asdict(verdict.seen) if verdict.seen else row["seen"]
        self._update(rows)
        self.tallies.update(map(kind_of, rows))
        seen = [(row["id"], row["date"], judged[row["path"]][1].seen) for row in rows]
        self._describe({number: attributes(number, date, found) for number, date, found in seen if found})

    def finish(self) -> None:
        """Write down what was numbered and counted; the last thing in a transaction."""
        self.connection.execute(STATE.update(), {"counter": self.counter})
        counted = [(*kind, difference) for kind, difference in self.tallies.items() if difference]
        for start in range(0, len(counted), _KINDS):
            _count(self.connection, counted[start : start + _KINDS])

    def _numbers(self, count: int) -> range:
        first, self.counter = self.counter + 1, self.counter + count
        return range(first, self.counter + 1)

    def _update(self, rows: Sequence[dict[str, Any]]) -> None:
        executed(
            self.connection, _UPDATE, [{"at": row["id"], **{f"new_{n}": row[n] for n in _UPDATED}} for row in rows]
        )

    def _forget(self, rows: Sequence[sa.RowMapping]) -> None:
        """Take what is derived of entries out."""
        self.words.remove(self.connection, map(_worded, rows))
        self.tallies.subtract(map(kind_of, rows))
        _delete(self.connection, ATTRIBUTES, ATTRIBUTES.c.entry, [row["id"] for row in rows])

    def _describe(self, described: dict[int, list[dict[str, Any]]]) -> None:
        _delete(self.connection, ATTRIBUTES, ATTRIBUTES.c.entry, list(described))
        executed(self.connection, _INSERT_ATTRIBUTES, chain.from_iterable(described.values()))

    def _name(self, facts: Iterable[Mapping[str, Fact]]) -> None:
        """Write down the names of facts that are new."""
        fresh = {name[:LONGEST] for name in set[str]().union(*facts)} - self.names
        inserted(self.connection, NAMES, ((written(name),) for name in sorted(fresh)))
        self.names |= fresh

    def _folders(self, paths: set[str]) -> dict[str, int]:
        """The ids of folders, made where there are none, with those above them."""
        ids, absent, wanted = {"": TOP}, set[str](), paths - {""}
        columns = sa.select(FOLDERS.c.path, FOLDERS.c.id)
        while wanted:
            ids |= {row.path: row.id for row in selected(self.connection, columns, FOLDERS.c.path, sorted(wanted))}
            absent |= wanted - ids.keys()
            wanted = {path.rpartition("/")[0] for path in wanted - ids.keys()} - ids.keys() - absent
        new = sorted(absent)  # a folder comes before what is in it
        ids |= zip(new, self._numbers(len(new)), strict=True)
        rows = (
            (ids[path], written(path), ids[parent], written(name))
            for path in new
            for parent, _, name in [path.rpartition("/")]
        )
        inserted(self.connection, FOLDERS, rows)
        return ids

    def _drop_empty(self, folders: set[int]) -> None:
        """Take folders out that nothing is in any more, and then those above them."""
        while folders := folders - {TOP}:
            full = _present(self.connection, ENTRIES.c.folder, folders) | _present(
                self.connection, FOLDERS.c.parent, folders
            )
            empty = sorted(folders - full)
            above = selected(self.connection, sa.select(FOLDERS.c.parent), FOLDERS.c.id, empty)
            folders = {row[0] for row in above}
            _delete(self.connection, FOLDERS, FOLDERS.c.id, empty)


def _worded(row: sa.RowMapping | dict[str, Any]) -> tuple[int, str]:
    return row["id"], words_of(row["path"], row["facts"])


def _selected_mappings(connection: sa.Connection, key: sa.Column[Any], values: Sequence[Any]) -> list[sa.RowMapping]:
    return [row._mapping for row in selected(connection, sa.select(ENTRIES), key, values)]  # noqa: SLF001 — SQLAlchemy's public name for it


def _present(connection: sa.Connection, key: sa.Column[Any], values: Iterable[int]) -> set[int]:
    return {row[0] for row in selected(connection, sa.select(key).distinct(), key, sorted(values))}


def _delete(connection: sa.Connection, table: sa.Table, key: sa.Column[Any], values: Sequence[Any]) -> None:
    if values:
        connection.execute(table.delete().where(among(connection, key, values)))


def _count(connection: sa.Connection, counted: Sequence[tuple[str, str, str, str, int]]) -> None:
    """Add to tallies, and make those that are not there."""
    insert = _UPSERTS[connection.dialect.name](TALLIES).values(counted)
    total = TALLIES.c.count + insert.excluded.count
    connection.execute(insert.on_conflict_do_update(index_elements=list(TALLIES.primary_key), set_={"count": total}))
