"""The choice of an access path: the order of the results, and the ranges of indexes that have this order.

Strategy: results are sorted with the newest first: by shot if the query has a condition on shots, else by date, with
entries without a date at the end. In an index whose first columns are fixed by equality conditions, the entries are in
the order of the next column: those of a facility, or of one of its diagnostics, by date; those of a diagnostic by shot;
those with one value of an attribute by date. If a query needs few such ranges, they are scanned side by side; for any
other query the index of the order's column is scanned. Several ranges of shots or dates are scanned one after the
other, so that nothing between them is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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

_MAX_RANGES: Final = 16  # ranges of an index that are scanned side by side
_PARTITION_COLUMNS: Final = frozenset({"facility", "diagnostic"})


@dataclass(frozen=True)
class AccessPath:
    """The way in which the entries of a query are scanned."""

    range_groups: Sequence[Sequence[IndexRange]]
    """Ranges that are scanned side by side; the groups are scanned one after the other."""
    conditions: Sequence[sa.ColumnElement[bool]]
    """Necessary conditions that the scanned entries are tested with."""
    is_exact: bool
    """Whether all entries in the ranges match."""


def get_order_column(plan: QueryPlan) -> sa.Column[Any]:
    """Return the column that the results are sorted by, in descending order."""
    return ENTRIES.c.date if plan.shot_ranges is None else ENTRIES.c.shot


def select_access_path(connection: sa.Connection, plan: QueryPlan) -> AccessPath:
    """Choose how to scan the entries of a query."""
    partition_filter = _PartitionFilter(connection, plan)
    if plan.shot_ranges is not None:
        return _plan_entry_scan(partition_filter, ENTRIES.c.shot, plan.shot_ranges)
    for term in filter(plan.is_attribute_term, plan.positive_terms):
        prefixes = attribute_predicates.find_attribute_prefixes(connection, term, _MAX_RANGES)
        if prefixes is not None:
            conditions = (*partition_filter.build_conditions(), *plan.build_conditions(excluded=term))
            range_groups = _group_ranges(ATTRIBUTES.c.date, prefixes, plan.date_ranges)
            return AccessPath(range_groups, conditions, is_exact=False)
    return _plan_entry_scan(partition_filter, ENTRIES.c.date, plan.date_ranges)


def _plan_entry_scan(
    partition_filter: _PartitionFilter, column: sa.Column[Any], ranges: Sequence[Range[Any]] | None
) -> AccessPath:
    """Plan a scan of entries: only of the selected facilities and diagnostics if these are few."""
    plan, (prefixes, fixed_columns) = partition_filter.plan, partition_filter.find_prefixes(column)
    conditions = [*plan.build_conditions()]
    if not fixed_columns.issuperset(_PARTITION_COLUMNS):
        conditions += partition_filter.build_conditions()
    if column is ENTRIES.c.shot and plan.date_ranges is not None:
        date = sa.func.coalesce(ENTRIES.c.date, "")  # wrapped, so that the planner cannot use the index on dates
        conditions.append(
            sa.or_(*(sa.and_(date > "", *make_range_conditions(date, each)) for each in plan.date_ranges))
        )
    is_exact = not plan.visible and all(
        term.name in {column.name, *fixed_columns} and not (term.is_negated and term.name == column.name)
        for term in plan.query.terms
    )
    return AccessPath(_group_ranges(column, prefixes, ranges), conditions, is_exact)


def _group_ranges(
    column: sa.Column[Any], prefixes: Sequence[EqualityPrefix], ranges: Sequence[Range[Any]] | None
) -> list[list[IndexRange]]:
    """Return the ranges of an index with these prefixes and bounds, in groups that are scanned side by side."""
    if ranges is None:
        return [
            [IndexRange(column, prefix) for prefix in prefixes],
            [IndexRange(column, each, None) for each in prefixes],
        ]
    group_size = max(1, _MAX_RANGES // max(1, len(prefixes)))
    descending = ranges[::-1]  # they do not overlap, so that all of one group comes before the next group
    groups = (descending[start : start + group_size] for start in range(0, len(descending), group_size))
    return [[IndexRange(column, prefix, bounds) for prefix in prefixes for bounds in group] for group in groups]


@dataclass(frozen=True)
class _PartitionFilter:
    """The facilities and diagnostics that a query selects."""

    connection: sa.Connection
    plan: QueryPlan

    def find_prefixes(self, column: sa.Column[Any]) -> tuple[Sequence[EqualityPrefix], frozenset[str]]:
        """Return the prefixes, in an index sorted by a column, that select the partitions, and the columns they fix."""
        if self.plan.has_all_partitions:
            return [()], _PARTITION_COLUMNS
        for list_prefixes, fixed_columns in _PREFIX_STRATEGIES[column.name]:
            prefixes = list(islice(list_prefixes(self), _MAX_RANGES + 1))
            if 0 < len(prefixes) <= _MAX_RANGES:
                return prefixes, fixed_columns
        return [()], frozenset()

    def build_conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """Yield conditions on facility and diagnostic that the planner cannot use for an index of another order."""
        if not self.plan.has_all_partitions:
            values = zip(*self.plan.selected_partitions, strict=True)
            for name, selection in zip(("facility", "diagnostic"), values, strict=True):
                column = sa.func.coalesce(ENTRIES.c[name], "", type_=ENTRIES.c[name].type)
                yield make_in_condition(self.connection, column, sorted(set(selection)))

    def list_partition_prefixes(self) -> Iterator[EqualityPrefix]:
        """Yield the pairs of facility and diagnostic, for the index over both and dates."""
        for facility, diagnostic in self.plan.selected_partitions:
            yield from product(_match_name(ENTRIES.c.facility, facility), _match_name(ENTRIES.c.diagnostic, diagnostic))

    def list_facility_prefixes(self) -> Iterator[EqualityPrefix]:
        """Yield the facilities, for the index over them and dates; nothing if all facilities are selected."""
        if self.plan.selected_facilities != {facility for facility, _ in self.plan.partitions}:
            for facility in sorted(self.plan.selected_facilities):
                yield from product(_match_name(ENTRIES.c.facility, facility))

    def list_whole_facility_prefixes(self) -> Iterator[EqualityPrefix]:
        """Yield the facilities if all their diagnostics are selected, else nothing."""
        count = sum(facility in self.plan.selected_facilities for facility, _ in self.plan.partitions)
        if len(self.plan.selected_partitions) == count:
            yield from self.list_facility_prefixes()

    def list_diagnostic_prefixes(self) -> Iterator[EqualityPrefix]:
        """Yield the diagnostics, for the index over them and shots."""
        for diagnostic in sorted({diagnostic for _, diagnostic in self.plan.selected_partitions}):
            yield from product(_match_name(ENTRIES.c.diagnostic, diagnostic))


def _match_name(column: sa.Column[Any], name: str) -> list[sa.ColumnElement[bool]]:
    """Return the alternatives for a column to have a name; the empty name also stands for no value."""
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
"""By the column that an index is sorted by, the prefixes to try, the best first, and the columns that they fix."""
