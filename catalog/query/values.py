"""What values mean: numbers, ranges of shots and of dates, states of health.

Dates are compared as texts in ISO 8601: ``2022-03-24`` is before all times of that day, and ``2022-03-25`` after them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import translate
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from shotdap.catalog.entry import Health
from shotdap.catalog.query.terms import Pattern, Term, TextRange, Value

__all__ = [
    "BUILTIN_FIELDS",
    "Range",
    "check_value",
    "extract_literal_prefix",
    "extract_whole_words",
    "match_any_pattern",
    "match_pattern",
    "parse_dates",
    "parse_number",
    "parse_ranges",
    "parse_shots",
]

Ordered = TypeVar("Ordered", int, str)

_SHOT: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_DATE: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?)?)?", re.ASCII)
_ISO_LENGTHS: Final = (4, 7, 10, 16, 16, 19)  # of ISO 8601 down to years, months, days, minutes (twice), seconds
_PERIODS: Final = MappingProxyType({10: timedelta(days=1), 16: timedelta(minutes=1), 19: timedelta(seconds=1)})
_WORD: Final = re.compile(r"[^\W_]")
_MISPLACED_STAR: Final = re.compile(r"(?<![^\W_])\*|\*(?=[^\W_])")  # a star that no word stands before, or one behind
_WILDCARD_WORD: Final = re.compile(r"[^\W_]*[*?][^\W_]*")  # a wildcard, and what of words stands beside it
_WHOLE_WORD: Final = re.compile(r"[^\W_]+")
_YEAR_LENGTH: Final = 4  # digits


@dataclass(frozen=True)
class Range(Generic[Ordered]):
    """Shots or dates from one on, and before another; `None` where there is no bound."""

    start: Ordered | None = None
    stop: Ordered | None = None

    def __contains__(self, value: Ordered | None) -> bool:
        """Whether a value is known and within."""
        if value is None:
            return False
        return (self.start is None or value >= self.start) and (self.stop is None or value < self.stop)

    def __and__(self, other: Range[Ordered]) -> Range[Ordered]:
        """What is in both."""
        least = [bound for bound in (self.start, other.start) if bound is not None]
        before = [bound for bound in (self.stop, other.stop) if bound is not None]
        return Range(max(least, default=None), min(before, default=None))

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be within."""
        return self.start is not None and self.stop is not None and self.start >= self.stop


def parse_shots(value: Value) -> Range[int]:
    """The shots that a value means.

    Raises:
        ValueError: they are no numbers.
    """
    if isinstance(value, Pattern):
        shot = _parse_shot(value.text)
        return Range(shot, shot + 1)
    least = None if value.lower is None else _parse_shot(value.lower) + value.is_lower_exclusive
    before = None if value.upper is None else _parse_shot(value.upper) + (not value.is_upper_exclusive)
    return Range(least, before)


def _parse_shot(text: str) -> int:
    if not _SHOT.fullmatch(text):
        raise ValueError(f'"{text}" is no shot: a shot is a whole number, a range of shots is like 103700..103800.')
    return int(text)


def parse_dates(value: Value) -> Range[str]:
    """The moments that a value means: a date without a time is all of that day, month or year.

    Raises:
        ValueError: it is no date.
    """
    if isinstance(value, Pattern):
        return Range(*_parse_date(value.text))
    least = None if value.lower is None else _parse_date(value.lower)[value.is_lower_exclusive]
    before = None if value.upper is None else _parse_date(value.upper)[not value.is_upper_exclusive]
    return Range(least, before)


def _parse_date(text: str) -> tuple[str, str | None]:
    """Where a date begins, and where it has ended; no date comes after the last year."""
    found = _DATE.fullmatch(text)
    parts = [int(part) for part in found.groups() if part is not None] if found else [0]
    length = _ISO_LENGTHS[len(parts) - 1]
    try:
        begin = datetime(*(parts + [1] * (3 - len(parts))))  # type: ignore[arg-type]  # noqa: DTZ001 — as the laboratory writes it
    except ValueError as error:  # there is no year 0 either
        raise ValueError(
            f'"{text}" is no date: a date is like 2022, 2022-03, 2022-03-24 or 2022-03-24T09:26, a range of dates'
            " like 2022-03..2022-04."
        ) from error
    return begin.isoformat()[:length], _compute_period_end(begin, length)


def _compute_period_end(begin: datetime, length: int) -> str | None:
    try:
        if length == _YEAR_LENGTH:
            return begin.replace(year=begin.year + 1).isoformat()[:length]
        if length not in _PERIODS:
            return (begin + timedelta(days=31)).isoformat()[:length]  # of a month's first day
        return (begin + _PERIODS[length]).isoformat()[:length]
    except (OverflowError, ValueError):  # in the last year of the calendar
        return None


def parse_ranges(term: Term, meaning: Callable[[Value], Range[Ordered]]) -> list[Range[Ordered]]:
    """The ranges that the values of a term mean."""
    return [meaning(value) for value in term.values]


def _check_health(value: Value) -> None:
    known = ", ".join(Health)
    if isinstance(value, TextRange) or not any(match_pattern(value, health) for health in Health):
        raise ValueError(f'There is no health "{value}": it is one of {known}.')


def _check_name(value: Value) -> None:
    if isinstance(value, TextRange):
        raise ValueError(  # noqa: TRY004 — the query's mistake, no caller's
            f'"{value}" is a range, and here only names can be: one, several with commas, or like P510*.'
        )


BUILTIN_FIELDS: Final[Mapping[str, Callable[[Value], object]]] = MappingProxyType(
    {
        "facility": _check_name,
        "diagnostic": _check_name,
        "shot": parse_shots,
        "date": parse_dates,
        "health": _check_health,
        "path": _check_name,
    }
)
"""The names that are the catalog's own, with what says whether a value can be theirs."""


def check_value(name: str | None, value: Value) -> None:
    """See that a value can be one of a name's.

    Raises:
        ValueError: it cannot; the message says what could.
    """
    if name is None:
        _check_words(value)
    elif name in BUILTIN_FIELDS:
        BUILTIN_FIELDS[name](value)


def _check_words(value: Value) -> None:
    text = value.text if isinstance(value, Pattern) else str(value)
    if not _WORD.search(text):
        raise ValueError("Here is no letter and no digit to look for.")
    if isinstance(value, Pattern) and not value.is_quoted and _MISPLACED_STAR.search(text):
        raise ValueError(
            "In a free word the star stands at the end: asbo*. In a value it may stand anywhere: name:*bo*."
        )


def parse_number(text: str) -> float | None:
    """The finite number that a text is, if it is one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def match_pattern(pattern: Pattern, text: str, *, folded: bool = True) -> bool:
    """Whether a text is what a pattern says; in any case, unless told otherwise."""
    wanted, said = (pattern.text.lower(), text.lower()) if folded else (pattern.text, text)
    if pattern.is_quoted or not said:
        return wanted == said
    return _compile_wildcards(wanted).match(said) is not None


@lru_cache(256)
def _compile_wildcards(wildcards: str) -> re.Pattern[str]:
    return re.compile(translate(wildcards.replace("[", "[[]")))  # whose expressions never try the same twice


def extract_literal_prefix(pattern: Pattern) -> tuple[str, bool]:
    """What a pattern begins with before any wildcard, and whether that is all of it."""
    if pattern.is_quoted:
        return pattern.text, True
    start = re.split(r"[*?]", pattern.text, maxsplit=1)[0]
    return start, start == pattern.text


def extract_whole_words(value: Value) -> str:
    """The words that every text has that a value means; none of a number, which has many spellings.

    A word beside a wildcard may be part of a longer one, so it is left out.
    """
    if isinstance(value, TextRange) or parse_number(value.text) is not None:
        return ""
    text = value.text.lower()  # whole, as it is compared
    return " ".join(_WHOLE_WORD.findall(text if value.is_quoted else _WILDCARD_WORD.sub(" ", text)))


def match_any_pattern(values: Iterable[Value], text: str) -> bool:
    """Whether a text is one of the names that are asked for."""
    return any(isinstance(value, Pattern) and match_pattern(value, text) for value in values)
