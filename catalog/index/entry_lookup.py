"""Find entries by their paths, and list folders page by page."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.entry import Child, Entry, FolderPage, Health, NotFound
from shotdap.catalog.index.records import decode_entry_row
from shotdap.catalog.index.search.visibility import Visibility
from shotdap.catalog.index.tables import ENTRIES, FOLDERS, ROOT_FOLDER

_SELECT_ENTRY: Final = sa.select(ENTRIES).where(ENTRIES.c.path == sa.bindparam("path"))
_SELECT_FOLDER_ID: Final = sa.select(FOLDERS.c.id).where(FOLDERS.c.path == sa.bindparam("path"))
_SELECT_FOLDERS: Final = sa.select(FOLDERS.c.name, FOLDERS.c.path)
_SELECT_ENTRIES: Final = sa.select(ENTRIES.c.name, ENTRIES.c.path, ENTRIES.c.health, ENTRIES.c.reason)

_BEYOND_SLASH: Final = chr(ord("/") + 1)

Conditions: TypeAlias = tuple[sa.ColumnElement[bool], ...]


def find_entry(connection: sa.Connection, path: str) -> Entry:
    """Return the entry at a path.

    Raises:
        NotFound: no entry has this path.
    """
    row = connection.execute(_SELECT_ENTRY, {"path": path}).mappings().first()
    if row is None:
        raise make_not_found(path)
    return decode_entry_row(row)


def make_not_found(path: str) -> NotFound:
    """Make the error for a path that no entry has, or one that the reader must not see."""
    return NotFound(f"There is no image at {path!r}.")


def list_children(
    connection: sa.Connection, path: str, after: str | None, limit: int, visibility: Visibility
) -> FolderPage:
    """List the folders and entries directly below a folder, in the order of their names, after a name.

    If a folder and an entry have the same name, they are on one page, the folder first: the next page begins after the
    name. A folder exists for a reader who sees an entry below it.

    Raises:
        NotFound: no folder has this path.
    """
    folder = connection.execute(_SELECT_FOLDER_ID, {"path": path}).scalar() if path else ROOT_FOLDER
    conditions = tuple(visibility.build_conditions())
    if folder is not None and path and conditions:
        below = _make_below_conditions(sa.literal(path, FOLDERS.c.path.type))
        if connection.execute(sa.select(ENTRIES.c.id).where(*below, *conditions).limit(1)).first() is None:
            folder = None
    if folder is None:
        raise NotFound(f"There is no folder at {path!r}.")
    folders = _SELECT_FOLDERS.where(FOLDERS.c.parent == folder)
    if conditions:
        folders = folders.where(sa.exists().where(*_make_below_conditions(FOLDERS.c.path), *conditions))
    entries = _SELECT_ENTRIES.where(ENTRIES.c.folder == folder, *conditions)
    folder_rows = connection.execute(_add_paging(folders, FOLDERS.c.name, after, limit + 2))
    entry_rows = connection.execute(_add_paging(entries, ENTRIES.c.name, after, limit + 2))
    children = [Child(name, child_path, is_folder=True) for name, child_path in folder_rows]
    children += [
        Child(name, child_path, is_folder=False, health=Health(health), reason=reason)
        for name, child_path, health, reason in entry_rows
    ]
    children.sort(key=attrgetter("name"))  # a stable sort: a folder stays before an entry of its name
    if len(children) > limit > 0 and children[limit].name == children[limit - 1].name:
        limit += 1
    return FolderPage(tuple(children[:limit]), children[limit - 1].name if len(children) > limit else None)


def _make_below_conditions(folder: sa.ColumnElement[str]) -> Conditions:
    """Return the conditions that an entry is below a folder: a range of the index on paths."""
    return (ENTRIES.c.path > folder + "/", ENTRIES.c.path < folder + _BEYOND_SLASH)


def _add_paging(
    statement: sa.Select[*tuple[Any, ...]], name: sa.Column[str], after: str | None, limit: int
) -> sa.Select[*tuple[Any, ...]]:
    if after is not None:
        statement = statement.where(name > after)
    return statement.order_by(name).limit(limit)
