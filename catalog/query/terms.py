"""A query as terms, and the canonical text of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from shotdap.catalog.query.errors import BadQuery

__all__ = ["BARE_NAME", "BARE_VALUE", "Pattern", "Query", "Term", "TextRange", "Value"]

BARE_VALUE: Final = r"(?![<>=!])(?:(?!\.\.)[^\s\",])+"
"""A value that needs no quotation marks."""
BARE_NAME: Final = r"[^\W\d][\w./-]*"
"""A name that needs none."""

_PLAIN_BOUND: Final = re.compile(r"(?![.<>=!])[^\s\",]*[^\s\",.]")  # a bare text that stays whole beside two dots


@dataclass(frozen=True)
class Pattern:
    """A text to match, with ``*`` for any characters and ``?`` for one; literally where it is quoted."""

    text: str
    is_quoted: bool = False
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return _quote_text(self.text) if self.is_quoted else self.text


@dataclass(frozen=True)
class TextRange:
    """A range; an end that is `None` is open."""

    lower: str | None
    upper: str | None
    is_lower_exclusive: bool = False
    """Whether the lower end itself is left out."""
    is_upper_exclusive: bool = False
    """Whether the upper end itself is left out."""
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
    """One condition: that something has one of these values; without a name, that it has these words."""

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
    """Conditions that all hold; without any, everything is found."""

    terms: tuple[Term, ...] = ()
    text: str = field(default="", compare=False, repr=False)
    """As it was written, for mistakes to point at."""

    def __str__(self) -> str:
        """The canonical text; parsed, it gives the same query."""
        return " ".join(map(str, self.terms))

    def make_error(self, part: Term | Value, sentence: str) -> BadQuery:
        """What is wrong with a part of it."""
        return BadQuery(sentence, self.text, part.start, part.end)


def _format_bound(text: str | None) -> str:
    if text is None:
        return ""
    return text if _PLAIN_BOUND.fullmatch(text) and ".." not in text else _quote_text(text)


def _quote_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
