"""Conditions on the attributes of files, and the values of an attribute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from shotdap.catalog.index.search.range_predicates import Column, EqualityPrefix, make_prefix_conditions
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.query import Pattern, Term, Value
from shotdap.catalog.query.values import extract_literal_prefix, match_pattern, parse_number

_UNINDEXED_COLUMNS: Final = (ATTRIBUTES.c.name.concat(""), ATTRIBUTES.c.text.concat(""), ATTRIBUTES.c.number + 0)
"""The same columns, wrapped so that the planner cannot use the value indexes; the index on entries is cheaper here."""


def select_entry_ids(term: Term) -> sa.Select[Any]:
    """Select by the value indexes the ids of all entries that match a term, and of some others; ids may repeat."""
    values = [_make_value_condition(value, ATTRIBUTES.c.text, ATTRIBUTES.c.number) for value in term.values]
    return sa.select(ATTRIBUTES.c.entry).where(ATTRIBUTES.c.name == term.name, sa.or_(*values))


def may_have_attribute(term: Term) -> sa.ColumnElement[bool]:
    """Return a necessary condition for an entry to match a term."""
    values = [_make_value_condition(value, *_UNINDEXED_COLUMNS[1:]) for value in term.values]
    return _make_entry_condition(term.name, values)


def has_attribute(term: Term) -> sa.ColumnElement[bool] | None:
    """Return a sufficient condition for an entry to match a term; `None` if the table cannot show it of any value."""
    conditions: list[Column] = []
    for value in term.values:
        number = _parse_unquoted_number(value)
        if number is not None:
            conditions.append(_UNINDEXED_COLUMNS[2] == number)
        elif isinstance(value, Pattern) and extract_literal_prefix(value)[1]:
            conditions.append(_UNINDEXED_COLUMNS[1] == value.text)
    return _make_entry_condition(term.name, conditions) if conditions else None


def find_attribute_prefixes(connection: sa.Connection, term: Term, limit: int) -> list[EqualityPrefix] | None:
    """Return an index prefix of name and value for each stored value that matches a term.

    The result is `None` if more than `limit` values match, or would have to be tested.

    Args:
        connection: to the catalog's database.
        term: a term about an attribute.
        limit: the greatest number of prefixes.
    """
    prefixes: list[EqualityPrefix] = []
    for value in term.values:
        number = _parse_unquoted_number(value)
        values: list[Any]
        if number is not None:
            column, values = ATTRIBUTES.c.number, [number]
        elif isinstance(value, Pattern) and extract_literal_prefix(value)[1]:
            column, values = ATTRIBUTES.c.text, [value.text]
        else:
            value_range = _make_value_range(value, ATTRIBUTES.c.text, ATTRIBUTES.c.number)
            column = value_range.column
            # Some values of the attribute, the least first; each is found by one step in an index.
            least = sa.select(sa.func.min(column).label("value")).where(
                ATTRIBUTES.c.name == term.name, *value_range.upper
            )
            distinct = least.where(*value_range.lower).cte("distinct_values", recursive=True)
            following = least.where(column > distinct.c.value).scalar_subquery()
            distinct = distinct.union_all(sa.select(following).where(distinct.c.value.is_not(None)))
            statement = sa.select(distinct.c.value).where(distinct.c.value.is_not(None)).limit(limit + 1)
            values = list(connection.execute(statement).scalars())
            if isinstance(value, Pattern) and len(values) <= limit:
                values = [text for text in values if match_pattern(value, text, folded=False)]
        prefixes += [(ATTRIBUTES.c.name == term.name, column == each) for each in values]
        if len(prefixes) > limit:
            return None
    return prefixes


class _ValueRange(NamedTuple):
    """The texts, or the numbers, between two bounds, both included."""

    column: Any
    lower: Sequence[sa.ColumnElement[bool]]
    upper: Sequence[sa.ColumnElement[bool]]


def _make_entry_condition(name: str | None, values: Iterable[Column]) -> sa.ColumnElement[bool]:
    """Return the condition that an entry's attribute has one of the values."""
    rows = sa.select(ATTRIBUTES.c.entry).where(_UNINDEXED_COLUMNS[0] == name, sa.or_(*values))
    of_entry = rows.where(ATTRIBUTES.c.entry == ENTRIES.c.id)
    # OFFSET keeps PostgreSQL from joining all attributes. ENTRIES is named, because the scan may be of attributes, too.
    return of_entry.offset(0).correlate(ENTRIES).exists()


def _make_value_condition(value: Value, text: Column, number: Column) -> Column:
    """Return a necessary condition for an attribute to have a value; an index can answer it."""
    wanted_number = _parse_unquoted_number(value)
    if wanted_number is not None:
        return number == wanted_number
    if isinstance(value, Pattern) and extract_literal_prefix(value)[1]:
        return text == value.text
    value_range = _make_value_range(value, text, number)
    return sa.and_(sa.true(), *value_range.lower, *value_range.upper)


def _parse_unquoted_number(value: Value) -> float | None:
    return parse_number(value.text) if isinstance(value, Pattern) and not value.is_quoted else None


def _make_value_range(value: Value, text: Column, number: Column) -> _ValueRange:
    """Return the range of a `TextRange`, or of all texts with the literal prefix of a pattern."""
    if isinstance(value, Pattern):
        lower, *upper = make_prefix_conditions(text, extract_literal_prefix(value)[0])
        return _ValueRange(text, [lower], upper)
    bounds = [bound for bound in (value.lower, value.upper) if bound is not None]
    numbers = [parse_number(bound) for bound in bounds]
    column, values = (text, bounds) if None in numbers else (number, numbers)
    return _ValueRange(
        column,
        [] if value.lower is None else [column >= values[0]],
        [] if value.upper is None else [column <= values[-1]],
    )
