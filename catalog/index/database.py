"""The connection to the catalog's database, and the version of what is in it.

A reader never waits for a writer: SQLite keeps a write-ahead log, PostgreSQL has versions of rows. One writer waits for
another at the beginning of its transaction, so that none finds at its end that it came in vain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
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
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shotdap.catalog.index.tables import SCHEMA_VERSION

__all__ = ["BadCatalog", "Database", "LostCatalog"]

_WRITE_OPTION: Final = "shotdap_writes"  # an execution option: what begins here will write
_BUSY_TIMEOUT: Final = 60  # seconds to wait for another writer
_POOL_TIMEOUT: Final = 10  # seconds to wait for a connection while all are in use; then the client had better ask again
_CACHE_SIZE: Final = 64 << 10  # KiB of an SQLite catalog that a connection keeps in memory
_WAL_CHECKPOINT_PAGES: Final = 16_384  # pages of the write-ahead log, 64 MiB, before it is worked into the catalog
_JSON_DECODER: Final = json.JSONDecoder()
_MIGRATION_LOCK: Final = 0x5E07DA9  # names the lock that migrations hold in PostgreSQL


class BadCatalog(ValueError):
    """The catalog's own database cannot be used as it is; the message says why, and what would help."""


class LostCatalog(BadCatalog):
    """The catalog's own database does not answer now, or there is no room for it; later it may."""


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
_CANNOT_OPEN_MESSAGE: Final = (
    "The catalog's database cannot be opened: there is no such file, or no right to it or to the folder around it (the"
    " setting catalog.index)."
)
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
        "SQLITE_NOTADB": (BadCatalog, "What stands where the catalog should be is not a database."),
        "53100": (LostCatalog, _DISK_FULL_MESSAGE),
        "53200": (LostCatalog, "The machine of the catalog's database has not enough memory now; try again later."),
        "53300": (LostCatalog, "The catalog's database has as many connections as it may have; try again later."),
        "25006": (BadCatalog, _READ_ONLY_MESSAGE),
        "42501": (BadCatalog, _READ_ONLY_MESSAGE),
        "XX001": (BadCatalog, _CORRUPT_MESSAGE),
        "XX002": (BadCatalog, _CORRUPT_MESSAGE),
    }
)
"""By SQLite's result codes, without what stands behind their second underscore, and by PostgreSQL's SQLSTATE."""


def _convert_error(error: SQLAlchemyError) -> BadCatalog | None:
    """Return what an exception means for the catalog; `None` for one that is a fault of our own."""
    if isinstance(error, PoolTimeoutError):
        return LostCatalog("All connections to the catalog's database are in use; try again later.")
    if not isinstance(error, DBAPIError):
        return None
    name = "_".join(str(getattr(error.orig, "sqlite_errorname", "")).split("_")[:2])
    kind, sentence = _ERRORS_BY_CODE.get(name or str(getattr(error.orig, "sqlstate", "")), (None, ""))
    if kind is not None:
        return kind(sentence)
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        if "too many clients" in str(error.orig) or "too many connections" in str(error.orig):  # psycopg has no code
            return LostCatalog(_ERRORS_BY_CODE["53300"][1])
        return LostCatalog(f"The catalog's database does not answer: {type(error.orig).__name__}.")
    return None


@contextmanager
def _convert_errors() -> Iterator[None]:
    """Raise what a database's exceptions mean for the catalog in their place."""
    try:
        yield
    except SQLAlchemyError as error:
        if explained := _convert_error(error):
            raise explained from error
        raise


@dataclass(frozen=True)
class Database:
    """The catalog's database, its tables made where it is empty."""

    url: str

    @cached_property
    def engine(self) -> sa.Engine:
        """Connections to a database of this version.

        Raises:
            BadCatalog: it is of another version, or no database.
        """
        found = self.read_version()
        if found is None:
            self.migrate()
        elif found != SCHEMA_VERSION:
            raise BadCatalog(_describe_version_mismatch(found))
        return self._create_engine()

    @contextmanager
    def begin_read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads; raises `BadCatalog` or `LostCatalog` where the database fails."""
        with _convert_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def begin_write(self) -> Iterator[sa.Connection]:
        """A transaction that may write, all of it or nothing; raises as `begin_read` does."""
        with _convert_errors(), _connect_for_write(self.engine) as connection:
            yield connection

    def migrate(self) -> str | None:
        """Bring the database to this version; what it holds is kept.

        Returns:
            The version that it had, or `None` if it was empty.

        Raises:
            BadCatalog: it is of a version that this shotdap does not know, or no database.
        """
        found = self.read_version()
        if found is not None and (not found.isdigit() or int(found) > int(SCHEMA_VERSION)):
            raise BadCatalog(_describe_version_mismatch(found))
        with _convert_errors(), self._open_temporary_engine() as engine:
            _upgrade_schema(engine)
        return found

    def read_version(self) -> str | None:
        """The version of what is in the database; `None` if it is empty.

        Raises:
            BadCatalog: it does not answer, or is no database.
        """
        try:
            with _convert_errors(), self._open_temporary_engine() as engine, engine.connect() as connection:
                return _read_version(connection)
        except DatabaseError as error:
            raise BadCatalog("What stands where the catalog should be is not a database.") from error

    def close(self) -> None:
        """End the connections; the next transaction makes new ones."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @contextmanager
    def _open_temporary_engine(self) -> Iterator[sa.Engine]:
        """Connections for a short while."""
        engine = self._create_engine()
        try:
            yield engine
        finally:
            engine.dispose()

    def _create_engine(self) -> sa.Engine:
        try:
            backend = sa.make_url(self.url).get_backend_name()
            if backend not in _ENGINE_FACTORIES:
                raise BadCatalog(
                    f"The catalog is kept in SQLite or PostgreSQL (sqlite://, postgresql://), not {backend}."
                )
            return _ENGINE_FACTORIES[backend](self.url)
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            raise BadCatalog(f"The catalog's database needs a Python package that is not there: {error}.") from error
        except ArgumentError as error:
            raise BadCatalog("The catalog's database has no URL that SQLAlchemy knows.") from error


def _create_sqlite_engine(url: str) -> sa.Engine:
    patience = {"timeout": _BUSY_TIMEOUT}
    engine = sa.create_engine(url, connect_args=patience, json_deserializer=_parse_json, pool_timeout=_POOL_TIMEOUT)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_transaction)
    return engine


def _create_postgresql_engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=True, pool_timeout=_POOL_TIMEOUT)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


_ENGINE_FACTORIES: Final[Mapping[str, Callable[[str], sa.Engine]]] = MappingProxyType(
    {"sqlite": _create_sqlite_engine, "postgresql": _create_postgresql_engine}
)


def _parse_json(text: str) -> Any:  # noqa: ANN401 — whatever JSON says
    """What a text in JSON says, without spaces around it as all here are; `json.loads` takes twice as long."""
    return _JSON_DECODER.raw_decode(text)[0]


def _prepare_postgresql(connection: Any, _record: object) -> None:  # noqa: ANN401 — the driver's own
    with connection.cursor() as cursor:
        cursor.execute("SET jit = off")  # it compiles for 100 ms where it fears more work than these pages are
    connection.commit()


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 — the driver's own
    connection.isolation_level = None  # or the driver begins transactions where it likes
    for setting in (
        "synchronous = NORMAL",
        f"cache_size = -{_CACHE_SIZE}",
        f"wal_autocheckpoint = {_WAL_CHECKPOINT_PAGES}",
    ):
        connection.execute(f"PRAGMA {setting}")


def _begin_transaction(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE_OPTION)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _connect_for_write(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.connect().execution_options(**{_WRITE_OPTION: True}) as connection, connection.begin():
        yield connection


def _read_version(connection: sa.Connection) -> str | None:
    tables = sa.inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return "1" if "entries" in tables else None  # the first version knew of no other


def _describe_version_mismatch(found: str) -> str:
    if found.isdigit() and int(found) < int(SCHEMA_VERSION):
        return (
            f"The catalog is of version {found}, and this shotdap needs {SCHEMA_VERSION}:"
            " `shotdap catalog migrate` brings it there; nothing in it is lost."
        )
    return (
        f"The catalog is of version {found}, made by a newer shotdap: this one knows versions up to {SCHEMA_VERSION}."
    )


def _upgrade_schema(engine: sa.Engine) -> None:
    """Bring a database to this version, in one transaction; of several processes one does it."""
    from alembic import command  # noqa: PLC0415 — takes 0.1 s, and is seldom needed
    from alembic.config import Config  # noqa: PLC0415

    _set_wal_mode(engine)
    with as_file(files("shotdap.catalog").joinpath("migrations")) as scripts, _connect_for_write(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.attributes["connection"] = connection
        if _read_version(connection) == "1":
            command.stamp(config, "1")
        command.upgrade(config, "head")


def _set_wal_mode(engine: sa.Engine) -> None:
    """An SQLite database keeps a write-ahead log from now on; that cannot be chosen within a transaction."""
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
