"""Find the images of a shot or a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from shotdap.catalog.entry import Entry, Index
from shotdap.catalog.paths import CollectionAddress
from shotdap.catalog.searchable import Searchable
from shotdap.catalog.time_limit import limit_time

MAX_IMAGES: Final = 200
"""The most images in one dataset: the headers of each are read when it is opened."""

_MAX_SECONDS: Final = 30.0  # for all pages of a search; if matches are rare, it scans the whole catalog
_PAGE_SIZE: Final = 1000  # children, or matches, in one request to the index


class TooMany(ValueError):
    """More images than can be opened as one; the message tells how to request fewer."""


def find_members(
    collection: CollectionAddress, index: Index, search: Callable[[], Searchable], most: int = MAX_IMAGES
) -> list[Entry]:
    """Return the entries of a collection: in the order of their paths, or of their shots if it is a stack.

    Args:
        collection: the address.
        index: lists folders.
        search: returns the searchable index, if a stack needs it.
        most: how many entries are allowed; by default as many as can be opened as one dataset.

    Raises:
        NotFound: there is no such folder.
        TooMany: they are more.
        TooSlow: it takes too long to find them.
        BadQuery: the stack's query is not valid.
        Unsearchable: it is a stack of images that cannot be searched.
    """
    matches = _search_folder(collection, search()) if collection.steps else _walk_folder(index, collection.folder)
    with limit_time(_MAX_SECONDS):
        entries = list(islice(matches, most + 1))
    if len(entries) > most:
        raise TooMany(
            f"There are more than {most} images at {collection.path!r}. Open fewer as one dataset: those of a single"
            " shot, or of a smaller range."
        )
    if collection.steps:
        shots = {entry.path: entry.facts.get("shot", "") for entry in entries}
        entries.sort(key=lambda entry: (isinstance(shots[entry.path], str), shots[entry.path], entry.path))
    return entries


def _walk_folder(index: Index, folder: str) -> Iterator[Entry]:
    """Yield the entries of all images below a folder, in the order of their paths."""
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


def _search_folder(collection: CollectionAddress, searchable: Searchable) -> Iterator[Entry]:
    """Yield the entries that match the query of a stack in its folder, the newest first."""
    prefix = f"{collection.folder}/" if collection.folder else ""
    after: str | None = None
    while True:
        page = searchable.search(collection.query, after=after, limit=_PAGE_SIZE)
        yield from (entry for entry in page.entries if entry.path.startswith(prefix))
        after = page.after
        if after is None:
            return
