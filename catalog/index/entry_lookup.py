"""Find entries by their paths, and list folders page by page."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.entry import Child, Entry, FolderPage, Health, NotFound
from shotdap.catalog.index.records import decode_entry_row
from shotdap.catalog.index.tables import ENTRIES, FOLDERS, ROOT_FOLDER

_SELECT_ENTRY: Final = sa.select(ENTRIES).where(ENTRIES.c.path == sa.bindparam("path"))
_SELECT_FOLDER_ID: Final = sa.select(FOLDERS.c.id).where(FOLDERS.c.path == sa.bindparam("path"))
_SELECT_FOLDERS: Final = sa.select(FOLDERS.c.name, FOLDERS.c.path)
_SELECT_ENTRIES: Final = sa.select(ENTRIES.c.name, ENTRIES.c.path, ENTRIES.c.health, ENTRIES.c.reason)


def find_entry(connection: sa.Connection, path: str) -> Entry:
    """Return the entry at a path.

    Raises:
        NotFound: no entry has this path.
    """
    row = connection.execute(_SELECT_ENTRY, {"path": path}).mappings().first()
    if row is None:
        raise NotFound(f"There is no image at {path!r}.")
    return decode_entry_row(row)


def list_children(connection: sa.Connection, path: str, after: str | None, limit: int) -> FolderPage:
    """List the folders and entries directly below a folder, in the order of their names, after a name.

    If a folder and an entry have the same name, they are on one page, the folder first: the next page begins after the
    name.

    Raises:
        NotFound: no folder has this path.
    """
    folder = connection.execute(_SELECT_FOLDER_ID, {"path": path}).scalar() if path else ROOT_FOLDER
    if folder is None:
        raise NotFound(f"There is no folder at {path!r}.")
    folder_rows = connection.execute(
        _add_paging(_SELECT_FOLDERS.where(FOLDERS.c.parent == folder), FOLDERS.c.name, after, limit + 2)
    )
    entry_rows = connection.execute(
        _add_paging(_SELECT_ENTRIES.where(ENTRIES.c.folder == folder), ENTRIES.c.name, after, limit + 2)
    )
    children = [Child(name, child_path, is_folder=True) for name, child_path in folder_rows]
    children += [
        Child(name, child_path, is_folder=False, health=Health(health), reason=reason)
        for name, child_path, health, reason in entry_rows
    ]
    children.sort(key=attrgetter("name"))  # a stable sort: a folder stays before an entry of its name
    if len(children) > limit > 0 and children[limit].name == children[limit - 1].name:
        limit += 1
    return FolderPage(tuple(children[:limit]), children[limit - 1].name if len(children) > limit else None)


def _add_paging(
    statement: sa.Select[*tuple[Any, ...]], name: sa.Column[str], after: str | None, limit: int
) -> sa.Select[*tuple[Any, ...]]:
    if after is not None:
        statement = statement.where(name > after)
    return statement.order_by(name).limit(limit)
