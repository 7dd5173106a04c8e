"""Changes of the catalog since some moment, for clients that keep a copy or wait for new shots."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import islice

import sqlalchemy as sa

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.records import decode_entry_row
from shotdap.catalog.index.search.visibility import Visibility
from shotdap.catalog.index.tables import ENTRIES, REMOVED_ENTRIES


@dataclass(frozen=True)
class Change:
    """The last change of one path."""

    number: int
    """Grows with every change of any entry."""
    path: str
    entry: Entry | None
    """The entry as it is now; `None` if it was removed."""


@dataclass(frozen=True)
class ChangePage:
    """Some changes, the oldest first."""

    changes: tuple[Change, ...]
    token: int
    """The token to ask with for later changes."""
    has_more: bool
    """Whether later changes exist already."""


def list_changes(connection: sa.Connection, since: int, limit: int, visibility: Visibility) -> ChangePage:
    """List the changes after a token; 0 lists all entries.

    Nothing but its path is known of an entry that was removed, so removals are listed only to readers who see all
    entries.
    """
    updates, removals = (
        connection.execute(
            sa.select(table).where(table.c.change > since, *conditions).order_by(table.c.change).limit(limit + 1)
        )
        for table, conditions in (
            (ENTRIES, tuple(visibility.build_conditions())),
            (REMOVED_ENTRIES, () if visibility.is_everything else (sa.false(),)),
        )
    )
    updated = (Change(row["change"], row["path"], decode_entry_row(row)) for row in updates.mappings())
    removed = (Change(row.change, row.path, None) for row in removals)
    changes = tuple(islice(merge(updated, removed, key=lambda change: change.number), limit + 1))
    page = changes[:limit]
    return ChangePage(page, page[-1].number if page else since, len(changes) > limit)
