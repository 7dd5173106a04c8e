"""The image nearest in time to another, among those whose rows match: its flat field, the shot before it.

Strategy: scan the index over facility, diagnostic and date away from the moment, on each side and for each matching
diagnostic, and stop at the first entry whose other facts match. All entries of one date are read: the index has them in
the order of their ids, but the result is the first path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import chain, repeat
from math import inf
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.entry import FAILED_HEALTHS, Entry, Fact, TimeDirection
from shotdap.catalog.index.facet_counts import count_by_facet
from shotdap.catalog.index.records import decode_entry_row, extract_column_facts
from shotdap.catalog.index.tables import ENTRIES

_MAX_ID: Final = 2**63 - 1
_PAGE_SIZES: Final = (4, 100)  # entries of the first page, and of the pages after it
_DIRECTIONS: Final = MappingProxyType({"earlier": (False,), "later": (True,), "nearest": (False, True)})  # is later


def find_nearest(
    connection: sa.Connection, entry: Entry, match: Mapping[str, str], *, when: TimeDirection, within_days: float | None
) -> Entry | None:
    """Find the image of the same facility that is nearest in time to another, and whose row matches.

    Files that an inspection found missing or unreadable are ignored.

    Args:
        connection: to the catalog's database.
        entry: the other image; it is never its own neighbour.
        match: shell patterns for facts of the row, case ignored: ``{"diagnostic": "P510*"}``.
        when: on which side of it; images of the same time are on both sides.
        within_days: the greatest distance; `None` for any.

    Returns:
        The nearest; of several at one distance the first in the order of their paths. `None` if none matches, or if the
        image itself has no facility or no date.
    """
    own_facts = extract_column_facts(entry.facts)
    if own_facts["facility"] is None or own_facts["date"] is None:
        return None
    facility, moment = str(own_facts["facility"]), datetime.fromisoformat(str(own_facts["date"]))
    pattern = match.get("diagnostic", "*").lower()  # the empty text is the diagnostic of entries that have none
    diagnostics = count_by_facet(connection, "diagnostic", {"facility": facility})
    distance = inf if within_days is None else within_days
    candidates: list[tuple[timedelta, str, sa.RowMapping]] = []
    for diagnostic in [each for each in diagnostics if fnmatchcase(each.lower(), pattern)]:
        partition = {"facility": facility, "diagnostic": diagnostic}
        for is_later in _DIRECTIONS[when]:
            nearest_date: str | None = None
            for row in _scan_dates(connection, partition, moment, distance, is_later=is_later):
                if nearest_date is not None and row["date"] != nearest_date:
                    break
                is_other = row["path"] != entry.path and row["health"] not in FAILED_HEALTHS
                if is_other and match_facts(row["facts"], match):
                    nearest_date = row["date"]
                    candidates.append((abs(datetime.fromisoformat(row["date"]) - moment), row["path"], row))
    nearest = min(candidates, key=lambda candidate: candidate[:2], default=None)
    return decode_entry_row(nearest[2]) if nearest else None


def _scan_dates(
    connection: sa.Connection, partition: Mapping[str, str], moment: datetime, within_days: float, *, is_later: bool
) -> Iterator[sa.RowMapping]:
    """Yield the entries of one facility and diagnostic from a moment on in one direction, the nearest first."""
    try:
        limit = (moment + timedelta(days=within_days if is_later else -within_days)).isoformat()
    except OverflowError:  # beyond the calendar: a text that sorts after, or before, all dates
        limit = "A" if is_later else ""
    statement = _build_scan_statement(has_diagnostic=bool(partition["diagnostic"]), is_later=is_later)
    date, number = moment.isoformat(), -1 if is_later else _MAX_ID
    for size in chain(_PAGE_SIZES[:1], repeat(_PAGE_SIZES[1])):
        parameters = {**partition, "limit": limit, "date": date, "id": number, "page_size": size}
        rows = connection.execute(statement, parameters).mappings().all()
        yield from rows
        if len(rows) < size:
            return
        date, number = rows[-1]["date"], rows[-1]["id"]


@lru_cache(4)
def _build_scan_statement(*, has_diagnostic: bool, is_later: bool) -> sa.Select[Any]:
    date = ENTRIES.c.date
    position = sa.tuple_(date, ENTRIES.c.id)
    start = sa.tuple_(sa.bindparam("date", type_=date.type), sa.bindparam("id", type_=sa.BigInteger))
    limit = sa.bindparam("limit", type_=date.type)
    bounds = (position > start, date <= limit) if is_later else (position < start, date >= limit)
    diagnostic = (
        ENTRIES.c.diagnostic == sa.bindparam("diagnostic") if has_diagnostic else ENTRIES.c.diagnostic.is_(None)
    )
    order = (date, ENTRIES.c.id) if is_later else (date.desc(), ENTRIES.c.id.desc())
    conditions = (ENTRIES.c.facility == sa.bindparam("facility"), diagnostic, *bounds)
    return sa.select(ENTRIES).where(*conditions).order_by(*order).limit(sa.bindparam("page_size", type_=sa.Integer))


def match_facts(facts: Mapping[str, Fact], match: Mapping[str, str]) -> bool:
    """Check whether a row has a value for each pattern that matches it, case ignored."""
    return all(
        name in facts and fnmatchcase(str(facts[name]).lower(), pattern.lower()) for name, pattern in match.items()
    )


def select_nearest(
    entries: Iterable[tuple[Entry, float]], when: TimeDirection, within_days: float | None
) -> Entry | None:
    """Select the nearest of entries, given with their distances in days, on the side that `when` names.

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
