"""A query's terms as conditions of the catalog's tables.

A condition may let more entries through than a term means, never fewer: `matching` decides. A term without a condition
is left to that alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.entry import Health
from shotdap.catalog.index.fulltext import Words, asked
from shotdap.catalog.index.search import attribute_predicates, fact_predicates
from shotdap.catalog.index.search.partitions import Pair
from shotdap.catalog.index.search.range_predicates import starting, within
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query import Pattern, Query, Term, Value
from shotdap.catalog.query.values import Range, dates, fixed_start, one_of, ranges, shots, whole_words

__all__ = ["Narrowing"]

_NOT_GOOD: Final = sa.text("health <> 'ok'")  # as the index over health has it, so that it is used
_SHORT: Final = 4  # characters; a beginning with fewer is as good as always frequent, and takes long to look up
_OWN: Final = ("facility", "diagnostic", "shot", "date", "health")


@dataclass(frozen=True)
class Narrowing:
    """What of a query the tables can tell."""

    query: Query
    attributes: Collection[str]
    """The names in it that are those of files' attributes; all others are facts, or the catalog's own."""
    words: Words
    kinds: Mapping[Pair, Collection[str]]
    """All pairs of a facility and a diagnostic that there are, each with the healths of its entries."""

    @cached_property
    def chosen(self) -> list[Pair]:
        """Those of the pairs that the query leaves."""
        return [
            (facility, diagnostic)
            for (facility, diagnostic), healths in sorted(self.kinds.items())
            if all(one_of(term.values, facility) is not term.negated for term in self._named("facility"))
            and all(one_of(term.values, diagnostic) is not term.negated for term in self._named("diagnostic"))
            and any(health in healths for health in self.healths)
        ]

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match."""
        return not self.chosen or self.shots == [] or self.dates == []

    @cached_property
    def shots(self) -> list[Range[int]] | None:
        """The shots that are asked for, if any are: ranges that do not overlap."""
        return _common(ranges(term, shots) for term in self._named("shot") if not term.negated)

    @cached_property
    def dates(self) -> list[Range[str]] | None:
        """The moments that are asked for, if any are: ranges that do not overlap."""
        return _common(ranges(term, dates) for term in self._named("date") if not term.negated)

    @cached_property
    def healths(self) -> list[Health]:
        """The states of health that the query leaves."""
        terms = self._named("health")
        return [health for health in Health if all(one_of(t.values, health) is not t.negated for t in terms)]

    @cached_property
    def wanted(self) -> list[Term]:
        """The terms that are not negated, beyond those for facilities, diagnostics, shots, dates and health."""
        return [term for term in self.query.terms if not term.negated and term.name not in _OWN]

    def is_attribute(self, term: Term) -> bool:
        """Whether a term asks for an attribute of files."""
        return term.name in self.attributes

    def conditions(self, held: Term | None = None) -> Iterator[sa.ColumnElement[bool]]:
        """What holds for all entries that match, beyond facilities, diagnostics, shots and dates that are wanted.

        Args:
            held: a term that is seen to otherwise.
        """
        if len(self.healths) < len(Health):
            yield ENTRIES.c.health.in_(self.healths)
        for term in self.wanted:
            if term is not held:
                yield from self._may_hold(term)
        for term in self.query.terms:
            if term.negated and term.name not in ("facility", "diagnostic", "health"):
                yield from (sa.not_(shown) for shown in self._surely_holds(term))

    def sets(self) -> Iterator[sa.Select[Any]]:
        """The ids of all entries that match, and of others, in one statement or another, each from an index."""
        if Health.OK not in self.healths:
            yield sa.select(ENTRIES.c.id).where(_NOT_GOOD, ENTRIES.c.health.in_(self.healths))
        if self.shots and self.dates:  # whose order is that of shots
            yield sa.select(ENTRIES.c.id).where(
                sa.or_(*(sa.and_(sa.true(), *within(ENTRIES.c.date, each)) for each in self.dates))
            )
        telling = [word for word in self._known_words if not word.endswith("*") or len(word) > _SHORT]
        if telling:
            yield self.words.matching(" ".join(telling))
        for term in self.wanted:
            if self.is_attribute(term):
                yield attribute_predicates.ids(term)
            elif term.name == "path":
                yield from (sa.select(ENTRIES.c.id).where(starts) for starts in _starts(term))

    @cached_property
    def whole_words(self) -> list[str]:
        """Words that all entries have which match."""
        return [word for word in self._known_words if not word.endswith("*")]

    def has_whole_words(self, least: int, greatest: int) -> sa.ColumnElement[bool]:
        """That an entry with one of these ids has those words; of others nothing is known."""
        return self.words.have(ENTRIES.c.id, " ".join(self.whole_words), least, greatest)

    @cached_property
    def _known_words(self) -> list[str]:
        """Words that all entries have which match, and with ``*`` behind it what such a word begins with."""
        return [word for term in self.wanted if len(term.values) == 1 for word in self._words(term, term.values[0])]

    def _words(self, term: Term, value: Value) -> Iterable[str]:
        if term.name is None and isinstance(value, Pattern):
            return (f"{word}*" if begins else word for word, begins in asked(value.text))
        return () if term.name == "path" or self.is_attribute(term) else whole_words(value).split()

    def _may_hold(self, term: Term) -> Iterator[sa.ColumnElement[bool]]:
        """What is so wherever a term holds."""
        if term.name is None:
            parts = [fact_predicates.may_have_words(value) for value in term.values]
            known = [part for part in parts if part is not None]
            if len(known) == len(parts):
                yield sa.or_(*known)
        elif self.is_attribute(term):
            yield attribute_predicates.may_have(term)
        elif term.name == "path":
            yield from _starts(term)
        else:
            yield sa.or_(*(fact_predicates.may_say(term.name, value) for value in term.values))

    def _surely_holds(self, term: Term) -> Iterator[sa.ColumnElement[bool]]:
        """What is so only where a term holds, each of it enough; an unknown truth is none."""
        if term.name in ("shot", "date"):
            column = ENTRIES.c[term.name]
            bounds: Sequence[Range[Any]] = ranges(term, shots) if term.name == "shot" else ranges(term, dates)
            yield from (sa.and_(column.is_not(None), *within(column, each)) for each in bounds)
        elif term.name is None:
            yield from _known(map(fact_predicates.has_word, term.values))
        elif self.is_attribute(term):
            yield from _known([attribute_predicates.surely_has(term)])
        elif term.name != "path":
            yield from _known(fact_predicates.says(term.name, value) for value in term.values)

    def _named(self, name: str) -> list[Term]:
        return [term for term in self.query.terms if term.name == name]


def _known(conditions: Iterable[sa.ColumnElement[bool] | None]) -> Iterator[sa.ColumnElement[bool]]:
    return (condition for condition in conditions if condition is not None)


def _common(terms: Iterable[list[Range[Any]]]) -> list[Range[Any]] | None:
    """What is in one range of every term, the least first; `None` without any term."""
    found: list[Range[Any]] | None = None
    for each in terms:
        found = _united(each if found is None else [one & other for one in found for other in each])
    return found


def _united(parts: Iterable[Range[Any]]) -> list[Range[Any]]:
    """The same as ranges that do not overlap."""
    whole = sorted(
        (part for part in parts if not part.is_empty), key=lambda part: (part.least is not None, part.least or 0)
    )
    found: list[Range[Any]] = []
    for part in whole:
        last = found[-1] if found else None
        if last is None or (last.before is not None and part.least is not None and part.least > last.before):
            found.append(part)
        elif last.before is not None:
            found[-1] = Range(last.least, None if part.before is None else max(last.before, part.before))
    return found


def _starts(term: Term) -> Iterator[sa.ColumnElement[bool]]:
    """How paths begin; nothing, where one of the patterns begins with a wildcard."""
    starts = [fixed_start(value)[0] for value in term.values if isinstance(value, Pattern)]
    if all(starts):
        yield sa.or_(*(sa.and_(*starting(ENTRIES.c.path, start)) for start in starts))
