"""How many entries match a query, by facility, diagnostic, year and health.

Where a query asks for nothing else than these, the tallies know it at any size. Of a query that is more particular the
newest matches are counted, up to a bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.facet_counts import Facet
from shotdap.catalog.index.records import FacetKey, extract_column_facts, make_facet_key
from shotdap.catalog.index.search import MAX_PAGE_SIZE, PartitionCache, search_entries
from shotdap.catalog.index.tables import FACET_COUNTS
from shotdap.catalog.query import Query, Term
from shotdap.catalog.query.values import match_any_pattern, parse_dates, parse_ranges

__all__ = ["FACETS", "FacetCounts", "count_facets"]

FACETS: Final[tuple[Facet, ...]] = ("facility", "diagnostic", "year", "health")

_YEAR_LENGTH: Final = 4  # characters
_MAX_PAGES: Final = 5  # of `MAX_PAGE_SIZE` entries each, that are counted one by one


@dataclass(frozen=True)
class FacetCounts:
    """The numbers of entries that match."""

    total: int
    counts: Mapping[Facet, Mapping[str, int]]
    """For each facet the values that there are, each with its number; what is unknown is an empty text."""
    is_complete: bool
    """Whether all that match are counted, or only the newest of them."""


def count_facets(connection: sa.Connection, kinds: PartitionCache, query: Query) -> FacetCounts:
    """Count what matches.

    Raises:
        BadQuery: no image says anything under a name.
    """
    if all(_is_facet_term(term) for term in query.terms):
        return _sum_counts(_select_counts(connection, query), complete=True)
    found: list[tuple[FacetKey, int]] = []
    after: str | None = None
    for _ in range(_MAX_PAGES):
        page = search_entries(connection, kinds, query, after, MAX_PAGE_SIZE)
        found += [(_kind(entry), 1) for entry in page.entries]
        after = page.after
        if after is None:
            return _sum_counts(found, complete=True)
    return _sum_counts(found, complete=False)


def _sum_counts(counted: Iterable[tuple[FacetKey, int]], *, complete: bool) -> FacetCounts:
    counts: dict[Facet, Counter[str]] = {name: Counter() for name in FACETS}
    total = 0
    for kind, number in counted:
        total += number
        for name, value in zip(FACETS, kind, strict=True):
            counts[name][value] += number
    return FacetCounts(total, {name: dict(sorted(counter.items())) for name, counter in counts.items()}, complete)


def _kind(entry: Entry) -> FacetKey:
    return make_facet_key({**extract_column_facts(entry.facts), "health": entry.health.value})


def _select_counts(connection: sa.Connection, query: Query) -> Iterator[tuple[FacetKey, int]]:
    """The tallies of the kinds that match."""
    columns = (FACET_COUNTS.c.facility, FACET_COUNTS.c.diagnostic, FACET_COUNTS.c.year, FACET_COUNTS.c.health)
    for *kind, number in connection.execute(sa.select(*columns, FACET_COUNTS.c.count).where(FACET_COUNTS.c.count > 0)):
        facility, diagnostic, year, health = kind
        said = {"facility": facility, "diagnostic": diagnostic, "date": year, "health": health}
        if all(_match_term(term, said) is not term.is_negated for term in query.terms):
            yield (facility, diagnostic, year, health), number


def _is_facet_term(term: Term) -> bool:
    """Whether the tallies know of a term: names, and whole years."""
    if term.name != "date":
        return term.name in ("facility", "diagnostic", "health")
    return all(_is_year(each.start) and _is_year(each.stop) for each in parse_ranges(term, parse_dates))


def _is_year(bound: str | None) -> bool:
    return bound is None or len(bound) == _YEAR_LENGTH


def _match_term(term: Term, said: Mapping[str, str]) -> bool:
    text = said[term.name or ""]
    if term.name == "date":
        return bool(text) and any(text in each for each in parse_ranges(term, parse_dates))
    return match_any_pattern(term.values, text)
