"""Indexes over attributes and over facilities by date; the names of all facts; SQLite's words anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from shotdap.catalog.index.fulltext import FULLTEXT_INDEXES, join_entry_words
from shotdap.catalog.index.records import MAX_TEXT_LENGTH
from shotdap.catalog.index.tables import SafeText

revision = "3"
down_revision = "2"

_BATCH: Final = 2000  # entries between two questions
_ENTRIES: Final = sa.table(
    "entries",
    sa.column("id"),
    sa.column("path", SafeText),
    sa.column("date", SafeText),
    sa.column("facts", sa.JSON),
)
_ATTRIBUTES: Final = sa.table("attributes", sa.column("entry"), sa.column("date", SafeText))


def upgrade() -> None:
    """Add the column and fill it, replace the indexes, and collect the names."""
    connection = op.get_bind()
    op.add_column("attributes", sa.Column("date", SafeText))
    date = sa.select(_ENTRIES.c.date).where(_ENTRIES.c.id == _ATTRIBUTES.c.entry).scalar_subquery()
    connection.execute(sa.update(_ATTRIBUTES).values(date=date))
    for value in ("text", "number"):
        op.drop_index(f"attributes_by_{value}", "attributes")
        op.create_index(f"attributes_by_{value}", "attributes", ["name", value, "date", "entry"])
    op.create_index("entries_of_facility", "entries", ["facility", "date", "id"])
    names = op.create_table("names", sa.Column("name", SafeText, primary_key=True))
    found = set[str]()
    words = FULLTEXT_INDEXES[connection.dialect.name] if connection.dialect.name == "sqlite" else None
    if words is not None:
        op.drop_table("words")
        words.create_table(connection)
    for rows in _pages(connection):  # the database's own functions fail where NUL is in the facts
        found.update(name[:MAX_TEXT_LENGTH] for row in rows for name in row.facts)
        if words is not None:
            words.add_entries(connection, [(row.id, join_entry_words(row.path, row.facts)) for row in rows])
    if found:
        connection.execute(names.insert(), [{"name": name} for name in sorted(found)])


def _pages(connection: sa.Connection) -> Iterator[Sequence[sa.Row[*tuple[Any, ...]]]]:
    after = -1
    while True:
        columns = (_ENTRIES.c.id, _ENTRIES.c.path, _ENTRIES.c.facts)
        statement = sa.select(*columns).where(_ENTRIES.c.id > after).order_by(_ENTRIES.c.id)
        rows = connection.execute(statement.limit(_BATCH)).all()
        if not rows:
            return
        yield rows
        after = rows[-1].id
