"""Entries by their paths, and folders page by page."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from shotdap.catalog.entry import Child, Entry, FolderPage, Health, NotFound
from shotdap.catalog.index.records import decode_entry_row
from shotdap.catalog.index.tables import ENTRIES, FOLDERS, ROOT_FOLDER

__all__ = ["find_entry", "list_children"]

_SELECT_ENTRY = sa.select(ENTRIES).where(ENTRIES.c.path == sa.bindparam("path"))
_SELECT_FOLDER_ID = sa.select(FOLDERS.c.id).where(FOLDERS.c.path == sa.bindparam("path"))


def find_entry(connection: sa.Connection, path: str) -> Entry:
    """The entry with a path.

    Raises:
        NotFound: there is none.
    """
    found = connection.execute(_SELECT_ENTRY, {"path": path}).mappings().first()
    if found is None:
        raise NotFound(f"There is no image at {path!r}.")
    return decode_entry_row(found)


def list_children(connection: sa.Connection, path: str, after: str | None, limit: int) -> FolderPage:
    """The folders and entries directly below a folder, in the order of their names, from a name on.

    Where a folder and an entry have one name they stay on one page, the folder first: the next page begins after it.

    Raises:
        NotFound: there is no such folder.
    """
    folder = connection.execute(_SELECT_FOLDER_ID, {"path": path}).scalar() if path else ROOT_FOLDER
    if folder is None:
        raise NotFound(f"There is no folder at {path!r}.")
    found = sorted(
        [*_list_folders(connection, folder, after, limit + 2), *_list_entries(connection, folder, after, limit + 2)],
        key=attrgetter("name"),  # which keeps a folder before an entry of its name
    )
    if len(found) > limit > 0 and found[limit].name == found[limit - 1].name:
        limit += 1
    return FolderPage(tuple(found[:limit]), found[limit - 1].name if len(found) > limit else None)


def _list_folders(connection: sa.Connection, parent: int, after: str | None, limit: int) -> list[Child]:
    statement = sa.select(FOLDERS.c.name, FOLDERS.c.path).where(FOLDERS.c.parent == parent)
    rows = connection.execute(_add_paging(statement, FOLDERS.c.name, after, limit))
    return [Child(name, path, is_folder=True) for name, path in rows]


def _list_entries(connection: sa.Connection, folder: int, after: str | None, limit: int) -> list[Child]:
    columns = (ENTRIES.c.name, ENTRIES.c.path, ENTRIES.c.health, ENTRIES.c.reason)
    rows = connection.execute(
        _add_paging(sa.select(*columns).where(ENTRIES.c.folder == folder), ENTRIES.c.name, after, limit)
    )
    return [
        Child(name, path, is_folder=False, health=Health(health), reason=reason) for name, path, health, reason in rows
    ]


def _add_paging(
    statement: sa.Select[*tuple[Any, ...]], name: sa.Column[str], after: str | None, limit: int
) -> sa.Select[*tuple[Any, ...]]:
    wanted = statement if after is None else statement.where(name > after)
    return wanted.order_by(name).limit(limit)
