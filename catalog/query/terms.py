"""A query as terms, and its canonical text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from shotdap.catalog.query.bad_query import BadQuery

BARE_VALUE: Final = r"(?![<>=!])(?:(?!\.\.)[^\s\",])+"
"""The expression of a value without quotation marks."""
BARE_NAME: Final = r"[^\W\d][\w./-]*"
"""The expression of a name without quotation marks."""

_PLAIN_BOUND: Final = re.compile(r"(?![.<>=!])[^\s\",]*[^\s\",.]")  # a bound that needs no quotation marks


@dataclass(frozen=True)
class Pattern:
    """A text to match: ``*`` stands for any characters and ``?`` for one, unless it is quoted."""

    text: str
    is_quoted: bool = False
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return _quote_text(self.text) if self.is_quoted else self.text


@dataclass(frozen=True)
class TextRange:
    """A range of texts; an end that is `None` is open."""

    lower: str | None
    upper: str | None
    is_lower_exclusive: bool = False
    """Whether the range excludes its lower end."""
    is_upper_exclusive: bool = False
    """Whether the range excludes its upper end."""
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        if self.is_lower_exclusive:
            return f">{_format_bound(self.lower)}"
        if self.is_upper_exclusive:
            return f"<{_format_bound(self.upper)}"
        return f"{_format_bound(self.lower)}..{_format_bound(self.upper)}"


Value: TypeAlias = Pattern | TextRange


@dataclass(frozen=True)
class Term:
    """One condition: a field has one of these values; without a name, an entry has these words."""

    name: str | None
    values: tuple[Value, ...]
    is_negated: bool = False
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        values = ",".join(map(str, self.values))
        sign = "-" if self.is_negated else ""
        if self.name is None:
            return f"{sign}{values}"
        name = self.name if re.fullmatch(BARE_NAME, self.name) else _quote_text(self.name)
        return f"{sign}{name}:{values}"


@dataclass(frozen=True)
class Query:
    """Conditions that must all hold; without any, every entry matches."""

    terms: tuple[Term, ...] = ()
    text: str = field(default="", compare=False, repr=False)
    """The original text, for error messages."""

    def __str__(self) -> str:
        """Return the canonical text; parsing it gives an equal query."""
        return " ".join(map(str, self.terms))

    def make_error(self, part: Term | Value, sentence: str) -> BadQuery:
        """Return the exception for an error in a term or a value."""
        return BadQuery(sentence, self.text, part.start, part.end)


def _format_bound(text: str | None) -> str:
    if text is None:
        return ""
    return text if _PLAIN_BOUND.fullmatch(text) and ".." not in text else _quote_text(text)


def _quote_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
