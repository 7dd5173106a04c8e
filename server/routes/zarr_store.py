"""Zarr stores of a catalog: finds the image or collection, and the key within it, that a URL leads to.

Nothing marks where a path ends and a key begins, so each prefix of the path is looked up, the longest first; a match is
cached as a hint for the next key. The tree of the catalog and that of Zarr are one: the group of an image in a shot is
the store of the image itself, which answers whenever the path of the image is that of the group.

For each document of a collection, all its files are looked at. A reader wants many chunks, each of one image: for these
the look at the collection is cached for some seconds, and only the images that a chunk is read from are looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

import cachebox

from shotdap.catalog import Catalog, Changed, Image, NotFound, Unreadable, get_image_paths
from shotdap.server.protocols.zarr import Hierarchy, ZarrOptions, extract_node_path, is_chunk_key
from shotdap.transforms import MARK

_MAX_IMAGE_HIERARCHIES: Final = 256  # about 100 kB each, with their documents
_MAX_COLLECTION_HIERARCHIES: Final = 16  # up to 200 times as large
_MAX_SNAPSHOTS: Final = 64
_SNAPSHOT_LIFETIME: Final = 5.0  # seconds
_MAX_HINTS: Final = 4096
_MAX_DEPTH: Final = 32  # segments of a path, with those of the array and its groups
_MAX_COLLECTIONS: Final = 2  # opened for one key

_HierarchyCache: TypeAlias = "cachebox.LRUCache[tuple[str, str], Hierarchy]"
"""By path and fingerprint."""


@dataclass(frozen=True)
class StoreMatch:
    """An image or collection that a URL may lead to."""

    image: Image
    key: str
    """Within its store; empty for the store itself."""

    @property
    def is_collection(self) -> bool:
        """A store of many images."""
        return self.image.entry is None


class StoreState(NamedTuple):
    """Everything that the content of a store depends on, at one moment."""

    fingerprint: str
    modified: int


@dataclass(frozen=True)
class _CollectionSnapshot:
    """The state of a collection and of each of its images, at one moment."""

    state: StoreState
    member_fingerprints: Mapping[str, str]
    expires: float


class StoreCaches:
    """Caches of stores, for all requests."""

    def __init__(self) -> None:
        self.hints: cachebox.LRUCache[str, str] = cachebox.LRUCache(_MAX_HINTS)
        """By the path of a node, that of the image which had it."""
        self.snapshots: cachebox.LRUCache[Hashable, _CollectionSnapshot] = cachebox.LRUCache(_MAX_SNAPSHOTS)
        """By the entries that exist for a reader, and a path: a shot has other images for another reader."""
        self.image_hierarchies: _HierarchyCache = cachebox.LRUCache(_MAX_IMAGE_HIERARCHIES)
        self.collection_hierarchies: _HierarchyCache = cachebox.LRUCache(_MAX_COLLECTION_HIERARCHIES)


class ZarrStores:
    """The stores of a catalog.

    Args:
        catalog: of the images, as the reader sees it.
        options: how datasets are divided into chunks and compressed.
        caches: what is remembered between requests.
    """

    def __init__(self, catalog: Catalog, options: ZarrOptions, caches: StoreCaches) -> None:
        self.catalog = catalog
        self.options = options
        self._hints = caches.hints
        self._snapshots = caches.snapshots
        self._image_hierarchies = caches.image_hierarchies
        self._collection_hierarchies = caches.collection_hierarchies

    def find_matches(self, path: str) -> Iterator[StoreMatch]:
        """Yield what a path may lead to, the likeliest first; only a variant is opened.

        Raises:
            BadVariant: the path asks for a variant that cannot be made.
            Missing: the file of a variant does not exist.
            Unreadable: the file of a variant cannot be read.
        """
        base, mark, rest = f"/{path}".partition(f"/{MARK}")
        if mark:
            segment, _, key = rest.partition("/")
            yield StoreMatch(self.catalog.image(f"{base}/{MARK}{segment}".lstrip("/")), key)
            return
        node = extract_node_path(path)
        names = node.split("/")[:_MAX_DEPTH]
        prefixes = [self._hints.get(node), *("/".join(names[:depth]) for depth in range(len(names), 0, -1))]
        collections = 0
        for prefix in filter(None, dict.fromkeys(prefixes)):
            with suppress(NotFound):
                match = StoreMatch(self.catalog.image(prefix), path[len(prefix) + 1 :])
                self._hints[node] = prefix
                yield match
                collections += match.is_collection
                entry = match.image.entry
                if collections == _MAX_COLLECTIONS or (entry is not None and entry.path == match.image.path):
                    return  # an image contains no other; only the unmodified file has a path below that of an image

    def find_store(self, path: str) -> Image:
        """Find the store that a path without a key leads to.

        Raises:
            NotFound: there is none.
            BadVariant: see `find_matches`.
        """
        if path.count("/") > _MAX_DEPTH:
            raise NotFound("No path is so long.")
        return self.catalog.image(path)

    def get_state(self, match: StoreMatch) -> StoreState:
        """Return the state of a store, as far as the key depends on it; files are looked at, and none is read.

        Raises:
            Missing: the file does not exist.
            Unreadable: it is no file, or outside the archive.
            TooMany: it is a collection of more images than can be opened as one.
        """
        image = match.image
        if not match.is_collection:
            return StoreState(image.fingerprint, image.modified)
        snapshot_key = (self.catalog.visibility, image.path)
        snapshot = self._snapshots.get(snapshot_key)
        if snapshot is not None and is_chunk_key(match.key) and self._is_snapshot_valid(snapshot, match):
            return snapshot.state
        state = StoreState(image.fingerprint, image.modified)
        expires = monotonic() + _SNAPSHOT_LIFETIME
        self._snapshots[snapshot_key] = _CollectionSnapshot(state, image.member_fingerprints, expires)
        return state

    def _is_snapshot_valid(self, snapshot: _CollectionSnapshot, match: StoreMatch) -> bool:
        """Check whether the images that a chunk is read from are as they were."""
        hierarchy = self._collection_hierarchies.get((match.image.path, snapshot.state.fingerprint))
        if hierarchy is None or monotonic() >= snapshot.expires:
            return False
        chunk = hierarchy.get_chunk(match.key)
        paths = None if chunk is None else get_image_paths(chunk.variable, chunk.region)
        try:
            return paths is not None and all(
                self.catalog.image_from_entry(self.catalog.find_entry(path)).fingerprint
                == snapshot.member_fingerprints.get(path)
                for path in paths
            )
        except (NotFound, Unreadable):
            return False

    def get_hierarchy(self, match: StoreMatch, state: StoreState) -> Hierarchy:
        """Return the content of a store in this state as Zarr.

        Raises:
            Missing: its file does not exist.
            Unreadable: it cannot be read.
            TooMany: it is a collection of more images than can be opened as one.
            Changed: it is not in this state any more.
        """
        cache, cache_key = self._select_cache(match), (match.image.path, state.fingerprint)
        hierarchy = cache.get(cache_key)
        if hierarchy is None:
            if match.image.fingerprint != state.fingerprint:  # the state was cached, and an image changed since
                self._snapshots.pop((self.catalog.visibility, match.image.path), None)
                raise Changed
            hierarchy = cache[cache_key] = Hierarchy(match.image.open(chunked=False), self.options)
        return hierarchy

    def drop_hierarchy(self, match: StoreMatch, state: StoreState) -> bool:
        """Remove the content of a store from the cache; return whether it was there."""
        return self._select_cache(match).pop((match.image.path, state.fingerprint), None) is not None

    def _select_cache(self, match: StoreMatch) -> _HierarchyCache:
        return self._collection_hierarchies if match.is_collection else self._image_hierarchies
