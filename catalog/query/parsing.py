"""Parse the text of a query.

The language: terms are separated by spaces, and all must hold. A term is a free word, a "quoted phrase", or a name, a
colon (or ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``) and values separated by commas, one of which must hold. A value
is a text, in which ``*`` and ``?`` are wildcards unless it is quoted, a comparison ``>2``, or a range ``2..5`` that
includes its ends and may be open. ``-`` before a term negates it. In quotation marks a backslash escapes the next
character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shotdap.catalog.query.bad_query import BadQuery
from shotdap.catalog.query.terms import BARE_NAME, BARE_VALUE, Pattern, Query, Term, TextRange, Value
from shotdap.catalog.query.values import check_value

_MAX_LENGTH: Final = 2000  # characters of a query
_MAX_TERMS: Final = 32
_MAX_VALUES: Final = 100  # of one term

_QUOTED: Final = r'"(?P<quoted>(?:[^"\\]|\\.)*)"'
_SPACE: Final = re.compile(r"\s+")
_MINUS: Final = re.compile("-")
_HEAD: Final = re.compile(rf"(?:(?P<bare>{BARE_NAME})|{_QUOTED})\s*(?P<operator>:=?|!?=|(?=[<>]))\s*", re.DOTALL)
_WORD: Final = re.compile(rf'{_QUOTED}|(?P<bare>[^\s"]+)', re.DOTALL)
_TEXT: Final = re.compile(rf"{_QUOTED}|(?P<bare>{BARE_VALUE})", re.DOTALL)
_COMPARISON: Final = re.compile(r"(?P<sign>[<>])(?P<same>=?)\s*")
_DOTS: Final = re.compile(r"\.\.")
_COMMA: Final = re.compile(r",\s*")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass
class _Scanner:
    """A text, and the position of the next character to read."""

    text: str
    position: int = 0

    def take_match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Return the match at the position and move behind it; `None` if the pattern does not match here."""
        match = pattern.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return match

    def make_error(self, sentence: str, start: int | None = None) -> BadQuery:
        """Return an error at the position, or from a start up to the position."""
        if start is None:
            return BadQuery(sentence, self.text, self.position, self.position + 1)
        return BadQuery(sentence, self.text, start, self.position)

    def make_missing_error(self, sentence: str) -> BadQuery:
        """Return an error for a text that is missing at the position, or for a quotation that does not end."""
        if self.text.startswith('"', self.position):
            sentence = 'This quotation does not end; a quotation mark within one is written \\".'
            return BadQuery(sentence, self.text, self.position, len(self.text))
        return self.make_error(sentence)


def parse_query(text: str) -> Query:
    """Parse a query.

    Raises:
        BadQuery: it has an error; the message marks the wrong word, and says what would be right.
    """
    if len(text) > _MAX_LENGTH:
        raise BadQuery(f"The query is longer than {_MAX_LENGTH} characters.", text, _MAX_LENGTH, _MAX_LENGTH + 1)
    scanner, terms = _Scanner(text), list[Term]()
    scanner.take_match(_SPACE)
    while scanner.position < len(text):
        term = _parse_term(scanner)
        terms.append(term)
        for value in term.values:
            try:
                check_value(term.name, value)
            except ValueError as error:
                raise BadQuery(str(error), text, value.start, value.end) from error
        if scanner.take_match(_SPACE) is None and scanner.position < len(text):
            raise scanner.make_error("A term ends here: a space must follow, or the value must be in quotation marks.")
        if len(terms) > _MAX_TERMS:
            raise scanner.make_error(f"The query has more than {_MAX_TERMS} terms.", term.start)
    return Query(tuple(terms), text)


def _parse_term(scanner: _Scanner) -> Term:
    start = scanner.position
    is_negated = scanner.take_match(_MINUS) is not None
    head = scanner.take_match(_HEAD)
    if head is None:
        word_start, word = scanner.position, scanner.take_match(_WORD)
        if word is None:
            raise scanner.make_missing_error("A minus sign negates the term after it, and no term follows.")
        pattern = Pattern(_unquote_text(word), word["quoted"] is not None, word_start, word.end())
        return Term(None, (pattern,), is_negated, start, scanner.position)
    name = _unquote_text(head)
    values = [_parse_value(scanner, name)]
    while scanner.take_match(_COMMA):
        values.append(_parse_value(scanner, name))
        if len(values) > _MAX_VALUES:
            raise scanner.make_error(f"There are more than {_MAX_VALUES} values in this list.", values[-1].start)
    return Term(name, tuple(values), is_negated != (head["operator"] == "!="), start, scanner.position)


def _parse_value(scanner: _Scanner, name: str) -> Value:
    start = scanner.position
    comparison = scanner.take_match(_COMPARISON)
    first = scanner.take_match(_TEXT)
    if comparison is None and scanner.take_match(_DOTS):
        last = scanner.take_match(_TEXT)
        if first is None and last is None:
            raise scanner.make_error(f"A range needs an end: {name}:2..5, {name}:2.. or {name}:..5.", start)
        lower, upper = (None if bound is None else _unquote_text(bound) for bound in (first, last))
        return TextRange(lower, upper, start=start, end=scanner.position)
    if first is None:
        raise scanner.make_missing_error(f"A value is missing here: {name}:value, or {name}:one,another.")
    if comparison is None:
        return Pattern(_unquote_text(first), first["quoted"] is not None, start, first.end())
    bound, is_exclusive, end = _unquote_text(first), not comparison["same"], scanner.position
    if comparison["sign"] == ">":
        return TextRange(bound, None, is_lower_exclusive=is_exclusive, start=start, end=end)
    return TextRange(None, bound, is_upper_exclusive=is_exclusive, start=start, end=end)


def _unquote_text(match: re.Match[str]) -> str:
    """Return the text of a match: its group without quotation marks as it is, or its quoted group unescaped."""
    quoted: str | None = match["quoted"]
    return match["bare"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
