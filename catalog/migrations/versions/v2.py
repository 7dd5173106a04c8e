"""Numbered entries: columns to search by, attributes, tallies, words, changes and what was removed.

The entries of version 1 are written anew, in the order of their paths, and keep all that was known of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from shotdap.catalog.index.fulltext import FULLTEXT_INDEXES, join_entry_words
from shotdap.catalog.index.records import FacetKey, extract_column_facts, make_facet_key
from shotdap.catalog.index.tables import SafeText

# What is computed here by functions of the catalog, rather than by copies of them, is only right as long as those are
# as they were: a later version that changes one has a migration that computes it anew, whatever this one wrote.

revision = "2"
down_revision = "1"

_BATCH: Final = 2000  # entries between two questions to the old table
_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_OLD: Final = ("entries", "folders", "state")


def upgrade() -> None:
    """Make the new tables beside the old ones, fill them from those, and drop those."""
    for index, table in (
        ("entries_by_folder", "entries"),
        ("entries_by_health", "entries"),
        ("folders_by_folder", "folders"),
    ):
        op.drop_index(index, table)
    for name in _OLD:
        op.rename_table(name, f"old_{name}")
    entries, folders, tallies, state = _entries(), _folders(), _tallies(), _state()
    _create_others()
    connection = op.get_bind()
    FULLTEXT_INDEXES[connection.dialect.name].create_table(connection)
    counter, counted = _copy(connection, entries, folders)
    for (facility, diagnostic, year, health), number in counted.items():
        kind = {"facility": facility, "diagnostic": diagnostic, "year": year, "health": health}
        connection.execute(tallies.insert(), {**kind, "count": number})
    watermark = connection.execute(sa.select(_OLD_STATE.c.value).where(_OLD_STATE.c.name == "watermark")).scalar()
    connection.execute(state.insert(), {"counter": counter, "build": 0, "active": None, "watermark": watermark})
    for name in _OLD:
        op.drop_table(f"old_{name}")


def _entries() -> sa.Table:
    table = op.create_table(
        "entries",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("key", SafeText, nullable=False, unique=True),
        sa.Column("path", SafeText, nullable=False, unique=True),
        sa.Column("folder", sa.BigInteger, nullable=False),
        sa.Column("name", SafeText, nullable=False),
        sa.Column("file", SafeText, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("stamp", sa.BigInteger),
        sa.Column("facility", SafeText),
        sa.Column("shot", sa.BigInteger),
        sa.Column("date", SafeText),
        sa.Column("diagnostic", SafeText),
        sa.Column("health", SafeText, nullable=False),
        sa.Column("reason", SafeText, nullable=False),
        sa.Column("seen", sa.JSON(none_as_null=True)),
        sa.Column("change", sa.BigInteger, nullable=False, unique=True),
    )
    for name, columns in {
        "entries_by_folder": ["folder", "name"],
        "entries_by_shot": ["shot", "id"],
        "entries_by_date": ["date", "id"],
        "entries_by_diagnostic": ["diagnostic", "shot", "id"],
        "entries_by_facility": ["facility", "diagnostic", "date", "id"],
    }.items():
        op.create_index(name, "entries", columns)
    not_good = sa.text("health <> 'ok'")
    op.create_index(
        "entries_by_health", "entries", ["health", "path"], sqlite_where=not_good, postgresql_where=not_good
    )
    return table


def _folders() -> sa.Table:
    table = op.create_table(
        "folders",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("path", SafeText, nullable=False, unique=True),
        sa.Column("parent", sa.BigInteger, nullable=False),
        sa.Column("name", SafeText, nullable=False),
    )
    op.create_index("folders_by_folder", "folders", ["parent", "name"])
    return table


def _tallies() -> sa.Table:
    return op.create_table(
        "tallies",
        sa.Column("facility", SafeText, primary_key=True),
        sa.Column("diagnostic", SafeText, primary_key=True),
        sa.Column("year", SafeText, primary_key=True),
        sa.Column("health", SafeText, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )


def _state() -> sa.Table:
    return op.create_table(
        "state",
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("build", sa.BigInteger, nullable=False),
        sa.Column("active", sa.Double),
        sa.Column("watermark", sa.JSON(none_as_null=True)),
    )


def _create_others() -> None:
    """The tables that are empty at first."""
    op.create_table(
        "removed",
        sa.Column("key", SafeText, primary_key=True),
        sa.Column("path", SafeText, nullable=False, unique=True),
        sa.Column("change", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_table(
        "attributes",
        sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", SafeText, primary_key=True),
        sa.Column("text", SafeText, primary_key=True),
        sa.Column("number", sa.Double),
    )
    op.create_index("attributes_by_text", "attributes", ["name", "text", "entry"])
    op.create_index("attributes_by_number", "attributes", ["name", "number", "entry"])


_OLD_ENTRIES: Final = sa.table(
    "old_entries",
    *(sa.column(name, SafeText) for name in ("path", "key", "parent", "name", "file", "health", "reason")),
    sa.column("facts", sa.JSON),
    sa.column("seen", sa.JSON),
)
_OLD_FOLDERS: Final = sa.table("old_folders", *(sa.column(name, SafeText) for name in ("path", "parent", "name")))
_OLD_STATE: Final = sa.table("old_state", sa.column("name"), sa.column("value", sa.JSON))


def _copy(connection: sa.Connection, entries: sa.Table, folders: sa.Table) -> tuple[int, Counter[FacetKey]]:
    """Number folders and entries; the last number, and how many entries there are of each kind."""
    numbers = count(1)
    for rows in _pages(connection, _OLD_FOLDERS):  # in the order of paths a folder comes before what is in it
        new = {row["path"]: next(numbers) for row in rows}
        ids = _ids(connection, folders, rows) | new
        numbered = [{**row, "id": ids[row["path"]], "parent": ids[row["parent"]]} for row in rows]
        connection.execute(folders.insert(), numbered)
    counted = Counter[FacetKey]()
    words = FULLTEXT_INDEXES[connection.dialect.name]
    for rows in _pages(connection, _OLD_ENTRIES):
        ids = _ids(connection, folders, rows)
        fresh = [_numbered(row, next(numbers), ids[row["parent"]]) for row in rows]
        connection.execute(entries.insert(), fresh)
        words.add_entries(connection, ((row["id"], join_entry_words(row["path"], row["facts"])) for row in fresh))
        counted.update(map(make_facet_key, fresh))
    return next(numbers) - 1, counted


def _ids(connection: sa.Connection, folders: sa.Table, rows: Sequence[sa.RowMapping]) -> dict[str, int]:
    """The numbers of the folders that these are in, as far as they are written."""
    parents = {row["parent"] for row in rows}
    found = connection.execute(sa.select(folders.c.path, folders.c.id).where(folders.c.path.in_(parents)))
    return {"": 0, **{row.path: row.id for row in found}}


def _pages(connection: sa.Connection, table: sa.TableClause) -> Iterator[Sequence[sa.RowMapping]]:
    after = ""
    while True:
        statement = sa.select(table).where(table.c.path > after).order_by(table.c.path).limit(_BATCH)
        rows = connection.execute(statement).mappings().all()
        if not rows:
            return
        yield rows
        after = rows[-1]["path"]


def _numbered(row: sa.RowMapping, number: int, folder: int) -> dict[str, Any]:
    """An old entry as a new one, its stamp for the next build to find."""
    kept = {name: row[name] for name in ("key", "path", "name", "file", "facts", "health", "reason", "seen")}
    return {
        **kept,
        **extract_column_facts(row["facts"]),
        "id": number,
        "change": number,
        "folder": folder,
        "stamp": None,
    }
