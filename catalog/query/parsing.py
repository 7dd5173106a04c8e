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
from shotdap.catalog.query.terms import BARE_NAME, BARE_VALUE, Pattern, Query, Term, TextRange, Value
from shotdap.catalog.query.values import check_value

__all__ = ["parse_query"]

_MAX_LENGTH: Final = 2000  # characters of a query
_MAX_TERMS: Final = 32
_MAX_VALUES: Final = 100  # of one term

_QUOTED: Final = r'"(?P<quoted>(?:[^"\\]|\\.)*)"'
_SPACE: Final = re.compile(r"\s+")
_MINUS: Final = re.compile("-")
_HEAD: Final = re.compile(rf"(?:(?P<name>{BARE_NAME})|{_QUOTED})\s*(?P<operator>:=?|!?=|(?=[<>]))\s*", re.DOTALL)
_WORD: Final = re.compile(rf'{_QUOTED}|(?P<bare>[^\s"]+)', re.DOTALL)
_TEXT: Final = re.compile(rf"{_QUOTED}|(?P<bare>{BARE_VALUE})", re.DOTALL)
_COMPARISON: Final = re.compile(r"(?P<sign>[<>])(?P<same>=?)\s*")
_DOTS: Final = re.compile(r"\.\.")
_COMMA: Final = re.compile(r",\s*")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass
class _Scanner:
    """A text, and how far it has been read."""

    text: str
    position: int = 0

    def take_match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What stands here, if it is this; it is read then."""
        match = pattern.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return match

    def make_error(self, sentence: str, start: int | None = None) -> BadQuery:
        """A mistake here; or from some place to here."""
        if start is None:
            return BadQuery(sentence, self.text, self.position, self.position + 1)
        return BadQuery(sentence, self.text, start, self.position)


def parse_query(text: str) -> Query:
    """Read a query.

    Raises:
        BadQuery: it cannot be understood; the message points at the wrong word, and says what would be right.
    """
    if len(text) > _MAX_LENGTH:
        raise BadQuery(f"The query is longer than {_MAX_LENGTH} characters.", text, _MAX_LENGTH, _MAX_LENGTH + 1)
    scanner, terms = _Scanner(text), list[Term]()
    scanner.take_match(_SPACE)
    while scanner.position < len(text):
        terms.append(_parse_term(scanner))
        if len(terms) > _MAX_TERMS:
            raise scanner.make_error(f"The query has more than {_MAX_TERMS} terms.", terms[-1].start)
    return Query(tuple(terms), text)


def _parse_term(scanner: _Scanner) -> Term:
    start = scanner.position
    negated = scanner.take_match(_MINUS) is not None
    head = scanner.take_match(_HEAD)
    if head is None:
        term = Term(None, (_parse_word(scanner),), negated, start, scanner.position)
    else:
        name = _unquote_text(head["name"], head["quoted"])
        term = Term(name, _parse_values(scanner, name), negated != (head["operator"] == "!="), start, scanner.position)
    _check_term(scanner, term)
    if scanner.take_match(_SPACE) is None and scanner.position < len(scanner.text):
        raise scanner.make_error("Here a term ends: a space must follow, or the whole value stand in quotation marks.")
    return term


def _check_term(scanner: _Scanner, term: Term) -> None:
    for value in term.values:
        try:
            check_value(term.name, value)
        except ValueError as error:
            raise BadQuery(str(error), scanner.text, value.start, value.end) from error


def _parse_word(scanner: _Scanner) -> Pattern:
    start = scanner.position
    found = scanner.take_match(_WORD)
    if found is None:
        raise _make_missing_error(scanner, "A minus sign negates the term behind it, and here is none.")
    return _make_pattern(found, start)


def _parse_values(scanner: _Scanner, name: str) -> tuple[Value, ...]:
    values = [_parse_value(scanner, name)]
    while scanner.take_match(_COMMA):
        values.append(_parse_value(scanner, name))
        if len(values) > _MAX_VALUES:
            raise scanner.make_error(f"There are more than {_MAX_VALUES} values in this list.", values[-1].start)
    return tuple(values)


def _parse_value(scanner: _Scanner, name: str) -> Value:
    start = scanner.position
    compared = scanner.take_match(_COMPARISON)
    first = scanner.take_match(_TEXT)
    if compared is not None:
        return _make_comparison(compared, _require_value(scanner, first, name), start, scanner.position)
    if scanner.take_match(_DOTS):
        last = scanner.take_match(_TEXT)
        if first is None and last is None:
            raise scanner.make_error(f"A range has an end: {name}:2..5, {name}:2.. or {name}:..5.", start)
        return TextRange(_get_text(first), _get_text(last), start=start, end=scanner.position)
    return _make_pattern(_require_value(scanner, first, name), start)


def _make_comparison(compared: re.Match[str], text: re.Match[str], start: int, end: int) -> TextRange:
    strictly = not compared["same"]
    if compared["sign"] == ">":
        return TextRange(_get_text(text), None, is_lower_exclusive=strictly, start=start, end=end)
    return TextRange(None, _get_text(text), is_upper_exclusive=strictly, start=start, end=end)


def _require_value(scanner: _Scanner, found: re.Match[str] | None, name: str) -> re.Match[str]:
    if found is None:
        raise _make_missing_error(scanner, f"Here a value is missing: {name}:value, or {name}:one,another.")
    return found


def _make_missing_error(scanner: _Scanner, sentence: str) -> BadQuery:
    if scanner.text.startswith('"', scanner.position):
        sentence = 'This quotation does not end; a quotation mark within one is written \\".'
        return BadQuery(sentence, scanner.text, scanner.position, len(scanner.text))
    return scanner.make_error(sentence)


def _make_pattern(found: re.Match[str], start: int) -> Pattern:
    return Pattern(_unquote_text(found["bare"], found["quoted"]), found["quoted"] is not None, start, found.end())


def _get_text(found: re.Match[str] | None) -> str | None:
    return None if found is None else _unquote_text(found["bare"], found["quoted"])


def _unquote_text(bare: str | None, quoted: str | None) -> str:
    return bare if bare is not None else _ESCAPED.sub(r"\1", quoted or "")
