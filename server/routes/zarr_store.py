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

from shotdap.catalog import Catalog, ContentState, ImageAddress, ImageCollection, NotFound, Unreadable, get_image_paths
from shotdap.server.protocols.zarr import Chunk, Hierarchy, ZarrOptions, extract_node_path, is_chunk_key
from shotdap.transforms import MARK

__all__ = ["StoreMatch", "ZarrStores"]

_MAX_IMAGE_HIERARCHIES: Final = 256  # remembered with their documents; some 100 kB each
_MAX_COLLECTION_HIERARCHIES: Final = 16  # collections; up to 200 times as much
_MAX_SNAPSHOTS: Final = 64  # at collections
_SNAPSHOT_LIFETIME: Final = 5.0  # seconds
_MAX_HINTS: Final = 4096
_MAX_DEPTH: Final = 32  # names in a path, the array's with its groups included
_MAX_COLLECTIONS: Final = 2  # that are opened for one key


_HierarchyCache: TypeAlias = "cachebox.LRUCache[tuple[str, str], Hierarchy]"
"""By path and state."""


@dataclass(frozen=True)
class StoreMatch:
    """One thing that a URL may lead to."""

    address: ImageAddress | ImageCollection
    key: str
    """Within its store; empty for the store itself."""


@dataclass(frozen=True)
class _CollectionSnapshot:
    """A look at a collection, all its images one by one."""

    state: ContentState
    image_states: Mapping[str, ContentState]
    expires: float
    """When it is too long ago."""


class ZarrStores:
    """The stores of a catalog, by their URLs.

    Args:
        catalog: where the images are.
        options: how they become Zarr.
    """

    def __init__(self, catalog: Catalog, options: ZarrOptions) -> None:
        self.catalog = catalog
        self.options = options
        self._hints: cachebox.LRUCache[str, str] = cachebox.LRUCache(_MAX_HINTS)
        self._snapshots: cachebox.LRUCache[str, _CollectionSnapshot] = cachebox.LRUCache(_MAX_SNAPSHOTS)
        self._image_hierarchies: _HierarchyCache = cachebox.LRUCache(_MAX_IMAGE_HIERARCHIES)
        self._collection_hierarchies: _HierarchyCache = cachebox.LRUCache(_MAX_COLLECTION_HIERARCHIES)

    def find_matches(self, path: str) -> Iterator[StoreMatch]:
        """What a path may lead to, the likeliest first; nothing is opened, but where it asks for a variant.

        Raises:
            BadVariant: the path asks for a variant that cannot be made.
            Missing: its file is not there, where headers are needed.
            Unreadable: likewise, if it cannot be read.
        """
        image, mark, rest = f"/{path}".partition(f"/{MARK}")
        if mark:
            segment, _, key = rest.partition("/")
            yield StoreMatch(self.catalog.resolve_path(f"{image}/{MARK}{segment}".lstrip("/")), key)
        else:
            yield from self._match_prefixes(path)

    def _match_prefixes(self, path: str) -> Iterator[StoreMatch]:
        """The images and collections that a path goes through, from the inside out, as far as an image's own."""
        node = extract_node_path(path)
        collections = 0
        for beginning in self._iter_prefixes(node):
            with suppress(NotFound):
                address = self.catalog.resolve_path(beginning)
                self._hints[node] = beginning
                yield StoreMatch(address, path[len(beginning) + 1 :])
                collections += isinstance(address, ImageCollection)
                if collections == _MAX_COLLECTIONS or (isinstance(address, ImageAddress) and not address.is_raw):
                    return

    def _iter_prefixes(self, node: str) -> Iterator[str]:
        names = node.split("/")[:_MAX_DEPTH]
        every = ("/".join(names[:depth]) for depth in range(len(names), 0, -1))
        hint = self._hints.get(node)
        if hint is not None:
            yield hint
        yield from (beginning for beginning in every if beginning and beginning != hint)

    def resolve_store(self, path: str) -> ImageAddress | ImageCollection:
        """The store that a path without a key leads to.

        Raises:
            NotFound: it leads to none.
            BadVariant: see `find_matches`.
        """
        if path.count("/") > _MAX_DEPTH:
            raise NotFound("No path is so long.")
        return self.catalog.resolve_path(path)

    def get_state(self, found: StoreMatch) -> ContentState:
        """The state of what was found, as far as the key depends on it: a look at the files, of which none is read.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive.
            TooMany: it is a collection of more images than can be opened as one.
        """
        address = found.address
        if isinstance(address, ImageAddress):
            return self.catalog.get_state(address)
        look = self._snapshots.get(address.path)
        if look is None or not is_chunk_key(found.key) or not self._is_snapshot_valid(look, address, found.key):
            state, images = self.catalog.get_collection_state(address)
            kept = {path: each.drop_snapshot() for path, each in images.items()}
            self._snapshots[address.path] = _CollectionSnapshot(
                state.drop_snapshot(), kept, monotonic() + _SNAPSHOT_LIFETIME
            )
            return state
        return look.state

    def _is_snapshot_valid(self, look: _CollectionSnapshot, address: ImageCollection, key: str) -> bool:
        """Whether what was seen of a collection is true of the images that a chunk is read from."""
        hierarchy = self._collection_hierarchies.get((address.path, look.state.fingerprint))
        chunk = hierarchy.get_chunk(key) if hierarchy is not None and monotonic() < look.expires else None
        return chunk is not None and self._has_unchanged_images(look, chunk)

    def _has_unchanged_images(self, look: _CollectionSnapshot, chunk: Chunk) -> bool:
        paths = get_image_paths(chunk.variable, chunk.region)
        try:
            return paths is not None and all(self._now(path) == look.image_states.get(path) for path in paths)
        except (NotFound, Unreadable):
            return False

    def _now(self, path: str) -> ContentState:
        return self.catalog.get_state(ImageAddress(self.catalog.find_entry(path)))

    def get_hierarchy(self, address: ImageAddress | ImageCollection, state: ContentState) -> Hierarchy:
        """What an address leads to, in this state, as Zarr has it.

        Raises:
            Missing: its file is not there.
            Unreadable: it cannot be read.
            TooMany: it is a collection of more images than can be opened as one.
        """
        known, key = self._select_cache(address), (address.path, state.fingerprint)
        hierarchy = known.get(key)
        if hierarchy is None:
            hierarchy = Hierarchy(self.catalog.open_address(address, chunked=False), self.options)
            known[key] = hierarchy
        return hierarchy

    def drop_hierarchy(self, address: ImageAddress | ImageCollection, state: ContentState) -> bool:
        """Forget what was opened; whether there was anything to forget."""
        return self._select_cache(address).pop((address.path, state.fingerprint), None) is not None

    def _select_cache(self, address: ImageAddress | ImageCollection) -> _HierarchyCache:
        return self._image_hierarchies if isinstance(address, ImageAddress) else self._collection_hierarchies
