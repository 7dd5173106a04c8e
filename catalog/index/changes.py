"""Changes of the catalog since some moment, for clients that keep a copy or wait for new shots.

A reader who sees some entries gets the feed of a catalog that has only these:

- An entry that they could see, and cannot any more because it was removed or its facts changed, is removed. What it was
  before is in `PAST_ENTRIES`; embargoes are evaluated at the time of the change, as they were for the reader.
- An entry whose embargo has ended since their last question is new, although nothing was written.
- If the rules for them have changed, anything may have appeared and disappeared: they have to begin again.

So their token has three parts: the number of the last change, the moment of the question, and a fingerprint of what
they may see. While the ends of embargoes are listed, over several pages, it has two more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Final

import sqlalchemy as sa

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.records import decode_entry_row
from shotdap.catalog.index.search.cursor import BadToken
from shotdap.catalog.index.search.visibility import Visibility, read_laboratory_time
from shotdap.catalog.index.tables import ENTRIES, PAST_ENTRIES, REMOVED_ENTRIES

FIRST_TOKEN: Final = "0"  # noqa: S105 — no secret
"""The token with which all entries are listed."""

_MAX_NUMBER: Final = 2**63 - 1
_TIME_FORMAT: Final = "%Y%m%dT%H%M%S"
_TOKEN: Final = re.compile(
    r"(?P<number>[0-9]{1,19})(\.(?P<moment>[12][0-9]{7}T[0-9]{6})\.(?P<fingerprint>[0-9a-f]+)"
    r"(\.(?P<releases_until>[12][0-9]{7}T[0-9]{6})\.(?P<released>[0-9]{1,19}))?)?",
    re.ASCII,
)


class OutdatedToken(BadToken):
    """The entries that the reader may see have changed since the token was made, by other rules: they begin again."""

    def __init__(self) -> None:
        super().__init__(
            "What you may see has changed since this token was made. Begin again with since=0, and drop what that does"
            " not list."
        )


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
    """Some changes, the oldest first; entries whose embargo has ended come before them."""

    changes: tuple[Change, ...]
    token: str
    """The token to ask with for later changes."""
    has_more: bool
    """Whether later changes exist already."""


@dataclass(frozen=True)
class _Position:
    """A position in the feed of a reader who sees some entries."""

    number: int = 0
    """Of the last change that was listed."""
    moment: datetime | None = None
    """The moment up to which ends of embargoes were listed; `None` before the first page."""
    releases_until: datetime | None = None
    """The moment up to which they are being listed."""
    released: int = 0
    """The number of the last entry among these."""

    def format_token(self, visibility: Visibility) -> str:
        """Return the token of this position."""
        moments = [] if self.moment is None else [self.moment.strftime(_TIME_FORMAT), visibility.fingerprint]
        rest = [] if self.releases_until is None else [self.releases_until.strftime(_TIME_FORMAT), str(self.released)]
        return ".".join([str(self.number), *moments, *rest])


def list_changes(connection: sa.Connection, since: str, limit: int, visibility: Visibility) -> ChangePage:
    """List the changes after a token; `FIRST_TOKEN` lists all entries.

    Raises:
        BadToken: this is no token.
        OutdatedToken: the token is of a reader who sees other entries.
    """
    position = _parse_position(since, visibility)
    if visibility.is_everything:
        updates, removed = (
            connection.execute(
                sa.select(table).where(table.c.change > position.number).order_by(table.c.change).limit(limit + 1)
            )
            for table in (ENTRIES, REMOVED_ENTRIES)
        )
        gone = (Change(row.change, row.path, None) for row in removed)
        changes = _merge_changes(_decode_changes(updates), gone, limit + 1)
        token = str(changes[:limit][-1].number) if changes else since
        return ChangePage(changes[:limit], token, len(changes) > limit)
    now = read_laboratory_time().replace(microsecond=0)
    now = position.releases_until or max(now, position.moment or now)  # clocks are set back once a year
    releases = _list_releases(connection, position, now, limit + 1, visibility)
    if len(releases) > limit:
        further = replace(position, releases_until=now, released=releases[limit - 1].number)
        return ChangePage(releases[:limit], further.format_token(visibility), has_more=True)
    limit -= len(releases)
    updates = connection.execute(
        sa.select(ENTRIES)
        .where(ENTRIES.c.change > position.number, *visibility.build_conditions(now))
        .order_by(ENTRIES.c.change)
        .limit(limit + 1)
    )
    removals = _iter_removals(connection, position.number, now, limit + 1, visibility)
    changes = _merge_changes(_decode_changes(updates), removals, limit + 1)
    number = changes[:limit][-1].number if changes[:limit] else position.number
    return ChangePage(releases + changes[:limit], _Position(number, now).format_token(visibility), len(changes) > limit)


def make_present_token(connection: sa.Connection, visibility: Visibility) -> str:
    """Return the token with which only later changes are listed."""
    numbers = (sa.select(sa.func.max(table.c.change)).scalar_subquery() for table in (ENTRIES, REMOVED_ENTRIES))
    number = max(each or 0 for each in connection.execute(sa.select(*numbers)).one())
    if visibility.is_everything:
        return str(number)
    return _Position(number, read_laboratory_time().replace(microsecond=0)).format_token(visibility)


def _parse_position(token: str, visibility: Visibility) -> _Position:
    match = _TOKEN.fullmatch(token)
    if match is None or int(match["number"]) > _MAX_NUMBER or int(match["released"] or 0) > _MAX_NUMBER:
        raise BadToken(f"{token[:40]!r} is no token of a list of changes; {FIRST_TOKEN} lists all images.")
    number = int(match["number"])
    fingerprint = "" if visibility.is_everything else visibility.fingerprint
    if number and (match["fingerprint"] or "") != fingerprint:
        raise OutdatedToken
    try:
        moment, until = (
            datetime.strptime(match[name], _TIME_FORMAT) if match[name] else None  # noqa: DTZ007 — the laboratory's
            for name in ("moment", "releases_until")
        )
    except ValueError:
        raise BadToken(f"{token[:40]!r} is no token of a list of changes: it has no such day.") from None
    return _Position(number, moment, until, int(match["released"] or 0))


def _list_releases(
    connection: sa.Connection, position: _Position, now: datetime, limit: int, visibility: Visibility
) -> tuple[Change, ...]:
    """List the entries, of those not changed since, whose embargo has ended."""
    if position.moment is None or position.moment == now:
        return ()
    rows = connection.execute(
        sa.select(ENTRIES)
        .where(
            ENTRIES.c.change <= position.number,
            ENTRIES.c.change > position.released,
            *visibility.build_release_conditions(position.moment, now),
        )
        .order_by(ENTRIES.c.change)
        .limit(limit)
    )
    return tuple(_decode_changes(rows))


def _iter_removals(
    connection: sa.Connection, since: int, now: datetime, batch: int, visibility: Visibility
) -> Iterator[Change]:
    """Yield the entries that the reader could see before a change, and cannot see now."""
    past = PAST_ENTRIES
    present = sa.exists().where(ENTRIES.c.path == past.c.path, *visibility.build_conditions(now))
    statement = (
        sa.select(past.c.change, past.c.path, past.c.moment, past.c.facts)
        # Who could see it at an earlier moment could see it now, too: that is tested first, where indexes help.
        .where(past.c.change > sa.bindparam("after"), ~present, *visibility.build_conditions(now, past))
        .order_by(past.c.change)
        .limit(batch)
    )
    rows = connection.execute(statement, {"after": since}).all()
    while rows:
        for row in rows:
            if visibility.allows(Entry(row.path, "", row.facts), datetime.fromisoformat(row.moment)):
                yield Change(row.change, row.path, None)
        rows = connection.execute(statement, {"after": rows[-1].change}).all() if len(rows) == batch else []


def _decode_changes(rows: sa.CursorResult[tuple[object, ...]]) -> Iterator[Change]:
    return (Change(row["change"], row["path"], decode_entry_row(row)) for row in rows.mappings())


def _merge_changes(updates: Iterable[Change], removals: Iterable[Change], limit: int) -> tuple[Change, ...]:
    return tuple(islice(merge(updates, removals, key=lambda change: change.number), limit))
