"""Scan ranges of indexes in one order, from their greatest ends, and merge the scans."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.index.search.range_predicates import EqualityPrefix, make_range_conditions
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.query.values import Range

Position: TypeAlias = tuple[int | str | None, int]
"""An entry's position in the order: its shot or date, and its id."""
_PositionQuery: TypeAlias = sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]]
Conditions: TypeAlias = Sequence[sa.ColumnElement[bool]]

_UNBOUNDED: Final[Range[Any]] = Range()
_ORDER: Final[Sequence[sa.UnaryExpression[Any]]] = (sa.desc("sort_value"), sa.desc("id"))
_ID_COLUMNS: Final = {ENTRIES: ENTRIES.c.id, ATTRIBUTES: ATTRIBUTES.c.entry}
_ATTRIBUTES_WITH_ENTRIES: Final = ATTRIBUTES.join(ENTRIES, ENTRIES.c.id == ATTRIBUTES.c.entry)


@dataclass(frozen=True)
class IndexRange:
    """A range of an index over entries, or over attributes."""

    order_column: sa.Column[Any]
    """The column that it is sorted by; entries with equal values are sorted by their ids."""
    prefix: EqualityPrefix = ()
    bounds: Range[Any] | None = _UNBOUNDED
    """The range of values; `None` for the entries without a value."""

    def select_positions(
        self, conditions: Conditions, after: Position | None, stop: Position | None
    ) -> sa.Select[*tuple[Any, ...]]:
        """Select the positions in it after one position and up to another; the conditions are on `ENTRIES`."""
        column, table = self.order_column, self.order_column.table
        id_column = _ID_COLUMNS[table]
        where = [*self.prefix]
        if self.bounds is None:
            where.append(column.is_(None))
            where += [id_column < after[1]] if after is not None and after[0] is None else []
            where += [id_column >= stop[1]] if stop is not None else []
        else:
            where += [column.is_not(None)] if self.bounds == _UNBOUNDED else make_range_conditions(column, self.bounds)
            for compare, position in ((operator.lt, after), (operator.ge, stop)):
                if position is not None:
                    values = map(sa.literal, position, (column.type, id_column.type))
                    where.append(compare(sa.tuple_(column, id_column), sa.tuple_(*values)))
        source = _ATTRIBUTES_WITH_ENTRIES if table is ATTRIBUTES and conditions else table
        columns = (column.label("sort_value"), id_column.label("id"))
        return sa.select(*columns).select_from(source).where(*where, *conditions)

    def is_before(self, position: Position | None) -> bool:
        """Check by the bounds whether the whole range comes before a position."""
        if position is None or self.bounds is None:
            return False
        return position[0] is None or (self.bounds.start is not None and position[0] < self.bounds.start)


def merge_scans(
    ranges: Sequence[IndexRange], conditions: Conditions, after: Position | None, stop: Position | None
) -> _PositionQuery:
    """Select the positions in some ranges, the greatest first; one in two ranges comes twice, one after the other."""
    scans = [each.select_positions(conditions, after, stop).order_by(*_ORDER) for each in ranges]
    if len(scans) == 1:
        return scans[0]
    return sa.union_all(*(sa.select(scan.subquery()) for scan in scans)).order_by(*_ORDER)


def compute_end_position(ranges: Sequence[IndexRange]) -> Position | None:
    """Return a position after all of some ranges; `None` if one of them has no end."""
    ends: list[Any] = [each.bounds.start if each.bounds else None for each in ranges]
    return None if None in ends else (min(ends), 0)


def select_id_span(ranges: Sequence[IndexRange], count: int, after: Position | None) -> sa.Select[*tuple[Any, ...]]:
    """Select the least and the greatest id of the first `count` positions."""
    positions = merge_scans(ranges, (), after, None).limit(count).subquery()
    return sa.select(sa.func.min(positions.c.id), sa.func.max(positions.c.id))


def select_nth_position(
    ranges: Sequence[IndexRange], count: int, after: Position | None, conditions: Conditions = ()
) -> _PositionQuery:
    """Select a position with at most `count` positions before it; no row if no range has its share of them.

    Only entries that fulfil the conditions count.

    It is the greatest of the positions that end the same share of each range, so all ranges together have at most that
    many before it.
    """
    if len(ranges) == 1:
        return merge_scans(ranges, conditions, after, None).offset(count).limit(1)
    share = count // len(ranges)
    ends = [
        sa.select(merge_scans([each], conditions, after, None).offset(share).limit(1).subquery(f"end{number}"))
        for number, each in enumerate(ranges)
    ]
    return sa.select(sa.union_all(*ends).subquery()).order_by(*_ORDER).limit(1)
