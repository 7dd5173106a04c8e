"""Pages of entries that match a query, the newest first.

Strategy: a page costs about the same wherever it lies and whatever is asked for.

1. The first entries in the query's order are looked at (see `courses`): of what is frequent they make a page.
2. What an index says is rare (an attribute's value, a word, a missing file) is fetched whole, and put into order here.
3. All else is walked in its order, narrowed by the tables (see `plan`), and decided entry by entry (see
   `find_diagnostic`). Where what matches is rare among what is walked, the walk ends after `_MAX_SCANNED` entries: the page has
   what was found until then, maybe nothing, and says where to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.fulltext import FULLTEXT_INDEXES
from shotdap.catalog.index.in_list import select_by_values
from shotdap.catalog.index.records import ENTRY_COLUMNS, decode_entry_values
from shotdap.catalog.index.search.access_path import AccessPath, get_order_column, select_access_path
from shotdap.catalog.index.search.cursor import decode_cursor, encode_cursor
from shotdap.catalog.index.search.fields import find_attribute_names
from shotdap.catalog.index.search.index_scan import (
    Conditions,
    IndexRange,
    Position,
    PositionQuery,
    compute_end_position,
    merge_scans,
    select_id_span,
    select_nth_position,
)
from shotdap.catalog.index.search.matching import Matcher
from shotdap.catalog.index.search.partitions import PartitionCache
from shotdap.catalog.index.search.plan import QueryPlan
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query import Query

__all__ = ["MAX_PAGE_SIZE", "SearchPage", "search_entries"]

MAX_PAGE_SIZE: Final = 1000
"""Entries of a page."""

_MAX_CANDIDATES: Final = 1000  # ids that are fetched whole, and put into order here
_MAX_SCANNED: Final = 20_000  # entries that a page walks past at most in search of those that match,
_SCANNED_PER_RESULT: Final = 50  # and for each that it may hold,
_FIRST_SCAN_FACTOR: Final = 4  # and at first,
_FIRST_FULLTEXT_SCAN_FACTOR: Final = 20  # which costs less where an index tells who has a word
_MIN_SCANNED: Final = 2000  # entries that any page may walk past
_MAX_GROUPS: Final = 16  # of stretches that a page walks through
_MAX_FETCH_SIZE: Final = 500  # entries at a time
_SELECT_ENTRIES: Final = sa.select(ENTRIES.c.id, *ENTRY_COLUMNS)
_MAX_ID_SPREAD: Final = 4  # how many ids there may be to one that is walked past, for the index of words to be asked


@dataclass(frozen=True)
class SearchPage:
    """Some entries that match, the newest first."""

    entries: tuple[Entry, ...]
    after: str | None
    """What to ask with for those that follow; `None` where there are no more. Where what matches is rare, a page may
    hold fewer than were asked for, even none, and yet have more after it."""


def search_entries(
    connection: sa.Connection, kinds: PartitionCache, query: Query, after: str | None, limit: int
) -> SearchPage:
    """A page of entries that match.

    Args:
        connection: to the catalog's database.
        kinds: what there is in it.
        query: what is looked for.
        after: the token of the page before.
        limit: how many, from 1 to `MAX_PAGE_SIZE`.

    Raises:
        BadQuery: no image says anything under a name.
        BadToken: the token is none, or that of another query.
    """
    begin = None if after is None else decode_cursor(after, query)
    narrowing = QueryPlan(
        query,
        find_attribute_names(connection, query),
        FULLTEXT_INDEXES[connection.dialect.name],
        kinds.get_partitions(connection),
    )
    if narrowing.is_empty:
        return SearchPage((), None)
    found, stop = _PageScan(connection, narrowing, begin, max(1, min(limit, MAX_PAGE_SIZE))).read_page()
    return SearchPage(tuple(entry for _, entry in found), None if stop is None else encode_cursor(stop, query))


_Match = tuple[Position, Entry]


@dataclass(frozen=True)
class _PageScan:
    """One page in the making."""

    connection: sa.Connection
    plan: QueryPlan
    start: Position | None
    limit: int

    def read_page(self) -> tuple[list[_Match], Position | None]:
        """What is found, and behind which place to go on."""
        looked, sets = (
            min(_MAX_SCANNED, max(_MIN_SCANNED, _SCANNED_PER_RESULT * self.limit)),
            list(self.plan.build_candidate_queries()),
        )
        found, stop = self._scan_ranges(min(looked, self._first_scan_factor * self.limit) if sets else looked)
        if stop is None or len(found) == self.limit or not sets:
            return found, stop
        few = self._find_candidates(sets)
        return self._scan_ranges(looked) if few is None else self._cut_page(self._read_matches(few))

    @property
    def _first_scan_factor(self) -> int:
        return _FIRST_FULLTEXT_SCAN_FACTOR if self.plan.whole_words else _FIRST_SCAN_FACTOR

    @cached_property
    def _access_path(self) -> AccessPath:
        return select_access_path(self.connection, self.plan)

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self.plan.query, self.plan.attribute_names)

    def _cut_page(self, found: Iterable[_Match]) -> tuple[list[_Match], Position | None]:
        """The page of what is found, and where to go on if that was not all."""
        some = list(islice(found, self.limit + 1))
        page = some[: self.limit]
        return page, page[-1][0] if len(some) > self.limit else None

    def _find_candidates(self, sets: Iterable[sa.Select[Any]]) -> Iterator[Position] | None:
        """Some places with all that match among them, where an index says that they are few."""
        for statement in sets:
            ids = self.connection.execute(statement.limit(_MAX_CANDIDATES + 1)).scalars().all()
            if len(ids) <= _MAX_CANDIDATES:
                return self._sort_candidates(sorted(set(ids)))
        return None

    def _sort_candidates(self, ids: Sequence[int]) -> Iterator[Position]:
        """The places of some entries, from the beginning of the page on."""
        columns = sa.select(get_order_column(self.plan), ENTRIES.c.id)
        places = [(row[0], row[1]) for row in select_by_values(self.connection, columns, ENTRIES.c.id, ids)]
        behind = (each for each in places if self.start is None or _make_sort_key(each) < _make_sort_key(self.start))
        yield from sorted(behind, key=_make_sort_key, reverse=True)

    def _scan_ranges(self, looked: int) -> tuple[list[_Match], Position | None]:
        """What is found by a walk past so many entries, and where to go on."""
        found: list[_Match] = []
        groups = [
            group for group in self._access_path.range_groups if not all(each.is_before(self.start) for each in group)
        ]
        for count, group in enumerate(groups, 1):
            stop = (
                None
                if self._access_path.is_exact
                else self._read_position(select_nth_position(group, looked, self.start))
            )
            places = self._scan_positions(
                group, [*self._access_path.conditions, *self._make_fulltext_conditions(group, looked)], stop
            )
            found += islice(self._read_matches(places), self.limit + 1 - len(found))
            if len(found) > self.limit:
                return found[: self.limit], found[self.limit - 1][0]
            if stop is None and count == _MAX_GROUPS < len(groups):
                stop = compute_end_position(group)
            if stop is not None:
                return found, stop
        return found, None

    def _read_position(self, statement: PositionQuery) -> Position | None:
        row = self.connection.execute(statement).first()
        return (row[0], row[1]) if row else None

    def _make_fulltext_conditions(self, group: Sequence[IndexRange], looked: int) -> Iterator[sa.ColumnElement[bool]]:
        """What the index of words tells of those that are walked past, where their ids are close to one another."""
        if self.plan.whole_words:
            first, last = self.connection.execute(select_id_span(group, looked + len(group), self.start)).one()
            if first is not None and last - first < _MAX_ID_SPREAD * looked:
                yield self.plan.has_whole_words(first, last)

    def _scan_positions(
        self, group: Sequence[IndexRange], conditions: Conditions, stop: Position | None
    ) -> Iterator[Position]:
        """The places in a group of stretches, fetched some at a time."""
        after = self.start
        for size in self._iter_fetch_sizes():
            statement = merge_scans(group, conditions, after, stop).limit(size)
            rows = self.connection.execute(statement).all()
            yield from dict.fromkeys((row[0], row[1]) for row in rows)
            if len(rows) < size:
                return
            after = (rows[-1][0], rows[-1][1])

    def _read_matches(self, places: Iterator[Position]) -> Iterator[_Match]:
        """The entries at some places, those that match."""
        for size in self._iter_fetch_sizes():
            some = {number: (value, number) for value, number in islice(places, size)}
            if not some:
                return
            rows = select_by_values(self.connection, _SELECT_ENTRIES, ENTRIES.c.id, list(some))
            entries = {row[0]: decode_entry_values(row[1:]) for row in rows}
            yield from (
                (some[number], entries[number])
                for number in some
                if number in entries and self._matcher(entries[number])
            )

    def _iter_fetch_sizes(self) -> Iterator[int]:
        """How many to fetch at a time: more and more, where those before were not enough."""
        size = self.limit + 1
        while True:
            yield size
            size = max(size, min(2 * size, _MAX_FETCH_SIZE))


def _make_sort_key(place: Position) -> tuple[bool, Any, int]:
    """What sorts places; those without a value come first, so last where the greatest is first."""
    value, number = place
    return value is not None, value or 0, number
