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

from shotdap.catalog.index.in_list import make_in_condition
from shotdap.catalog.index.search import attribute_predicates
from shotdap.catalog.index.search.index_scan import IndexRange
from shotdap.catalog.index.search.plan import QueryPlan
from shotdap.catalog.index.search.range_predicates import EqualityPrefix, make_range_conditions
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.query.values import Range

__all__ = ["AccessPath", "get_order_column", "select_access_path"]

_MAX_RANGES: Final = 16  # stretches that are walked side by side
_PARTITION_COLUMNS: Final = frozenset({"facility", "diagnostic"})


@dataclass(frozen=True)
class AccessPath:
    """How the entries that a query asks for are walked."""

    range_groups: Sequence[Sequence[IndexRange]]
    """Stretches that are walked side by side; those of the first group come before those of the next."""
    conditions: Sequence[sa.ColumnElement[bool]]
    """What holds, of what is walked past, for all that matches."""
    is_exact: bool
    """Whether all that is walked past matches."""


def get_order_column(narrowing: QueryPlan) -> sa.Column[Any]:
    """The column that what is found is in the order of, the greatest first."""
    return ENTRIES.c.date if narrowing.shot_ranges is None else ENTRIES.c.shot


def select_access_path(connection: sa.Connection, narrowing: QueryPlan) -> AccessPath:
    """How to walk what a query asks for."""
    names = _PartitionFilter(connection, narrowing)
    if narrowing.shot_ranges is not None:
        return _plan_entry_scan(names, ENTRIES.c.shot, narrowing.shot_ranges)
    for term in filter(narrowing.is_attribute_term, narrowing.positive_terms):
        pins = attribute_predicates.find_attribute_prefixes(connection, term, _MAX_RANGES)
        if pins is not None:
            conditions = (*names.build_conditions(), *narrowing.build_conditions(held=term))
            return AccessPath(_group_ranges(ATTRIBUTES.c.date, pins, narrowing.date_ranges), conditions, is_exact=False)
    return _plan_entry_scan(names, ENTRIES.c.date, narrowing.date_ranges)


def _plan_entry_scan(names: _PartitionFilter, by: sa.Column[Any], asked: Sequence[Range[Any]] | None) -> AccessPath:
    """Along entries, those of the chosen facilities and diagnostics where these are few."""
    narrowing, (pins, pinned) = names.plan, names.find_prefixes(by)
    conditions = [*narrowing.build_conditions()]
    if not pinned.issuperset(_PARTITION_COLUMNS):
        conditions += names.build_conditions()
    if by is ENTRIES.c.shot and narrowing.date_ranges is not None:
        date = sa.func.coalesce(ENTRIES.c.date, "")  # in words that lure no database to the index over dates
        conditions.append(
            sa.or_(*(sa.and_(date > "", *make_range_conditions(date, each)) for each in narrowing.date_ranges))
        )
    is_exact = all(
        term.name in {by.name, *pinned} and not (term.is_negated and term.name == by.name)
        for term in narrowing.query.terms
    )
    return AccessPath(_group_ranges(by, pins, asked), conditions, is_exact)


def _group_ranges(
    by: sa.Column[Any], pins: Sequence[EqualityPrefix], asked: Sequence[Range[Any]] | None
) -> list[list[IndexRange]]:
    """The stretches of an index with these pins and between the bounds that are asked for, where any are."""
    if asked is None:
        return [[IndexRange(by, pin) for pin in pins], [IndexRange(by, pin, None) for pin in pins]]
    share = max(1, _MAX_RANGES // max(1, len(pins)))
    greatest = asked[::-1]  # they do not overlap, so that those of one group come before those of the next
    parts = (greatest[start : start + share] for start in range(0, len(greatest), share))
    return [[IndexRange(by, pin, each) for pin in pins for each in part] for part in parts]


@dataclass(frozen=True)
class _PartitionFilter:
    """The facilities and diagnostics that a query leaves."""

    connection: sa.Connection
    plan: QueryPlan

    def find_prefixes(self, by: sa.Column[Any]) -> tuple[Sequence[EqualityPrefix], frozenset[str]]:
        """What holds them fast in an index that has a column's order, and the names of what is held then."""
        if self._is_unrestricted:
            return [()], _PARTITION_COLUMNS
        for pins_of, held in _PREFIX_STRATEGIES[by.name]:
            pins = list(islice(pins_of(self), _MAX_RANGES + 1))
            if 0 < len(pins) <= _MAX_RANGES:
                return pins, held
        return [()], frozenset()

    def build_conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """That an entry has one of them, in words that lure no database to an index with another order."""
        if not self._is_unrestricted:
            for name, chosen in zip(
                ("facility", "diagnostic"), zip(*self.plan.selected_partitions, strict=True), strict=True
            ):
                column = sa.func.coalesce(ENTRIES.c[name], "", type_=ENTRIES.c[name].type)
                yield make_in_condition(self.connection, column, sorted(set(chosen)))

    def list_partition_prefixes(self) -> Iterator[EqualityPrefix]:
        """Facilities and diagnostics, in the index over both and dates."""
        for facility, diagnostic in self.plan.selected_partitions:
            yield from product(_match_name(ENTRIES.c.facility, facility), _match_name(ENTRIES.c.diagnostic, diagnostic))

    def list_facility_prefixes(self) -> Iterator[EqualityPrefix]:
        """Facilities, in the index over them and dates; none, where those are all."""
        if self._facilities != {facility for facility, _ in self.plan.partitions}:
            for facility in sorted(self._facilities):
                yield from ((held,) for held in _match_name(ENTRIES.c.facility, facility))

    def list_whole_facility_prefixes(self) -> Iterator[EqualityPrefix]:
        """The same, where all diagnostics of the chosen facilities are chosen; else none."""
        if len(self.plan.selected_partitions) == sum(
            facility in self._facilities for facility, _ in self.plan.partitions
        ):
            yield from self.list_facility_prefixes()

    def list_diagnostic_prefixes(self) -> Iterator[EqualityPrefix]:
        """Diagnostics, in the index over them and shots."""
        for diagnostic in sorted({diagnostic for _, diagnostic in self.plan.selected_partitions}):
            yield from ((held,) for held in _match_name(ENTRIES.c.diagnostic, diagnostic))

    @cached_property
    def _facilities(self) -> set[str]:
        return {facility for facility, _ in self.plan.selected_partitions}

    @property
    def _is_unrestricted(self) -> bool:
        return len(self.plan.selected_partitions) == len(self.plan.partitions)


def _match_name(column: sa.Column[Any], name: str) -> list[sa.ColumnElement[bool]]:
    """That a column has a name; what is tallied under the empty text is that, or nothing."""
    return [column == name] if name else [column.is_(None), column == ""]


_PrefixStrategy: TypeAlias = tuple[Callable[[_PartitionFilter], Iterator[EqualityPrefix]], frozenset[str]]
_PREFIX_STRATEGIES: Final[Mapping[str, Sequence[_PrefixStrategy]]] = MappingProxyType(
    {
        "date": (
            (_PartitionFilter.list_whole_facility_prefixes, _PARTITION_COLUMNS),
            (_PartitionFilter.list_partition_prefixes, _PARTITION_COLUMNS),
            (_PartitionFilter.list_facility_prefixes, frozenset({"facility"})),
        ),
        "shot": ((_PartitionFilter.list_diagnostic_prefixes, frozenset({"diagnostic"})),),
    }
)
"""By the column whose order an index has, what holds the columns before it fast, the best first; what is held then."""
