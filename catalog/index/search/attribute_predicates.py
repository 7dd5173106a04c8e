"""Attributes of files: who has one, and which values of it there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from shotdap.catalog.index.search.range_predicates import Column, EqualityPrefix, make_prefix_conditions
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.query import Pattern, Term, TextRange, Value
from shotdap.catalog.query.values import extract_literal_prefix, match_pattern, parse_number

__all__ = ["find_attribute_prefixes", "has_attribute", "may_have_attribute", "select_entry_ids"]

_UNINDEXED_COLUMNS: Final = (ATTRIBUTES.c.name.concat(""), ATTRIBUTES.c.text.concat(""), ATTRIBUTES.c.number + 0)
"""The same in words that lure no database to the indexes over values, of which that over entries is better here."""


def select_entry_ids(term: Term) -> sa.Select[Any]:
    """The ids of all entries that have what a term means, and of others, by the indexes over values; some twice."""
    values = [_make_value_condition(value, ATTRIBUTES.c.text, ATTRIBUTES.c.number) for value in term.values]
    return sa.select(ATTRIBUTES.c.entry).where(ATTRIBUTES.c.name == term.name, sa.or_(*values))


def may_have_attribute(term: Term) -> sa.ColumnElement[bool]:
    """That an entry may have what a term means."""
    return _make_entry_condition(
        term.name, [_make_value_condition(value, *_UNINDEXED_COLUMNS[1:]) for value in term.values]
    )


def has_attribute(term: Term) -> sa.ColumnElement[bool] | None:
    """That an entry has one of a term's values for sure; nothing, where the table cannot show it of any."""
    shown = [condition for value in term.values for condition in _make_exact_conditions(value)]
    return _make_entry_condition(term.name, shown) if shown else None


def find_attribute_prefixes(connection: sa.Connection, term: Term, most: int) -> list[EqualityPrefix] | None:
    """What holds fast an attribute's name and value, for each value that a term means; `None` where they are many.

    Args:
        connection: to the catalog's database.
        term: one that asks for an attribute.
        most: how many are not many.
    """
    found: list[EqualityPrefix] = []
    for value in term.values:
        column, meant = _find_values(connection, term.name, value, most)
        found += [(ATTRIBUTES.c.name == term.name, column == each) for each in meant]
        if len(found) > most or len(meant) > most:
            return None
    return found


def _find_values(
    connection: sa.Connection, name: str | None, value: Value, most: int
) -> tuple[sa.Column[Any], list[Any]]:
    """The values that a value means, and of which column; of texts some that it does not mean, if they are many."""
    wanted = _parse_unquoted_number(value)
    if wanted is not None:
        return ATTRIBUTES.c.number, [wanted]
    if isinstance(value, Pattern) and extract_literal_prefix(value)[1]:
        return ATTRIBUTES.c.text, [value.text]
    stretch = _make_value_range(value, ATTRIBUTES.c.text, ATTRIBUTES.c.number)
    found = _select_distinct_values(connection, name, stretch, most + 1)
    if isinstance(value, TextRange) or len(found) > most:
        return stretch.column, found
    return stretch.column, [text for text in found if match_pattern(value, text, folded=False)]


def _select_distinct_values(connection: sa.Connection, name: str | None, stretch: _ValueRange, most: int) -> list[Any]:
    """Some values of an attribute, the least first, each found by one step in an index."""
    least = sa.select(sa.func.min(stretch.column).label("value")).where(ATTRIBUTES.c.name == name, *stretch.upper)
    values = least.where(*stretch.lower).cte("found", recursive=True)
    following = least.where(stretch.column > values.c.value).scalar_subquery()
    values = values.union_all(sa.select(following).where(values.c.value.is_not(None)))
    statement = sa.select(values.c.value).where(values.c.value.is_not(None)).limit(most)
    return list(connection.execute(statement).scalars())


def _make_entry_condition(name: str | None, values: Iterable[Column]) -> sa.ColumnElement[bool]:
    """That an entry has one of these values of an attribute."""
    rows = sa.select(ATTRIBUTES.c.entry).where(_UNINDEXED_COLUMNS[0] == name, sa.or_(*values))
    of_entry = rows.where(ATTRIBUTES.c.entry == ENTRIES.c.id)
    # an OFFSET keeps PostgreSQL from a join with all of them; what is walked along may be attributes, too
    return of_entry.offset(0).correlate(ENTRIES).exists()


def _make_value_condition(value: Value, text: Column, real: Column) -> Column:
    """A value of an attribute, as far as an index can tell."""
    wanted = _parse_unquoted_number(value)
    if wanted is not None:
        return real == wanted
    if isinstance(value, Pattern) and extract_literal_prefix(value)[1]:
        return text == value.text
    stretch = _make_value_range(value, text, real)
    return sa.and_(sa.true(), *stretch.lower, *stretch.upper)


def _make_exact_conditions(value: Value) -> Iterator[Column]:
    """A value, where the table shows it: a number, or a text without wildcards."""
    wanted = _parse_unquoted_number(value)
    if wanted is not None:
        yield _UNINDEXED_COLUMNS[2] == wanted
    elif isinstance(value, Pattern) and extract_literal_prefix(value)[1]:
        yield _UNINDEXED_COLUMNS[1] == value.text


def _parse_unquoted_number(value: Value) -> float | None:
    """The number that a value means, if it means one."""
    return parse_number(value.text) if isinstance(value, Pattern) and not value.is_quoted else None


class _ValueRange(NamedTuple):
    """The values from one to another, with both; that are texts, or numbers."""

    column: Any
    lower: Sequence[sa.ColumnElement[bool]]
    upper: Sequence[sa.ColumnElement[bool]]


def _make_value_range(value: Value, text: Column, real: Column) -> _ValueRange:
    """Where the values are that a range means, or a text with wildcards."""
    if isinstance(value, Pattern):
        lower, *upper = make_prefix_conditions(text, extract_literal_prefix(value)[0])
        return _ValueRange(text, [lower], upper)
    ends = [end for end in (value.lower, value.upper) if end is not None]
    numbers = [parse_number(end) for end in ends]
    column, values = (text, ends) if None in numbers else (real, numbers)
    return _ValueRange(
        column,
        [] if value.lower is None else [column >= values[0]],
        [] if value.upper is None else [column <= values[-1]],
    )
