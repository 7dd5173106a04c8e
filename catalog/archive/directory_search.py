"""Search in a directory tree: scan it in the order of the paths; each page scans a bounded number of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from shotdap.catalog.entry import Child, Entry, Unreadable
from shotdap.catalog.index import SearchPage
from shotdap.catalog.index.search import MAX_PAGE_SIZE, Matcher
from shotdap.catalog.names import decode_path_segment
from shotdap.catalog.query import Query
from shotdap.catalog.time_limit import check_time_limit

_MAX_SCANNED: Final = 10_000  # files per page

_ListChildren = Callable[[str], Sequence[Child]]


def search_folder(list_children: _ListChildren, root: Path, query: Query, after: str | None, limit: int) -> SearchPage:
    """Return a page of files whose names and paths match; nothing else is known of files.

    Args:
        list_children: returns all children of a folder, in the order of their names.
        root: the top of the tree.
        query: the query.
        after: the path to continue after; it need not exist.
        limit: the maximum number of files, from 1 to `MAX_PAGE_SIZE`.

    Raises:
        TooSlow: it takes longer than the time limit of the caller.
    """
    matches, limit = Matcher(query), max(1, min(limit, MAX_PAGE_SIZE))
    entries: list[Entry] = []
    for number, path in enumerate(_walk_files(list_children, root, "", after.split("/") if after else []), 1):
        check_time_limit()
        file = Path(*map(decode_path_segment, path.split("/")))
        entry = Entry(path, str(file), {"name": file.name})
        if matches(entry):
            if len(entries) == limit:
                return SearchPage(tuple(entries), entries[-1].path)
            entries.append(entry)
        if number == _MAX_SCANNED:
            return SearchPage(tuple(entries), path)
    return SearchPage(tuple(entries), None)


def _walk_files(list_children: _ListChildren, root: Path, path: str, after: Sequence[str]) -> Iterator[str]:
    """Yield the paths of files below a folder after a path; skip linked folders, which may form cycles."""
    check_time_limit()
    for child in list_children(path):
        if after and child.name < after[0]:
            continue
        rest = after[1:] if after and child.name == after[0] else []
        if not child.is_folder and not (after and child.name == after[0]):
            yield child.path
        elif child.is_folder and not root.joinpath(*map(decode_path_segment, child.path.split("/"))).is_symlink():
            with suppress(Unreadable):  # skip a folder that may not be read, and continue
                yield from _walk_files(list_children, root, child.path, rest)
