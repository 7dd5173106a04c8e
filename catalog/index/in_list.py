"""Rows by any number of keys, in one statement that is always the same and has one parameter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shotdap.catalog.index.tables import SafeText, escape_texts

__all__ = ["make_in_condition", "select_by_values"]

_BATCH_SIZE: Final = 5000  # values in one parameter


def select_by_values(
    connection: sa.Connection, columns: sa.Select[*tuple[Any, ...]], key: sa.Column[Any], values: Sequence[Any]
) -> Iterator[sa.Row[*tuple[Any, ...]]]:
    """The rows of a statement whose column has one of these values."""
    for start in range(0, len(values), _BATCH_SIZE):
        yield from connection.execute(
            columns.where(make_in_condition(connection, key, values[start : start + _BATCH_SIZE]))
        ).all()


def make_in_condition(
    connection: sa.Connection, key: sa.ColumnElement[Any], values: Sequence[Any]
) -> sa.ColumnElement[bool]:
    """Whether a column has one of these values."""
    kept = escape_texts(values) if isinstance(key.type, SafeText) else values
    return _IN_CONDITIONS[connection.dialect.name](key, list(kept))


def _match_json_list(key: sa.ColumnElement[Any], values: list[Any]) -> sa.ColumnElement[bool]:
    listed = sa.func.json_each(json.dumps(values)).table_valued("value")
    return key.in_(sa.select(listed.c.value))


def _match_array(key: sa.ColumnElement[Any], values: list[Any]) -> sa.ColumnElement[bool]:
    kind: sa.types.TypeEngine[Any] = sa.Text() if isinstance(key.type, SafeText) else sa.BigInteger()
    return key == sa.any_(sa.literal(values, postgresql.ARRAY(kind)))


_IN_CONDITIONS: Final[Mapping[str, Callable[[sa.ColumnElement[Any], list[Any]], sa.ColumnElement[bool]]]] = (
    MappingProxyType({"sqlite": _match_json_list, "postgresql": _match_array})
)
