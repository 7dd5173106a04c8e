"""The database of tokens, sessions and limits: the catalog's PostgreSQL, or an SQLite file of its own.

A module that stores something adds its tables to `METADATA`; they are made when the database is first opened.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from shotdap.config import Settings
from shotdap.server.shared_database import SharedDatabase

METADATA: Final = sa.MetaData()
"""All tables of access."""


class AccessDatabase(SharedDatabase):
    """The database of tokens, sessions and limits of a site; opened when it is first used.

    Args:
        url: for SQLAlchemy.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, METADATA)

    @classmethod
    def from_settings(cls, settings: Settings) -> AccessDatabase:
        """Return the database of a site."""
        return cls(settings.catalog.url or f"sqlite:///{settings.access.database}")
