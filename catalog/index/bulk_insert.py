"""Write many rows into one table, without SQLAlchemy's work for each row.

SQLAlchemy takes 20 µs to process the parameters of a row with sixteen columns, longer than SQLite takes to write it.
SQLite takes half the time for many rows in one statement. Its driver keeps the last 128 statements with all their
memory, so only a few sizes of statements are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.sql.dml import ValuesBase

from shotdap.catalog.index.tables import SafeText, escape_text

_Converter: TypeAlias = Callable[[Any], Any]

_BATCH_SIZES: Final = tuple(1 << power for power in range(10, -1, -1))  # rows; SQLite since 3.32 takes 32,766 values


def execute_many(connection: sa.Connection, statement: ValuesBase, rows: Iterable[Mapping[str, Any]]) -> None:
    """Execute a statement for each row, a mapping from the names of its parameters; without rows do nothing."""
    text, converters, is_positional = _compile_statement(statement, connection.dialect)
    if is_positional:
        values: list[Any] = [tuple([row[n] if c is None else c(row[n]) for n, c in converters]) for row in rows]
    else:
        values = [{n: row[n] if c is None else c(row[n]) for n, c in converters} for row in rows]
    if values:
        connection.exec_driver_sql(text, values)


def insert_rows(connection: sa.Connection, table: sa.TableClause, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows that have a stored value for each column of the table; without rows do nothing.

    Rows are taken in batches: Python's garbage collector would traverse ten thousand live tuples again and again.
    """
    remaining, names = iter(rows), [column.name for column in table.columns]
    if connection.dialect.name == "postgresql":
        statement = _render_insert(table, connection.dialect)
        while mappings := [dict(zip(names, row, strict=True)) for row in islice(remaining, _BATCH_SIZES[0])]:
            connection.exec_driver_sql(statement, mappings)
        return
    width = len(names)
    while values := tuple(chain.from_iterable(islice(remaining, _BATCH_SIZES[0]))):
        start = 0
        for size in _BATCH_SIZES:
            if len(values) // width & size:  # the sizes whose sum is the number of rows
                connection.exec_driver_sql(_render_sqlite_insert(table, size), values[start : start + size * width])
                start += size * width


@lru_cache(64)
def _compile_statement(
    statement: ValuesBase, dialect: sa.Dialect
) -> tuple[str, Sequence[tuple[str, _Converter | None]], bool]:
    """Return a statement's text, its parameters in order, each with its converter, and whether it is positional."""
    compiled: Any = statement.compile(dialect=dialect)
    converters: list[tuple[str, _Converter | None]] = []
    for name in compiled.positiontup or tuple(compiled.params):
        kind = compiled.binds[name].type
        if isinstance(kind, SafeText):  # its own processor does the same, two calls further down
            converters.append((name, lambda value: None if value is None else escape_text(value)))
        else:
            converters.append((name, kind.dialect_impl(dialect).bind_processor(dialect)))
    return str(compiled), converters, compiled.positional


@lru_cache(16)
def _render_insert(table: sa.TableClause, dialect: sa.Dialect) -> str:
    return str(table.insert().compile(dialect=dialect))


@lru_cache(64)
def _render_sqlite_insert(table: sa.TableClause, count: int) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    marks = f"({', '.join('?' * len(table.columns))})"
    return f'INSERT INTO "{table.name}" ({names}) VALUES {", ".join([marks] * count)}'  # noqa: S608 — no value in it
