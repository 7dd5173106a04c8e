"""Facet counts of a query: how many entries match, by facility, diagnostic, year and health.

If the query has only conditions on these, `FACET_COUNTS` answers at any size of the catalog; for a reader who sees only
some entries, these are counted by the database. For any other query the newest matches are counted one by one, up to a
limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from shotdap.catalog.index.facet_counts import Facet
from shotdap.catalog.index.records import FacetKey, extract_column_facts, make_facet_key
from shotdap.catalog.index.search import MAX_PAGE_SIZE, PartitionCache, search_entries
from shotdap.catalog.index.search.visibility import Visibility
from shotdap.catalog.index.tables import ENTRIES, FACET_COUNTS
from shotdap.catalog.query import Query, Term
from shotdap.catalog.query.values import match_any_pattern, parse_dates, parse_ranges

_FACETS: Final[tuple[Facet, ...]] = ("facility", "diagnostic", "year", "health")
_YEAR_LENGTH: Final = 4  # characters
_MAX_PAGES: Final = 5  # of `MAX_PAGE_SIZE` entries each, that are counted one by one
_ENTRY_FACETS: Final = (  # as in `records.make_facet_key`
    sa.func.coalesce(ENTRIES.c.facility, "").label("facility"),
    sa.func.coalesce(ENTRIES.c.diagnostic, "").label("diagnostic"),
    sa.func.coalesce(sa.func.substr(ENTRIES.c.date, 1, _YEAR_LENGTH), "").label("year"),
    ENTRIES.c.health.label("health"),
)


@dataclass(frozen=True)
class FacetCounts:
    """Numbers of entries that match a query."""

    total: int
    counts: Mapping[Facet, Mapping[str, int]]
    """For each facet the number of entries by value; the empty text is the unknown value."""
    is_complete: bool
    """Whether all matches are counted, or only the newest of them."""


def count_facets(
    connection: sa.Connection, partitions: PartitionCache, query: Query, visibility: Visibility
) -> FacetCounts:
    """Count the visible entries that match a query.

    Raises:
        BadQuery: a name in the query is that of no fact and no attribute of any entry.
    """
    counts, after = Counter[FacetKey](), None
    if all(_is_facet_term(term) for term in query.terms):
        counts = _read_counts(connection, query, visibility)
    else:
        for _ in range(_MAX_PAGES):
            page = search_entries(connection, partitions, query, after, MAX_PAGE_SIZE, visibility=visibility)
            for entry in page.entries:
                counts[make_facet_key({**extract_column_facts(entry.facts), "health": entry.health.value})] += 1
            after = page.after
            if after is None:
                break
    by_facet: dict[Facet, Counter[str]] = {name: Counter() for name in _FACETS}
    for key, count in counts.items():
        for name, value in zip(_FACETS, key, strict=True):
            by_facet[name][value] += count
    sorted_counts: dict[Facet, dict[str, int]] = {
        name: dict(sorted(counter.items())) for name, counter in by_facet.items()
    }
    return FacetCounts(counts.total(), sorted_counts, is_complete=after is None)


def _is_facet_term(term: Term) -> bool:
    """Check whether the facet counts answer a term: a condition on names, or on whole years."""
    if term.name != "date":
        return term.name in ("facility", "diagnostic", "health")
    bounds = [bound for dates in parse_ranges(term, parse_dates) for bound in (dates.start, dates.stop)]
    return all(bound is None or len(bound) == _YEAR_LENGTH for bound in bounds)


def _read_counts(connection: sa.Connection, query: Query, visibility: Visibility) -> Counter[FacetKey]:
    """Return the counts that match a query of facet terms: the stored ones, or those of the visible entries."""
    counts = Counter[FacetKey]()
    if visibility.is_everything:
        columns = (FACET_COUNTS.c.facility, FACET_COUNTS.c.diagnostic, FACET_COUNTS.c.year, FACET_COUNTS.c.health)
        statement = sa.select(*columns, FACET_COUNTS.c.count).where(FACET_COUNTS.c.count > 0)
    else:
        conditions = tuple(visibility.build_conditions())
        statement = sa.select(*_ENTRY_FACETS, sa.func.count()).where(*conditions).group_by(*_ENTRY_FACETS)
    for facility, diagnostic, year, health, count in connection.execute(statement):
        names = {"facility": facility, "diagnostic": diagnostic, "health": health}
        for term in query.terms:
            if term.name == "date":
                is_match = any((year or None) in dates for dates in parse_ranges(term, parse_dates))
            else:
                is_match = match_any_pattern(term.values, names[term.name or ""])
            if is_match is term.is_negated:
                break
        else:
            counts[facility, diagnostic, year, health] += count
    return counts
