"""How the archive's database is reached: read only, within time limits, and again where that can help.

Whoever asks it gets a sentence for every failure. `LostArchive` is one that may pass by itself, `BadArchive` one that a
person has to mend. Neither tells a password, a host or any SQL.
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

Result = TypeVar("Result")

_RECYCLE_SECONDS = (
    1800  # seconds after which an idle connection is made anew: firewalls drop those that are silent for long
)
_KEEPALIVE_MINUTES = 1  # after which Oracle's driver asks whether the other side is still there
_ERROR_CODE = re.compile(r"\b(?:ORA|DPY|DPI)-\d+")


@dataclass(frozen=True)
class ArchiveDatabase:
    """A database that SQLAlchemy speaks to, and that is only ever read.

    Its connections are pooled, and tried before they are used.
    """

    url: str = field(repr=False)
    """SQLAlchemy's URL, driver included: ``sqlite:///archive.db``, ``oracle+oracledb://reader@host/?service_name=…``."""
    password: str | None = field(default=None, repr=False)
    """Goes before one in the URL."""
    pool_size: int = 2
    connect_seconds: float = 10.0
    """What opening a connection may take, or waiting for a free one."""
    statement_seconds: float = 300.0
    """What the database may take for one answer; SQLite, which is a file, knows no such limit."""
    attempts: int = 4
    """How often a question is put where the database is busy or away; the pauses between grow."""
    oracle_client: Path | None = None
    """The folder of Oracle's client libraries, for databases before 12.1; without it their protocol is spoken here."""
    oracle_wallet: Path | None = None
    """A folder with ``tnsnames.ora`` and the wallet's ``ewallet.pem``, for TLS."""
    oracle_wallet_password: str | None = field(default=None, repr=False)

    @cached_property
    def engine(self) -> sa.Engine:
        """SQLAlchemy's engine; making it connects to nothing."""
        url = sa.make_url(self.url)
        if self.password is not None:
            url = url.set(password=self.password)
        kind = _OPTIONS_BUILDERS.get(url.get_backend_name(), _build_default_options)
        engine = sa.create_engine(
            url, pool_pre_ping=True, pool_recycle=_RECYCLE_SECONDS, hide_parameters=True, **kind(self)
        )
        event.listen(engine, "connect", _LISTENER_FACTORIES.get(engine.dialect.name, _make_noop_listener)(self))
        if engine.dialect.name == "oracle" and self.oracle_client is None:
            event.listen(engine, "do_connect", self._probe_oracle)
        return engine

    def _probe_oracle(self, dialect: Any, _record: object, given: Any, named: Any) -> None:  # noqa: ANN401 — the driver's
        """See that Oracle answers, before its driver connects."""
        try:
            probe_listener(dialect.loaded_dbapi, given, named, self.connect_seconds)
        except TimeoutError as error:
            raise dialect.loaded_dbapi.OperationalError("It accepts connections, and says nothing.") from error

    def run_with_retry(self, question: Callable[[sa.Connection], Result]) -> Result:
        """Put a question, more than once where that can help.

        Args:
            question: is called with a connection, perhaps several times.

        Raises:
            LostArchive: the database does not answer now.
            BadArchive: it cannot be asked as configured.
        """

        def run_once() -> Result:
            with self._connect() as connection:
                return question(connection)

        with wrap_database_errors():
            return self._retry_call(run_once)

    @contextmanager
    def open_connection(self) -> Iterator[sa.Connection]:
        """A connection for several questions that belong together; nothing is put twice.

        Raises:
            LostArchive: the database does not answer now, or went away meanwhile.
            BadArchive: it cannot be asked as configured.
        """
        with wrap_database_errors(), self._retry_call(self._connect) as connection:
            yield connection

    def _retry_call(self, call: Callable[[], Result]) -> Result:
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
def wrap_database_errors() -> Iterator[None]:
    """Say in a sentence what went wrong with the archive's database.

    Raises:
        LostArchive: what went wrong may pass by itself.
        BadArchive: it does not.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise BadArchive(f"The archive's database needs the Python package {error.name}.") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise BadArchive("The archive's URL names no database that SQLAlchemy knows.") from error
    except SQLAlchemyError as error:
        kind = LostArchive if _is_transient(error) else BadArchive
        raise kind(f"The archive's database does not answer: {_describe_error(error)}.") from error


def _is_transient(error: Exception) -> bool:
    """Whether an error may pass by itself: the database is away, busy, or being started."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)


def _describe_error(error: SQLAlchemyError) -> str:
    """An error's name, and its number where the database gives one: enough to look it up, and no one's secret."""
    original = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(original, "sqlstate", None) or next(iter(_ERROR_CODE.findall(str(original))), None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


_OptionsBuilder: TypeAlias = Callable[[ArchiveDatabase], dict[str, Any]]
_ConnectListener: TypeAlias = Callable[[Any, Any], None]


def _build_default_options(_database: ArchiveDatabase) -> dict[str, Any]:
    return {}


def _build_sqlite_options(database: ArchiveDatabase) -> dict[str, Any]:
    return {"connect_args": {"timeout": database.connect_seconds}}


def _build_pool_options(database: ArchiveDatabase) -> dict[str, Any]:
    return {"pool_size": database.pool_size, "max_overflow": 0, "pool_timeout": database.connect_seconds}


def _build_postgresql_options(database: ArchiveDatabase) -> dict[str, Any]:
    milliseconds = ceil(database.statement_seconds * 1000)
    return _build_pool_options(database) | {
        "connect_args": {
            "connect_timeout": ceil(database.connect_seconds),
            "options": f"-c statement_timeout={milliseconds} -c default_transaction_read_only=on",
            "keepalives_idle": 60 * _KEEPALIVE_MINUTES,
            "application_name": "shotdap",
        }
    }


def _build_oracle_options(database: ArchiveDatabase) -> dict[str, Any]:
    wallet = database.oracle_wallet
    arguments: dict[str, Any] = {"expire_time": _KEEPALIVE_MINUTES}
    if wallet is not None:
        arguments |= {"config_dir": str(wallet), "wallet_location": str(wallet)}
    if database.oracle_wallet_password is not None:
        arguments["wallet_password"] = database.oracle_wallet_password
    options = _build_pool_options(database) | {
        "connect_args": arguments | {"tcp_connect_timeout": database.connect_seconds},
        "auto_convert_lobs": False,  # a large object is read piece by piece
    }
    if database.oracle_client is not None:
        options["thick_mode"] = {"lib_dir": str(database.oracle_client)}
    return options


_OPTIONS_BUILDERS: Mapping[str, _OptionsBuilder] = MappingProxyType(
    {"sqlite": _build_sqlite_options, "postgresql": _build_postgresql_options, "oracle": _build_oracle_options}
)  # fmt: skip


def _make_sqlite_listener(_database: ArchiveDatabase) -> _ConnectListener:
    def set_query_only(connection: Any, _record: Any) -> None:  # noqa: ANN401 — the driver's own
        connection.execute("PRAGMA query_only = ON").close()

    return set_query_only


def _make_oracle_listener(database: ArchiveDatabase) -> _ConnectListener:
    def set_call_timeout(connection: Any, _record: Any) -> None:  # noqa: ANN401 — the driver's own
        connection.call_timeout = ceil(database.statement_seconds * 1000)

    return set_call_timeout


def _make_noop_listener(_database: ArchiveDatabase) -> _ConnectListener:
    return lambda _connection, _record: None


_LISTENER_FACTORIES: Mapping[str, Callable[[ArchiveDatabase], _ConnectListener]] = MappingProxyType(
    {"sqlite": _make_sqlite_listener, "oracle": _make_oracle_listener}
)
