"""An archive behind SQLAlchemy: a table or view, its columns mapped by the configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from math import isfinite
from types import MappingProxyType
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import oracle
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import NullType, TypeEngine

from shotdap.catalog.archive.archive import BadArchive, Row, Watermark
from shotdap.catalog.archive.connection import ArchiveDatabase
from shotdap.catalog.entry import Fact

_REQUIRED_COLUMNS = ("key", "file")
_ROWS_PER_FETCH = 1000  # rows a round trip

FilterValue: TypeAlias = str | int | float | datetime | date
"""What a column is held against."""


@dataclass(frozen=True)
class Between:
    """Values from one to another, both included; `None` is no limit."""

    least: FilterValue | None = None
    most: FilterValue | None = None


ColumnFilter: TypeAlias = FilterValue | tuple[FilterValue, ...] | Between
"""Which rows count: those with this value in a column, one of these, or one between two."""


@dataclass(frozen=True)
class SqlArchive:
    """Rows of one table or view in any database that SQLAlchemy speaks to.

    Values are taken as the driver gives them: SQLAlchemy's own conversions fail on the first value that is not of its
    column's type, which SQLite allows, and one bad row would hide all others.
    """

    database: ArchiveDatabase
    table: str
    columns: Mapping[str, str]
    """Our name of a column to the table's own: ``key`` and ``file`` always, ``version`` for incremental reads."""
    schema: str | None = None
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For a column, by our name, what to put for some of its values: ``{"facility": {"OMEGA EP": "omega-ep"}}``."""
    where: Mapping[str, ColumnFilter] = field(default_factory=dict)
    """By the table's own name of a column, which rows count; all of these hold at once."""

    def read_rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """Rows in the order of their versions, from a watermark on; see `Archive`."""
        row, statements = self._row_factory, self.build_statements(since)
        with self.database.open_connection() as connection:
            some_at_a_time = connection.execution_options(yield_per=_ROWS_PER_FETCH)  # so that memory stays constant
            for statement in statements:
                with some_at_a_time.execute(statement) as found:
                    yield from map(row, found)

    def count_rows(self, since: Watermark | None = None, /) -> int:
        """How many rows `read_rows` gives; see `Archive`."""
        counting = [
            statement.order_by(None).with_only_columns(sa.func.count(), maintain_column_froms=True)
            for statement in self.build_statements(since)
        ]
        return self.database.run_with_retry(
            lambda connection: sum(int(connection.execute(each).scalar_one()) for each in counting)
        )

    def build_statements(self, since: Watermark | None = None) -> list[sa.Select[Any]]:
        """The questions that `read_rows` puts to the database, one after the other, every value in them bound.

        Raises:
            LostArchive: the database does not answer now.
            BadArchive: the table is not as configured.
        """
        columns = [_select_raw(name, column) for name, column in self._mapped_columns.items()]
        statement = sa.select(*columns).where(*self._build_conditions())
        return order_by_version(statement, self._mapped_columns.get("version"), since)

    @cached_property
    def _row_factory(self) -> Callable[[Sequence[Any]], Row]:
        """What makes a row of the table's values, which are in the order of the mapped columns."""
        names = list(self._mapped_columns)
        key, file = names.index("key"), names.index("file")
        version = names.index("version") if "version" in names else None
        others = [(place, name, self.values.get(name)) for place, name in enumerate(names) if name not in _ROW_COLUMNS]

        def make_row(values: Sequence[Any]) -> Row:
            facts = {
                name: value if type(value) in _FACT_TYPES and not spellings else _map_value(value, spellings)
                for place, name, spellings in others
                if (value := values[place]) is not None
            }
            return Row(
                _convert_to_text(values[key]),
                _convert_to_text(values[file]),
                None if version is None else _convert_watermark(values[version]),
                facts,
            )

        return make_row

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
        """The mapped columns, by our names."""
        missing = [name for name in _REQUIRED_COLUMNS if name not in self.columns]
        if missing:
            raise BadArchive(f"No column is named for {' and '.join(missing)}; every archive needs key and file.")
        found = find_columns(self.reflected_table, self.columns.values())
        return dict(zip(self.columns, found, strict=True))

    def _build_conditions(self) -> list[sa.ColumnElement[bool]]:
        columns = find_columns(self.reflected_table, self.where)
        return [_build_condition(column, wanted) for column, wanted in zip(columns, self.where.values(), strict=True)]


def _map_value(value: object, spellings: Mapping[str, str] | None) -> Fact:
    """A value as a fact, or what the configuration puts for it."""
    fact = _convert_to_fact(value)
    return spellings.get(str(fact), fact) if spellings else fact


def _convert_to_text(value: object) -> str:
    """A key or a file as text, nothing where there is none; a whole number of any type as such."""
    if type(value) is str:
        return value
    return "" if value is None else str(_convert_to_fact(value))


_ROW_COLUMNS = ("key", "file", "version")  # columns that are no facts


def reflect_table(connection: sa.Connection, name: str, schema: str | None) -> sa.TableClause:
    """A table or view as the database describes it.

    In Oracle a synonym is as good.

    Raises:
        BadArchive: there is no such table, or this account may not see it.
    """
    inspector = sa.inspect(connection)
    for table, owner in _list_name_variants(connection.dialect, name, schema):
        with suppress(NoSuchTableError):
            found = inspector.get_columns(table, owner, oracle_resolve_synonyms=True)
            return sa.table(table, *(sa.column(column["name"], column["type"]) for column in found), schema=owner)
    tables = (*inspector.get_table_names(schema), *inspector.get_view_names(schema))
    raise BadArchive(f"There is no table {name}. The tables are: {', '.join(sorted(tables)) or 'none'}.")


def _list_name_variants(dialect: sa.Dialect, name: str, schema: str | None) -> tuple[tuple[str, str | None], ...]:
    """A name as it is written, and in the case that PostgreSQL gives to those without quotes."""
    if dialect.requires_name_normalize:  # Oracle keeps them in capitals, which SQLAlchemy writes small
        return ((dialect.normalize_name(name), dialect.normalize_name(schema) if schema else None),)
    return ((name, schema), (name.lower(), schema.lower() if schema else None))


def find_columns(table: sa.TableClause, names: Collection[str]) -> list[sa.ColumnClause[Any]]:
    """A table's columns with these names, in whatever case.

    Raises:
        BadArchive: it has no such column; the message names those that it has.
    """
    known = {column.name.lower(): column for column in table.columns}
    unknown = [name for name in names if name.lower() not in known]
    if unknown:
        there = ", ".join(column.name for column in table.columns)
        raise BadArchive(f"{table.name} has no column {', '.join(unknown)}. Its columns are: {there}.")
    return [known[name.lower()] for name in names]


class _LenientDate(sa.types.TypeDecorator[Any]):
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


def _select_raw(name: str, column: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]:
    """A column without SQLAlchemy's conversions. A version stays text where it is text: so it compares exactly."""
    dated = isinstance(column.type, sa.DateTime | sa.Date) and name != "version"
    return sa.type_coerce(column, _LenientDate() if dated else NullType())


def order_by_version(
    statement: sa.Select[Any], version: sa.ColumnClause[Any] | None, since: Watermark | None
) -> list[sa.Select[Any]]:
    """A statement in the order of a version column, from a watermark on.

    Rows without a version are always news. They are asked for by themselves: of both conditions in one statement,
    SQLite makes a walk through all rows.
    """
    if version is None:
        return [statement]
    if isinstance(version.type, oracle.TIMESTAMP) and (version.type.timezone or version.type.local_timezone):
        raise BadArchive(
            f"{version.name} is a {version.type}, whose zone Oracle's driver does not tell. A version has to be a DATE,"
            " a TIMESTAMP without a zone or a NUMBER; a view can make one: CAST(SYS_EXTRACT_UTC(…) AS TIMESTAMP)."
        )
    bare = sa.type_coerce(version, NullType())
    if since is None:
        return [statement.order_by(bare)]
    newer = statement.where(bare >= _bind_watermark(version.type, since)).order_by(bare)
    return [statement.where(bare.is_(None)), newer]


def _bind_watermark(kind: TypeEngine[Any], since: Watermark) -> sa.ColumnElement[Any]:
    """A watermark as its column's type.

    A time sent to Oracle as a DATE loses its fraction; held against one sent as a TIMESTAMP, each DATE of a column is
    first made another, and the column's index is of no use.
    """
    return sa.literal(since, kind if isinstance(since, datetime) else NullType())


def _build_condition(column: sa.ColumnClause[Any], wanted: ColumnFilter) -> sa.ColumnElement[bool]:
    return _CONDITION_BUILDERS.get(type(wanted), _build_equality)(column, wanted)


def _build_equality(column: sa.ColumnClause[Any], wanted: Any) -> sa.ColumnElement[bool]:  # noqa: ANN401 — a Value
    return sa.and_(column == wanted)


def _build_in_list(column: sa.ColumnClause[Any], wanted: Any) -> sa.ColumnElement[bool]:  # noqa: ANN401 — Values
    return column.in_(wanted)


def _build_between(column: sa.ColumnClause[Any], wanted: Between) -> sa.ColumnElement[bool]:
    limits = [column >= wanted.least] if wanted.least is not None else []
    return sa.and_(sa.true(), *limits, *([column <= wanted.most] if wanted.most is not None else []))


_CONDITION_BUILDERS: Mapping[type, Callable[[sa.ColumnClause[Any], Any], sa.ColumnElement[bool]]] = MappingProxyType(
    {tuple: _build_in_list, Between: _build_between}
)


def _convert_watermark(version: Any) -> Watermark | None:  # noqa: ANN401 — whatever a driver gives
    """A version as something that the index can keep, and the database compare."""
    if isinstance(version, Decimal):
        return int(version) if version == int(version) else float(version)
    if isinstance(version, date) and not isinstance(version, datetime):
        return datetime.combine(version, time.min)
    return version if isinstance(version, int | float | str | datetime) else None


_FACT_TYPES = (str, int)


def _convert_to_fact(value: object) -> Fact:
    """A database's value as something that JSON and every protocol carry."""
    if isinstance(value, _FACT_TYPES):  # first, as nearly all are
        return value
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return int(value) if value == int(value) else float(value)  # a NUMBER may be either, however it is declared
    return str(value)  # UUID, bytes, …
