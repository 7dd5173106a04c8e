"""A query's terms as conditions of the catalog's tables.

A condition may let more entries through than a term means, never fewer: `find_diagnostic` decides. A term without a condition
is left to that alone.
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
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query import Pattern, Query, Term, Value
from shotdap.catalog.query.values import (
    Range,
    extract_literal_prefix,
    extract_whole_words,
    match_any_pattern,
    parse_dates,
    parse_ranges,
    parse_shots,
)

__all__ = ["QueryPlan"]

_NOT_OK: Final = sa.text("health <> 'ok'")  # as the index over health has it, so that it is used
_MIN_PREFIX_LENGTH: Final = (
    4  # characters; a beginning with fewer is as good as always frequent, and takes long to look up
)
_COLUMN_FIELDS: Final = ("facility", "diagnostic", "shot", "date", "health")


@dataclass(frozen=True)
class QueryPlan:
    """What of a query the tables can tell."""

    query: Query
    attribute_names: Collection[str]
    """The names in it that are those of files' attributes; all others are facts, or the catalog's own."""
    fulltext: FullTextIndex
    partitions: Mapping[Partition, Collection[str]]
    """All pairs of a facility and a diagnostic that there are, each with the healths of its entries."""

    @cached_property
    def selected_partitions(self) -> list[Partition]:
        """Those of the pairs that the query leaves."""
        return [
            (facility, diagnostic)
            for (facility, diagnostic), healths in sorted(self.partitions.items())
            if all(
                match_any_pattern(term.values, facility) is not term.is_negated for term in self._find_terms("facility")
            )
            and all(
                match_any_pattern(term.values, diagnostic) is not term.is_negated
                for term in self._find_terms("diagnostic")
            )
            and any(health in healths for health in self.healths)
        ]

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match."""
        return not self.selected_partitions or self.shot_ranges == [] or self.date_ranges == []

    @cached_property
    def shot_ranges(self) -> list[Range[int]] | None:
        """The shots that are asked for, if any are: ranges that do not overlap."""
        return _intersect_ranges(
            parse_ranges(term, parse_shots) for term in self._find_terms("shot") if not term.is_negated
        )

    @cached_property
    def date_ranges(self) -> list[Range[str]] | None:
        """The moments that are asked for, if any are: ranges that do not overlap."""
        return _intersect_ranges(
            parse_ranges(term, parse_dates) for term in self._find_terms("date") if not term.is_negated
        )

    @cached_property
    def healths(self) -> list[Health]:
        """The states of health that the query leaves."""
        terms = self._find_terms("health")
        return [
            health for health in Health if all(match_any_pattern(t.values, health) is not t.is_negated for t in terms)
        ]

    @cached_property
    def positive_terms(self) -> list[Term]:
        """The terms that are not negated, beyond those for facilities, diagnostics, shots, dates and health."""
        return [term for term in self.query.terms if not term.is_negated and term.name not in _COLUMN_FIELDS]

    def is_attribute_term(self, term: Term) -> bool:
        """Whether a term asks for an attribute of files."""
        return term.name in self.attribute_names

    def build_conditions(self, held: Term | None = None) -> Iterator[sa.ColumnElement[bool]]:
        """What holds for all entries that match, beyond facilities, diagnostics, shots and dates that are wanted.

        Args:
            held: a term that is seen to otherwise.
        """
        if len(self.healths) < len(Health):
            yield ENTRIES.c.health.in_(self.healths)
        for term in self.positive_terms:
            if term is not held:
                yield from self._make_necessary_conditions(term)
        for term in self.query.terms:
            if term.is_negated and term.name not in ("facility", "diagnostic", "health"):
                yield from (sa.not_(shown) for shown in self._make_sufficient_conditions(term))

    def build_candidate_queries(self) -> Iterator[sa.Select[Any]]:
        """The ids of all entries that match, and of others, in one statement or another, each from an index."""
        if Health.OK not in self.healths:
            yield sa.select(ENTRIES.c.id).where(_NOT_OK, ENTRIES.c.health.in_(self.healths))
        if self.shot_ranges and self.date_ranges:  # whose order is that of shots
            yield sa.select(ENTRIES.c.id).where(
                sa.or_(*(sa.and_(sa.true(), *make_range_conditions(ENTRIES.c.date, each)) for each in self.date_ranges))
            )
        telling = [word for word in self._required_words if not word.endswith("*") or len(word) > _MIN_PREFIX_LENGTH]
        if telling:
            yield self.fulltext.select_matching_ids(" ".join(telling))
        for term in self.positive_terms:
            if self.is_attribute_term(term):
                yield attribute_predicates.select_entry_ids(term)
            elif term.name == "path":
                yield from (sa.select(ENTRIES.c.id).where(starts) for starts in _make_path_conditions(term))

    @cached_property
    def whole_words(self) -> list[str]:
        """Words that all entries have which match."""
        return [word for word in self._required_words if not word.endswith("*")]

    def has_whole_words(self, least: int, greatest: int) -> sa.ColumnElement[bool]:
        """That an entry with one of these ids has those words; of others nothing is known."""
        return self.fulltext.has_words(ENTRIES.c.id, " ".join(self.whole_words), least, greatest)

    @cached_property
    def _required_words(self) -> list[str]:
        """Words that all entries have which match, and with ``*`` behind it what such a word begins with."""
        return [
            word
            for term in self.positive_terms
            if len(term.values) == 1
            for word in self._extract_required_words(term, term.values[0])
        ]

    def _extract_required_words(self, term: Term, value: Value) -> Iterable[str]:
        if term.name is None and isinstance(value, Pattern):
            return (f"{word}*" if begins else word for word, begins in parse_search_words(value.text))
        return () if term.name == "path" or self.is_attribute_term(term) else extract_whole_words(value).split()

    def _make_necessary_conditions(self, term: Term) -> Iterator[sa.ColumnElement[bool]]:
        """What is so wherever a term holds."""
        if term.name is None:
            parts = [fact_predicates.may_have_words(value) for value in term.values]
            known = [part for part in parts if part is not None]
            if len(known) == len(parts):
                yield sa.or_(*known)
        elif self.is_attribute_term(term):
            yield attribute_predicates.may_have_attribute(term)
        elif term.name == "path":
            yield from _make_path_conditions(term)
        else:
            yield sa.or_(*(fact_predicates.may_have_fact(term.name, value) for value in term.values))

    def _make_sufficient_conditions(self, term: Term) -> Iterator[sa.ColumnElement[bool]]:
        """What is so only where a term holds, each of it enough; an unknown truth is none."""
        if term.name in ("shot", "date"):
            column = ENTRIES.c[term.name]
            bounds: Sequence[Range[Any]] = (
                parse_ranges(term, parse_shots) if term.name == "shot" else parse_ranges(term, parse_dates)
            )
            yield from (sa.and_(column.is_not(None), *make_range_conditions(column, each)) for each in bounds)
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
    """What is in one range of every term, the least first; `None` without any term."""
    found: list[Range[Any]] | None = None
    for each in terms:
        found = _merge_ranges(each if found is None else [one & other for one in found for other in each])
    return found


def _merge_ranges(parts: Iterable[Range[Any]]) -> list[Range[Any]]:
    """The same as ranges that do not overlap."""
    whole = sorted(
        (part for part in parts if not part.is_empty), key=lambda part: (part.start is not None, part.start or 0)
    )
    found: list[Range[Any]] = []
    for part in whole:
        last = found[-1] if found else None
        if last is None or (last.stop is not None and part.start is not None and part.start > last.stop):
            found.append(part)
        elif last.stop is not None:
            found[-1] = Range(last.start, None if part.stop is None else max(last.stop, part.stop))
    return found


def _make_path_conditions(term: Term) -> Iterator[sa.ColumnElement[bool]]:
    """How paths begin; nothing, where one of the patterns begins with a wildcard."""
    starts = [extract_literal_prefix(value)[0] for value in term.values if isinstance(value, Pattern)]
    if all(starts):
        yield sa.or_(*(sa.and_(*make_prefix_conditions(ENTRIES.c.path, start)) for start in starts))
