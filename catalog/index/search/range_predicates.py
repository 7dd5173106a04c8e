"""Values and ranges of them as conditions of columns, in words that an index answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.query.values import Range

__all__ = ["Column", "EqualityPrefix", "make_prefix_conditions", "make_range_conditions"]

Column: TypeAlias = sa.ColumnElement[Any]
EqualityPrefix: TypeAlias = tuple[sa.ColumnElement[bool], ...]
"""What holds the first columns of an index fast."""


def make_range_conditions(column: Column, bounds: Range[Any]) -> Iterator[sa.ColumnElement[bool]]:
    """That a column's value is in a range."""
    if bounds.start is not None:
        yield column >= bounds.start
    if bounds.stop is not None:
        yield column < bounds.stop


def make_prefix_conditions(column: Column, start: str) -> Iterator[sa.ColumnElement[bool]]:
    """That a text begins so; of one beyond ASCII only that it does not come before it."""
    yield column >= start
    if start and start.isascii() and start.isprintable():  # beyond ASCII the next character may be none
        yield column < start[:-1] + chr(ord(start[-1]) + 1)
