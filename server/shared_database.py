"""A small database that all processes of a server share: the catalog's PostgreSQL, or an SQLite file.

What must hold for all processes holds in a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.schema import CreateColumn

_OWNER_ONLY: Final = 0o600  # such files have no secrets, but say who asks for what
_BUSY_SECONDS: Final = 30.0  # that a transaction of SQLite waits for another one
_CONNECT_SECONDS: Final = 5  # that PostgreSQL may take to accept a connection
_LOCK_BYTES: Final = 8  # of the number of an advisory lock


class SharedDatabase:
    """A database with some tables, which are made when it is first opened.

    Args:
        url: for SQLAlchemy.
        metadata: the tables.
    """

    def __init__(self, url: str, metadata: sa.MetaData) -> None:
        self._url = url
        self._metadata = metadata

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Begin a transaction that may write: all or nothing. In SQLite it has the only right to write."""
        with self._engine.connect() as connection, _begin_write(connection):
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
            options |= {"pool_pre_ping": True, "connect_args": {"connect_timeout": _CONNECT_SECONDS}}
        engine = sa.create_engine(self._url, **options)
        if engine.dialect.name == "sqlite":
            if engine.url.database:
                file = Path(engine.url.database)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch(_OWNER_ONLY)  # only one that does not exist yet is made so
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode=WAL"))
        with engine.connect() as connection, _begin_write(connection):
            lock_until_commit(connection, "shotdap tables")  # of several processes that start at once, one makes them
            self._metadata.create_all(connection)
            _add_missing_columns(connection, self._metadata)
        return engine


def lock_until_commit(connection: sa.Connection, name: str) -> None:
    """Wait until no other transaction holds a lock, and hold it until the end of this one.

    A transaction of SQLite that may write is alone anyway.

    Args:
        connection: in a transaction of `SharedDatabase.begin`.
        name: of the lock.
    """
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(blake2b(name.encode(), digest_size=_LOCK_BYTES).digest(), signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(number, sa.BigInteger))))


def _add_missing_columns(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Add the columns that tables of an earlier version lack; each has a default."""
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        present = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                specification = CreateColumn(column).compile(connection)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {specification}")


@contextmanager
def _begin_write(connection: sa.Connection) -> Iterator[None]:
    if connection.dialect.name != "sqlite":
        with connection.begin():
            yield
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")
