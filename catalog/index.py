"""The catalog's own tables: entries by their public paths, and the folders above them.

SQLite, embedded; nothing here is particular to it. Listings are paged by key: the cost of a page does not depend on
how deep it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shotdap.catalog.archive import Watermark
from shotdap.catalog.entry import Child, Entry, Examination, Health, NotFound, Page, When
from shotdap.catalog.nearness import days_between, matches, nearest_of

__all__ = ["Record", "SqlIndex", "Verdict"]

_METADATA = sa.MetaData()
_ENTRIES = sa.Table(
    "entries",
    _METADATA,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("parent", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("health", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("seen", sa.JSON, nullable=True),
    sa.Index("entries_by_folder", "parent", "name"),
    sa.Index("entries_by_health", "health", "path"),
)
_FOLDERS = sa.Table(
    "folders",
    _METADATA,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("parent", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Index("folders_by_folder", "parent", "name"),
)
_STATE = sa.Table(
    "state",
    _METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)
_DOUBTFUL = (Health.MISSING, Health.UNREADABLE)
_MANY = 500  # values bound in one statement; databases allow 999 and more


@dataclass(frozen=True)
class Record:
    """An entry, and the key of the archive's row that it was made of."""

    key: str
    entry: Entry


@dataclass(frozen=True)
class Verdict:
    """What an inspection found of one entry."""

    health: Health
    reason: str = ""
    seen: Examination | None = None


@dataclass(frozen=True)
class SqlIndex:
    """Entries in a database of the catalog's own."""

    url: str
    """SQLAlchemy's URL: ``sqlite:///catalog.db``."""

    @classmethod
    def at(cls, path: Path) -> SqlIndex:
        """The index kept in an SQLite file, made where it does not exist."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{path}")

    @cached_property
    def _engine(self) -> sa.Engine:
        engine = sa.create_engine(self.url)
        _METADATA.create_all(engine)
        return engine

    def find(self, path: str) -> Entry:
        """The entry with this path; see `Index`."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(_ENTRIES).where(_ENTRIES.c.path == path)).mappings().first()
        if found is None:
            raise NotFound(f"There is no image at {path!r}.")
        return _entry(found)

    def children(self, path: str, *, after: str | None = None, limit: int = 100) -> Page:
        """The folders and entries directly below a folder; see `Index`."""
        with self._engine.connect() as connection:
            if path and not connection.execute(sa.select(_FOLDERS.c.path).where(_FOLDERS.c.path == path)).first():
                raise NotFound(f"There is no folder at {path!r}.")
            found = connection.execute(_listing(path, after, limit + 2)).mappings().all()
        if len(found) > limit and found[limit]["name"] == found[limit - 1]["name"]:
            limit += 1  # a folder and an entry of one name stay together: the next page begins after the name
        children = tuple(
            Child(row["name"], row["path"], bool(row["is_folder"]), Health(row["health"]), row["reason"])
            for row in found[:limit]
        )
        return Page(children, children[-1].name if len(found) > limit else None)

    def nearest(
        self, entry: Entry, match: Mapping[str, str], *, when: When = "earlier", within_days: float | None = None
    ) -> Entry | None:
        """The image of the same facility nearest in time to another whose row matches; see `Index`."""
        sides: tuple[When, ...] = ("earlier", "later") if when == "nearest" else (when,)
        found = [each for side in sides for each in self._beside(entry, match, side)]
        return nearest_of(found, when, within_days)

    def _beside(self, entry: Entry, match: Mapping[str, str], side: When) -> list[tuple[Entry, float]]:
        """The first match on one side of an image, with how many days it is off."""
        date, facility = _ENTRIES.c.facts["date"].as_string(), _ENTRIES.c.facts["facility"].as_string()
        here, there = str(entry.facts.get("date", "")), str(entry.facts.get("facility", ""))
        is_beside, order = (date <= here, date.desc()) if side == "earlier" else (date >= here, date)
        statement = (
            sa.select(_ENTRIES)
            .where(facility == there, is_beside, _ENTRIES.c.path != entry.path, _ENTRIES.c.health.not_in(_DOUBTFUL))
            .order_by(order, _ENTRIES.c.path)
            .execution_options(yield_per=_MANY)
        )
        with self._engine.connect() as connection:
            entries = map(_entry, connection.execute(statement).mappings())
            first = next((each for each in entries if matches(each.facts, match)), None)
        apart = days_between(entry.facts, first.facts) if first else None
        return [(first, apart)] if first and apart is not None else []

    def watermark(self) -> Watermark | None:
        """How far the archive has been read; `None` before the first build."""
        with self._engine.connect() as connection:
            stored = connection.execute(sa.select(_STATE.c.value).where(_STATE.c.name == "watermark")).scalar()
        if stored is None:
            return None
        value: Watermark = stored["value"]
        return datetime.fromisoformat(str(value)) if stored["is_time"] else value

    def records(self, keys: Sequence[str]) -> dict[str, Record]:
        """The records with these keys, as far as there are any."""
        return {record.key: record for record in self._selected(_ENTRIES.c.key, keys)}

    def owners(self, paths: Sequence[str]) -> dict[str, str]:
        """For each of these paths that is taken, the key of the row that has it."""
        return {record.entry.path: record.key for record in self._selected(_ENTRIES.c.path, paths)}

    def _selected(self, column: sa.Column[Any], values: Sequence[str]) -> list[Record]:
        with self._engine.connect() as connection:
            return [
                Record(row["key"], _entry(row))
                for start in range(0, len(values), _MANY)
                for row in connection.execute(
                    sa.select(_ENTRIES).where(column.in_(values[start : start + _MANY]))
                ).mappings()
            ]

    def count(self, *, again: bool) -> int:
        """How many entries there are, or of these only those that were not found good yet."""
        statement = sa.select(sa.func.count()).select_from(_ENTRIES)
        if not again:
            statement = statement.where(_ENTRIES.c.health.in_([Health.UNSEEN, *_DOUBTFUL]))
        with self._engine.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def after(self, limit: int, path: str = "") -> list[Entry]:
        """Some entries, in the order of their paths, from a path on."""
        statement = sa.select(_ENTRIES).where(_ENTRIES.c.path > path).order_by(_ENTRIES.c.path).limit(limit)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(statement).mappings()]

    def unseen(self, limit: int) -> list[Entry]:
        """Some entries whose files have not been looked at."""
        statement = sa.select(_ENTRIES).where(_ENTRIES.c.health == Health.UNSEEN).order_by(_ENTRIES.c.path).limit(limit)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(statement).mappings()]

    def doubtful(self, limit: int, after: str = "") -> list[Entry]:
        """Some entries whose files were missing or unreadable, in the order of their paths."""
        doubted = _ENTRIES.c.health.in_(_DOUBTFUL)
        statement = sa.select(_ENTRIES).where(doubted, _ENTRIES.c.path > after).order_by(_ENTRIES.c.path).limit(limit)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(statement).mappings()]

    def put(self, records: Iterable[Record], watermark: Watermark | None) -> None:
        """Add or replace records and move the watermark, all or nothing."""
        rows = [_row(record) for record in records]
        folders = {folder["path"]: folder for row in rows for folder in _folders_above(row["path"])}
        with self._engine.begin() as connection:
            if rows:
                keys = [{"old": row["key"]} for row in rows]
                connection.execute(_ENTRIES.delete().where(_ENTRIES.c.key == sa.bindparam("old")), keys)
                connection.execute(_ENTRIES.insert(), rows)
            _insert_missing(connection, folders)
            if watermark is not None:
                connection.execute(_STATE.delete().where(_STATE.c.name == "watermark"))
                connection.execute(_STATE.insert(), {"name": "watermark", "value": _stored(watermark)})

    def judge(self, verdicts: Mapping[str, Verdict]) -> None:
        """Write down what an inspection found at each path. What was seen before stays where nothing new was."""
        statement = _ENTRIES.update().where(_ENTRIES.c.path == sa.bindparam("at"))
        judged = [{"at": path, "health": each.health, "reason": each.reason} for path, each in verdicts.items()]
        seen = [{"at": path, "seen": asdict(each.seen)} for path, each in verdicts.items() if each.seen is not None]
        with self._engine.begin() as connection:
            if judged:
                connection.execute(statement, judged)
            if seen:
                connection.execute(statement, seen)


def _entry(row: sa.RowMapping) -> Entry:
    seen = Examination(**row["seen"]) if row["seen"] else None
    return Entry(row["path"], row["file"], row["facts"], Health(row["health"]), row["reason"], seen)


def _row(record: Record) -> dict[str, Any]:
    entry = record.entry
    parent, _, name = entry.path.rpartition("/")
    return {
        "key": record.key,
        "path": entry.path,
        "parent": parent,
        "name": name,
        "file": entry.file,
        "facts": dict(entry.facts),
        "health": entry.health,
        "reason": entry.reason,
        "seen": asdict(entry.seen) if entry.seen else sa.null(),
    }


def _folders_above(path: str) -> list[dict[str, str]]:
    parts = path.split("/")[:-1]
    paths = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    return [{"path": path, "parent": path.rpartition("/")[0], "name": path.rpartition("/")[2]} for path in paths]


def _insert_missing(connection: sa.Connection, folders: Mapping[str, Mapping[str, str]]) -> None:
    wanted = list(folders)
    for start in range(0, len(wanted), _MANY):
        some = wanted[start : start + _MANY]
        there = set(connection.execute(sa.select(_FOLDERS.c.path).where(_FOLDERS.c.path.in_(some))).scalars())
        new = [folders[path] for path in some if path not in there]
        if new:
            connection.execute(_FOLDERS.insert(), new)


def _stored(watermark: Watermark) -> dict[str, Any]:
    if isinstance(watermark, datetime):
        return {"value": watermark.isoformat(), "is_time": True}
    return {"value": watermark, "is_time": False}


def _listing(parent: str, after: str | None, limit: int) -> sa.Select[Any]:
    """Folders and entries by name. A name that is both keeps both lines, the folder first."""
    folders = sa.select(
        _FOLDERS.c.name,
        _FOLDERS.c.path,
        sa.literal(value=True).label("is_folder"),
        sa.literal(Health.UNSEEN.value).label("health"),
        sa.literal("").label("reason"),
    ).where(_FOLDERS.c.parent == parent)
    entries = sa.select(
        _ENTRIES.c.name, _ENTRIES.c.path, sa.literal(value=False), _ENTRIES.c.health, _ENTRIES.c.reason
    ).where(_ENTRIES.c.parent == parent)
    if after is not None:
        folders, entries = folders.where(_FOLDERS.c.name > after), entries.where(_ENTRIES.c.name > after)
    both = sa.union_all(folders, entries).subquery()
    return sa.select(both).order_by(both.c.name, both.c.is_folder.desc()).limit(limit)
