"""A query's terms as conditions of the catalog's tables.

A condition may let more entries through than a term means, never fewer: `matching` decides. A term without a condition
is left to that alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.entry import Health
from shotdap.catalog.index.matching import Matcher
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES, TALLIES
from shotdap.catalog.index.words import Words, asked
from shotdap.catalog.query import Pattern, Span, Term, Value
from shotdap.catalog.query.meanings import Range, dates, fixed_start, number, one_of, ranges, shots, whole_words

__all__ = ["Narrowing", "kinds", "within"]

_Column: TypeAlias = sa.ColumnElement[Any]

_LONGEST: Final = 200  # characters of an attribute that are kept
_NOT_GOOD: Final = sa.text("health <> 'ok'")  # as the index over health has it, so that it is used
_SAME_IN_JSON: Final = re.compile(r"[a-hjl-zA-HJL-Z0-9_.-]+")  # k and i are also the small forms of U+212A and U+0130
_BY_VALUE: Final = (ATTRIBUTES.c.name, ATTRIBUTES.c.text, ATTRIBUTES.c.number)
_BY_KEY: Final = (ATTRIBUTES.c.name.concat(""), ATTRIBUTES.c.text.concat(""), ATTRIBUTES.c.number + 0)
_FRAGMENT: Final = 3  # characters, below which a text narrows nothing


@dataclass(frozen=True)
class Narrowing:
    """What of a query the tables can tell."""

    matcher: Matcher
    words: Words
    kinds: Collection[tuple[str, str]]
    """All pairs of a facility and a diagnostic that there are; what is unknown is an empty text."""

    @property
    def terms(self) -> tuple[Term, ...]:
        """The query's terms."""
        return self.matcher.query.terms

    @cached_property
    def chosen(self) -> list[tuple[str, str]]:
        """Those of the pairs that the query leaves."""
        return [
            (facility, diagnostic)
            for facility, diagnostic in sorted(self.kinds)
            if all(one_of(term.values, facility) is not term.negated for term in self._named("facility"))
            and all(one_of(term.values, diagnostic) is not term.negated for term in self._named("diagnostic"))
        ]

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match."""
        return not self.chosen or not self.healths or self.shots == [] or self.dates == []

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

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """What holds for all entries that match, beyond facilities, diagnostics, shots and dates."""
        if len(self.healths) < len(Health):
            yield ENTRIES.c.health.in_(self.healths)
        for term in self._wanted():
            if term.name in self.matcher.attributes:
                ids = _described(term, *_BY_KEY)
                yield ids.where(ATTRIBUTES.c.entry == ENTRIES.c.id).exists()
            elif term.name == "path":
                yield from _starts(term)
            else:
                yield from _named(term)
                yield from _fragments(term)

    def sets(self) -> Iterator[sa.Select[Any]]:
        """The ids of all entries that match, and of others, in one statement or another, each from an index."""
        if Health.OK not in self.healths:
            yield sa.select(ENTRIES.c.id).where(_NOT_GOOD, ENTRIES.c.health.in_(self.healths))
        if self.shots and self.dates:  # whose order is that of shots
            yield sa.select(ENTRIES.c.id).where(
                sa.or_(*(sa.and_(*within(ENTRIES.c.date, each)) for each in self.dates))
            )
        for term in self._wanted():
            if term.name is None:
                yield from (self.words.matching(value.text) for value in term.values if isinstance(value, Pattern))
            elif term.name in self.matcher.attributes:
                yield _described(term, *_BY_VALUE)
            elif term.name == "path":
                yield from (sa.select(ENTRIES.c.id).where(starts) for starts in _starts(term))
            elif len(term.values) == 1 and (words := whole_words(term.values[0])):
                yield self.words.matching(words)

    def _named(self, name: str) -> list[Term]:
        return [term for term in self.terms if term.name == name]

    def _wanted(self) -> Iterator[Term]:
        own = ("facility", "diagnostic", "shot", "date", "health")
        return (term for term in self.terms if not term.negated and term.name not in own)


def kinds(connection: sa.Connection) -> list[tuple[str, str]]:
    """All pairs of a facility and a diagnostic that entries have."""
    pair = (TALLIES.c.facility, TALLIES.c.diagnostic)
    statement = sa.select(*pair).group_by(*pair).having(sa.func.sum(TALLIES.c.count) > 0)
    return [(facility, diagnostic) for facility, diagnostic in connection.execute(statement)]


def within(column: sa.ColumnElement[Any], bounds: Range[Any]) -> Iterator[sa.ColumnElement[bool]]:
    """That a column's value is in a range."""
    if bounds.least is not None:
        yield column >= bounds.least
    if bounds.before is not None:
        yield column < bounds.before


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


def _described(term: Term, name: _Column, text: _Column, real: _Column) -> sa.Select[Any]:
    """The ids of entries that have an attribute, by these columns."""
    values = sa.or_(*(_attribute(value, text, real) for value in term.values))
    return sa.select(ATTRIBUTES.c.entry).where(name == term.name, values)


def _attribute(value: Value, text: _Column, real: _Column) -> _Column:
    """A value of an attribute, as far as an index can tell."""
    if isinstance(value, Span):
        return sa.and_(sa.true(), *_span(value, text, real))
    wanted = None if value.quoted else number(value.text)
    if wanted is not None:
        return real == wanted
    start, whole = fixed_start(value)
    if whole:
        return text == start[:_LONGEST]
    return sa.and_(sa.true(), *_starting(text, start[:_LONGEST]))


def _span(span: Span, text: _Column, real: _Column) -> Iterator[_Column]:
    ends = [end for end in (span.least, span.most) if end is not None]
    numbers = [number(end) for end in ends]
    column, values = (text, [end[:_LONGEST] for end in ends]) if None in numbers else (real, numbers)
    if span.least is not None:
        yield column >= values[0]
    if span.most is not None:
        yield column <= values[-1]


def _starts(term: Term) -> Iterator[sa.ColumnElement[bool]]:
    """How paths begin; nothing, where one of the patterns begins with a wildcard."""
    starts = [fixed_start(value)[0] for value in term.values if isinstance(value, Pattern)]
    if all(starts):
        yield sa.or_(*(sa.and_(*_starting(ENTRIES.c.path, start)) for start in starts))


def _starting(column: _Column, start: str) -> Iterator[_Column]:
    """That a text begins so, as a range of an index."""
    yield column >= start
    if start and start.isascii() and start.isprintable():  # all of a path; beyond ASCII the next character may be none
        yield column < start[:-1] + chr(ord(start[-1]) + 1)


def _named(term: Term) -> Iterator[sa.ColumnElement[bool]]:
    """That the facts as they are written have a name at all, where it is that of a fact."""
    if term.name is not None:
        yield sa.cast(ENTRIES.c.facts, sa.Text).contains(json.dumps(term.name), autoescape=True)


def _fragments(term: Term) -> Iterator[sa.ColumnElement[bool]]:
    """Parts of texts that stand in the facts as they are written; PostgreSQL reads no JSON in which a NUL is.

    Words stand in the path as well. For an index of words it costs more to tell of one entry than of many.
    """
    found = [_word(value) if term.name is None else _fragment(value) for value in term.values]
    texts = [sa.cast(ENTRIES.c.facts, sa.Text), *([ENTRIES.c.path] if term.name is None else [])]
    if all(found):
        yield sa.or_(*(text.icontains(part, autoescape=True) for text in texts for part in found if part))


def _fragment(value: Value) -> str | None:
    """The longest part of a text that JSON writes as it is, in capitals or not; of numbers there are many spellings."""
    if isinstance(value, Span) or number(value.text) is not None:
        return None
    return _longest(re.split(r"[*?]", value.text))


def _word(value: Value) -> str | None:
    """The same of words, which may stand far from one another."""
    return _longest(word for word, _ in asked(value.text)) if isinstance(value, Pattern) else None


def _longest(texts: Iterable[str]) -> str | None:
    longest = max((part for text in texts for part in _SAME_IN_JSON.findall(text)), key=len, default="")
    return longest if len(longest) >= _FRAGMENT else None
