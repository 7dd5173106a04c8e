"""The connection to the catalog's database, and the version of its schema.

A reader never waits for a writer: SQLite keeps a write-ahead log, PostgreSQL keeps versions of rows. A writer waits for
another writer when its transaction begins, so that no transaction fails at its end because of another one.

Every read has a time limit, and waits only a few seconds for a connection or for a locked database. A write has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from math import ceil
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shotdap.catalog.index.tables import SCHEMA_VERSION
from shotdap.catalog.time_limit import TimeLimit, check_time_limit, is_time_over, lift_time_limit, limit_time

READ_SECONDS: Final = 10.0
"""The default time limit of one read."""

_WRITE_OPTION: Final = "shotdap_writes"  # the execution option of a transaction that will write
_POOL_TIMEOUT: Final = 3  # seconds to wait for a connection while all are in use; the client then retries later
_POSTGRESQL_POOL_SIZE: Final = 16  # connections of a process; PostgreSQL allows 100 for all processes by default
_SQLITE_POOL_SIZE: Final = 64  # connections of a process: more than a server has threads that read the catalog
_CONNECT_TIMEOUT: Final = 5  # seconds to wait for PostgreSQL to accept a connection
_KEEPALIVE_OPTIONS: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}  # seconds, number
_READ_BUSY_TIMEOUT: Final = 3  # seconds that a read waits for an SQLite catalog that another process has locked
_WRITE_BUSY_TIMEOUT: Final = 60  # seconds to wait for another writer
_READ_CACHE_SIZE: Final = 4 << 10  # KiB of an SQLite catalog that a connection keeps in memory; more is not faster
_WRITE_CACHE_SIZE: Final = 64 << 10  # the same for a connection that writes
_PROGRESS_STEPS: Final = 20_000  # instructions of SQLite's virtual machine between two looks at the clock, about 1 ms
_WAL_CHECKPOINT_PAGES: Final = 16_384  # pages of the write-ahead log, 64 MiB, before it is written into the catalog
_JSON_DECODER: Final = json.JSONDecoder()  # `json.loads` takes twice as long: it looks for spaces around the text
_MIGRATION_LOCK: Final = 0x5E07DA9  # the advisory lock that a migration holds in PostgreSQL


class BadCatalog(ValueError):
    """The catalog's own database cannot be used as it is; the message says why, and what to do."""


class LostCatalog(BadCatalog):
    """The catalog's own database does not answer now, or its disk is full; a later request may succeed."""


_BUSY_MESSAGE: Final = "The catalog's database is in use by another process; try again later."
_DISK_FULL_MESSAGE: Final = "The disk that the catalog's database is on is full; make room there, and try again."
_READ_ONLY_MESSAGE: Final = (
    "The catalog's database may not be written to. Its file and the folder around it (the setting catalog.index), or"
    " its tables (catalog.url), must be writable by the user that shotdap runs as."
)
_CORRUPT_MESSAGE: Final = (
    "The catalog's database is damaged. Restore a copy of it, or move it away and make it anew by"
    " `shotdap catalog build`."
)
_NO_DATABASE_MESSAGE: Final = "What the setting catalog.index or catalog.url names is not a catalog's database."
_CANNOT_OPEN_MESSAGE: Final = (
    "The catalog's database cannot be opened: its file does not exist, or permission is missing for it or for its"
    " folder (the setting catalog.index)."
)
_INTERRUPTED_CODES: Final = frozenset({"SQLITE_INTERRUPT", "57014"})
_ERRORS_BY_CODE: Final[Mapping[str, tuple[type[BadCatalog], str]]] = MappingProxyType(
    {
        "SQLITE_BUSY": (LostCatalog, _BUSY_MESSAGE),
        "SQLITE_LOCKED": (LostCatalog, _BUSY_MESSAGE),
        "SQLITE_FULL": (LostCatalog, _DISK_FULL_MESSAGE),
        "SQLITE_IOERR": (LostCatalog, "The disk that the catalog's database is on cannot be read or written now."),
        "SQLITE_CANTOPEN": (BadCatalog, _CANNOT_OPEN_MESSAGE),
        "SQLITE_READONLY": (BadCatalog, _READ_ONLY_MESSAGE),
        "SQLITE_PERM": (BadCatalog, _READ_ONLY_MESSAGE),
        "SQLITE_CORRUPT": (BadCatalog, _CORRUPT_MESSAGE),
        "SQLITE_NOTADB": (BadCatalog, _NO_DATABASE_MESSAGE),
        "53100": (LostCatalog, _DISK_FULL_MESSAGE),
        "53200": (LostCatalog, "The machine of the catalog's database has not enough memory now; try again later."),
        "53300": (LostCatalog, "The catalog's database has as many connections as it may have; try again later."),
        "25006": (BadCatalog, _READ_ONLY_MESSAGE),
        "42501": (BadCatalog, _READ_ONLY_MESSAGE),
        "XX001": (BadCatalog, _CORRUPT_MESSAGE),
        "XX002": (BadCatalog, _CORRUPT_MESSAGE),
    }
)
"""By SQLite's primary result code and by PostgreSQL's SQLSTATE."""


@contextmanager
def _wrap_catalog_errors(limit: TimeLimit | None = None) -> Iterator[None]:
    """Raise `BadCatalog`, `LostCatalog` or `TooSlow` instead of the database's exceptions."""
    try:
        yield
    except PoolTimeoutError as error:
        raise LostCatalog("All connections to the catalog's database are in use; try again later.") from error
    except DBAPIError as error:
        primary_code = "_".join(str(getattr(error.orig, "sqlite_errorname", "")).split("_")[:2])
        code = primary_code or str(getattr(error.orig, "sqlstate", ""))
        if limit is not None and code in _INTERRUPTED_CODES:
            raise limit.make_error() from error
        exception, sentence = _ERRORS_BY_CODE.get(code, (None, ""))
        if exception is not None:
            raise exception(sentence) from error
        if not error.connection_invalidated and not isinstance(error, OperationalError | InterfaceError):
            raise  # an error of our own code
        if "too many clients" in str(error.orig) or "too many connections" in str(error.orig):  # psycopg has no code
            raise LostCatalog(_ERRORS_BY_CODE["53300"][1]) from error
        raise LostCatalog(f"The catalog's database does not answer: {type(error.orig).__name__}.") from error


@dataclass(frozen=True)
class Database:
    """The catalog's database; an empty one gets its tables when it is first used."""

    url: str
    read_seconds: float = READ_SECONDS
    """The time limit of one read; see `time_limit`."""

    @cached_property
    def engine(self) -> sa.Engine:
        """Connections to a database of this version.

        Raises:
            BadCatalog: the database has another version, or is no database.
        """
        version = self.read_version()
        if version is None:
            self.migrate()
        elif version != SCHEMA_VERSION:
            raise BadCatalog(_describe_version_mismatch(version))
        return self._create_engine()

    @contextmanager
    def begin_read(self) -> Iterator[sa.Connection]:
        """Begin a transaction that only reads.

        Raises:
            BadCatalog: the database cannot be used as it is.
            LostCatalog: the database does not answer now.
            TooSlow: the time limit is over.
        """
        with limit_time(self.read_seconds) as limit, _wrap_catalog_errors(limit), self.engine.connect() as connection:
            if limit.outer is not None and connection.dialect.name == "postgresql":  # else that of the session is right
                check_time_limit()
                _set_statement_timeout(connection, limit.remaining)
            yield connection

    @contextmanager
    def begin_write(self) -> Iterator[sa.Connection]:
        """Begin a transaction that may write, all or nothing, without a time limit.

        Raises:
            BadCatalog: the database cannot be used as it is.
            LostCatalog: the database does not answer now.
        """
        with lift_time_limit(), _wrap_catalog_errors(), _connect_for_write(self.engine) as connection:
            yield connection

    def migrate(self) -> str | None:
        """Create the tables of an empty database in one transaction; keep a database of this version.

        Returns:
            The version before, or `None` if the database was empty.

        Raises:
            BadCatalog: this shotdap cannot migrate its version, or it is no database.
        """
        from alembic import command  # noqa: PLC0415 — takes 0.1 s, and is seldom needed
        from alembic.config import Config  # noqa: PLC0415

        version = self.read_version()
        if version is not None and version != SCHEMA_VERSION:
            raise BadCatalog(_describe_version_mismatch(version))
        with _wrap_catalog_errors(), self._open_temporary_engine() as engine:
            if engine.dialect.name == "sqlite":  # this mode is stored in the file, and cannot be set in a transaction
                with closing(engine.raw_connection()) as raw_connection:
                    raw_connection.cursor().execute(f"PRAGMA busy_timeout = {1000 * _WRITE_BUSY_TIMEOUT}")
                    raw_connection.cursor().execute("PRAGMA journal_mode = WAL")
            scripts = as_file(files("shotdap.catalog").joinpath("migrations"))
            with scripts as folder, _connect_for_write(engine) as connection:
                if engine.dialect.name == "postgresql":  # of several processes one migrates
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
                config = Config()
                config.set_main_option("script_location", str(folder).replace("%", "%%"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        return version

    def read_version(self) -> str | None:
        """Return the version of the database's schema; `None` if the database is empty.

        Raises:
            BadCatalog: it does not answer, or is no database.
        """
        try:
            with _wrap_catalog_errors(), self._open_temporary_engine() as engine, engine.connect() as connection:
                tables = sa.inspect(connection).get_table_names()
                if "alembic_version" in tables:
                    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
                return "1" if "entries" in tables else None  # version 1 did not store its number
        except DatabaseError as error:
            raise BadCatalog(_NO_DATABASE_MESSAGE) from error

    def close(self) -> None:
        """Close the connections; the next transaction opens new ones."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @contextmanager
    def _open_temporary_engine(self) -> Iterator[sa.Engine]:
        engine = self._create_engine()
        try:
            yield engine
        finally:
            engine.dispose()

    def _create_engine(self) -> sa.Engine:
        try:
            backend = sa.make_url(self.url).get_backend_name()
            if backend == "postgresql":
                engine = sa.create_engine(
                    self.url,
                    connect_args={"connect_timeout": _CONNECT_TIMEOUT, **_KEEPALIVE_OPTIONS},
                    pool_pre_ping=True,
                    pool_size=_POSTGRESQL_POOL_SIZE,
                    max_overflow=0,
                    pool_timeout=_POOL_TIMEOUT,
                    pool_use_lifo=True,
                )
                event.listen(engine, "connect", self._prepare_postgresql)
            elif backend == "sqlite":
                engine = sa.create_engine(
                    self.url,
                    connect_args={"timeout": _READ_BUSY_TIMEOUT},
                    json_deserializer=lambda text: _JSON_DECODER.raw_decode(text)[0],
                    pool_size=_SQLITE_POOL_SIZE,
                    max_overflow=0,
                    pool_timeout=_POOL_TIMEOUT,
                    pool_use_lifo=True,
                )
                event.listen(engine, "connect", _prepare_sqlite)
                event.listen(engine, "begin", _begin_transaction)
            else:
                raise BadCatalog(
                    f"The catalog is kept in SQLite or PostgreSQL (sqlite://, postgresql://), not {backend}."
                )
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise BadCatalog(f"The catalog's database needs a Python package that is not there: {error}.") from error
        except ArgumentError as error:
            raise BadCatalog("The catalog's database has no URL that SQLAlchemy knows.") from error
        event.listen(engine, "before_cursor_execute", lambda *_: check_time_limit())
        return engine

    def _prepare_postgresql(self, connection: Any, _record: object) -> None:  # noqa: ANN401 — the driver's own
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")  # compiling takes 100 ms, longer than these queries
            cursor.execute(f"SET statement_timeout = {ceil(1000 * self.read_seconds)}")
        connection.commit()


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 — the driver's own
    connection.isolation_level = None  # else the driver begins transactions by itself
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.set_progress_handler(is_time_over, _PROGRESS_STEPS)
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_CHECKPOINT_PAGES}")


def _begin_transaction(connection: sa.Connection) -> None:
    writes = bool(connection.get_execution_options().get(_WRITE_OPTION))
    if connection.info.get(_WRITE_OPTION) is not writes:  # as the connection was used for the other kind before
        busy_timeout = _WRITE_BUSY_TIMEOUT if writes else _READ_BUSY_TIMEOUT
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {1000 * busy_timeout}")
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_WRITE_CACHE_SIZE if writes else _READ_CACHE_SIZE}")
        connection.info[_WRITE_OPTION] = writes
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _connect_for_write(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.connect().execution_options(**{_WRITE_OPTION: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            _set_statement_timeout(connection, 0)
        yield connection


def _set_statement_timeout(connection: sa.Connection, seconds: float) -> None:
    """Set PostgreSQL's time limit of each statement of a transaction; 0 is none."""
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {ceil(1000 * seconds)}")


def _describe_version_mismatch(version: str) -> str:
    if version.isdigit() and int(version) < int(SCHEMA_VERSION):
        return (
            f"The catalog is of version {version}, from before the first release, and this shotdap needs"
            f" {SCHEMA_VERSION}. Move it away, and make it anew by `shotdap catalog build`."
        )
    return (
        f"The catalog is of version {version}, made by a newer shotdap: this one knows versions up to {SCHEMA_VERSION}."
    )
