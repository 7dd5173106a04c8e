"""Search in a directory tree: a walk over it, in the order of the paths, of which every page is a bounded piece."""

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

_MAX_SCANNED: Final = 10_000  # files that a page looks at

ListChildren = Callable[[str], Sequence[Child]]


def search_folder(listed: ListChildren, root: Path, query: Query, after: str | None, limit: int) -> SearchPage:
    """A page of files that match: by their names and paths, for nothing else is known of them.

    Args:
        listed: gives all children of a folder, in the order of their names.
        root: the tree's top.
        query: what is looked for.
        after: the path to go on after; any will do.
        limit: how many, from 1 to `MAX_PAGE_SIZE`.
    """
    matches, limit = Matcher(query), max(1, min(limit, MAX_PAGE_SIZE))
    found: list[Entry] = []
    for looked, path in enumerate(_walk_files(listed, root, "", after.split("/") if after else []), 1):
        entry = _entry(path)
        if matches(entry):
            if len(found) == limit:
                return SearchPage(tuple(found), found[-1].path)
            found.append(entry)
        if looked == _MAX_SCANNED:
            return SearchPage(tuple(found), path)
    return SearchPage(tuple(found), None)


def _walk_files(listed: ListChildren, root: Path, path: str, behind: Sequence[str]) -> Iterator[str]:
    """The paths of files below a folder that come behind a place; nothing below linked folders, which may be rings."""
    for child in listed(path):
        if behind and child.name < behind[0]:
            continue
        rest = behind[1:] if behind and child.name == behind[0] else []
        if not child.is_folder and not (behind and child.name == behind[0]):
            yield child.path
        elif child.is_folder and not _resolve_file(root, child.path).is_symlink():
            with suppress(Unreadable):  # of a folder without rights nothing is found, and all else is
                yield from _walk_files(listed, root, child.path, rest)


def _entry(path: str) -> Entry:
    file = _resolve_file(Path(), path)
    return Entry(path, str(file), {"name": file.name})


def _resolve_file(root: Path, path: str) -> Path:
    return root.joinpath(*map(decode_path_segment, path.split("/")))
