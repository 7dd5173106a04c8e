"""Many rows into one table, without SQLAlchemy's work for each row.

SQLAlchemy takes 20 µs to look at the parameters of a row with sixteen columns, which is more than SQLite takes to
write it. SQLite takes half the time for many rows in one statement. Its driver keeps the last 128 statements, with all
their memory: so there are few sizes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.sql.dml import ValuesBase

from shotdap.catalog.index.tables import SafeText, escape_text

__all__ = ["execute_many", "insert_rows"]

_BATCH_SIZES: Final = tuple(
    1 << power for power in range(10, -1, -1)
)  # rows; SQLite takes 32,766 parameters since 3.32

Converter: TypeAlias = Callable[[Any], Any]


@lru_cache(64)
def _compile_statement(
    statement: ValuesBase, dialect: sa.Dialect
) -> tuple[str, Sequence[tuple[str, Converter | None]], bool]:
    """A statement's text, its parameters in order with what converts each, and whether they are given by position."""
    compiled: Any = statement.compile(dialect=dialect)
    names = compiled.positiontup or tuple(compiled.params)
    kinds = {name: compiled.binds[name].type for name in names}
    converters = [(name, _get_converter(kind, dialect)) for name, kind in kinds.items()]
    return str(compiled), converters, compiled.positional


def _get_converter(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Converter | None:
    if isinstance(kind, SafeText):
        return _escape_value  # which is what its own would do, two calls further down
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _escape_value(value: str | None) -> str | None:
    return value if value is None or (value.isascii() and value.isprintable()) else escape_text(value)


def execute_many(connection: sa.Connection, statement: ValuesBase, rows: Iterable[Mapping[str, Any]]) -> None:
    """Execute a statement for each of some rows, which are by the names of its parameters; none is fine."""
    text, converters, positional = _compile_statement(statement, connection.dialect)
    if positional:
        values: list[Any] = [tuple([row[n] if c is None else c(row[n]) for n, c in converters]) for row in rows]
    else:
        values = [{n: row[n] if c is None else c(row[n]) for n, c in converters} for row in rows]
    if values:
        connection.exec_driver_sql(text, values)


def insert_rows(connection: sa.Connection, table: sa.TableClause, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows, which have a value for each of the table's columns, as the database keeps it; none is fine.

    They are taken a few at a time: ten thousand tuples at once would be looked through again and again by Python's
    collector of garbage.
    """
    _INSERT_FUNCTIONS[connection.dialect.name](connection, table, iter(rows))


def _insert_multiple_rows(connection: sa.Connection, table: sa.TableClause, rows: Iterator[tuple[Any, ...]]) -> None:
    width = len(table.columns)
    while values := tuple(chain.from_iterable(islice(rows, _BATCH_SIZES[0]))):
        start = 0
        for size in _split_count(len(values) // width):
            connection.exec_driver_sql(_render_multirow_insert(table, size), values[start : start + size * width])
            start += size * width


def _split_count(count: int) -> Iterator[int]:
    """How many rows each of some statements writes, which write so many together."""
    for size in _BATCH_SIZES:
        if count & size:
            yield size


@lru_cache(64)
def _render_multirow_insert(table: sa.TableClause, count: int) -> str:
    """SQLite's statement for some rows."""
    names = ", ".join(f'"{name}"' for name in _list_columns(table))
    marks = f"({', '.join('?' * len(table.columns))})"
    return f'INSERT INTO "{table.name}" ({names}) VALUES {", ".join([marks] * count)}'  # noqa: S608 — no value in it


def _insert_mappings(connection: sa.Connection, table: sa.TableClause, rows: Iterator[tuple[Any, ...]]) -> None:
    names = _list_columns(table)
    while values := [dict(zip(names, row, strict=True)) for row in islice(rows, _BATCH_SIZES[0])]:
        connection.exec_driver_sql(_compile_insert(table, connection.dialect), values)


def _list_columns(table: sa.TableClause) -> list[str]:
    return [column.name for column in table.columns]


@lru_cache(16)
def _compile_insert(table: sa.TableClause, dialect: sa.Dialect) -> str:
    return str(table.insert().compile(dialect=dialect))


_INSERT_FUNCTIONS: Final[Mapping[str, Callable[[sa.Connection, sa.TableClause, Iterator[tuple[Any, ...]]], None]]] = (
    MappingProxyType({"sqlite": _insert_multiple_rows, "postgresql": _insert_mappings})
)
