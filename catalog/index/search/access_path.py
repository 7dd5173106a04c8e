"""The order of what is found, and the stretches of indexes in which it stands so.

Strategy: what is found comes the newest first. That is by date, entries without one at the end; where the query asks
for shots, by shot. A stretch of an index in which all that comes before the order's column is held fast has its entries
in that order: those of a facility, and of one of its diagnostics, by date, one diagnostic's by shot, those with one
value of an attribute by date. Of a query with few such stretches these are walked; of any other the index of the
order's column. Several ranges of shots or dates are walked one after the other, so that nothing between them is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.index.in_list import among
from shotdap.catalog.index.search import attribute_predicates
from shotdap.catalog.index.search.index_scan import Stream
from shotdap.catalog.index.search.plan import Narrowing
from shotdap.catalog.index.search.range_predicates import Pin, within
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.query.values import Range

__all__ = ["Course", "course", "order"]

_MOST: Final = 16  # stretches that are walked side by side
_NAMES: Final = frozenset({"facility", "diagnostic"})


@dataclass(frozen=True)
class Course:
    """How the entries that a query asks for are walked."""

    groups: Sequence[Sequence[Stream]]
    """Stretches that are walked side by side; those of the first group come before those of the next."""
    conditions: Sequence[sa.ColumnElement[bool]]
    """What holds, of what is walked past, for all that matches."""
    is_exact: bool
    """Whether all that is walked past matches."""


def order(narrowing: Narrowing) -> sa.Column[Any]:
    """The column that what is found is in the order of, the greatest first."""
    return ENTRIES.c.date if narrowing.shots is None else ENTRIES.c.shot


def course(connection: sa.Connection, narrowing: Narrowing) -> Course:
    """How to walk what a query asks for."""
    names = _Names(connection, narrowing)
    if narrowing.shots is not None:
        return _by_entries(names, ENTRIES.c.shot, narrowing.shots)
    for term in filter(narrowing.is_attribute, narrowing.wanted):
        pins = attribute_predicates.pins(connection, term, _MOST)
        if pins is not None:
            conditions = (*names.conditions(), *narrowing.conditions(held=term))
            return Course(_groups(ATTRIBUTES.c.date, pins, narrowing.dates), conditions, is_exact=False)
    return _by_entries(names, ENTRIES.c.date, narrowing.dates)


def _by_entries(names: _Names, by: sa.Column[Any], asked: Sequence[Range[Any]] | None) -> Course:
    """Along entries, those of the chosen facilities and diagnostics where these are few."""
    narrowing, (pins, pinned) = names.narrowing, names.pins(by)
    conditions = [*narrowing.conditions()]
    if not pinned.issuperset(_NAMES):
        conditions += names.conditions()
    if by is ENTRIES.c.shot and narrowing.dates is not None:
        date = sa.func.coalesce(ENTRIES.c.date, "")  # in words that lure no database to the index over dates
        conditions.append(sa.or_(*(sa.and_(date > "", *within(date, each)) for each in narrowing.dates)))
    is_exact = all(
        term.name in {by.name, *pinned} and not (term.negated and term.name == by.name)
        for term in narrowing.query.terms
    )
    return Course(_groups(by, pins, asked), conditions, is_exact)


def _groups(by: sa.Column[Any], pins: Sequence[Pin], asked: Sequence[Range[Any]] | None) -> list[list[Stream]]:
    """The stretches of an index with these pins and between the bounds that are asked for, where any are."""
    if asked is None:
        return [[Stream(by, pin) for pin in pins], [Stream(by, pin, None) for pin in pins]]
    share = max(1, _MOST // max(1, len(pins)))
    greatest = asked[::-1]  # they do not overlap, so that those of one group come before those of the next
    parts = (greatest[start : start + share] for start in range(0, len(greatest), share))
    return [[Stream(by, pin, each) for pin in pins for each in part] for part in parts]


@dataclass(frozen=True)
class _Names:
    """The facilities and diagnostics that a query leaves."""

    connection: sa.Connection
    narrowing: Narrowing

    def pins(self, by: sa.Column[Any]) -> tuple[Sequence[Pin], frozenset[str]]:
        """What holds them fast in an index that has a column's order, and the names of what is held then."""
        if self._are_all:
            return [()], _NAMES
        for pins_of, held in _WAYS[by.name]:
            pins = list(islice(pins_of(self), _MOST + 1))
            if 0 < len(pins) <= _MOST:
                return pins, held
        return [()], frozenset()

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """That an entry has one of them, in words that lure no database to an index with another order."""
        if not self._are_all:
            for name, chosen in zip(("facility", "diagnostic"), zip(*self.narrowing.chosen, strict=True), strict=True):
                column = sa.func.coalesce(ENTRIES.c[name], "", type_=ENTRIES.c[name].type)
                yield among(self.connection, column, sorted(set(chosen)))

    def of_pairs(self) -> Iterator[Pin]:
        """Facilities and diagnostics, in the index over both and dates."""
        for facility, diagnostic in self.narrowing.chosen:
            yield from product(_held(ENTRIES.c.facility, facility), _held(ENTRIES.c.diagnostic, diagnostic))

    def of_facilities(self) -> Iterator[Pin]:
        """Facilities, in the index over them and dates; none, where those are all."""
        if self._facilities != {facility for facility, _ in self.narrowing.kinds}:
            for facility in sorted(self._facilities):
                yield from ((held,) for held in _held(ENTRIES.c.facility, facility))

    def of_whole_facilities(self) -> Iterator[Pin]:
        """The same, where all diagnostics of the chosen facilities are chosen; else none."""
        if len(self.narrowing.chosen) == sum(facility in self._facilities for facility, _ in self.narrowing.kinds):
            yield from self.of_facilities()

    def of_diagnostics(self) -> Iterator[Pin]:
        """Diagnostics, in the index over them and shots."""
        for diagnostic in sorted({diagnostic for _, diagnostic in self.narrowing.chosen}):
            yield from ((held,) for held in _held(ENTRIES.c.diagnostic, diagnostic))

    @cached_property
    def _facilities(self) -> set[str]:
        return {facility for facility, _ in self.narrowing.chosen}

    @property
    def _are_all(self) -> bool:
        return len(self.narrowing.chosen) == len(self.narrowing.kinds)


def _held(column: sa.Column[Any], name: str) -> list[sa.ColumnElement[bool]]:
    """That a column has a name; what is tallied under the empty text is that, or nothing."""
    return [column == name] if name else [column.is_(None), column == ""]


_Way: TypeAlias = tuple[Callable[[_Names], Iterator[Pin]], frozenset[str]]
_WAYS: Final[Mapping[str, Sequence[_Way]]] = MappingProxyType(
    {
        "date": (
            (_Names.of_whole_facilities, _NAMES),
            (_Names.of_pairs, _NAMES),
            (_Names.of_facilities, frozenset({"facility"})),
        ),
        "shot": ((_Names.of_diagnostics, frozenset({"diagnostic"})),),
    }
)
"""By the column whose order an index has, what holds the columns before it fast, the best first; what is held then."""
