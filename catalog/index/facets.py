"""Facet counts of a query: how many entries match, by facility, diagnostic, year and health.

If the query has only conditions on these, `FACET_COUNTS` answers at any size of the catalog. For any other query the
newest matches are counted one by one, up to a limit.
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
from shotdap.catalog.index.tables import FACET_COUNTS
from shotdap.catalog.query import Query, Term
from shotdap.catalog.query.values import match_any_pattern, parse_dates, parse_ranges

_FACETS: Final[tuple[Facet, ...]] = ("facility", "diagnostic", "year", "health")
_YEAR_LENGTH: Final = 4  # characters
_MAX_PAGES: Final = 5  # of `MAX_PAGE_SIZE` entries each, that are counted one by one


@dataclass(frozen=True)
class FacetCounts:
    """Numbers of entries that match a query."""

    total: int
    counts: Mapping[Facet, Mapping[str, int]]
    """For each facet the number of entries by value; the empty text is the unknown value."""
    is_complete: bool
    """Whether all matches are counted, or only the newest of them."""


def count_facets(connection: sa.Connection, partitions: PartitionCache, query: Query) -> FacetCounts:
    """Count the entries that match a query.

    Raises:
        BadQuery: no entry has a fact or an attribute of some name in the query.
    """
    counts: Counter[FacetKey] = Counter()
    if all(_is_facet_term(term) for term in query.terms):
        columns = (FACET_COUNTS.c.facility, FACET_COUNTS.c.diagnostic, FACET_COUNTS.c.year, FACET_COUNTS.c.health)
        statement = sa.select(*columns, FACET_COUNTS.c.count).where(FACET_COUNTS.c.count > 0)
        for facility, diagnostic, year, health, count in connection.execute(statement):
            values = {"facility": facility, "diagnostic": diagnostic, "date": year, "health": health}
            if all(_match_term(term, values[term.name or ""]) is not term.is_negated for term in query.terms):
                counts[facility, diagnostic, year, health] += count
        return _sum_counts(counts, is_complete=True)
    after: str | None = None
    for _ in range(_MAX_PAGES):
        page = search_entries(connection, partitions, query, after, MAX_PAGE_SIZE)
        counts.update(
            make_facet_key({**extract_column_facts(entry.facts), "health": entry.health.value})
            for entry in page.entries
        )
        after = page.after
        if after is None:
            break
    return _sum_counts(counts, is_complete=after is None)


def _is_facet_term(term: Term) -> bool:
    """Check whether the facet counts answer a term: a condition on names, or on whole years."""
    if term.name != "date":
        return term.name in ("facility", "diagnostic", "health")
    bounds = [bound for dates in parse_ranges(term, parse_dates) for bound in (dates.start, dates.stop)]
    return all(bound is None or len(bound) == _YEAR_LENGTH for bound in bounds)


def _match_term(term: Term, value: str) -> bool:
    if term.name == "date":
        return bool(value) and any(value in dates for dates in parse_ranges(term, parse_dates))
    return match_any_pattern(term.values, value)


def _sum_counts(counts: Counter[FacetKey], *, is_complete: bool) -> FacetCounts:
    by_facet: dict[Facet, Counter[str]] = {name: Counter() for name in _FACETS}
    for key, count in counts.items():
        for name, value in zip(_FACETS, key, strict=True):
            by_facet[name][value] += count
    return FacetCounts(
        counts.total(), {name: dict(sorted(each.items())) for name, each in by_facet.items()}, is_complete
    )
