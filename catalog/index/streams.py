"""The order of what is found, and stretches of indexes that have it.

Strategy: what is found comes the newest first. That is by date, entries without one at the end; where the query asks
for shots, by shot. A stretch of an index in which all that comes before the order's column is held fast has its entries
in that order: one facility's entries of one diagnostic by date, one diagnostic's by shot. Of a query with few such
stretches each is walked from its greatest end, and they are merged; of any other the index of the order's column alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.index.narrowing import Narrowing, within
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query.meanings import Range

__all__ = ["Place", "Stream", "is_exact", "order", "place_of", "streams", "unpinned"]

Place: TypeAlias = tuple[int | str | None, int]
"""Where an entry stands in the order: its shot or date, and its id."""

_MOST: Final = 16  # stretches that are walked side by side
_NAMES: Final = (ENTRIES.c.facility, ENTRIES.c.diagnostic)
_ALL: Final[Range[Any]] = Range()


@dataclass(frozen=True)
class Stream:
    """A stretch of an index."""

    by: sa.Column[Any]
    pins: tuple[sa.ColumnElement[bool], ...] = ()
    """What holds fast the columns that come before."""
    bounds: Range[Any] | None = _ALL
    """Between which values; `None` for the entries that have none, which stand by their ids."""

    def select(
        self, columns: Sequence[sa.ColumnElement[Any] | sa.Table], after: Place | None, stop: Place | None
    ) -> sa.Select[Any]:
        """The stretch from its greatest end, or from behind a place, to another place or its end."""
        where = [*self.pins, *self._bounded(), *self._behind(after), *self._upto(stop)]
        return sa.select(*columns).where(*where).order_by(*(column.desc() for column in self._order))

    @property
    def _order(self) -> tuple[sa.Column[Any], ...]:
        return (ENTRIES.c.id,) if self.bounds is None else (self.by, ENTRIES.c.id)

    def _bounded(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.bounds is None:
            yield self.by.is_(None)
        elif self.bounds == _ALL:
            yield self.by.is_not(None)
        else:
            yield from within(self.by, self.bounds)

    def _behind(self, place: Place | None) -> Iterator[sa.ColumnElement[bool]]:
        if place is not None and self.bounds is None and place[0] is None:
            yield ENTRIES.c.id < place[1]
        elif place is not None and self.bounds is not None:
            yield sa.tuple_(*self._order) < self._tuple(place)

    def _upto(self, place: Place | None) -> Iterator[sa.ColumnElement[bool]]:
        if place is not None and self.bounds is None:
            yield ENTRIES.c.id >= place[1]
        elif place is not None:
            yield sa.tuple_(*self._order) >= self._tuple(place)

    def _tuple(self, place: Place) -> sa.Tuple:
        return sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(place, self._order, strict=True)))


def order(narrowing: Narrowing) -> sa.Column[Any]:
    """The column that what is found is in the order of, the greatest first."""
    return ENTRIES.c.date if narrowing.shots is None else ENTRIES.c.shot


def place_of(row: sa.RowMapping, by: sa.Column[Any]) -> Place:
    """Where a row of ``entries`` stands."""
    return row[by.name], row["id"]


def streams(narrowing: Narrowing) -> list[list[Stream]]:
    """The stretches in which all that a query asks for is; those of the first list come before those of the next."""
    by = order(narrowing)
    asked = narrowing.dates if narrowing.shots is None else narrowing.shots
    pins = _pins(narrowing, by)
    if asked is not None:
        bounds: list[Range[Any]] = [*asked]
        if len(asked) * len(pins) > _MOST:
            bounds = [Range[Any](asked[0].least, asked[-1].before)]
        return [[Stream(by, pin, each) for pin in pins for each in bounds]]
    return [[Stream(by, pin) for pin in pins], [Stream(by, pin, None) for pin in pins]]


def is_exact(narrowing: Narrowing) -> bool:
    """Whether all that is in the stretches matches."""
    held = {order(narrowing).name, *(("facility", "diagnostic") if _are_pinned(narrowing) else ())}
    return all(term.name in held and not (term.negated and term.name in ("shot", "date")) for term in narrowing.terms)


def unpinned(narrowing: Narrowing) -> Iterator[sa.ColumnElement[bool]]:
    """What a query asks of facilities, diagnostics and dates that its stretches do not hold fast.

    In words that lure no database away from the stretches, to an index with another order.
    """
    if not _are_pinned(narrowing):
        for column, names in zip(_NAMES, zip(*narrowing.chosen, strict=True), strict=True):
            yield sa.func.coalesce(column, "").in_(sorted(set(names)))
    if narrowing.shots is not None and narrowing.dates is not None:
        date = sa.func.coalesce(ENTRIES.c.date, "")
        yield sa.or_(*(sa.and_(date > "", *within(date, each)) for each in narrowing.dates))


def _are_pinned(narrowing: Narrowing) -> bool:
    """Whether the stretches are those of the chosen facilities and diagnostics, and of no others."""
    if len(narrowing.chosen) == len(narrowing.kinds):
        return True
    return narrowing.shots is None and _pins(narrowing, ENTRIES.c.date) != [()]


def _pins(narrowing: Narrowing, by: sa.Column[Any]) -> list[tuple[sa.ColumnElement[bool], ...]]:
    """What holds fast the columns before the order's in an index, for each stretch; one of all, where they are many."""
    chosen = narrowing.chosen
    if len(chosen) == len(narrowing.kinds):
        return [()]
    facility, diagnostic = _NAMES
    pins: list[tuple[sa.ColumnElement[bool], ...]] = []
    if by is ENTRIES.c.shot:
        pins += [(held,) for name in sorted({name for _, name in chosen}) for held in _held(diagnostic, name)]
    else:
        pins += [pair for one, two in chosen for pair in product(_held(facility, one), _held(diagnostic, two))]
    return pins if len(pins) <= _MOST else [()]


def _held(column: sa.Column[Any], name: str) -> list[sa.ColumnElement[bool]]:
    """That a column has a name; what is tallied under the empty text is that, or nothing."""
    return [column == name] if name else [column.is_(None), column == ""]
