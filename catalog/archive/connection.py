"""Connections to the archive's database: read only, with time limits, and with retries of transient errors.

Every failure is a sentence: `LostArchive` for transient errors, `BadArchive` for errors that a person has to fix.
Neither contains a password, a host or SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
import stamina
from sqlalchemy import event
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shotdap.catalog.archive.archive import BadArchive, LostArchive
from shotdap.catalog.archive.oracle_probe import probe_listener

_Result = TypeVar("_Result")

_RECYCLE_SECONDS = 1800  # after which a connection is replaced: firewalls drop connections that are idle for long
_KEEPALIVE_MINUTES = 1  # after which Oracle's driver checks the connection
_ERROR_CODE = re.compile(r"\b(?:ORA|DPY|DPI)-\d+")


@dataclass(frozen=True)
class ArchiveDatabase:
    """A database that SQLAlchemy supports, opened for reading only.

    Its connections are pooled, and tested before use.
    """

    url: str = field(repr=False)
    """SQLAlchemy's URL, driver included: ``sqlite:///archive.db``, ``oracle+oracledb://reader@host/?service_name=…``."""
    password: str | None = field(default=None, repr=False)
    """Overrides a password in the URL."""
    pool_size: int = 2
    connect_seconds: float = 10.0
    """Time limit for opening a connection, or waiting for a free one."""
    statement_seconds: float = 300.0
    """Time limit of one statement; SQLite, which is a file, has no such limit."""
    attempts: int = 4
    """Number of attempts while the database is busy or away, with growing pauses."""
    oracle_client: Path | None = None
    """The folder of Oracle's client libraries, for databases before 12.1; otherwise the driver needs none."""
    oracle_wallet: Path | None = None
    """A folder with ``tnsnames.ora`` and the wallet's ``ewallet.pem``, for TLS."""
    oracle_wallet_password: str | None = field(default=None, repr=False)

    def close(self) -> None:
        """Close the connections; the next transaction opens new ones."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @cached_property
    def engine(self) -> sa.Engine:
        """SQLAlchemy's engine; making it connects to nothing."""
        url = sa.make_url(self.url)
        if self.password is not None:
            url = url.set(password=self.password)
        build_options = _OPTIONS_BUILDERS.get(url.get_backend_name())
        options = build_options(self) if build_options else {}
        engine = sa.create_engine(
            url, pool_pre_ping=True, pool_recycle=_RECYCLE_SECONDS, hide_parameters=True, **options
        )

        def set_call_timeout(connection: Any, _record: object) -> None:  # noqa: ANN401 — the driver's own
            connection.call_timeout = ceil(self.statement_seconds * 1000)

        def probe_oracle(dialect: Any, _record: object, arguments: Any, keywords: Any) -> None:  # noqa: ANN401 — the driver's
            try:
                probe_listener(dialect.loaded_dbapi, arguments, keywords, self.connect_seconds)
            except TimeoutError as error:
                raise dialect.loaded_dbapi.OperationalError("It accepts connections, and says nothing.") from error

        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", lambda raw, _record: raw.execute("PRAGMA query_only = ON").close())
        if engine.dialect.name == "oracle":
            event.listen(engine, "connect", set_call_timeout)
            if self.oracle_client is None:
                event.listen(engine, "do_connect", probe_oracle)
        return engine

    def run_with_retry(self, query: Callable[[sa.Connection], _Result]) -> _Result:
        """Run a query; repeat it after transient errors.

        Args:
            query: is called with a connection, perhaps several times.

        Raises:
            LostArchive: the database does not answer now.
            BadArchive: the configuration does not fit the database.
        """

        def run_once() -> _Result:
            with self._connect() as connection:
                return query(connection)

        with _wrap_archive_errors():
            return self._retry_call(run_once)

    @contextmanager
    def open_connection(self) -> Iterator[sa.Connection]:
        """Open a connection for several queries that belong together; none is repeated.

        Raises:
            LostArchive: the database does not answer now, or became unavailable meanwhile.
            BadArchive: the configuration does not fit the database.
        """
        with _wrap_archive_errors(), self._retry_call(self._connect) as connection:
            yield connection

    def _retry_call(self, call: Callable[[], _Result]) -> _Result:
        retrying = stamina.RetryingCaller(
            attempts=self.attempts, timeout=None, wait_initial=0.2, wait_max=5.0, wait_jitter=0.2
        )
        return retrying(_is_transient, call)

    def _connect(self) -> sa.Connection:
        url = self.engine.url
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            raise BadArchive("The archive's database does not answer: there is no such file.")  # SQLite would make one
        return self.engine.connect()


@contextmanager
def _wrap_archive_errors() -> Iterator[None]:
    """Turn errors of the archive's database into sentences.

    Raises:
        LostArchive: the error is transient.
        BadArchive: it is not.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise BadArchive(f"The archive's database needs the Python package {error.name}.") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise BadArchive("The archive's URL names no database that SQLAlchemy knows.") from error
    except SQLAlchemyError as error:
        # The error's name, and its code if the database states one: enough to look it up, and free of secrets.
        original = error.orig if isinstance(error, DBAPIError) else None
        code = getattr(original, "sqlstate", None) or next(iter(_ERROR_CODE.findall(str(original))), None)
        reason = f"{type(error).__name__} {code}" if code else type(error).__name__
        kind = LostArchive if _is_transient(error) else BadArchive
        raise kind(f"The archive's database does not answer: {reason}.") from error


def _is_transient(error: Exception) -> bool:
    """Check whether an error is transient: the database is away, busy, or being started."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)


_OptionsBuilder: TypeAlias = Callable[[ArchiveDatabase], dict[str, Any]]


def _build_oracle_options(database: ArchiveDatabase) -> dict[str, Any]:
    wallet = database.oracle_wallet
    arguments: dict[str, Any] = {"expire_time": _KEEPALIVE_MINUTES}
    if wallet is not None:
        arguments |= {"config_dir": str(wallet), "wallet_location": str(wallet)}
    if database.oracle_wallet_password is not None:
        arguments["wallet_password"] = database.oracle_wallet_password
    options: dict[str, Any] = {
        "pool_size": database.pool_size,
        "max_overflow": 0,
        "pool_timeout": database.connect_seconds,
        "connect_args": arguments | {"tcp_connect_timeout": database.connect_seconds},
        "auto_convert_lobs": False,  # large objects are read in pieces
    }
    if database.oracle_client is not None:
        options["thick_mode"] = {"lib_dir": str(database.oracle_client)}
    return options


_OPTIONS_BUILDERS: Mapping[str, _OptionsBuilder] = MappingProxyType({
    "sqlite": lambda database: {"connect_args": {"timeout": database.connect_seconds}},
    "postgresql": lambda database: {
        "pool_size": database.pool_size,
        "max_overflow": 0,
        "pool_timeout": database.connect_seconds,
        "connect_args": {
            "connect_timeout": ceil(database.connect_seconds),
            "options": f"-c statement_timeout={ceil(database.statement_seconds * 1000)}"
            " -c default_transaction_read_only=on",
            "keepalives_idle": 60 * _KEEPALIVE_MINUTES,
            "application_name": "shotdap",
        }
    },
    "oracle": _build_oracle_options,
})  # fmt: skip
