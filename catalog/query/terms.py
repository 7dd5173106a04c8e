"""A query as terms, and the canonical text of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from shotdap.catalog.query.errors import BadQuery

__all__ = ["BARE", "NAME", "Pattern", "Query", "Span", "Term", "Value"]

BARE: Final = r"(?![<>=!])(?:(?!\.\.)[^\s\",])+"
"""A value that needs no quotation marks."""
NAME: Final = r"[^\W\d][\w./-]*"
"""A name that needs none."""

_PLAIN: Final = re.compile(r"(?![.<>=!])[^\s\",]*[^\s\",.]")  # a bare text that stays whole beside two dots


@dataclass(frozen=True)
class Pattern:
    """A text to match, with ``*`` for any characters and ``?`` for one; literally where it is quoted."""

    text: str
    quoted: bool = False
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return _quoted(self.text) if self.quoted else self.text


@dataclass(frozen=True)
class Span:
    """A range; an end that is `None` is open."""

    least: str | None
    most: str | None
    above: bool = False
    """Whether the lower end itself is left out."""
    below: bool = False
    """Whether the upper end itself is left out."""
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        if self.above:
            return f">{_end(self.least)}"
        if self.below:
            return f"<{_end(self.most)}"
        return f"{_end(self.least)}..{_end(self.most)}"


Value: TypeAlias = Pattern | Span


@dataclass(frozen=True)
class Term:
    """One condition: that something has one of these values; without a name, that it has these words."""

    name: str | None
    values: tuple[Value, ...]
    negated: bool = False
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        values = ",".join(map(str, self.values))
        sign = "-" if self.negated else ""
        if self.name is None:
            return f"{sign}{values}"
        name = self.name if re.fullmatch(NAME, self.name) else _quoted(self.name)
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

    def mistake(self, part: Term | Value, sentence: str) -> BadQuery:
        """What is wrong with a part of it."""
        return BadQuery(sentence, self.text, part.start, part.end)


def _end(text: str | None) -> str:
    if text is None:
        return ""
    return text if _PLAIN.fullmatch(text) and ".." not in text else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
