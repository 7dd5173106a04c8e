"""The plan of a query: its terms as conditions on the catalog's tables.

A necessary condition may hold for more entries than the term matches, never for fewer: `Matcher` decides about each
entry. A term without a condition is left to the matcher alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.entry import Health
from shotdap.catalog.index.fulltext import FullTextIndex, parse_search_words
from shotdap.catalog.index.search import attribute_predicates, fact_predicates
from shotdap.catalog.index.search.partitions import Partition
from shotdap.catalog.index.search.range_predicates import make_prefix_conditions, make_range_conditions
from shotdap.catalog.index.tables import ENTRIES, HEALTH_NOT_OK
from shotdap.catalog.query import Pattern, Query, Term
from shotdap.catalog.query.values import (
    Range,
    extract_literal_prefix,
    extract_whole_words,
    match_any_pattern,
    parse_dates,
    parse_ranges,
    parse_shots,
)

_MIN_PREFIX_LENGTH: Final = 4  # characters; a shorter prefix of a word is almost always frequent, and slow to look up
_COLUMN_FIELDS: Final = ("facility", "diagnostic", "shot", "date", "health")


@dataclass(frozen=True)
class QueryPlan:
    """A query, and all that the tables can tell about its matches."""

    query: Query
    attribute_names: Collection[str]
    """The names in it that are attributes of files; the others are facts, or built-in fields."""
    fulltext: FullTextIndex
    partitions: Mapping[Partition, Collection[str]]
    """All pairs of facility and diagnostic in the catalog, each with the healths of its entries."""
    visible: Sequence[sa.ColumnElement[bool]] = ()
    """Conditions that the reader may see an entry."""

    @cached_property
    def selected_partitions(self) -> list[Partition]:
        """The pairs that the query selects."""
        conditions = [(0, term) for term in self._find_terms("facility")]
        conditions += [(1, term) for term in self._find_terms("diagnostic")]
        return [
            partition
            for partition, healths in sorted(self.partitions.items())
            if all(match_any_pattern(term.values, partition[n]) is not term.is_negated for n, term in conditions)
            and any(health in healths for health in self.healths)
        ]

    @cached_property
    def selected_facilities(self) -> set[str]:
        """The facilities of these pairs."""
        return {facility for facility, _ in self.selected_partitions}

    @property
    def has_all_partitions(self) -> bool:
        """True if the query selects all pairs."""
        return len(self.selected_partitions) == len(self.partitions)

    @property
    def is_empty(self) -> bool:
        """True if no entry can match."""
        return not self.selected_partitions or self.shot_ranges == [] or self.date_ranges == []

    @cached_property
    def shot_ranges(self) -> list[Range[int]] | None:
        """The shots that the query selects, in ranges that do not overlap; `None` for all."""
        return _intersect_ranges(
            parse_ranges(term, parse_shots) for term in self._find_terms("shot") if not term.is_negated
        )

    @cached_property
    def date_ranges(self) -> list[Range[str]] | None:
        """The dates that the query selects, in ranges that do not overlap; `None` for all."""
        return _intersect_ranges(
            parse_ranges(term, parse_dates) for term in self._find_terms("date") if not term.is_negated
        )

    @cached_property
    def healths(self) -> list[Health]:
        """The states of health that the query selects."""
        terms = self._find_terms("health")
        return [
            health for health in Health if all(match_any_pattern(t.values, health) is not t.is_negated for t in terms)
        ]

    @cached_property
    def positive_terms(self) -> list[Term]:
        """The terms that are not negated, except those about facilities, diagnostics, shots, dates and health."""
        return [term for term in self.query.terms if not term.is_negated and term.name not in _COLUMN_FIELDS]

    @cached_property
    def whole_words(self) -> list[str]:
        """Words that all matches have."""
        return [word for word in self._required_words if not word.endswith("*")]

    def is_attribute_term(self, term: Term) -> bool:
        """Check whether a term is about an attribute of files."""
        return term.name in self.attribute_names

    def has_whole_words(self, least: int, greatest: int) -> sa.ColumnElement[bool]:
        """Return the condition that an entry has `whole_words`; it is valid only for ids in this range."""
        return self.fulltext.has_words(ENTRIES.c.id, " ".join(self.whole_words), least, greatest)

    def build_conditions(self, excluded: Term | None = None) -> Iterator[sa.ColumnElement[bool]]:
        """Yield necessary conditions, except those on facilities, diagnostics, and selected shots and dates.

        Args:
            excluded: a term that the caller handles.
        """
        yield from self.visible
        if len(self.healths) < len(Health):
            yield ENTRIES.c.health.in_(self.healths)
        for term in self.positive_terms:
            if term is excluded:
                continue
            if term.name is None:
                conditions = list(_skip_none(map(fact_predicates.may_have_words, term.values)))
                if len(conditions) == len(term.values):
                    yield sa.or_(*conditions)
            elif self.is_attribute_term(term):
                yield attribute_predicates.may_have_attribute(term)
            elif term.name == "path":
                yield from _make_path_conditions(term)
            else:
                yield sa.or_(*(fact_predicates.may_have_fact(term.name, value) for value in term.values))
        for term in self.query.terms:
            if term.is_negated and term.name not in ("facility", "diagnostic", "health"):
                yield from (sa.not_(sufficient) for sufficient in self._make_sufficient_conditions(term))

    def build_candidate_queries(self) -> Iterator[sa.Select[Any]]:
        """Yield alternative statements; each selects by an index the ids of all matches and of some other entries."""
        if Health.OK not in self.healths:
            yield sa.select(ENTRIES.c.id).where(HEALTH_NOT_OK, ENTRIES.c.health.in_(self.healths))
        if self.shot_ranges and self.date_ranges:  # the scan is in the order of shots
            conditions = (sa.and_(sa.true(), *make_range_conditions(ENTRIES.c.date, each)) for each in self.date_ranges)
            yield sa.select(ENTRIES.c.id).where(sa.or_(*conditions))
        words = [word for word in self._required_words if not word.endswith("*") or len(word) > _MIN_PREFIX_LENGTH]
        if words:
            yield self.fulltext.select_matching_ids(" ".join(words))
        for term in self.positive_terms:
            if self.is_attribute_term(term):
                yield attribute_predicates.select_entry_ids(term)
            elif term.name == "path":
                yield from (sa.select(ENTRIES.c.id).where(condition) for condition in _make_path_conditions(term))

    @cached_property
    def _required_words(self) -> list[str]:
        """Words that all matches have; ``word*`` is the prefix of such a word."""
        words: list[str] = []
        for term in self.positive_terms:
            if len(term.values) != 1 or term.name == "path" or self.is_attribute_term(term):
                continue
            value = term.values[0]
            if term.name is None and isinstance(value, Pattern):
                words += (f"{word}*" if is_prefix else word for word, is_prefix in parse_search_words(value.text))
            else:
                words += extract_whole_words(value).split()
        return words

    def _make_sufficient_conditions(self, term: Term) -> Iterator[sa.ColumnElement[bool]]:
        """Yield conditions; each is sufficient to match a term, and none is ever NULL."""
        if term.name in ("shot", "date"):
            column = ENTRIES.c[term.name]
            ranges: Sequence[Range[Any]] = (
                parse_ranges(term, parse_shots) if term.name == "shot" else parse_ranges(term, parse_dates)
            )
            yield from (sa.and_(column.is_not(None), *make_range_conditions(column, each)) for each in ranges)
        elif term.name is None:
            yield from _skip_none(map(fact_predicates.has_word, term.values))
        elif self.is_attribute_term(term):
            yield from _skip_none([attribute_predicates.has_attribute(term)])
        elif term.name != "path":
            yield from _skip_none(fact_predicates.has_fact(term.name, value) for value in term.values)

    def _find_terms(self, name: str) -> list[Term]:
        return [term for term in self.query.terms if term.name == name]


def _skip_none(conditions: Iterable[sa.ColumnElement[bool] | None]) -> Iterator[sa.ColumnElement[bool]]:
    return (condition for condition in conditions if condition is not None)


def _intersect_ranges(terms: Iterable[list[Range[Any]]]) -> list[Range[Any]] | None:
    """Return what is in a range of every term: ranges in order that do not overlap; `None` without any term."""
    intersection: list[Range[Any]] | None = None
    for ranges in terms:
        parts = ranges if intersection is None else [one & other for one in intersection for other in ranges]
        parts = [part for part in parts if not part.is_empty]
        intersection = []
        for part in sorted(parts, key=lambda part: (part.start is not None, part.start or 0)):
            last = intersection[-1] if intersection else None
            if last is None or (last.stop is not None and part.start is not None and part.start > last.stop):
                intersection.append(part)
            elif last.stop is not None:
                intersection[-1] = Range(last.start, None if part.stop is None else max(last.stop, part.stop))
    return intersection


def _make_path_conditions(term: Term) -> Iterator[sa.ColumnElement[bool]]:
    """Yield the condition on the beginning of a path; nothing if a pattern begins with a wildcard."""
    prefixes = [extract_literal_prefix(value)[0] for value in term.values if isinstance(value, Pattern)]
    if all(prefixes):
        yield sa.or_(*(sa.and_(*make_prefix_conditions(ENTRIES.c.path, prefix)) for prefix in prefixes))
