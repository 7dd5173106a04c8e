"""Entries by their paths, and folders page by page."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from shotdap.catalog.entry import Child, Entry, Health, NotFound, Page
from shotdap.catalog.index.records import entry_of
from shotdap.catalog.index.tables import ENTRIES, FOLDERS, TOP

__all__ = ["children", "find"]

_FIND = sa.select(ENTRIES).where(ENTRIES.c.path == sa.bindparam("path"))
_FOLDER = sa.select(FOLDERS.c.id).where(FOLDERS.c.path == sa.bindparam("path"))


def find(connection: sa.Connection, path: str) -> Entry:
    """The entry with a path.

    Raises:
        NotFound: there is none.
    """
    found = connection.execute(_FIND, {"path": path}).mappings().first()
    if found is None:
        raise NotFound(f"There is no image at {path!r}.")
    return entry_of(found)


def children(connection: sa.Connection, path: str, after: str | None, limit: int) -> Page:
    """The folders and entries directly below a folder, in the order of their names, from a name on.

    Where a folder and an entry have one name they stay on one page, the folder first: the next page begins after it.

    Raises:
        NotFound: there is no such folder.
    """
    folder = connection.execute(_FOLDER, {"path": path}).scalar() if path else TOP
    if folder is None:
        raise NotFound(f"There is no folder at {path!r}.")
    found = sorted(
        [*_folders(connection, folder, after, limit + 2), *_entries(connection, folder, after, limit + 2)],
        key=attrgetter("name"),  # which keeps a folder before an entry of its name
    )
    if len(found) > limit > 0 and found[limit].name == found[limit - 1].name:
        limit += 1
    return Page(tuple(found[:limit]), found[limit - 1].name if len(found) > limit else None)


def _folders(connection: sa.Connection, parent: int, after: str | None, limit: int) -> list[Child]:
    statement = sa.select(FOLDERS.c.name, FOLDERS.c.path).where(FOLDERS.c.parent == parent)
    rows = connection.execute(_page(statement, FOLDERS.c.name, after, limit))
    return [Child(name, path, is_folder=True) for name, path in rows]


def _entries(connection: sa.Connection, folder: int, after: str | None, limit: int) -> list[Child]:
    columns = (ENTRIES.c.name, ENTRIES.c.path, ENTRIES.c.health, ENTRIES.c.reason)
    rows = connection.execute(
        _page(sa.select(*columns).where(ENTRIES.c.folder == folder), ENTRIES.c.name, after, limit)
    )
    return [
        Child(name, path, is_folder=False, health=Health(health), reason=reason) for name, path, health, reason in rows
    ]


def _page(
    statement: sa.Select[*tuple[Any, ...]], name: sa.Column[str], after: str | None, limit: int
) -> sa.Select[*tuple[Any, ...]]:
    wanted = statement if after is None else statement.where(name > after)
    return wanted.order_by(name).limit(limit)
