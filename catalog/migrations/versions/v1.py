"""Create the catalog's tables as the first release has them.

A migration imports nothing of shotdap, so that it always creates the same tables, also when the code has changed. No
release had the versions 1 to 3.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = None

_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TEXT: Final = sa.Text().with_variant(sa.String(collation="C"), "postgresql")  # sorted by code points
_HEALTH_NOT_OK: Final = sa.text("health <> 'ok'")
_INDEXES: Final = (
    ("entries_by_folder", "entries", ["folder", "name"]),
    ("entries_by_shot", "entries", ["shot", "id"]),
    ("entries_by_date", "entries", ["date", "id"]),
    ("entries_by_diagnostic", "entries", ["diagnostic", "shot", "id"]),
    ("entries_by_facility", "entries", ["facility", "diagnostic", "date", "id"]),
    ("folders_by_folder", "folders", ["parent", "name"]),
    ("attributes_by_text", "attributes", ["name", "text", "date", "entry"]),
    ("attributes_by_number", "attributes", ["name", "number", "date", "entry"]),
)
_FULLTEXT_STATEMENTS: Final = {
    "sqlite": (
        "CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none, columnsize=0, tokenize='ascii')",
        "INSERT INTO words (words, rank) VALUES ('pgsz', 1000)",
    ),
    "postgresql": (
        "CREATE TABLE words (entry BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
        "CREATE INDEX words_by_word ON words USING gin (words)",
    ),
}


def upgrade() -> None:
    """Create all tables and indexes, and the only row of ``state``."""
    op.create_table(
        "entries",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("key", _TEXT, nullable=False, unique=True),
        sa.Column("path", _TEXT, nullable=False, unique=True),
        sa.Column("folder", sa.BigInteger, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("file", _TEXT, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("stamp", sa.BigInteger),
        sa.Column("facility", _TEXT),
        sa.Column("shot", sa.BigInteger),
        sa.Column("date", _TEXT),
        sa.Column("diagnostic", _TEXT),
        sa.Column("health", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("seen", sa.JSON),
        sa.Column("change", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_table(
        "removed",
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("path", _TEXT, nullable=False, unique=True),
        sa.Column("change", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_table(
        "past",
        sa.Column("change", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("path", _TEXT, nullable=False),
        sa.Column("moment", _TEXT, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("facility", _TEXT),
        sa.Column("shot", sa.BigInteger),
        sa.Column("date", _TEXT),
        sa.Column("diagnostic", _TEXT),
    )
    op.create_table(
        "folders",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("path", _TEXT, nullable=False, unique=True),
        sa.Column("parent", sa.BigInteger, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
    )
    op.create_table(
        "attributes",
        sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("text", _TEXT, primary_key=True),
        sa.Column("number", sa.Double),
        sa.Column("date", _TEXT),
    )
    op.create_table("names", sa.Column("name", _TEXT, primary_key=True))
    op.create_table(
        "tallies",
        sa.Column("facility", _TEXT, primary_key=True),
        sa.Column("diagnostic", _TEXT, primary_key=True),
        sa.Column("year", _TEXT, primary_key=True),
        sa.Column("health", _TEXT, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    state = op.create_table(
        "state",
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("build", sa.BigInteger, nullable=False),
        sa.Column("active", sa.Double),
        sa.Column("watermark", sa.JSON(none_as_null=True)),
    )
    for name, table, columns in _INDEXES:
        op.create_index(name, table, columns)
    op.create_index(
        "entries_by_health", "entries", ["health", "path"], sqlite_where=_HEALTH_NOT_OK, postgresql_where=_HEALTH_NOT_OK
    )
    # Last, as in the catalogs that exist: a planner may choose between two indexes by their order.
    op.create_index("entries_of_facility", "entries", ["facility", "date", "id"])
    for statement in _FULLTEXT_STATEMENTS[op.get_bind().dialect.name]:
        op.execute(statement)
    op.bulk_insert(state, [{"counter": 0, "build": 0, "active": None, "watermark": None}])
