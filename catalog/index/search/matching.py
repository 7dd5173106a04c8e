"""Decide whether an entry matches a query.

This decides for every index; the databases' conditions only reduce the number of entries to look at. Facilities,
diagnostics, other facts and words are compared without regard to capitals; paths and the attributes of files with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.fulltext import extract_entry_words, parse_search_words
from shotdap.catalog.index.records import FACT_PARSERS, MAX_TEXT_LENGTH
from shotdap.catalog.index.search.visibility import EVERYTHING, Visibility
from shotdap.catalog.index.tables import escape_text
from shotdap.catalog.query import Pattern, Query, Term, TextRange, Value
from shotdap.catalog.query.values import (
    BUILTIN_FIELDS,
    match_any_pattern,
    match_pattern,
    parse_dates,
    parse_number,
    parse_ranges,
    parse_shots,
)

_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Matcher:
    """Matches entries with a query."""

    query: Query
    attribute_names: Collection[str] = ()
    """The names that are attributes of files; the others are facts."""
    visibility: Visibility = EVERYTHING
    """The entries that exist for the reader."""

    def __call__(self, entry: Entry) -> bool:
        """Check whether an entry exists for the reader, and fulfils all terms."""
        if not self.visibility.allows(entry):
            return False
        for term in self.query.terms:
            if term.name is not None and self._match_field(term.name, term, entry) is term.is_negated:
                return False
        words = extract_entry_words(entry.path, entry.facts) if self._word_terms else ()
        return all(
            any(alternative.is_match(words, entry) for alternative in alternatives) is not is_negated
            for is_negated, alternatives in self._word_terms
        )

    @cached_property
    def _word_terms(self) -> list[tuple[bool, list[_RequiredWords]]]:
        """For each term without a name whether it is negated, and the alternatives that it has."""
        word_terms: list[tuple[bool, list[_RequiredWords]]] = []
        for term in self.query.terms:
            if term.name is None:
                patterns = [value for value in term.values if isinstance(value, Pattern)]
                word_terms.append((term.is_negated, [_RequiredWords.parse(pattern) for pattern in patterns]))
        return word_terms

    def _match_field(self, name: str, term: Term, entry: Entry) -> bool:
        if name == "path":
            patterns = [value for value in term.values if isinstance(value, Pattern)]
            return any(match_pattern(pattern, entry.path, folded=False) for pattern in patterns)
        if name == "health":
            return match_any_pattern(term.values, entry.health)
        if name in ("shot", "date"):
            ranges = parse_ranges(term, parse_shots) if name == "shot" else parse_ranges(term, parse_dates)
            fact = FACT_PARSERS[name](entry.facts.get(name))
            return any(fact in each for each in ranges)
        if name in BUILTIN_FIELDS:
            return match_any_pattern(term.values, str(FACT_PARSERS[name](entry.facts.get(name)) or ""))
        is_attribute = name in self.attribute_names
        if not is_attribute:
            texts = [str(entry.facts[name])] if name in entry.facts else []
        else:
            attributes = entry.last_good_inspection.attributes if entry.last_good_inspection else {}
            texts = [text[:MAX_TEXT_LENGTH] for text in attributes.get(name, ())]
        return any(_match_value(value, text, folded=not is_attribute) for value in term.values for text in texts)


@dataclass(frozen=True)
class _RequiredWords:
    """Words that an entry must have."""

    whole_words: frozenset[str]
    prefixes: Sequence[str]
    phrase: str | None
    """The words of a quoted value: the path or one fact must have them side by side."""

    @classmethod
    def parse(cls, pattern: Pattern) -> _RequiredWords:
        """Return the words that a value requires."""
        words = parse_search_words(pattern.text)
        return cls(
            frozenset(word for word, is_prefix in words if not is_prefix),
            [word for word, is_prefix in words if is_prefix],
            _normalize_phrase(pattern.text) if pattern.is_quoted else None,
        )

    def is_match(self, words: Collection[str], entry: Entry) -> bool:
        """Check whether an entry with these words has the required ones."""
        if not self.whole_words.issubset(words):
            return False
        if not all(any(word.startswith(prefix) for word in words) for prefix in self.prefixes):
            return False
        if self.phrase is None:
            return True
        return any(self.phrase in _normalize_phrase(str(text)) for text in (entry.path, *entry.facts.values()))


def _normalize_phrase(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _match_value(value: Value, text: str, *, folded: bool) -> bool:
    """Check whether a text matches a value; numbers are compared as numbers, anything else as text."""
    if isinstance(value, Pattern):
        number = None if value.is_quoted else parse_number(value.text)
        return match_pattern(value, text, folded=folded) if number is None else parse_number(text) == number
    bounds = (value.lower, value.upper)
    lower, upper = (None if bound is None else parse_number(bound) for bound in bounds)
    if (lower is None, upper is None) == (value.lower is None, value.upper is None):
        number = parse_number(text)
        return number is not None and _is_between(number, lower, upper, value)
    escaped_lower, escaped_upper = (None if bound is None else escape_text(bound) for bound in bounds)
    return _is_between(escape_text(text), escaped_lower, escaped_upper, value)  # escaped, to sort as in the database


def _is_between(value: Any, lower: Any, upper: Any, text_range: TextRange) -> bool:  # noqa: ANN401 — numbers, or texts
    if lower is not None and (value < lower or (text_range.is_lower_exclusive and value == lower)):
        return False
    return not (upper is not None and (value > upper or (text_range.is_upper_exclusive and value == upper)))
