"""An archive behind SQLAlchemy: a table or view, its columns mapped by the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from math import isfinite
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError
from sqlalchemy.types import NullType

from shotdap.catalog.archive import BadArchive, Row, Watermark
from shotdap.catalog.entry import Fact

__all__ = ["SqlArchive"]

_REQUIRED = ("key", "file")
_FETCH = 1000  # rows a round trip


@dataclass(frozen=True)
class SqlArchive:
    """Rows of one table in any database that SQLAlchemy speaks to.

    Values are taken as the driver gives them: SQLAlchemy's own conversions fail on the first value that is not of its
    column's type, which SQLite allows, and one bad row would hide all others.
    """

    url: str
    """SQLAlchemy's URL, driver included: ``sqlite:///archive.db``."""
    table: str
    columns: Mapping[str, str]
    """Our name of a column to the table's own: ``key`` and ``file`` always, ``version`` for incremental reads."""
    schema: str | None = None
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For a column, by our name, what to put for some of its values: ``{"facility": {"OMEGA EP": "omega-ep"}}``."""

    @cached_property
    def _engine(self) -> sa.Engine:
        return sa.create_engine(self.url, pool_pre_ping=True)

    def rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """Rows in the order of their versions, from a watermark on; see `Archive`."""
        try:
            columns = self._mapped()
            statement = _ordered(sa.select(*columns.values()), columns.get("version"), since)
            with self._engine.connect() as connection:
                result = connection.execution_options(yield_per=_FETCH).execute(statement)
                for values in result:
                    yield self._row(dict(zip(columns, values, strict=True)))
        except SQLAlchemyError as error:
            raise BadArchive(f"The archive's database does not answer: {type(error).__name__}.") from error
        except ModuleNotFoundError as error:
            raise BadArchive(f"The archive's database needs the Python package {error.name}.") from error

    def _mapped(self) -> dict[str, sa.ColumnElement[Any]]:
        """The mapped columns, by our names."""
        missing = [name for name in _REQUIRED if name not in self.columns]
        if missing:
            raise BadArchive(f"No column is named for {' and '.join(missing)}; every archive needs key and file.")
        table = self._reflected()
        known = {column.name.lower(): column for column in table.columns}
        unknown = [column for column in self.columns.values() if column.lower() not in known]
        if unknown:
            there = ", ".join(column.name for column in table.columns)
            raise BadArchive(f"{self.table} has no column {', '.join(unknown)}. Its columns are: {there}.")
        return {name: _as_given(name, known[column.lower()]) for name, column in self.columns.items()}

    def _reflected(self) -> sa.Table:
        try:
            return sa.Table(
                self.table, sa.MetaData(), schema=self.schema, autoload_with=self._engine, resolve_fks=False
            )
        except NoSuchTableError as error:
            database = sa.inspect(self._engine)
            found = (*database.get_table_names(schema=self.schema), *database.get_view_names(schema=self.schema))
            there = ", ".join(sorted(found)) or "none"
            raise BadArchive(f"There is no table {self.table}. The tables are: {there}.") from error

    def _row(self, values: dict[str, Any]) -> Row:
        key, file, version = str(values.pop("key")), str(values.pop("file") or ""), values.pop("version", None)
        facts = {name: self._fact(name, value) for name, value in values.items() if value is not None}
        return Row(key, file, _watermark(version), facts)

    def _fact(self, name: str, value: object) -> Fact:
        spelled = _plain(value)
        return self.values.get(name, {}).get(str(spelled), spelled)


class _Date(sa.types.TypeDecorator[Any]):
    """A date as the driver gives it, or of text, which is how SQLite keeps it, where it is one."""

    impl = NullType
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ANN401, ARG002 — as SQLAlchemy's
        """Read text as a date; leave what cannot be read."""
        if not isinstance(value, str):
            return value
        with suppress(ValueError):
            return datetime.fromisoformat(value)
        return value


def _as_given(name: str, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column without SQLAlchemy's conversions. A version stays text where it is text: so it compares exactly."""
    dated = isinstance(column.type, sa.DateTime | sa.Date) and name != "version"
    return sa.type_coerce(column, _Date() if dated else NullType())


def _ordered(
    statement: sa.Select[Any], version: sa.ColumnElement[Any] | None, since: Watermark | None
) -> sa.Select[Any]:
    if version is None:
        return statement
    statement = statement.order_by(version)
    if since is None:
        return statement
    return statement.where(sa.or_(version >= since, version.is_(None)))  # without a version, a row is always news


def _watermark(version: Any) -> Watermark | None:  # noqa: ANN401 — whatever a driver gives
    """A version as something that the index can keep, and the database compare."""
    if isinstance(version, Decimal):
        return int(version) if version == int(version) else float(version)
    if isinstance(version, date) and not isinstance(version, datetime):
        return datetime.combine(version, time.min)
    return version if isinstance(version, int | float | str | datetime) else None


def _plain(value: object) -> Fact:
    """A database's value as something that JSON and every protocol carry."""
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    return value if isinstance(value, str | int) else str(value)  # Decimal, UUID, …
