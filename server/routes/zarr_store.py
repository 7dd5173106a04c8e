"""What a URL of a Zarr store leads to: an image or a collection, and a key within it.

Strategy: nothing tells where a path ends and a key begins, so each beginning of the path is looked up, the longest
first; what was found is remembered as a hint for the next key. The catalog's tree and Zarr's are one: a shot's group
for an image is that image's own store, which answers for it whenever the image's path is the group's.

A collection is looked at whole for each document. For chunks, of which a reader wants many and each is of one image,
it is remembered for some seconds, and only the images that a chunk is read from are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeAlias

import cachebox

from shotdap.catalog import Address, Catalog, Collection, NotFound, State, Unreadable, images_of
from shotdap.server.protocols.zarr import Chunk, Hierarchy, Options, is_chunk, node_of
from shotdap.transforms import MARK

__all__ = ["Found", "Stores"]

_IMAGES: Final = 256  # remembered with their documents; some 100 kB each
_GATHERED: Final = 16  # collections; up to 200 times as much
_LOOKS: Final = 64  # at collections
_FRESH: Final = 5.0  # seconds
_HINTS: Final = 4096
_DEEPEST: Final = 32  # names in a path, the array's with its groups included
_COLLECTIONS: Final = 2  # that are opened for one key


_Hierarchies: TypeAlias = "cachebox.LRUCache[tuple[str, str], Hierarchy]"
"""By path and state."""


@dataclass(frozen=True)
class Found:
    """One thing that a URL may lead to."""

    address: Address | Collection
    key: str
    """Within its store; empty for the store itself."""


@dataclass(frozen=True)
class _Look:
    """A look at a collection, all its images one by one."""

    state: State
    images: Mapping[str, State]
    until: float
    """When it is too long ago."""


class Stores:
    """The stores of a catalog, by their URLs.

    Args:
        catalog: where the images are.
        options: how they become Zarr.
    """

    def __init__(self, catalog: Catalog, options: Options) -> None:
        self.catalog = catalog
        self.options = options
        self._hints: cachebox.LRUCache[str, str] = cachebox.LRUCache(_HINTS)
        self._looks: cachebox.LRUCache[str, _Look] = cachebox.LRUCache(_LOOKS)
        self._images: _Hierarchies = cachebox.LRUCache(_IMAGES)
        self._gathered: _Hierarchies = cachebox.LRUCache(_GATHERED)

    def found(self, path: str) -> Iterator[Found]:
        """What a path may lead to, the likeliest first; nothing is opened, but where it asks for a variant.

        Raises:
            BadVariant: the path asks for a variant that cannot be made.
            Missing: its file is not there, where headers are needed.
            Unreadable: likewise, if it cannot be read.
        """
        image, mark, rest = f"/{path}".partition(f"/{MARK}")
        if mark:
            segment, _, key = rest.partition("/")
            yield Found(self.catalog.resolve(f"{image}/{MARK}{segment}".lstrip("/")), key)
        else:
            yield from self._among_beginnings(path)

    def _among_beginnings(self, path: str) -> Iterator[Found]:
        """The images and collections that a path goes through, from the inside out, as far as an image's own."""
        node = node_of(path)
        collections = 0
        for beginning in self._beginnings(node):
            with suppress(NotFound):
                address = self.catalog.resolve(beginning)
                self._hints[node] = beginning
                yield Found(address, path[len(beginning) + 1 :])
                collections += isinstance(address, Collection)
                if collections == _COLLECTIONS or (isinstance(address, Address) and not address.is_raw):
                    return

    def _beginnings(self, node: str) -> Iterator[str]:
        names = node.split("/")[:_DEEPEST]
        every = ("/".join(names[:depth]) for depth in range(len(names), 0, -1))
        hint = self._hints.get(node)
        if hint is not None:
            yield hint
        yield from (beginning for beginning in every if beginning and beginning != hint)

    def at(self, path: str) -> Address | Collection:
        """The store that a path without a key leads to.

        Raises:
            NotFound: it leads to none.
            BadVariant: see `found`.
        """
        if path.count("/") > _DEEPEST:
            raise NotFound("No path is so long.")
        return self.catalog.resolve(path)

    def state(self, found: Found) -> State:
        """The state of what was found, as far as the key depends on it: a look at the files, of which none is read.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive.
            TooMany: it is a collection of more images than can be opened as one.
        """
        address = found.address
        if isinstance(address, Address):
            return self.catalog.state(address)
        look = self._looks.get(address.path)
        if look is None or not is_chunk(found.key) or not self._still_holds(look, address, found.key):
            state, images = self.catalog.joint_state(address)
            kept = {path: each.released() for path, each in images.items()}
            self._looks[address.path] = _Look(state.released(), kept, monotonic() + _FRESH)
            return state
        return look.state

    def _still_holds(self, look: _Look, address: Collection, key: str) -> bool:
        """Whether what was seen of a collection is true of the images that a chunk is read from."""
        hierarchy = self._gathered.get((address.path, look.state.text))
        chunk = hierarchy.chunk(key) if hierarchy is not None and monotonic() < look.until else None
        return chunk is not None and self._same(look, chunk)

    def _same(self, look: _Look, chunk: Chunk) -> bool:
        paths = images_of(chunk.variable, chunk.where)
        try:
            return paths is not None and all(self._now(path) == look.images.get(path) for path in paths)
        except (NotFound, Unreadable):
            return False

    def _now(self, path: str) -> State:
        return self.catalog.state(Address(self.catalog.find(path)))

    def hierarchy(self, address: Address | Collection, state: State) -> Hierarchy:
        """What an address leads to, in this state, as Zarr has it.

        Raises:
            Missing: its file is not there.
            Unreadable: it cannot be read.
            TooMany: it is a collection of more images than can be opened as one.
        """
        known, key = self._known(address), (address.path, state.text)
        hierarchy = known.get(key)
        if hierarchy is None:
            hierarchy = Hierarchy(self.catalog.open_address(address, chunked=False), self.options)
            known[key] = hierarchy
        return hierarchy

    def forget(self, address: Address | Collection, state: State) -> bool:
        """Forget what was opened; whether there was anything to forget."""
        return self._known(address).pop((address.path, state.text), None) is not None

    def _known(self, address: Address | Collection) -> _Hierarchies:
        return self._images if isinstance(address, Address) else self._gathered
