"""Many images opened as one dataset: each in a group of its own, or all on one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

import xarray as xr

from shotdap.catalog.collections.chunk_sources import set_image_paths
from shotdap.catalog.collections.shot_tree import combine_as_groups
from shotdap.catalog.collections.stack import LEFT_OUT_ATTRIBUTE, Layer, stack_images
from shotdap.catalog.diagnostics.derive import DerivedImage
from shotdap.catalog.entry import Changed, Entry, Fact, Index, Unreadable
from shotdap.catalog.paths import ImageAddress, ImageCollection
from shotdap.catalog.searchable import Searchable
from shotdap.transforms import BadVariant

__all__ = ["MAX_IMAGES", "TooMany", "combine_members", "find_members", "open_members"]

MAX_IMAGES: Final = 200
"""How many images one dataset may be of: the headers of each are read when it is opened."""

_PAGE_SIZE: Final = 1000  # children, or entries that match, asked for at a time


class TooMany(ValueError):
    """More images than can be opened as one; the message says how to ask for less."""


def find_members(
    asked: ImageCollection, index: Index, search: Callable[[], Searchable], most: int = MAX_IMAGES
) -> list[ImageAddress]:
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
    found = _search_folder(asked, search()) if asked.steps else _walk_folder(index, asked.folder)
    entries = list(islice(found, most + 1))
    if len(entries) > most:
        raise TooMany(
            f"There are more than {most} images at {asked.path!r}. Open fewer as one dataset: those of a single shot,"
            " or of a smaller range."
        )
    return [ImageAddress(entry) for entry in (sorted(entries, key=_get_sort_key) if asked.steps else entries)]


def open_members(
    asked: ImageCollection, images: list[ImageAddress], opened: Callable[[ImageAddress], DerivedImage]
) -> tuple[dict[str, DerivedImage], dict[str, str]]:
    """Open the images of a collection; give those that can be opened, and for the others why not, by their paths.

    Raises:
        BadVariant: the variant that is asked for can be made of none of them.
    """
    found: dict[str, DerivedImage] = {}
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


def combine_members(
    asked: ImageCollection, images: list[ImageAddress], found: Mapping[str, DerivedImage], left_out: Mapping[str, str]
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
    said = {LEFT_OUT_ATTRIBUTE: "; ".join(f"{path}: {why}" for path, why in left_out.items())} if left_out else {}
    datasets = {path: each.dataset.copy(deep=False) for path, each in found.items()}
    if not asked.steps:
        for path, each in datasets.items():
            for variable in each.variables.values():
                set_image_paths(variable, (path,))
        return combine_as_groups({path.removeprefix(f"{asked.folder}/"): each for path, each in datasets.items()}, said)
    shots = {image.path: image.entry.facts.get("shot", image.path) for image in images}
    layers = [Layer(path, shots[path], each) for path, each in datasets.items()]
    return stack_images(layers, asked.ragged_policy, asked.differing_policy, said)


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


def _search_folder(asked: ImageCollection, searchable: Searchable) -> Iterator[Entry]:
    """All images in a folder that a stack asks for, the newest first."""
    inside = f"{asked.folder}/" if asked.folder else ""
    after: str | None = None
    while True:
        page = searchable.search(asked.query, after=after, limit=_PAGE_SIZE)
        yield from (entry for entry in page.entries if entry.path.startswith(inside))
        after = page.after
        if after is None:
            return


def _get_sort_key(entry: Entry) -> tuple[bool, Fact, str]:
    """Numbers before texts."""
    shot = entry.facts.get("shot", "")
    return isinstance(shot, str), shot, entry.path
