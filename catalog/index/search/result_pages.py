"""Pages of entries that match a query, the newest first.

Strategy: a page costs about the same at any position and for any query.

1. The first entries in the query's order are scanned (see `access_path`): if matches are frequent, they fill the page.
2. If an index shows that matches are rare (a value of an attribute, a word, a missing file), all candidates are fetched
   and sorted here.
3. Otherwise the order is scanned with the conditions of the tables (see `plan`), and `Matcher` decides about each
   entry. The scan ends after `_MAX_SCANNED` entries: the page then has the matches so far, maybe none, and a next page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

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
    compute_end_position,
    merge_scans,
    select_id_span,
    select_nth_position,
)
from shotdap.catalog.index.search.matching import Matcher
from shotdap.catalog.index.search.partitions import PartitionCache
from shotdap.catalog.index.search.plan import QueryPlan
from shotdap.catalog.index.search.visibility import Visibility
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query import Query

MAX_PAGE_SIZE: Final = 1000
"""Entries of a page."""

_MAX_CANDIDATES: Final = 1000  # ids that are fetched and sorted here
_MAX_SCANNED: Final = 20_000  # entries that a page scans at most
_SCANNED_PER_RESULT: Final = 50  # entries that a page scans at most for each entry of its limit
_FIRST_SCAN_FACTOR: Final = 4  # entries of the first scan for each entry of the limit
_FIRST_FULLTEXT_SCAN_FACTOR: Final = 20  # the same if the word index is used, which makes a scan cheaper
_MIN_SCANNED: Final = 2000  # entries that any page may scan
_MAX_GROUPS: Final = 16  # groups of ranges that a page scans
_MAX_FETCH_SIZE: Final = 500  # entries of a batch
_SELECT_ENTRIES: Final = sa.select(ENTRIES.c.id, *ENTRY_COLUMNS)
_MAX_ID_SPREAD: Final = 4  # the word index is used if the scanned entries span at most this many ids each


@dataclass(frozen=True)
class SearchPage:
    """Some entries that match, the newest first."""

    entries: tuple[Entry, ...]
    after: str | None
    """The token of the next page; `None` on the last one. If matches are rare, a page may have fewer entries than its
    limit, even none, and a next page."""


def search_entries(  # noqa: PLR0913 — where, what, which page, and for whom
    connection: sa.Connection,
    partitions: PartitionCache,
    query: Query,
    after: str | None,
    limit: int,
    *,
    visibility: Visibility,
) -> SearchPage:
    """Return a page of entries that match a query.

    Args:
        connection: to the catalog's database.
        partitions: the catalog's.
        query: the conditions.
        after: the token of the page before.
        limit: the number of entries, from 1 to `MAX_PAGE_SIZE`.
        visibility: the entries that exist for the reader.

    Raises:
        BadQuery: a name in the query is that of no fact and no attribute of any entry.
        BadToken: `after` is not the token of a page of this query.
    """
    start = None if after is None else decode_cursor(after, query)
    attribute_names = find_attribute_names(connection, query)
    fulltext = FULLTEXT_INDEXES[connection.dialect.name]
    visible = tuple(visibility.build_conditions())
    plan = QueryPlan(query, attribute_names, fulltext, partitions.get_partitions(connection), visible)
    if plan.is_empty:
        return SearchPage((), None)
    access_path, matcher = select_access_path(connection, plan), Matcher(query, attribute_names, visibility)
    page_size = max(1, min(limit, MAX_PAGE_SIZE))
    matches, stop = _PageScan(connection, plan, access_path, matcher, start, page_size).read_page()
    return SearchPage(tuple(entry for _, entry in matches), None if stop is None else encode_cursor(stop, query))


_Match: TypeAlias = tuple[Position, Entry]


@dataclass(frozen=True)
class _PageScan:
    """The scan that reads one page."""

    connection: sa.Connection
    plan: QueryPlan
    access_path: AccessPath
    matcher: Matcher
    start: Position | None
    limit: int

    def read_page(self) -> tuple[list[_Match], Position | None]:
        """Return the matches of the page, and the position after which the next page begins."""
        scan_limit = min(_MAX_SCANNED, max(_MIN_SCANNED, _SCANNED_PER_RESULT * self.limit))
        candidate_queries = list(self.plan.build_candidate_queries())
        if not candidate_queries:
            return self._scan_ranges(scan_limit)
        factor = _FIRST_FULLTEXT_SCAN_FACTOR if self.plan.whole_words else _FIRST_SCAN_FACTOR
        matches, stop = self._scan_ranges(min(scan_limit, factor * self.limit))
        if stop is None or len(matches) == self.limit:
            return matches, stop
        for statement in candidate_queries:
            ids = self.connection.execute(statement.limit(_MAX_CANDIDATES + 1)).scalars().all()
            if len(ids) > _MAX_CANDIDATES:
                continue
            columns = sa.select(get_order_column(self.plan), ENTRIES.c.id)
            rows = select_by_values(self.connection, columns, ENTRIES.c.id, sorted(set(ids)))
            positions = sorted(((row[0], row[1]) for row in rows), key=_make_sort_key, reverse=True)
            if self.start is not None:
                start_key = _make_sort_key(self.start)
                positions = [position for position in positions if _make_sort_key(position) < start_key]
            matches = list(islice(self._read_matches(iter(positions)), self.limit + 1))
            has_more, matches = len(matches) > self.limit, matches[: self.limit]
            return matches, matches[-1][0] if has_more else None
        return self._scan_ranges(scan_limit)

    def _scan_ranges(self, scan_limit: int) -> tuple[list[_Match], Position | None]:
        """Scan at most `scan_limit` entries; return the matches and the position at which the scan ended."""
        matches: list[_Match] = []
        groups = [
            group for group in self.access_path.range_groups if not all(each.is_before(self.start) for each in group)
        ]
        for count, group in enumerate(groups, 1):
            row = None
            if not self.access_path.is_exact:
                counted = self.plan.visible  # the place where a page ends must tell nothing of other entries
                row = self.connection.execute(select_nth_position(group, scan_limit, self.start, counted)).first()
            stop = (row[0], row[1]) if row else None
            conditions = [*self.access_path.conditions]
            if self.plan.whole_words:  # the word index helps if the ids of the scanned entries are close to one another
                first, last = self.connection.execute(select_id_span(group, scan_limit + len(group), self.start)).one()
                if first is not None and last - first < _MAX_ID_SPREAD * scan_limit:
                    conditions.append(self.plan.has_whole_words(first, last))
            positions = self._scan_positions(group, conditions, stop)
            matches += islice(self._read_matches(positions), self.limit + 1 - len(matches))
            if len(matches) > self.limit:
                return matches[: self.limit], matches[self.limit - 1][0]
            if stop is None and count == _MAX_GROUPS < len(groups):
                stop = compute_end_position(group)
            if stop is not None:
                return matches, stop
        return matches, None

    def _scan_positions(
        self, group: Sequence[IndexRange], conditions: Conditions, stop: Position | None
    ) -> Iterator[Position]:
        """Yield the positions in a group of ranges, fetched in batches."""
        after = self.start
        for size in self._iter_fetch_sizes():
            rows = self.connection.execute(merge_scans(group, conditions, after, stop).limit(size)).all()
            yield from dict.fromkeys((row[0], row[1]) for row in rows)
            if len(rows) < size:
                return
            after = (rows[-1][0], rows[-1][1])

    def _read_matches(self, positions: Iterator[Position]) -> Iterator[_Match]:
        """Yield the entries at some positions, only those that match."""
        for size in self._iter_fetch_sizes():
            batch = {number: (value, number) for value, number in islice(positions, size)}
            if not batch:
                return
            rows = select_by_values(self.connection, _SELECT_ENTRIES, ENTRIES.c.id, list(batch))
            entries = {row[0]: decode_entry_values(row[1:]) for row in rows}
            yield from (
                (position, entries[number])
                for number, position in batch.items()
                if number in entries and self.matcher(entries[number])
            )

    def _iter_fetch_sizes(self) -> Iterator[int]:
        """Yield the sizes of batches; they grow as long as the batches before were not enough."""
        size = self.limit + 1
        while True:
            yield size
            size = max(size, min(2 * size, _MAX_FETCH_SIZE))


def _make_sort_key(position: Position) -> tuple[bool, Any, int]:
    """Return the sort key of a position; those without a value are the least, so last in descending order."""
    value, number = position
    return value is not None, value or 0, number
