"""The order of what is found, and the stretches of indexes in which it stands so.

Strategy: what is found comes the newest first. That is by date, entries without one at the end; where the query asks
for shots, by shot. A stretch of an index in which all that comes before the order's column is held fast has its entries
in that order: those of one facility and diagnostic by date, one diagnostic's by shot, those with one value of an
attribute by date. Of a query with few such stretches these are walked; of any other the index of the order's column.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.index.search import described
from shotdap.catalog.index.search.bounds import Pin, within
from shotdap.catalog.index.search.kinds import Pair
from shotdap.catalog.index.search.narrowing import Narrowing
from shotdap.catalog.index.search.streams import Stream
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.query import Term
from shotdap.catalog.query.meanings import Range

__all__ = ["Course", "course", "order"]

_MOST: Final = 16  # stretches that are walked side by side
_TRIED: Final = 4 * _MOST  # pairs of a facility and a diagnostic; of these, several may have one diagnostic
_NAMES: Final = (ENTRIES.c.facility, ENTRIES.c.diagnostic)
_ALL_NAMES: Final = ("facility", "diagnostic")
_PINNED: Final = MappingProxyType({"date": _ALL_NAMES, "shot": ("diagnostic",)})
"""By the column whose order an index has, what comes before it there."""


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
    if narrowing.shots is not None:
        return _by_entries(narrowing, ENTRIES.c.shot, narrowing.shots, _of_shots)
    for term in filter(narrowing.is_attribute, narrowing.wanted):
        pins = described.pins(connection, term, _MOST)
        if pins is not None:
            return _by_attribute(narrowing, term, pins)
    return _by_entries(narrowing, ENTRIES.c.date, narrowing.dates, _of_dates)


def _by_attribute(narrowing: Narrowing, term: Term, pins: Sequence[Pin]) -> Course:
    """Along the entries that have what one term asks of an attribute."""
    conditions = (*_names(narrowing), *narrowing.conditions(held=term))
    return Course(_groups(ATTRIBUTES.c.date, pins, narrowing.dates), conditions, is_exact=False)


def _by_entries(
    narrowing: Narrowing,
    by: sa.Column[Any],
    asked: Sequence[Range[Any]] | None,
    pins_of: Callable[[Collection[Pair]], Sequence[Pin]],
) -> Course:
    """Along entries, those of the chosen facilities and diagnostics where they are few."""
    is_all = len(narrowing.chosen) == len(narrowing.kinds)
    pins = [] if is_all or len(narrowing.chosen) > _TRIED else pins_of(narrowing.chosen)
    is_pinned = 0 < len(pins) <= _MOST
    pins = pins if is_pinned else [()]
    held = {by.name, *(_ALL_NAMES if is_all else _PINNED[by.name] if is_pinned else ())}
    conditions = [*narrowing.conditions()]
    if not held.issuperset(_ALL_NAMES):
        conditions += _names(narrowing)
    if by is ENTRIES.c.shot and narrowing.dates is not None:
        date = sa.func.coalesce(ENTRIES.c.date, "")  # in words that lure no database to the index over dates
        conditions.append(sa.or_(*(sa.and_(date > "", *within(date, each)) for each in narrowing.dates)))
    is_exact = _are_few(asked, pins) and all(
        term.name in held and not (term.negated and term.name in ("shot", "date")) for term in narrowing.query.terms
    )
    return Course(_groups(by, pins, asked), conditions, is_exact)


def _groups(by: sa.Column[Any], pins: Sequence[Pin], asked: Sequence[Range[Any]] | None) -> list[list[Stream]]:
    """The stretches of an index with these pins and between the bounds that are asked for, where any are."""
    if asked is None:
        return [[Stream(by, pin) for pin in pins], [Stream(by, pin, None) for pin in pins]]
    bounds = [*asked] if _are_few(asked, pins) else [Range[Any](asked[0].least, asked[-1].before)]
    return [[Stream(by, pin, each) for pin in pins for each in bounds]]


def _are_few(asked: Sequence[Range[Any]] | None, pins: Sequence[Pin]) -> bool:
    return asked is None or len(asked) * len(pins) <= _MOST


def _of_shots(chosen: Collection[Pair]) -> list[Pin]:
    """What holds the chosen diagnostics fast in the index over them and shots; it has no facilities."""
    return [(held,) for name in sorted({name for _, name in chosen}) for held in _held(_NAMES[1], name)]


def _of_dates(chosen: Collection[Pair]) -> list[Pin]:
    """What holds the chosen facilities and diagnostics fast in the index over them and dates."""
    facility, diagnostic = _NAMES
    return [pair for one, two in chosen for pair in product(_held(facility, one), _held(diagnostic, two))]


def _held(column: sa.Column[Any], name: str) -> list[sa.ColumnElement[bool]]:
    """That a column has a name; what is tallied under the empty text is that, or nothing."""
    return [column == name] if name else [column.is_(None), column == ""]


def _names(narrowing: Narrowing) -> Iterator[sa.ColumnElement[bool]]:
    """The chosen facilities and diagnostics, in words that lure no database to an index with another order."""
    if len(narrowing.chosen) < len(narrowing.kinds):
        for column, names in zip(_NAMES, zip(*narrowing.chosen, strict=True), strict=True):
            yield sa.func.coalesce(column, "").in_(sorted(set(names)))
