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

from shotdap.catalog.index.tables import SafeText, written

__all__ = ["executed", "inserted"]

_SIZES: Final = tuple(1 << power for power in range(10, -1, -1))  # rows; SQLite takes 32,766 parameters since 3.32

Convert: TypeAlias = Callable[[Any], Any]


@lru_cache(64)
def _prepared(statement: ValuesBase, dialect: sa.Dialect) -> tuple[str, Sequence[tuple[str, Convert | None]], bool]:
    """A statement's text, its parameters in order with what converts each, and whether they are given by position."""
    compiled: Any = statement.compile(dialect=dialect)
    names = compiled.positiontup or tuple(compiled.params)
    kinds = {name: compiled.binds[name].type for name in names}
    converters = [(name, _converter(kind, dialect)) for name, kind in kinds.items()]
    return str(compiled), converters, compiled.positional


def _converter(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Convert | None:
    if isinstance(kind, SafeText):
        return _written  # which is what its own would do, two calls further down
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _written(value: str | None) -> str | None:
    return value if value is None or (value.isascii() and value.isprintable()) else written(value)


def executed(connection: sa.Connection, statement: ValuesBase, rows: Iterable[Mapping[str, Any]]) -> None:
    """Execute a statement for each of some rows, which are by the names of its parameters; none is fine."""
    text, converters, positional = _prepared(statement, connection.dialect)
    if positional:
        values: list[Any] = [tuple([row[n] if c is None else c(row[n]) for n, c in converters]) for row in rows]
    else:
        values = [{n: row[n] if c is None else c(row[n]) for n, c in converters} for row in rows]
    if values:
        connection.exec_driver_sql(text, values)


def inserted(connection: sa.Connection, table: sa.TableClause, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows, which have a value for each of the table's columns, as the database keeps it; none is fine.

    They are taken a few at a time: ten thousand tuples at once would be looked through again and again by Python's
    collector of garbage.
    """
    _INSERTED[connection.dialect.name](connection, table, iter(rows))


def _together(connection: sa.Connection, table: sa.TableClause, rows: Iterator[tuple[Any, ...]]) -> None:
    width = len(table.columns)
    while values := tuple(chain.from_iterable(islice(rows, _SIZES[0]))):
        start = 0
        for size in _sizes(len(values) // width):
            connection.exec_driver_sql(_values(table, size), values[start : start + size * width])
            start += size * width


def _sizes(count: int) -> Iterator[int]:
    """How many rows each of some statements writes, which write so many together."""
    for size in _SIZES:
        if count & size:
            yield size


@lru_cache(64)
def _values(table: sa.TableClause, count: int) -> str:
    """SQLite's statement for some rows."""
    names = ", ".join(f'"{name}"' for name in _names(table))
    marks = f"({', '.join('?' * len(table.columns))})"
    return f'INSERT INTO "{table.name}" ({names}) VALUES {", ".join([marks] * count)}'  # noqa: S608 — no value in it


def _by_name(connection: sa.Connection, table: sa.TableClause, rows: Iterator[tuple[Any, ...]]) -> None:
    names = _names(table)
    while values := [dict(zip(names, row, strict=True)) for row in islice(rows, _SIZES[0])]:
        connection.exec_driver_sql(_insert(table, connection.dialect), values)


def _names(table: sa.TableClause) -> list[str]:
    return [column.name for column in table.columns]


@lru_cache(16)
def _insert(table: sa.TableClause, dialect: sa.Dialect) -> str:
    return str(table.insert().compile(dialect=dialect))


_INSERTED: Final[Mapping[str, Callable[[sa.Connection, sa.TableClause, Iterator[tuple[Any, ...]]], None]]] = (
    MappingProxyType({"sqlite": _together, "postgresql": _by_name})
)
