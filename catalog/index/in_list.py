"""Select rows by any number of keys, with one statement that never changes and has one parameter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shotdap.catalog.index.tables import SafeText, escape_texts

_BATCH_SIZE: Final = 5000  # values in one parameter


def select_by_values(
    connection: sa.Connection, columns: sa.Select[*tuple[Any, ...]], key: sa.Column[Any], values: Sequence[Any]
) -> Iterator[sa.Row[*tuple[Any, ...]]]:
    """Yield the rows of a statement whose key column has one of the values."""
    for start in range(0, len(values), _BATCH_SIZE):
        condition = make_in_condition(connection, key, values[start : start + _BATCH_SIZE])
        yield from connection.execute(columns.where(condition)).all()


def make_in_condition(
    connection: sa.Connection, key: sa.ColumnElement[Any], values: Sequence[Any]
) -> sa.ColumnElement[bool]:
    """Return the condition that a column has one of the values."""
    is_text = isinstance(key.type, SafeText)
    stored = list(escape_texts(values) if is_text else values)
    if connection.dialect.name == "sqlite":
        return key.in_(sa.select(sa.func.json_each(json.dumps(stored)).table_valued("value").c.value))
    item_type: sa.types.TypeEngine[Any] = sa.Text() if is_text else sa.BigInteger()
    return key == sa.any_(sa.literal(stored, postgresql.ARRAY(item_type)))
