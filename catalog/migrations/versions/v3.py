"""The date beside each attribute, in the indexes over those; the names of all facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from shotdap.catalog.index.tables import SafeText

revision = "3"
down_revision = "2"

_BATCH: Final = 2000  # entries between two questions
_ENTRIES: Final = sa.table("entries", sa.column("id"), sa.column("date", SafeText), sa.column("facts", sa.JSON))
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
    names = op.create_table("names", sa.Column("name", SafeText, primary_key=True))
    found = set[str]().union(*_facts(connection))
    if found:
        connection.execute(names.insert(), [{"name": name} for name in sorted(found)])


def _facts(connection: sa.Connection) -> Iterator[Mapping[str, Any]]:
    """What the archive says of each entry; the database's own functions fail where NUL is in it."""
    after = -1
    while True:
        statement = sa.select(_ENTRIES.c.id, _ENTRIES.c.facts).where(_ENTRIES.c.id > after)
        rows = connection.execute(statement.order_by(_ENTRIES.c.id).limit(_BATCH)).all()
        if not rows:
            return
        yield from (row.facts for row in rows)
        after = rows[-1].id
