"""The meaning of values: numbers, ranges of shots and of dates, states of health.

Dates are compared as texts in ISO 8601: ``2022-03-24`` sorts before all times of that day, ``2022-03-25`` after them.
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

_Ordered = TypeVar("_Ordered", int, str)

_SHOT: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_DATE: Final = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?)?)?", re.ASCII)
_ISO_LENGTHS: Final = (4, 7, 10, 16, 16, 19)  # of ISO 8601 with years, months, days, minutes (twice), seconds
_PERIODS: Final = MappingProxyType({10: timedelta(days=1), 16: timedelta(minutes=1), 19: timedelta(seconds=1)})
_WORD_CHARACTER: Final = re.compile(r"[^\W_]")
# A star without a word before it, or with one after it.
_MISPLACED_STAR: Final = re.compile(r"(?<![^\W_])\*|\*(?=[^\W_])")
_WILDCARD_WORD: Final = re.compile(r"[^\W_]*[*?][^\W_]*")  # a wildcard, and the parts of words beside it
_WHOLE_WORD: Final = re.compile(r"[^\W_]+")
_YEAR_LENGTH: Final = 4  # digits


@dataclass(frozen=True)
class Range(Generic[_Ordered]):
    """Shots or dates from `start` up to, but not including, `stop`; `None` is no bound."""

    start: _Ordered | None = None
    stop: _Ordered | None = None

    def __contains__(self, value: _Ordered | None) -> bool:
        """Check whether a value is known and in the range."""
        if value is None:
            return False
        return (self.start is None or value >= self.start) and (self.stop is None or value < self.stop)

    def __and__(self, other: Range[_Ordered]) -> Range[_Ordered]:
        """Return the intersection of two ranges."""
        starts = [bound for bound in (self.start, other.start) if bound is not None]
        stops = [bound for bound in (self.stop, other.stop) if bound is not None]
        return Range(max(starts, default=None), min(stops, default=None))

    @property
    def is_empty(self) -> bool:
        """True if no value can be in the range."""
        return self.start is not None and self.stop is not None and self.start >= self.stop


def parse_shots(value: Value) -> Range[int]:
    """Return the range of shots that a value means.

    Raises:
        ValueError: a bound is no shot number.
    """
    if isinstance(value, Pattern):
        shot = _parse_shot(value.text)
        return Range(shot, shot + 1)
    start = None if value.lower is None else _parse_shot(value.lower) + value.is_lower_exclusive
    stop = None if value.upper is None else _parse_shot(value.upper) + (not value.is_upper_exclusive)
    return Range(start, stop)


def _parse_shot(text: str) -> int:
    if not _SHOT.fullmatch(text):
        raise ValueError(f'"{text}" is no shot: a shot is a whole number, a range of shots is like 103700..103800.')
    return int(text)


def parse_dates(value: Value) -> Range[str]:
    """Return the range of dates that a value means: a date without a time is the whole day, month or year.

    Raises:
        ValueError: a bound is no date.
    """
    if isinstance(value, Pattern):
        return Range(*_parse_period(value.text))
    start = None if value.lower is None else _parse_period(value.lower)[value.is_lower_exclusive]
    stop = None if value.upper is None else _parse_period(value.upper)[not value.is_upper_exclusive]
    return Range(start, stop)


def _parse_period(text: str) -> tuple[str, str | None]:
    """Return the beginning of a date's period and that of the next period; `None` after the calendar's last year."""
    match = _DATE.fullmatch(text)
    parts = [int(part) for part in match.groups() if part is not None] if match else [0]
    length = _ISO_LENGTHS[len(parts) - 1]
    try:
        begin = datetime(*(parts + [1] * (3 - len(parts))))  # type: ignore[arg-type]  # noqa: DTZ001 — in the laboratory's time
    except ValueError as error:  # also for the year 0
        raise ValueError(
            f'"{text}" is no date: a date is like 2022, 2022-03, 2022-03-24 or 2022-03-24T09:26, a range of dates'
            " like 2022-03..2022-04."
        ) from error
    try:
        if length == _YEAR_LENGTH:
            end = begin.replace(year=begin.year + 1)
        else:
            end = begin + _PERIODS.get(length, timedelta(days=31))  # 31 days after its first day is in the next month
    except (OverflowError, ValueError):
        return begin.isoformat()[:length], None
    return begin.isoformat()[:length], end.isoformat()[:length]


def parse_ranges(term: Term, parse_value: Callable[[Value], Range[_Ordered]]) -> list[Range[_Ordered]]:
    """Return the ranges that the values of a term mean."""
    return [parse_value(value) for value in term.values]


def _check_health(value: Value) -> None:
    if isinstance(value, TextRange) or not any(match_pattern(value, health) for health in Health):
        raise ValueError(f'There is no health "{value}": it is one of {", ".join(Health)}.')


def _check_name(value: Value) -> None:
    if isinstance(value, TextRange):
        raise ValueError(  # noqa: TRY004 — an error in the query, not in the calling code
            f'"{value}" is a range, but this field takes names only: one, several with commas, or like P510*.'
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
"""The catalog's own fields, each with the function that checks a value."""


def check_value(name: str | None, value: Value) -> None:
    """Check that a value can be a value of a field, or a free word.

    Raises:
        ValueError: it cannot; the message says what could.
    """
    if name is not None:
        if name in BUILTIN_FIELDS:
            BUILTIN_FIELDS[name](value)
        return
    text = value.text if isinstance(value, Pattern) else str(value)
    if not _WORD_CHARACTER.search(text):
        raise ValueError("This word has no letter and no digit to search for.")
    if isinstance(value, Pattern) and not value.is_quoted and _MISPLACED_STAR.search(text):
        raise ValueError("In a free word the star must be at the end: asbo*. In a value it may be anywhere: name:*bo*.")


def parse_number(text: str) -> float | None:
    """Return the finite number that a text represents; `None` for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def match_pattern(pattern: Pattern, text: str, *, folded: bool = True) -> bool:
    """Check whether a text matches a pattern; the case is ignored if `folded`."""
    pattern_text, text = (pattern.text.lower(), text.lower()) if folded else (pattern.text, text)
    if pattern.is_quoted or not text:
        return pattern_text == text
    return _compile_wildcards(pattern_text).match(text) is not None


@lru_cache(256)
def _compile_wildcards(wildcards: str) -> re.Pattern[str]:
    return re.compile(translate(wildcards.replace("[", "[[]")))  # an expression without catastrophic backtracking


def extract_literal_prefix(pattern: Pattern) -> tuple[str, bool]:
    """Return the text of a pattern before its first wildcard, and whether it has none."""
    if pattern.is_quoted:
        return pattern.text, True
    prefix = re.split(r"[*?]", pattern.text, maxsplit=1)[0]
    return prefix, prefix == pattern.text


def extract_whole_words(value: Value) -> str:
    """Return the words that every text has that matches a value; none for a number, which has many spellings.

    A word beside a wildcard may be part of a longer one, so it is left out.
    """
    if isinstance(value, TextRange) or parse_number(value.text) is not None:
        return ""
    text = value.text.lower()  # in one piece, as `match_pattern` does
    return " ".join(_WHOLE_WORD.findall(text if value.is_quoted else _WILDCARD_WORD.sub(" ", text)))


def match_any_pattern(values: Iterable[Value], text: str) -> bool:
    """Check whether a text matches a pattern among the values."""
    return any(isinstance(value, Pattern) and match_pattern(value, text) for value in values)
