"""The newest image at a path with ``latest`` instead of its shot: ``omega/latest/p510_2``."""

from __future__ import annotations

import re
from typing import Final

from shotdap.catalog.entry import Index, NotFound
from shotdap.catalog.query import parse_query
from shotdap.catalog.searchable import Searchable
from shotdap.catalog.time_limit import limit_time

LATEST: Final = "latest"
"""The segment of a path, unless something is called so."""

_SEGMENT: Final = re.compile(r"[\w.+-]+")
_PAGE_SIZE: Final = 1000
_MAX_SECONDS: Final = 10.0  # for all pages: where nothing is found, the whole catalog is searched


def find_latest(path: str, index: Index, searchable: Searchable) -> str:
    """Return the path that ``latest`` stands for now: that of the newest image, or of the folder that has it.

    Args:
        path: with one segment `LATEST`; what is behind it has to be in the folder, and may be left out.
        index: lists the folder.
        searchable: finds the images, the newest first.

    Returns:
        The path with the newest folder that has the rest of the path; if that has a single image, the image's.

    Raises:
        NotFound: there is none, or the path has no such segment.
        TooSlow: it takes too long to find it.
    """
    segments = path.strip("/").split("/")
    if segments.count(LATEST) != 1 or not all(map(_SEGMENT.fullmatch, segments)):
        raise NotFound(f"There is nothing at {path!r}.")
    place = segments.index(LATEST)
    before, rest = segments[:place], segments[place + 1 :]
    query = parse_query(f"path:{'/'.join([*before, '*', *rest])}*")
    after: str | None = None
    with limit_time(_MAX_SECONDS):
        while True:
            page = searchable.search(query, after=after, limit=_PAGE_SIZE)
            for entry in page.entries:
                found = entry.path.split("/")
                if found[:place] == before and found[place + 1 :][: len(rest)] == rest and len(found) > place + 1:
                    return _descend("/".join(found[: place + 1 + len(rest)]), index, is_image=bool(rest))
            after = page.after
            if after is None:
                raise NotFound(f"There is no image at {path!r}: no folder in {'/'.join(before) or '/'!r} has it.")


def _descend(path: str, index: Index, *, is_image: bool) -> str:
    """Return the path of the only image in a folder, if an image is wanted and there is just one."""
    if not is_image:
        return path
    try:
        children = index.list_children(path, limit=2).children
    except NotFound:  # it is an image itself
        return path
    return children[0].path if len(children) == 1 and not children[0].is_folder else path
