"""Stretches of indexes that have entries in one order, walked side by side from their greatest ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.index.search.range_predicates import EqualityPrefix, make_range_conditions
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.query.values import Range

__all__ = [
    "Conditions",
    "IndexRange",
    "Position",
    "PositionQuery",
    "compute_end_position",
    "merge_scans",
    "select_id_span",
    "select_nth_position",
]

Position: TypeAlias = tuple[int | str | None, int]
"""Where an entry stands in the order: its shot or date, and its id."""
PositionQuery: TypeAlias = sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]]
Conditions: TypeAlias = Sequence[sa.ColumnElement[bool]]

_UNBOUNDED: Final[Range[Any]] = Range()
_ORDER: Final[Sequence[sa.UnaryExpression[Any]]] = (sa.desc("place"), sa.desc("id"))
_ID_COLUMNS: Final = {ENTRIES: ENTRIES.c.id, ATTRIBUTES: ATTRIBUTES.c.entry}
_ATTRIBUTES_WITH_ENTRIES: Final = ATTRIBUTES.join(ENTRIES, ENTRIES.c.id == ATTRIBUTES.c.entry)


@dataclass(frozen=True)
class IndexRange:
    """A stretch of an index over entries, or over attributes."""

    order_column: sa.Column[Any]
    """The column whose order it has; among equals, entries stand by their ids."""
    prefix: EqualityPrefix = ()
    bounds: Range[Any] | None = _UNBOUNDED
    """Between which values; `None` for the entries that have none."""

    def select_positions(
        self, conditions: Conditions, after: Position | None, stop: Position | None
    ) -> sa.Select[*tuple[Any, ...]]:
        """The places in it from behind one up to another; conditions are of `ENTRIES`."""
        table = self.order_column.table
        where = [
            *self.prefix,
            *self._make_bound_conditions(),
            *self._make_after_conditions(after),
            *self._make_stop_conditions(stop),
            *conditions,
        ]
        source = _ATTRIBUTES_WITH_ENTRIES if table is ATTRIBUTES and conditions else table
        return (
            sa.select(self.order_column.label("place"), self._id_column.label("id")).select_from(source).where(*where)
        )

    def is_before(self, place: Position | None) -> bool:
        """Whether all of it comes before a place, as far as its bounds tell."""
        if place is None or self.bounds is None:
            return False
        return place[0] is None or (self.bounds.start is not None and place[0] < self.bounds.start)

    @property
    def _id_column(self) -> sa.Column[int]:
        return _ID_COLUMNS[self.order_column.table]

    def _make_bound_conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.bounds is None:
            yield self.order_column.is_(None)
        elif self.bounds == _UNBOUNDED:
            yield self.order_column.is_not(None)
        else:
            yield from make_range_conditions(self.order_column, self.bounds)

    def _make_after_conditions(self, place: Position | None) -> Iterator[sa.ColumnElement[bool]]:
        if place is not None and self.bounds is None and place[0] is None:
            yield self._id_column < place[1]
        elif place is not None and self.bounds is not None:
            yield sa.tuple_(self.order_column, self._id_column) < self._make_tuple(place)

    def _make_stop_conditions(self, place: Position | None) -> Iterator[sa.ColumnElement[bool]]:
        if place is not None and self.bounds is None:
            yield self._id_column >= place[1]
        elif place is not None:
            yield sa.tuple_(self.order_column, self._id_column) >= self._make_tuple(place)

    def _make_tuple(self, place: Position) -> sa.Tuple:
        return sa.tuple_(sa.literal(place[0], self.order_column.type), sa.literal(place[1], self._id_column.type))


def merge_scans(
    streams: Sequence[IndexRange], conditions: Conditions, after: Position | None, stop: Position | None
) -> PositionQuery:
    """The places in some stretches, the greatest first. One that is in two of them comes twice, one after the other."""
    parts = [stream.select_positions(conditions, after, stop).order_by(*_ORDER) for stream in streams]
    if len(parts) == 1:
        return parts[0]
    return sa.union_all(*(sa.select(part.subquery()) for part in parts)).order_by(*_ORDER)


def compute_end_position(streams: Sequence[IndexRange]) -> Position | None:
    """A place behind all that is in some stretches; none, where one of them has no end."""
    ends: list[Any] = [stream.bounds.start if stream.bounds else None for stream in streams]
    return None if None in ends else (min(ends), 0)


def select_id_span(streams: Sequence[IndexRange], number: int, after: Position | None) -> sa.Select[*tuple[Any, ...]]:
    """The least and the greatest id of so many places, the greatest places first."""
    places = merge_scans(streams, (), after, None).limit(number).subquery()
    return sa.select(sa.func.min(places.c.id), sa.func.max(places.c.id))


def select_nth_position(streams: Sequence[IndexRange], number: int, after: Position | None) -> PositionQuery:
    """A place before which there are so many at most; none, where all are so few.

    It is the greatest of the places at which the same share of each stretch is passed: so there are that many at least.
    """
    if len(streams) == 1:
        return merge_scans(streams, (), after, None).offset(number).limit(1)
    share = number // len(streams)
    ends = [
        sa.select(merge_scans([stream], (), after, None).offset(share).limit(1).subquery(f"end{count}"))
        for count, stream in enumerate(streams)
    ]
    return sa.select(sa.union_all(*ends).subquery()).order_by(*_ORDER).limit(1)
