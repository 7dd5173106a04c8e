"""Find the images of a shot or a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from shotdap.catalog.entry import Entry, Fact, Index
from shotdap.catalog.paths import ImageCollection
from shotdap.catalog.searchable import Searchable

MAX_IMAGES: Final = 200
"""How many images one dataset may be of: the headers of each are read when it is opened."""

_PAGE_SIZE: Final = 1000  # children, or entries that match, asked for at a time


class TooMany(ValueError):
    """More images than can be opened as one; the message says how to ask for less."""


def find_members(
    collection: ImageCollection, index: Index, search: Callable[[], Searchable], most: int = MAX_IMAGES
) -> list[Entry]:
    """Return the entries of a collection: in the order of their paths, or of their shots if it is a stack.

    Args:
        collection: what the path asks for.
        index: lists folders.
        search: returns the searchable index, if a stack needs it.
        most: how many entries are allowed; by default as many as can be opened as one dataset.

    Raises:
        NotFound: there is no such folder.
        TooMany: they are more.
        BadQuery: the stack's query is not valid.
        Unsearchable: it is a stack of images that cannot be searched.
    """
    matches = _search_folder(collection, search()) if collection.steps else _walk_folder(index, collection.folder)
    entries = list(islice(matches, most + 1))
    if len(entries) > most:
        raise TooMany(
            f"There are more than {most} images at {collection.path!r}. Open fewer as one dataset: those of a single"
            " shot, or of a smaller range."
        )
    return sorted(entries, key=_get_sort_key) if collection.steps else entries


def _walk_folder(index: Index, folder: str) -> Iterator[Entry]:
    """All images below a folder, in the order of their paths."""
    after: str | None = None
    while True:
        page = index.list_children(folder, after=after, limit=_PAGE_SIZE)
        for child in page.children:
            if child.is_folder:
                yield from _walk_folder(index, child.path)
            else:
                yield index.find_entry(child.path)
        after = page.after
        if after is None:
            return


def _search_folder(collection: ImageCollection, searchable: Searchable) -> Iterator[Entry]:
    """All images in a folder that a stack asks for, the newest first."""
    inside = f"{collection.folder}/" if collection.folder else ""
    after: str | None = None
    while True:
        page = searchable.search(collection.query, after=after, limit=_PAGE_SIZE)
        yield from (entry for entry in page.entries if entry.path.startswith(inside))
        after = page.after
        if after is None:
            return


def _get_sort_key(entry: Entry) -> tuple[bool, Fact, str]:
    """Numbers before texts."""
    shot = entry.facts.get("shot", "")
    return isinstance(shot, str), shot, entry.path
