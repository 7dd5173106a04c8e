"""The image nearest in time to another, among those whose rows match: its flat field, the shot before it.

Strategy: the index over facility, diagnostic and date is walked away from the moment, on each side and for each
diagnostic that matches, and left at the first entry that matches in the rest. Of the entries of one date all are looked
at, because they stand there by their ids, and the first path counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.entry import Entry, Fact, Health, TimeDirection
from shotdap.catalog.index.facet_counts import count_by_facet
from shotdap.catalog.index.records import decode_entry_row, extract_column_facts
from shotdap.catalog.index.tables import ENTRIES

_MAX_ID: Final = 2**63 - 1  # id
_PAGE_SIZES: Final = (4, 100)  # entries that are read at first, and at a time from then on
_FAILED_HEALTHS: Final = (Health.MISSING.value, Health.UNREADABLE.value)
_DIRECTIONS: Final = MappingProxyType({"earlier": (False,), "later": (True,), "nearest": (False, True)})  # later or not


@dataclass(frozen=True)
class _DateScan:
    """From a moment in one direction through the entries of one diagnostic."""

    connection: sa.Connection
    facility: str
    diagnostic: str
    moment: datetime
    limit: datetime | None
    is_later: bool

    def __iter__(self) -> Iterator[sa.RowMapping]:
        """The entries, the nearest first."""
        statement, some = _build_statement(has_diagnostic=bool(self.diagnostic), later=self.is_later), _PAGE_SIZES[0]
        bound: dict[str, object] = {"facility": self.facility, "diagnostic": self.diagnostic, "limit": self._limit()}
        bound |= {"date": self.moment.isoformat(), "id": -1 if self.is_later else _MAX_ID}
        while True:
            rows = self.connection.execute(statement, {**bound, "some": some}).mappings().all()
            yield from rows
            if len(rows) < some:
                return
            bound, some = bound | {"date": rows[-1]["date"], "id": rows[-1]["id"]}, _PAGE_SIZES[1]

    def _limit(self) -> str:
        """The last date to look at, as text; one beyond the calendar where there is none."""
        return self.limit.isoformat() if self.limit else ("A" if self.is_later else "")


@lru_cache(4)
def _build_statement(*, has_diagnostic: bool, later: bool) -> sa.Select[Any]:
    """Some entries of one facility and diagnostic on one side of a place, which is a date and an id."""
    place, date = sa.tuple_(ENTRIES.c.date, ENTRIES.c.id), ENTRIES.c.date
    here = sa.tuple_(sa.bindparam("date", type_=date.type), sa.bindparam("id", type_=sa.BigInteger))
    limit = sa.bindparam("limit", type_=date.type)
    within = (place > here, date <= limit) if later else (place < here, date >= limit)
    diagnostic = (
        ENTRIES.c.diagnostic == sa.bindparam("diagnostic") if has_diagnostic else ENTRIES.c.diagnostic.is_(None)
    )
    order = (date, ENTRIES.c.id) if later else (date.desc(), ENTRIES.c.id.desc())
    wanted = (ENTRIES.c.facility == sa.bindparam("facility"), diagnostic, *within)
    return sa.select(ENTRIES).where(*wanted).order_by(*order).limit(sa.bindparam("some", type_=sa.Integer))


def find_nearest(
    connection: sa.Connection, entry: Entry, match: Mapping[str, str], *, when: TimeDirection, within_days: float | None
) -> Entry | None:
    """The image of the same facility nearest in time to another whose row matches.

    What an inspection found missing or unreadable is passed over.

    Args:
        connection: to the catalog's database.
        entry: the other image; it is never its own neighbour.
        match: patterns as a shell has them, for what the row says, case ignored: ``{"diagnostic": "P510*"}``.
        when: on which side of it; what is of the same time is on both.
        within_days: how far off it may be; `None` for any time.

    Returns:
        The nearest, and of several at one distance the first in the order of their paths. `None` if none matches, or
        if the image itself has no facility or no date.
    """
    own = extract_column_facts(entry.facts)
    if own["facility"] is None or own["date"] is None:
        return None
    moment = datetime.fromisoformat(str(own["date"]))
    found = [
        (abs(datetime.fromisoformat(row["date"]) - moment), row["path"], row)
        for diagnostic in _diagnostics(connection, str(own["facility"]), match.get("diagnostic", "*"))
        for later in _DIRECTIONS[when]
        for limit in [_compute_date_limit(moment, within_days, later=later)]
        for row in _read_nearest_matches(
            _DateScan(connection, str(own["facility"]), diagnostic, moment, limit, later), entry, match
        )
    ]
    near = min(found, key=lambda each: each[:2], default=None)
    return decode_entry_row(near[2]) if near else None


def _diagnostics(connection: sa.Connection, facility: str, pattern: str) -> list[str]:
    """The facility's diagnostics that match; an empty text stands for that of the entries that have none."""
    counted = count_by_facet(connection, "diagnostic", {"facility": facility})
    return [each for each in counted if fnmatchcase(each.lower(), pattern.lower())]


def _read_nearest_matches(walk: Iterable[sa.RowMapping], entry: Entry, match: Mapping[str, str]) -> list[sa.RowMapping]:
    """Those of the first date at which any matches."""
    found: list[sa.RowMapping] = []
    for row in walk:
        if found and row["date"] != found[0]["date"]:
            break
        if row["path"] != entry.path and row["health"] not in _FAILED_HEALTHS and match_facts(row["facts"], match):
            found.append(row)
    return found


def _compute_date_limit(moment: datetime, days: float | None, *, later: bool) -> datetime | None:
    """The last moment to look at; none where that is beyond the calendar."""
    if days is None:
        return None
    try:
        return moment + timedelta(days=days if later else -days)
    except OverflowError:
        return None


def match_facts(facts: Mapping[str, Fact], match: Mapping[str, str]) -> bool:
    """Check whether a row has a value for each pattern that matches it, case ignored."""
    return all(
        name in facts and fnmatchcase(str(facts[name]).lower(), pattern.lower()) for name, pattern in match.items()
    )


def select_nearest(
    entries: Iterable[tuple[Entry, float]], when: TimeDirection, within_days: float | None
) -> Entry | None:
    """Select the nearest of entries, given with their distances in days, on the right side.

    Of two at the same distance the first in the order of their paths is selected, so that the result does not depend on
    the order in which they are listed.
    """
    candidates = [
        (abs(days), entry.path, entry)
        for entry, days in entries
        if when == "nearest" or (days <= 0 if when == "earlier" else days >= 0)
    ]
    nearest = min(candidates, key=lambda candidate: candidate[:2], default=None)
    return nearest[2] if nearest and (within_days is None or nearest[0] <= within_days) else None
