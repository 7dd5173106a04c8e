"""Many images opened as one dataset: each in a group of its own, or all on one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

import xarray as xr

from shotdap.catalog.collections.chunk_sources import of_images
from shotdap.catalog.collections.shot_tree import together
from shotdap.catalog.collections.stack import LEFT_OUT, Layer, stacked
from shotdap.catalog.diagnostics.derive import Derived
from shotdap.catalog.entry import Changed, Entry, Fact, Index, Unreadable
from shotdap.catalog.paths import Address, Collection
from shotdap.catalog.searchable import Searchable
from shotdap.transforms import BadVariant

__all__ = ["MOST", "TooMany", "gathered", "members", "open_members"]

MOST: Final = 200
"""How many images one dataset may be of: the headers of each are read when it is opened."""

_PAGE: Final = 1000  # children, or entries that match, asked for at a time


class TooMany(ValueError):
    """More images than can be opened as one; the message says how to ask for less."""


def members(asked: Collection, index: Index, search: Callable[[], Searchable], most: int = MOST) -> list[Address]:
    """The images of a collection: in the order of their paths, or of their shots where it is a stack.

    Args:
        asked: the collection.
        index: lists folders.
        search: gives what can be searched, where a stack needs it.
        most: how many there may be; as many as one dataset may be of, where nothing is said.

    Raises:
        NotFound: there is no such folder.
        TooMany: they are more.
        BadQuery: what the stack asks for cannot be understood.
        Unsearchable: it asks for a stack of images that cannot be searched.
    """
    found = _matching(asked, search()) if asked.steps else _below(index, asked.folder)
    entries = list(islice(found, most + 1))
    if len(entries) > most:
        raise TooMany(
            f"There are more than {most} images at {asked.path!r}. Open fewer as one dataset: those of a single shot,"
            " or of a smaller range."
        )
    return [Address(entry) for entry in (sorted(entries, key=_by_shot) if asked.steps else entries)]


def open_members(
    asked: Collection, images: list[Address], opened: Callable[[Address], Derived]
) -> tuple[dict[str, Derived], dict[str, str]]:
    """Open the images of a collection; give those that can be opened, and for the others why not, by their paths.

    Raises:
        BadVariant: the variant that is asked for can be made of none of them.
    """
    found: dict[str, Derived] = {}
    left_out: dict[str, str] = {}
    for image in images:
        try:
            found[image.path] = opened(image)
        except Changed:
            raise  # asking again helps
        except (BadVariant, Unreadable) as error:
            left_out[image.path] = str(error)
    if asked.variant and not found:
        raise BadVariant(next(iter(left_out.values()), "No image matches."))
    return found, left_out


def gathered(
    asked: Collection, images: list[Address], found: Mapping[str, Derived], left_out: Mapping[str, str]
) -> xr.Dataset:
    """The images of a collection as one dataset, which names those that are left out.

    Args:
        asked: the collection.
        images: of the collection.
        found: those that could be opened, by their paths.
        left_out: for each of the others, why.

    Raises:
        BadStack: they make no stack.
    """
    said = {LEFT_OUT: "; ".join(f"{path}: {why}" for path, why in left_out.items())} if left_out else {}
    datasets = {path: each.dataset.copy(deep=False) for path, each in found.items()}
    if not asked.steps:
        for path, each in datasets.items():
            for variable in each.variables.values():
                of_images(variable, (path,))
        return together({path.removeprefix(f"{asked.folder}/"): each for path, each in datasets.items()}, said)
    shots = {image.path: image.entry.facts.get("shot", image.path) for image in images}
    layers = [Layer(path, shots[path], each) for path, each in datasets.items()]
    return stacked(layers, asked.ragged, asked.differing, said)


def _below(index: Index, folder: str) -> Iterator[Entry]:
    """All images below a folder, in the order of their paths."""
    after: str | None = None
    while True:
        page = index.children(folder, after=after, limit=_PAGE)
        for child in page.children:
            if child.is_folder:
                yield from _below(index, child.path)
            else:
                yield index.find(child.path)
        after = page.after
        if after is None:
            return


def _matching(asked: Collection, searchable: Searchable) -> Iterator[Entry]:
    """All images in a folder that a stack asks for, the newest first."""
    inside = f"{asked.folder}/" if asked.folder else ""
    after: str | None = None
    while True:
        page = searchable.search(asked.query, after=after, limit=_PAGE)
        yield from (entry for entry in page.entries if entry.path.startswith(inside))
        after = page.after
        if after is None:
            return


def _by_shot(entry: Entry) -> tuple[bool, Fact, str]:
    """Numbers before texts."""
    shot = entry.facts.get("shot", "")
    return isinstance(shot, str), shot, entry.path
