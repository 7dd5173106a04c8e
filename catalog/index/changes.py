"""What has changed in the catalog since some moment: for clients that keep a copy, or wait for new shots."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import islice

import sqlalchemy as sa

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.records import decode_entry_row
from shotdap.catalog.index.tables import ENTRIES, REMOVED_ENTRIES

__all__ = ["Change", "ChangePage", "list_changes"]


@dataclass(frozen=True)
class Change:
    """The last thing that happened to one path."""

    number: int
    """Grows with every change, of whatever entry."""
    path: str
    entry: Entry | None
    """The entry as it is now; `None` where it was removed."""


@dataclass(frozen=True)
class ChangePage:
    """Some changes, the oldest first."""

    changes: tuple[Change, ...]
    token: int
    """What to ask with for those that come after."""
    has_more: bool
    """Whether there are some already."""


def list_changes(connection: sa.Connection, since: int, limit: int) -> ChangePage:
    """The changes after a token; 0 gives all entries there are."""
    entries = sa.select(ENTRIES).where(ENTRIES.c.change > since).order_by(ENTRIES.c.change).limit(limit + 1)
    removed = (
        sa.select(REMOVED_ENTRIES)
        .where(REMOVED_ENTRIES.c.change > since)
        .order_by(REMOVED_ENTRIES.c.change)
        .limit(limit + 1)
    )
    written = [
        Change(row["change"], row["path"], decode_entry_row(row)) for row in connection.execute(entries).mappings()
    ]
    gone = [Change(row.change, row.path, None) for row in connection.execute(removed)]
    found = tuple(islice(merge(written, gone, key=lambda change: change.number), limit + 1))
    page = found[:limit]
    return ChangePage(page, page[-1].number if page else since, len(found) > limit)
