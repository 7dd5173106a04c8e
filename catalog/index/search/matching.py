"""Whether an entry is what a query asks for.

This decides, for every index; what databases do before it only narrows down what is worth a look. Names of facilities
and diagnostics, other facts and words match in any case; paths and the attributes of files as they are spelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.fulltext import asked, words_in
from shotdap.catalog.index.records import LONGEST, PROMOTED
from shotdap.catalog.index.tables import written
from shotdap.catalog.query import Pattern, Query, Span, Term, Value
from shotdap.catalog.query.values import dates, fits, number, one_of, ranges, shots

__all__ = ["Matcher"]

_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Matcher:
    """Matches entries with a query."""

    query: Query
    attributes: Collection[str] = ()
    """The names that are those of files' attributes; all others are facts."""

    def __call__(self, entry: Entry) -> bool:
        """Whether all terms hold."""
        if not all(self._has(name, term, entry) is not term.negated for name, term in self._named):
            return False
        return not self._words or self._has_words(words_in(entry.path, entry.facts), entry)

    @cached_property
    def _named(self) -> list[tuple[str, Term]]:
        return [(term.name, term) for term in self.query.terms if term.name is not None]

    @cached_property
    def _words(self) -> list[tuple[bool, list[_Asked]]]:
        """For each term without a name whether it is negated, and what it asks for, any of which is enough."""
        return [(term.negated, _all_asked(term)) for term in self.query.terms if term.name is None]

    def _has_words(self, words: Collection[str], entry: Entry) -> bool:
        for is_negated, alternatives in self._words:
            if any(each.is_in(words, entry) for each in alternatives) is is_negated:
                return False
        return True

    def _has(self, name: str, term: Term, entry: Entry) -> bool:
        if name in _OWN:
            return _OWN[name](term, entry)
        said, folded = self._said(name, entry)
        return any(_agrees(value, each, folded=folded) for value in term.values for each in said)

    def _said(self, name: str, entry: Entry) -> tuple[Sequence[str], bool]:
        """What an entry says under a name, and whether capitals are as good as small letters there."""
        if name in self.attributes:
            texts = entry.seen.attributes.get(name, ()) if entry.seen else ()
            return [text[:LONGEST] for text in texts], False
        return ([str(entry.facts[name])] if name in entry.facts else []), True


def _facility(term: Term, entry: Entry) -> bool:
    return one_of(term.values, str(PROMOTED["facility"](entry.facts.get("facility")) or ""))


def _diagnostic(term: Term, entry: Entry) -> bool:
    return one_of(term.values, str(PROMOTED["diagnostic"](entry.facts.get("diagnostic")) or ""))


def _shot(term: Term, entry: Entry) -> bool:
    shot = PROMOTED["shot"](entry.facts.get("shot"))
    return any(shot in each for each in ranges(term, shots))


def _date(term: Term, entry: Entry) -> bool:
    date = PROMOTED["date"](entry.facts.get("date"))
    return any(date in each for each in ranges(term, dates))


def _health(term: Term, entry: Entry) -> bool:
    return one_of(term.values, entry.health)


def _path(term: Term, entry: Entry) -> bool:
    return any(isinstance(value, Pattern) and fits(value, entry.path, folded=False) for value in term.values)


_OWN: Final[Mapping[str, Callable[[Term, Entry], bool]]] = MappingProxyType(
    {"facility": _facility, "diagnostic": _diagnostic, "shot": _shot, "date": _date, "health": _health, "path": _path}
)


@dataclass(frozen=True)
class _Asked:
    """Words that an entry has to have."""

    whole: frozenset[str]
    beginnings: Sequence[str]
    phrase: str | None
    """The words side by side, in one of the texts that the entry says, where that is asked for."""

    def is_in(self, words: Collection[str], entry: Entry) -> bool:
        """Whether an entry with these words is meant."""
        if not self.whole.issubset(words):
            return False
        if not all(any(word.startswith(begin) for word in words) for begin in self.beginnings):
            return False
        return self.phrase is None or any(self.phrase in _spaced(text) for text in _texts(entry))


def _all_asked(term: Term) -> list[_Asked]:
    return [
        _Asked(
            frozenset(word for word, begins in asked(value.text) if not begins),
            [word for word, begins in asked(value.text) if begins],
            _spaced(value.text) if value.quoted else None,
        )
        for value in term.values
        if isinstance(value, Pattern)
    ]


def _texts(entry: Entry) -> Iterator[str]:
    yield entry.path
    yield from map(str, entry.facts.values())


def _spaced(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _agrees(value: Value, said: str, *, folded: bool) -> bool:
    """Whether what an entry says is a value; two numbers are compared as numbers, all else as text."""
    if isinstance(value, Span):
        return _is_within(value, said)
    wanted = None if value.quoted else number(value.text)
    if wanted is not None:
        return number(said) == wanted
    return fits(value, said, folded=folded)


def _is_within(span: Span, said: str) -> bool:
    least, most = (None if end is None else number(end) for end in (span.least, span.most))
    if (least is None) is (span.least is None) and (most is None) is (span.most is None):
        value = number(said)
        return value is not None and _is_between(value, least, most, span)
    return _is_between(written(said), _written(span.least), _written(span.most), span)


def _written(text: str | None) -> str | None:
    return None if text is None else written(text)  # so that the order is the database's


def _is_between(value: Any, least: Any, most: Any, span: Span) -> bool:  # noqa: ANN401 — numbers, or texts
    if least is not None and (value < least or (span.above and value == least)):
        return False
    return not (most is not None and (value > most or (span.below and value == most)))
