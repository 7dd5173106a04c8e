"""An archive behind SQLAlchemy: a table or view, its columns mapped by the configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from math import isfinite
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import oracle
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import NullType

from shotdap.catalog.archive.archive import BadArchive, Row, Watermark
from shotdap.catalog.archive.connection import ArchiveDatabase
from shotdap.catalog.entry import Fact

_REQUIRED_COLUMNS = ("key", "file")
_ROWS_PER_FETCH = 1000  # rows per round trip

FilterValue: TypeAlias = str | int | float | datetime | date
"""A value that a column is compared with."""


@dataclass(frozen=True)
class Between:
    """Values in a closed interval; `None` is no limit."""

    least: FilterValue | None = None
    most: FilterValue | None = None


ColumnFilter: TypeAlias = FilterValue | tuple[FilterValue, ...] | Between
"""A condition on a column: equal to a value, one of several values, or between two values."""


@dataclass(frozen=True)
class SqlArchive:
    """Rows of one table or view in any database that SQLAlchemy supports.

    Values are used as the driver returns them: SQLAlchemy's own conversions fail on the first value that is not of its
    column's type, which SQLite allows, and one bad row would hide all others.
    """

    database: ArchiveDatabase
    table: str
    columns: Mapping[str, str]
    """The table's names of columns by ours: ``key`` and ``file`` always, ``version`` for incremental reads."""
    schema: str | None = None
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Replacements of values, by our name of the column: ``{"facility": {"OMEGA EP": "omega-ep"}}``."""
    where: Mapping[str, ColumnFilter] = field(default_factory=dict)
    """Conditions on rows, by the table's name of the column; a row has to satisfy all."""

    def read_rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """Read rows in the order of their versions, from a watermark on; see `Archive`."""
        names = list(self._mapped_columns)
        key, file = names.index("key"), names.index("file")
        version = names.index("version") if "version" in names else None
        others = [(index, name, self.values.get(name)) for index, name in enumerate(names) if name not in _ROW_COLUMNS]

        def make_row(values: Sequence[Any]) -> Row:
            facts: dict[str, Fact] = {}
            for index, name, spellings in others:
                value = values[index]
                if value is not None:
                    fact = value if type(value) in _FACT_TYPES else _convert_to_fact(value)
                    facts[name] = spellings.get(str(fact), fact) if spellings else fact
            return Row(
                _convert_to_text(values[key]),
                _convert_to_text(values[file]),
                None if version is None else _convert_watermark(values[version]),
                facts,
            )

        statements = self.build_statements(since)
        with self.database.open_connection() as connection:
            streaming = connection.execution_options(yield_per=_ROWS_PER_FETCH)  # so that memory stays constant
            for statement in statements:
                with streaming.execute(statement) as result:
                    yield from map(make_row, result)

    def count_rows(self, since: Watermark | None = None, /) -> int:
        """Return the number of rows that `read_rows` yields; see `Archive`."""
        counts = [
            statement.order_by(None).with_only_columns(sa.func.count(), maintain_column_froms=True)
            for statement in self.build_statements(since)
        ]
        return self.database.run_with_retry(
            lambda connection: sum(int(connection.execute(count).scalar_one()) for count in counts)
        )

    def build_statements(self, since: Watermark | None = None) -> list[sa.Select[Any]]:
        """Build the statements that `read_rows` executes one after the other; every value is bound.

        Raises:
            LostArchive: the database does not answer now.
            BadArchive: the table is not as configured.
        """
        columns: list[sa.ColumnElement[Any]] = []  # without SQLAlchemy's conversions
        for name, column in self._mapped_columns.items():
            is_date = isinstance(column.type, sa.DateTime | sa.Date) and name != "version"  # versions compare exactly
            columns.append(sa.type_coerce(column, _LenientDate() if is_date else NullType()))
        filters = zip(find_columns(self.reflected_table, self.where), self.where.values(), strict=True)
        statement = sa.select(*columns)
        for column, condition in filters:
            if isinstance(condition, tuple):
                statement = statement.where(column.in_(condition))
            elif not isinstance(condition, Between):
                statement = statement.where(column == condition)
            else:
                limits = [column >= condition.least] if condition.least is not None else []
                limits += [column <= condition.most] if condition.most is not None else []
                statement = statement.where(*limits)
        version = self._mapped_columns.get("version")
        if version is None:
            return [statement]
        if isinstance(version.type, oracle.TIMESTAMP) and (version.type.timezone or version.type.local_timezone):
            raise BadArchive(
                f"{version.name} is a {version.type}, whose zone Oracle's driver does not tell. A version has to be a"
                " DATE, a TIMESTAMP without a zone or a NUMBER; a view can make one:"
                " CAST(SYS_EXTRACT_UTC(…) AS TIMESTAMP)."
            )
        bare = sa.type_coerce(version, NullType())
        if since is None:
            return [statement.order_by(bare)]
        # A time gets its column's type: sent to Oracle as a DATE, it loses its fraction; compared with a TIMESTAMP,
        # each DATE of the column is converted first, and the column's index is not used.
        watermark = sa.literal(since, version.type if isinstance(since, datetime) else NullType())
        # Rows without a version are always read again, by a statement of their own: with both conditions in one
        # statement, SQLite scans all rows.
        return [statement.where(bare.is_(None)), statement.where(bare >= watermark).order_by(bare)]

    @cached_property
    def reflected_table(self) -> sa.TableClause:
        """The table, with the columns that the database says it has.

        Raises:
            LostArchive: the database does not answer now.
            BadArchive: there is no such table.
        """
        return self.database.run_with_retry(lambda connection: reflect_table(connection, self.table, self.schema))

    @cached_property
    def _mapped_columns(self) -> dict[str, sa.ColumnClause[Any]]:
        """The mapped columns by our names."""
        missing = [name for name in _REQUIRED_COLUMNS if name not in self.columns]
        if missing:
            raise BadArchive(f"No column is named for {' and '.join(missing)}; every archive needs key and file.")
        return dict(zip(self.columns, find_columns(self.reflected_table, self.columns.values()), strict=True))


def _convert_to_text(value: object) -> str:
    """Convert a key or a file to text, `None` to an empty text, and a whole number of any type to its digits."""
    if type(value) is str:
        return value
    return "" if value is None else str(_convert_to_fact(value))


_ROW_COLUMNS = ("key", "file", "version")  # columns that are no facts


def reflect_table(connection: sa.Connection, name: str, schema: str | None) -> sa.TableClause:
    """Reflect a table or view; in Oracle also a synonym.

    Raises:
        BadArchive: there is no such table, or this account may not see it.
    """
    inspector, dialect = sa.inspect(connection), connection.dialect
    variants = [(name, schema), (name.lower(), schema.lower() if schema else None)]  # PostgreSQL lowers unquoted names
    if dialect.requires_name_normalize:  # Oracle stores names in capitals, which SQLAlchemy lowers
        variants = [(dialect.normalize_name(name), dialect.normalize_name(schema) if schema else None)]
    for table, owner in variants:
        with suppress(NoSuchTableError):
            columns = inspector.get_columns(table, owner, oracle_resolve_synonyms=True)
            return sa.table(table, *(sa.column(column["name"], column["type"]) for column in columns), schema=owner)
    tables = (*inspector.get_table_names(schema), *inspector.get_view_names(schema))
    raise BadArchive(f"There is no table {name}. The tables are: {', '.join(sorted(tables)) or 'none'}.")


def find_columns(table: sa.TableClause, names: Collection[str]) -> list[sa.ColumnClause[Any]]:
    """Find a table's columns by name, in any case.

    Raises:
        BadArchive: it has no such column; the message lists its columns.
    """
    known = {column.name.lower(): column for column in table.columns}
    unknown = [name for name in names if name.lower() not in known]
    if unknown:
        existing = ", ".join(column.name for column in table.columns)
        raise BadArchive(f"{table.name} has no column {', '.join(unknown)}. Its columns are: {existing}.")
    return [known[name.lower()] for name in names]


class _LenientDate(sa.types.TypeDecorator[Any]):
    """A date as the driver returns it, or parsed from text, in which SQLite stores it."""

    impl = NullType
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ANN401, ARG002 — as SQLAlchemy's
        """Parse text as a date; return other values unchanged."""
        if not isinstance(value, str):
            return value
        with suppress(ValueError):
            return datetime.fromisoformat(value)
        return value


def _convert_watermark(version: Any) -> Watermark | None:  # noqa: ANN401 — any value of a driver
    """Convert a version to a type that the index can store and the database compare."""
    if isinstance(version, Decimal):
        return int(version) if version == int(version) else float(version)
    if isinstance(version, date) and not isinstance(version, datetime):
        return datetime.combine(version, time.min)
    return version if isinstance(version, int | float | str | datetime) else None


_FACT_TYPES = (str, int)


def _convert_to_fact(value: object) -> Fact:
    """Convert a database's value to a type that JSON and every protocol carry."""
    if isinstance(value, _FACT_TYPES):  # first, since nearly all are
        return value
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == int(value) else float(value)  # a NUMBER may be either, however it is declared
    return str(value)  # UUID, bytes, …
