"""Conditions that an index answers: a column's value is in a range, or begins with a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.query.values import Range

Column: TypeAlias = sa.ColumnElement[Any]
EqualityPrefix: TypeAlias = tuple[sa.ColumnElement[bool], ...]
"""Equality conditions on the first columns of an index; the entries that remain are in the order of its next column."""


def make_range_conditions(column: Column, bounds: Range[Any]) -> Iterator[sa.ColumnElement[bool]]:
    """Yield the conditions that a column's value is in a range."""
    if bounds.start is not None:
        yield column >= bounds.start
    if bounds.stop is not None:
        yield column < bounds.stop


def make_prefix_conditions(column: Column, prefix: str) -> Iterator[sa.ColumnElement[bool]]:
    """Yield the conditions that a text begins with a prefix; beyond ASCII only that it does not sort before it."""
    yield column >= prefix
    if prefix and prefix.isascii() and prefix.isprintable():  # beyond ASCII the next code point may be no character
        yield column < prefix[:-1] + chr(ord(prefix[-1]) + 1)
