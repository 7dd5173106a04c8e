"""The catalog's first tables, which had no version and were SQLite's only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables; SQLAlchemy made them, when they were the present ones."""
    op.create_table(
        "entries",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("health", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("seen", sa.JSON, nullable=True),
    )
    op.create_index("entries_by_folder", "entries", ["parent", "name"])
    op.create_index("entries_by_health", "entries", ["health", "path"])
    op.create_table(
        "folders",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
    )
    op.create_index("folders_by_folder", "folders", ["parent", "name"])
    op.create_table(
        "state",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )
