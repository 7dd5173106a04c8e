"""Numbers, sizes and times as pages write them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final

THIN_SPACE: Final = "\u202f"
"""Between a value and its unit; no line breaks there."""

RANGE_DASH: Final = "\u2013"
"""Between the ends of a range, with spaces around it."""

TIMES: Final = "\u00d7"
"""Between the sides of an image."""

_MINUS: Final = "\u2212"
_SIZE_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_UNIT_STEP: Final = 1000
_THOUSANDS_FROM: Final = 10_000
_DIGITS: Final = 4  # significant ones of a value without an uncertainty
_LARGE: Final = 1e7
_SMALL: Final = 1e-3
_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_HOUR: Final = 60  # minutes
_RECENT: Final = timedelta(hours=6)
_WEEK: Final = timedelta(days=6)


def format_size(size: float) -> str:
    """Format a number of bytes: ``9.8 MB``."""
    power = min(int(math.log(max(size, 1), _UNIT_STEP)), len(_SIZE_UNITS) - 1)
    size /= _UNIT_STEP**power
    return f"{size:.{1 if power and size < 100 else 0}f} {_SIZE_UNITS[power]}"  # noqa: PLR2004


def format_number(value: float) -> str:
    """Format a value without an uncertainty: four digits, integers in full, ``1.393×10⁷``."""
    if math.isnan(value):
        return "missing"
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    size = abs(value)
    if size and not _SMALL <= size < _LARGE:
        mantissa, exponent = f"{size:.{_DIGITS - 1}e}".split("e")
        text = f"{mantissa}{TIMES}10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    elif value == int(value):
        text = f"{size:,.0f}" if size >= _THOUSANDS_FROM else f"{size:.0f}"
    else:
        decimals = max(0, _DIGITS - 1 - math.floor(math.log10(size)))
        text = f"{size:,.{decimals}f}" if size >= _THOUSANDS_FROM else f"{size:.{decimals}f}"
    return f"{_MINUS}{text}" if value < 0 else text


def format_count(number: int) -> str:
    """Format a number of things: ``21 530``, with a comma from 1,000 on."""
    return f"{number:,}"


def format_quantity(value: float, units: str) -> str:
    """Format a value with its units; the unit 1 is not written."""
    return format_number(value) if units in {"", "1"} else f"{format_number(value)}{THIN_SPACE}{units}"


def parse_date(text: str) -> datetime | None:
    """Parse a date of the archive; return `None` if it is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def convert_timestamp(seconds: float | None) -> str:
    """Convert seconds since 1970 to a date as the functions below take it; `None` to an empty text."""
    return "" if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def format_date(text: str, *, weekday: bool = False) -> str:
    """Format a date of the archive: ``24 Mar 2022, 09:26:44``; return a text that is no date unchanged."""
    moment = parse_date(text)
    if moment is None:
        return text
    return f"{f'{moment:%a} ' if weekday else ''}{moment.day} {moment:%b %Y, %H:%M:%S}"


def format_day(text: str) -> str:
    """Format the day and the minute of a date: ``24 Mar 2022, 09:26``."""
    moment = parse_date(text)
    return text if moment is None else f"{moment.day} {moment:%b %Y, %H:%M}"


def format_moment(text: str, now: datetime | None = None) -> str:
    """Format a date as short as possible: ``09:26`` today, ``Wed 16:08`` in this week, else the date."""
    moment = parse_date(text)
    if moment is None:
        return text
    now = now or datetime.now(moment.tzinfo)
    if moment.date() == now.date():
        return f"{moment:%H:%M}"
    return f"{moment:%a %H:%M}" if timedelta() <= now - moment < _WEEK else f"{moment.day} {moment:%b %Y}"


def format_age(text: str, now: datetime | None = None) -> str:
    """Format a date relative to now: ``2 min ago``, ``yesterday, 17:40``, ``Wed 15:02``, or the date."""
    moment = parse_date(text)
    if moment is None:
        return text
    now = now or datetime.now(moment.tzinfo)
    age = now - moment
    if timedelta() <= age < _RECENT:
        minutes = int(age.total_seconds() // _HOUR)
        return "now" if minutes < 1 else f"{minutes} min ago" if minutes < _HOUR else f"{minutes // _HOUR} h ago"
    if timedelta() <= age and moment.date() == now.date():
        return f"today, {moment:%H:%M}"
    if timedelta() <= age and moment.date() == now.date() - timedelta(days=1):
        return f"yesterday, {moment:%H:%M}"
    if timedelta() <= age < _WEEK:
        return f"{moment:%a %H:%M}"
    return f"{moment.day} {moment:%b %Y}"


def format_elapsed(seconds: float) -> str:
    """Format a span of time: ``48 s``, ``2 min 31 s``, ``2 h 5 min``."""
    minutes, rest = divmod(int(seconds), _HOUR)
    hours, minutes_left = divmod(minutes, _HOUR)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def format_clock(text: str, now: datetime | None = None) -> str:
    """Format when a shot was fired: ``10:31:08`` today, else the date."""
    moment = parse_date(text)
    if moment is None:
        return text
    return f"{moment:%H:%M:%S}" if moment.date() == (now or datetime.now(moment.tzinfo)).date() else format_date(text)
