"""Stretches of indexes that have entries in one order, walked side by side from their greatest ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.index.search.range_predicates import Pin, within
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.query.values import Range

__all__ = ["Conditions", "Place", "Places", "Stream", "least", "merged", "nth", "span"]

Place: TypeAlias = tuple[int | str | None, int]
"""Where an entry stands in the order: its shot or date, and its id."""
Places: TypeAlias = sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]]
Conditions: TypeAlias = Sequence[sa.ColumnElement[bool]]

_ALL: Final[Range[Any]] = Range()
_ORDER: Final[Sequence[sa.UnaryExpression[Any]]] = (sa.desc("place"), sa.desc("id"))
_IDS: Final = {ENTRIES: ENTRIES.c.id, ATTRIBUTES: ATTRIBUTES.c.entry}
_DESCRIBED: Final = ATTRIBUTES.join(ENTRIES, ENTRIES.c.id == ATTRIBUTES.c.entry)


@dataclass(frozen=True)
class Stream:
    """A stretch of an index over entries, or over attributes."""

    by: sa.Column[Any]
    """The column whose order it has; among equals, entries stand by their ids."""
    pin: Pin = ()
    bounds: Range[Any] | None = _ALL
    """Between which values; `None` for the entries that have none."""

    def places(self, conditions: Conditions, after: Place | None, stop: Place | None) -> sa.Select[*tuple[Any, ...]]:
        """The places in it from behind one up to another; conditions are of `ENTRIES`."""
        table = self.by.table
        where = [*self.pin, *self._bounded(), *self._behind(after), *self._upto(stop), *conditions]
        source = _DESCRIBED if table is ATTRIBUTES and conditions else table
        return sa.select(self.by.label("place"), self._id.label("id")).select_from(source).where(*where)

    def is_before(self, place: Place | None) -> bool:
        """Whether all of it comes before a place, as far as its bounds tell."""
        if place is None or self.bounds is None:
            return False
        return place[0] is None or (self.bounds.least is not None and place[0] < self.bounds.least)

    @property
    def _id(self) -> sa.Column[int]:
        return _IDS[self.by.table]

    def _bounded(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.bounds is None:
            yield self.by.is_(None)
        elif self.bounds == _ALL:
            yield self.by.is_not(None)
        else:
            yield from within(self.by, self.bounds)

    def _behind(self, place: Place | None) -> Iterator[sa.ColumnElement[bool]]:
        if place is not None and self.bounds is None and place[0] is None:
            yield self._id < place[1]
        elif place is not None and self.bounds is not None:
            yield sa.tuple_(self.by, self._id) < self._tuple(place)

    def _upto(self, place: Place | None) -> Iterator[sa.ColumnElement[bool]]:
        if place is not None and self.bounds is None:
            yield self._id >= place[1]
        elif place is not None:
            yield sa.tuple_(self.by, self._id) >= self._tuple(place)

    def _tuple(self, place: Place) -> sa.Tuple:
        return sa.tuple_(sa.literal(place[0], self.by.type), sa.literal(place[1], self._id.type))


def merged(streams: Sequence[Stream], conditions: Conditions, after: Place | None, stop: Place | None) -> Places:
    """The places in some stretches, the greatest first. One that is in two of them comes twice, one after the other."""
    parts = [stream.places(conditions, after, stop).order_by(*_ORDER) for stream in streams]
    if len(parts) == 1:
        return parts[0]
    return sa.union_all(*(sa.select(part.subquery()) for part in parts)).order_by(*_ORDER)


def least(streams: Sequence[Stream]) -> Place | None:
    """A place behind all that is in some stretches; none, where one of them has no end."""
    ends: list[Any] = [stream.bounds.least if stream.bounds else None for stream in streams]
    return None if None in ends else (min(ends), 0)


def span(streams: Sequence[Stream], number: int, after: Place | None) -> sa.Select[*tuple[Any, ...]]:
    """The least and the greatest id of so many places, the greatest places first."""
    places = merged(streams, (), after, None).limit(number).subquery()
    return sa.select(sa.func.min(places.c.id), sa.func.max(places.c.id))


def nth(streams: Sequence[Stream], number: int, after: Place | None) -> Places:
    """A place before which there are so many at most; none, where all are so few.

    It is the greatest of the places at which the same share of each stretch is passed: so there are that many at least.
    """
    if len(streams) == 1:
        return merged(streams, (), after, None).offset(number).limit(1)
    share = number // len(streams)
    ends = [
        sa.select(merged([stream], (), after, None).offset(share).limit(1).subquery(f"end{count}"))
        for count, stream in enumerate(streams)
    ]
    return sa.select(sa.union_all(*ends).subquery()).order_by(*_ORDER).limit(1)
