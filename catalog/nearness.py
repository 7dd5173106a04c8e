"""Which image is nearest in time to another, among those whose rows match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from shotdap.catalog.entry import Entry, Fact, TimeDirection

__all__ = ["compute_days_between", "match_facts", "select_nearest"]

_DAY = 86_400.0  # seconds


def match_facts(facts: Mapping[str, Fact], match: Mapping[str, str]) -> bool:
    """Whether a row says what all patterns ask for, case ignored."""
    return all(
        name in facts and fnmatchcase(str(facts[name]).lower(), pattern.lower()) for name, pattern in match.items()
    )


def compute_days_between(here: Mapping[str, Fact], there: Mapping[str, Fact]) -> float | None:
    """How many days the second row's date is after the first's; `None` where one of them has no date."""
    try:
        begin, end = (datetime.fromisoformat(str(facts.get("date", ""))) for facts in (here, there))
        return (end - begin).total_seconds() / _DAY
    except (TypeError, ValueError):  # no date; or only one of them with a zone
        return None


def select_nearest(
    entries: Iterable[tuple[Entry, float]], when: TimeDirection, within_days: float | None
) -> Entry | None:
    """Of entries with their distances in days, the nearest on the right side.

    Where two are equally near, the first in the order of their paths: the answer must not depend on the database.
    """
    beside = [
        (abs(days), entry.path, entry)
        for entry, days in entries
        if when == "nearest" or (days <= 0 if when == "earlier" else days >= 0)
    ]
    near = min(beside, key=lambda each: each[:2], default=None)
    return near[2] if near and (within_days is None or near[0] <= within_days) else None
