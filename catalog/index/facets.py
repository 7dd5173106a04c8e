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
from shotdap.catalog.index.records import Kind, kind_of, promoted
from shotdap.catalog.index.search import MOST, Kinds, search
from shotdap.catalog.index.tables import TALLIES
from shotdap.catalog.query import Query, Term
from shotdap.catalog.query.values import dates, one_of, ranges

__all__ = ["FACETS", "Facets", "facets"]

FACETS: Final[tuple[Facet, ...]] = ("facility", "diagnostic", "year", "health")

_YEAR: Final = 4  # characters
_PAGES: Final = 5  # of `MOST` entries each, that are counted one by one


@dataclass(frozen=True)
class Facets:
    """The numbers of entries that match."""

    total: int
    counts: Mapping[Facet, Mapping[str, int]]
    """For each facet the values that there are, each with its number; what is unknown is an empty text."""
    complete: bool
    """Whether all that match are counted, or only the newest of them."""


def facets(connection: sa.Connection, kinds: Kinds, query: Query) -> Facets:
    """Count what matches.

    Raises:
        BadQuery: no image says anything under a name.
    """
    if all(_is_tallied(term) for term in query.terms):
        return _of(_tallied(connection, query), complete=True)
    found: list[tuple[Kind, int]] = []
    after: str | None = None
    for _ in range(_PAGES):
        page = search(connection, kinds, query, after, MOST)
        found += [(_kind(entry), 1) for entry in page.entries]
        after = page.after
        if after is None:
            return _of(found, complete=True)
    return _of(found, complete=False)


def _of(counted: Iterable[tuple[Kind, int]], *, complete: bool) -> Facets:
    counts: dict[Facet, Counter[str]] = {name: Counter() for name in FACETS}
    total = 0
    for kind, number in counted:
        total += number
        for name, value in zip(FACETS, kind, strict=True):
            counts[name][value] += number
    return Facets(total, {name: dict(sorted(counter.items())) for name, counter in counts.items()}, complete)


def _kind(entry: Entry) -> Kind:
    return kind_of({**promoted(entry.facts), "health": entry.health.value})


def _tallied(connection: sa.Connection, query: Query) -> Iterator[tuple[Kind, int]]:
    """The tallies of the kinds that match."""
    columns = (TALLIES.c.facility, TALLIES.c.diagnostic, TALLIES.c.year, TALLIES.c.health)
    for *kind, number in connection.execute(sa.select(*columns, TALLIES.c.count).where(TALLIES.c.count > 0)):
        facility, diagnostic, year, health = kind
        said = {"facility": facility, "diagnostic": diagnostic, "date": year, "health": health}
        if all(_holds(term, said) is not term.negated for term in query.terms):
            yield (facility, diagnostic, year, health), number


def _is_tallied(term: Term) -> bool:
    """Whether the tallies know of a term: names, and whole years."""
    if term.name != "date":
        return term.name in ("facility", "diagnostic", "health")
    return all(_is_year(each.least) and _is_year(each.before) for each in ranges(term, dates))


def _is_year(bound: str | None) -> bool:
    return bound is None or len(bound) == _YEAR


def _holds(term: Term, said: Mapping[str, str]) -> bool:
    text = said[term.name or ""]
    if term.name == "date":
        return bool(text) and any(text in each for each in ranges(term, dates))
    return one_of(term.values, text)
