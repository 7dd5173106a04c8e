"""Text → `Query`.

The language, in words: terms stand side by side, and all of them hold. A term is a free word, a "quoted phrase", or a
name, a colon (or ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``) and values with commas between them, one of which holds.
A value is a text, with ``*`` and ``?`` as wildcards unless it is quoted, a comparison ``>2``, or a range ``2..5`` whose
ends belong to it and may be open. ``-`` before a term negates it. In quotation marks a backslash takes the next
character as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shotdap.catalog.query.errors import BadQuery
from shotdap.catalog.query.terms import BARE, NAME, Pattern, Query, Span, Term, Value
from shotdap.catalog.query.values import check

__all__ = ["parse"]

_LONGEST: Final = 2000  # characters of a query
_MOST_TERMS: Final = 32
_MOST_VALUES: Final = 100  # of one term

_QUOTED: Final = r'"(?P<quoted>(?:[^"\\]|\\.)*)"'
_SPACE: Final = re.compile(r"\s+")
_MINUS: Final = re.compile("-")
_HEAD: Final = re.compile(rf"(?:(?P<name>{NAME})|{_QUOTED})\s*(?P<operator>:=?|!?=|(?=[<>]))\s*", re.DOTALL)
_WORD: Final = re.compile(rf'{_QUOTED}|(?P<bare>[^\s"]+)', re.DOTALL)
_TEXT: Final = re.compile(rf"{_QUOTED}|(?P<bare>{BARE})", re.DOTALL)
_COMPARED: Final = re.compile(r"(?P<sign>[<>])(?P<same>=?)\s*")
_DOTS: Final = re.compile(r"\.\.")
_COMMA: Final = re.compile(r",\s*")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass
class _Scanner:
    """A text, and how far it has been read."""

    text: str
    at: int = 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What stands here, if it is this; it is read then."""
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match

    def wrong(self, sentence: str, start: int | None = None) -> BadQuery:
        """A mistake here; or from some place to here."""
        if start is None:
            return BadQuery(sentence, self.text, self.at, self.at + 1)
        return BadQuery(sentence, self.text, start, self.at)


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        BadQuery: it cannot be understood; the message points at the wrong word, and says what would be right.
    """
    if len(text) > _LONGEST:
        raise BadQuery(f"The query is longer than {_LONGEST} characters.", text, _LONGEST, _LONGEST + 1)
    scanner, terms = _Scanner(text), list[Term]()
    scanner.take(_SPACE)
    while scanner.at < len(text):
        terms.append(_term(scanner))
        if len(terms) > _MOST_TERMS:
            raise scanner.wrong(f"The query has more than {_MOST_TERMS} terms.", terms[-1].start)
    return Query(tuple(terms), text)


def _term(scanner: _Scanner) -> Term:
    start = scanner.at
    negated = scanner.take(_MINUS) is not None
    head = scanner.take(_HEAD)
    if head is None:
        term = Term(None, (_word(scanner),), negated, start, scanner.at)
    else:
        name = _plain(head["name"], head["quoted"])
        term = Term(name, _values(scanner, name), negated != (head["operator"] == "!="), start, scanner.at)
    _check(scanner, term)
    if scanner.take(_SPACE) is None and scanner.at < len(scanner.text):
        raise scanner.wrong("Here a term ends: a space must follow, or the whole value stand in quotation marks.")
    return term


def _check(scanner: _Scanner, term: Term) -> None:
    for value in term.values:
        try:
            check(term.name, value)
        except ValueError as error:
            raise BadQuery(str(error), scanner.text, value.start, value.end) from error


def _word(scanner: _Scanner) -> Pattern:
    start = scanner.at
    found = scanner.take(_WORD)
    if found is None:
        raise _missing(scanner, "A minus sign negates the term behind it, and here is none.")
    return _pattern(found, start)


def _values(scanner: _Scanner, name: str) -> tuple[Value, ...]:
    values = [_value(scanner, name)]
    while scanner.take(_COMMA):
        values.append(_value(scanner, name))
        if len(values) > _MOST_VALUES:
            raise scanner.wrong(f"There are more than {_MOST_VALUES} values in this list.", values[-1].start)
    return tuple(values)


def _value(scanner: _Scanner, name: str) -> Value:
    start = scanner.at
    compared = scanner.take(_COMPARED)
    first = scanner.take(_TEXT)
    if compared is not None:
        return _comparison(compared, _needed(scanner, first, name), start, scanner.at)
    if scanner.take(_DOTS):
        last = scanner.take(_TEXT)
        if first is None and last is None:
            raise scanner.wrong(f"A range has an end: {name}:2..5, {name}:2.. or {name}:..5.", start)
        return Span(_text(first), _text(last), start=start, end=scanner.at)
    return _pattern(_needed(scanner, first, name), start)


def _comparison(compared: re.Match[str], text: re.Match[str], start: int, end: int) -> Span:
    strictly = not compared["same"]
    if compared["sign"] == ">":
        return Span(_text(text), None, above=strictly, start=start, end=end)
    return Span(None, _text(text), below=strictly, start=start, end=end)


def _needed(scanner: _Scanner, found: re.Match[str] | None, name: str) -> re.Match[str]:
    if found is None:
        raise _missing(scanner, f"Here a value is missing: {name}:value, or {name}:one,another.")
    return found


def _missing(scanner: _Scanner, sentence: str) -> BadQuery:
    if scanner.text.startswith('"', scanner.at):
        sentence = 'This quotation does not end; a quotation mark within one is written \\".'
        return BadQuery(sentence, scanner.text, scanner.at, len(scanner.text))
    return scanner.wrong(sentence)


def _pattern(found: re.Match[str], start: int) -> Pattern:
    return Pattern(_plain(found["bare"], found["quoted"]), found["quoted"] is not None, start, found.end())


def _text(found: re.Match[str] | None) -> str | None:
    return None if found is None else _plain(found["bare"], found["quoted"])


def _plain(bare: str | None, quoted: str | None) -> str:
    return bare if bare is not None else _ESCAPED.sub(r"\1", quoted or "")
