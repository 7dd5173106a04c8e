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
from shotdap.catalog.index.fulltext import extract_entry_words, parse_search_words
from shotdap.catalog.index.records import FACT_PARSERS, MAX_TEXT_LENGTH
from shotdap.catalog.index.tables import escape_text
from shotdap.catalog.query import Pattern, Query, Term, TextRange, Value
from shotdap.catalog.query.values import (
    match_any_pattern,
    match_pattern,
    parse_dates,
    parse_number,
    parse_ranges,
    parse_shots,
)

__all__ = ["Matcher"]

_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Matcher:
    """Matches entries with a query."""

    query: Query
    attribute_names: Collection[str] = ()
    """The names that are those of files' attributes; all others are facts."""

    def __call__(self, entry: Entry) -> bool:
        """Whether all terms hold."""
        if not all(self._has_value(name, term, entry) is not term.is_negated for name, term in self._named_terms):
            return False
        return not self._word_terms or self._has_words(extract_entry_words(entry.path, entry.facts), entry)

    @cached_property
    def _named_terms(self) -> list[tuple[str, Term]]:
        return [(term.name, term) for term in self.query.terms if term.name is not None]

    @cached_property
    def _word_terms(self) -> list[tuple[bool, list[_RequiredWords]]]:
        """For each term without a name whether it is negated, and what it asks for, any of which is enough."""
        return [(term.is_negated, _parse_required_words(term)) for term in self.query.terms if term.name is None]

    def _has_words(self, words: Collection[str], entry: Entry) -> bool:
        for is_negated, alternatives in self._word_terms:
            if any(each.is_match(words, entry) for each in alternatives) is is_negated:
                return False
        return True

    def _has_value(self, name: str, term: Term, entry: Entry) -> bool:
        if name in _FIELD_MATCHERS:
            return _FIELD_MATCHERS[name](term, entry)
        said, folded = self._get_values(name, entry)
        return any(_match_value(value, each, folded=folded) for value in term.values for each in said)

    def _get_values(self, name: str, entry: Entry) -> tuple[Sequence[str], bool]:
        """What an entry says under a name, and whether capitals are as good as small letters there."""
        if name in self.attribute_names:
            texts = entry.first_inspection.attributes.get(name, ()) if entry.first_inspection else ()
            return [text[:MAX_TEXT_LENGTH] for text in texts], False
        return ([str(entry.facts[name])] if name in entry.facts else []), True


def _match_facility(term: Term, entry: Entry) -> bool:
    return match_any_pattern(term.values, str(FACT_PARSERS["facility"](entry.facts.get("facility")) or ""))


def _match_diagnostic(term: Term, entry: Entry) -> bool:
    return match_any_pattern(term.values, str(FACT_PARSERS["diagnostic"](entry.facts.get("diagnostic")) or ""))


def _match_shot(term: Term, entry: Entry) -> bool:
    shot = FACT_PARSERS["shot"](entry.facts.get("shot"))
    return any(shot in each for each in parse_ranges(term, parse_shots))


def _match_date(term: Term, entry: Entry) -> bool:
    date = FACT_PARSERS["date"](entry.facts.get("date"))
    return any(date in each for each in parse_ranges(term, parse_dates))


def _match_health(term: Term, entry: Entry) -> bool:
    return match_any_pattern(term.values, entry.health)


def _match_path(term: Term, entry: Entry) -> bool:
    return any(isinstance(value, Pattern) and match_pattern(value, entry.path, folded=False) for value in term.values)


_FIELD_MATCHERS: Final[Mapping[str, Callable[[Term, Entry], bool]]] = MappingProxyType(
    {
        "facility": _match_facility,
        "diagnostic": _match_diagnostic,
        "shot": _match_shot,
        "date": _match_date,
        "health": _match_health,
        "path": _match_path,
    }
)


@dataclass(frozen=True)
class _RequiredWords:
    """Words that an entry has to have."""

    whole_words: frozenset[str]
    prefixes: Sequence[str]
    phrase: str | None
    """The words side by side, in one of the texts that the entry says, where that is asked for."""

    def is_match(self, words: Collection[str], entry: Entry) -> bool:
        """Whether an entry with these words is meant."""
        if not self.whole_words.issubset(words):
            return False
        if not all(any(word.startswith(begin) for word in words) for begin in self.prefixes):
            return False
        return self.phrase is None or any(self.phrase in _normalize_phrase(text) for text in _texts(entry))


def _parse_required_words(term: Term) -> list[_RequiredWords]:
    return [
        _RequiredWords(
            frozenset(word for word, begins in parse_search_words(value.text) if not begins),
            [word for word, begins in parse_search_words(value.text) if begins],
            _normalize_phrase(value.text) if value.is_quoted else None,
        )
        for value in term.values
        if isinstance(value, Pattern)
    ]


def _texts(entry: Entry) -> Iterator[str]:
    yield entry.path
    yield from map(str, entry.facts.values())


def _normalize_phrase(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _match_value(value: Value, said: str, *, folded: bool) -> bool:
    """Whether what an entry says is a value; two numbers are compared as numbers, all else as text."""
    if isinstance(value, TextRange):
        return _is_in_range(value, said)
    wanted = None if value.is_quoted else parse_number(value.text)
    if wanted is not None:
        return parse_number(said) == wanted
    return match_pattern(value, said, folded=folded)


def _is_in_range(span: TextRange, said: str) -> bool:
    least, most = (None if end is None else parse_number(end) for end in (span.lower, span.upper))
    if (least is None) is (span.lower is None) and (most is None) is (span.upper is None):
        value = parse_number(said)
        return value is not None and _is_between(value, least, most, span)
    return _is_between(escape_text(said), _escape_bound(span.lower), _escape_bound(span.upper), span)


def _escape_bound(text: str | None) -> str | None:
    return None if text is None else escape_text(text)  # so that the order is the database's


def _is_between(value: Any, least: Any, most: Any, span: TextRange) -> bool:  # noqa: ANN401 — numbers, or texts
    if least is not None and (value < least or (span.is_lower_exclusive and value == least)):
        return False
    return not (most is not None and (value > most or (span.is_upper_exclusive and value == most)))
