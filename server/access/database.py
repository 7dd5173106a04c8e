"""The database of tokens, sessions and limits: the catalog's PostgreSQL, or an SQLite file of its own.

Several workers use it at once, so what must hold for all of them holds in a transaction. A module that stores something
adds its tables to `METADATA`; they are made when the database is first opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shotdap.config import Settings

METADATA: Final = sa.MetaData()
"""All tables of access."""

_OWNER_ONLY: Final = 0o600  # it has no secrets, but says who asks for what
_BUSY_SECONDS: Final = 10.0  # that a transaction of SQLite waits for another one


class AccessDatabase:
    """The database of tokens, sessions and limits of a site; opened when it is first used.

    Args:
        url: for SQLAlchemy.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @classmethod
    def from_settings(cls, settings: Settings) -> AccessDatabase:
        """Return the database of a site."""
        return cls(settings.catalog.url or f"sqlite:///{settings.access.database}")

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Begin a transaction that may write: all or nothing. In SQLite it has the only right to write."""
        with self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            with connection.begin() if connection.dialect.name != "sqlite" else _commit_at_end(connection):
                yield connection

    @contextmanager
    def begin_read(self) -> Iterator[sa.Connection]:
        """Begin a transaction that only reads."""
        with self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections, before this process is forked; the next transaction opens new ones."""
        if "_engine" in self.__dict__:
            self._engine.dispose()
            del self.__dict__["_engine"]

    @cached_property
    def _engine(self) -> sa.Engine:
        options: dict[str, Any] = {"hide_parameters": True}
        if self._url.startswith("sqlite"):
            options["connect_args"] = {"timeout": _BUSY_SECONDS, "isolation_level": None}
        else:
            options["pool_pre_ping"] = True
        engine = sa.create_engine(self._url, **options)
        if engine.url.database and engine.dialect.name == "sqlite":
            Path(engine.url.database).touch(_OWNER_ONLY)  # only one that does not exist yet is made so
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode=WAL"))
        METADATA.create_all(engine)
        return engine


@contextmanager
def _commit_at_end(connection: sa.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")
