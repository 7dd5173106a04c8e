"""The catalog: finds an image by its path, and opens it as a labelled lazy dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import cachebox
import xarray as xr

from shotdap.catalog import readers
from shotdap.catalog.collections.members import combine_members, find_members, open_members
from shotdap.catalog.diagnostics.derive import DerivedImage, LabelledImage, derive_variables, resolve_variant
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.diagnostics.explain import explain_labelling
from shotdap.catalog.diagnostics.label import find_diagnostic, label_dataset
from shotdap.catalog.entry import Changed, Entry, FolderPage, Index, NotFound, Unreadable
from shotdap.catalog.file_access import ArchiveFiles
from shotdap.catalog.index import ChangePage, FacetCounts, SearchPage
from shotdap.catalog.inspection.sandbox import Sandbox
from shotdap.catalog.paths import RAW_SUFFIX, ImageAddress, ImageCollection, parse_collection
from shotdap.catalog.query import Query
from shotdap.catalog.readers.gunzip import Unpacker
from shotdap.catalog.readers.lazy import FrameCache
from shotdap.catalog.searchable import Searchable, Unsearchable
from shotdap.catalog.storage import FileHandle, LocalStore, Store, Version, VersionedFile
from shotdap.transforms import MARK, BadVariant, parse_variant
from shotdap.transforms.decoding import decode_dataset
from shotdap.transforms.virtual.provenance import Origin, Source

__all__ = ["Catalog", "ContentState", "ViewFunction"]

ViewFunction: TypeAlias = Callable[[xr.Dataset], xr.Dataset]
"""What a caller makes of every dataset it opens, lazily, from the dataset alone."""

_OBJECT_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # in the representation of a function
_MAX_OPEN_DATASETS = 512  # headers remembered, each view by itself; some 50 kB each
_MAX_COLLECTIONS = 4  # remembered, each with the headers of up to 200 images


@dataclass(frozen=True)
class _FileSnapshot:
    """An address, and its file at the moment that somebody looked."""

    address: ImageAddress
    file: VersionedFile
    held: FileHandle | None
    """Keeps this version readable for as long as the look is kept."""

    @property
    def version(self) -> Version:
        """The version of the file."""
        return self.file.version

    @property
    def cache_key(self) -> Hashable:
        """What tells the image from all others, and from itself at other times; whatever the variant."""
        return *self.fingerprint, self.version.path, self.address.is_raw

    @property
    def fingerprint(self) -> tuple[Hashable, ...]:
        """What the archive and the file system say of it, which is the same for every process."""
        entry = self.address.entry
        return entry.path, tuple(sorted(entry.facts.items())), entry.inspection_state, *self.version.fingerprint


@dataclass(frozen=True)
class ContentState:
    """All that what is served of an image depends on, besides the configuration."""

    fingerprint: str
    """What has the same text has the same values, in whichever process or on whichever server."""
    modified: int
    """When the youngest of the files was changed, in nanoseconds since 1970."""
    snapshot: _ImageSnapshot | Mapping[str, ContentState] | Exception | None = field(
        default=None, compare=False, repr=False
    )
    """What was looked at: an image and those related to it, each image of a collection, or why that cannot be.

    Whoever opens an image in this state gets what was looked at, as long as this is kept: files are held open for it.
    """

    @classmethod
    def combine(cls, path: str, states: Iterable[ContentState]) -> ContentState:
        """The state of a collection, of those of its images."""
        members = list(states)
        return cls(
            repr((path, *(each.fingerprint for each in members))), max((each.modified for each in members), default=0)
        )

    @property
    def version(self) -> Version | None:
        """The version of an image's own file, if the state is that of an image and was not kept."""
        return self.snapshot.image.version if isinstance(self.snapshot, _ImageSnapshot) else None

    def drop_snapshot(self) -> ContentState:
        """Return the same state, to be kept; no file is held open for it."""
        return ContentState(self.fingerprint, self.modified)


@dataclass(frozen=True, eq=False)  # two are the same only if they are one
class _OpenImage:
    """An image that was opened before."""

    labelled: LabelledImage
    content: VersionedFile
    """The file that its arrays are read from: the entry's own, or what that was unpacked to."""


@dataclass(frozen=True)
class _RelatedImages:
    """The other images that an image's recipes take inputs from."""

    available: Mapping[str, _FileSnapshot]
    unavailable: Mapping[str, str]
    """For each that is not there, why."""

    @property
    def cache_key(self) -> Hashable:
        """What tells them from others."""
        return tuple((name, look.cache_key) for name, look in self.available.items())


_NO_RELATED = _RelatedImages({}, {})


@dataclass(frozen=True)
class _ImageSnapshot:
    """A look at an image, and at those that its recipes take inputs from."""

    image: _FileSnapshot
    related: _RelatedImages


def _identity(dataset: xr.Dataset) -> xr.Dataset:
    return dataset


class Catalog:
    """Every image of an archive, found by its public path and opened lazily.

    Args:
        index: finds entries.
        store: has the archive's files, or is the folder that they lie in. No file outside it is ever opened.
        diagnostics: descriptions of the archive's cameras, the particular before the general.
        cache_bytes: how much of decoded frames, and of results that need whole images, to remember.
        unpacker: unpacks files that are packed by gzip; without it they are not read.
        isolation: where a file that no inspection has seen is read whole before it is read here; without it, such a
            file is trusted.
        refuse_changed: whether to refuse a file that is not what an inspection saw, rather than serve it with a
            warning.
    """

    def __init__(  # noqa: PLR0913 — each is one choice of a deployment, by keyword
        self,
        index: Index,
        store: Store | Path,
        diagnostics: tuple[Diagnostic, ...] = (),
        *,
        cache_bytes: int = 512 << 20,
        unpacker: Unpacker | None = None,
        isolation: Sandbox | None = None,
        refuse_changed: bool = False,
    ) -> None:
        self._index = index
        self.diagnostics = diagnostics
        """Descriptions of the archive's cameras."""
        self._has_related = any(diagnostic.related for diagnostic in diagnostics)
        where = LocalStore(store) if isinstance(store, Path) else store
        self._files = ArchiveFiles(where, unpacker, isolation, refuse_changed=refuse_changed)
        self._frame_cache = FrameCache(cache_bytes)
        self._image_cache: cachebox.LRUCache[Hashable, _OpenImage] = cachebox.LRUCache(_MAX_OPEN_DATASETS)
        self._derived_cache: cachebox.LRUCache[Hashable, DerivedImage] = cachebox.LRUCache(_MAX_OPEN_DATASETS)
        self._collection_cache: cachebox.LRUCache[Hashable, xr.Dataset] = cachebox.LRUCache(_MAX_COLLECTIONS)
        self.diagnostics_fingerprint = blake2b(
            _OBJECT_ADDRESS.sub("", repr(diagnostics)).encode(), digest_size=16
        ).hexdigest()
        """How diagnostics are described, in a text that is the same in every process and changes with any of them."""

    def find_entry(self, path: str) -> Entry:
        """The entry with this path.

        Raises:
            NotFound: there is none.
        """
        return self._index.find_entry(path)

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """The folders and entries directly below a folder; ``""`` is the top.

        Raises:
            NotFound: there is no such folder.
        """
        return self._index.list_children(path, after=after, limit=limit)

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """A page of entries that match a query; see `Searchable`."""
        return self._require_searchable().search(query, after=after, limit=limit)

    def count_facets(self, query: Query | str = "") -> FacetCounts:
        """How many entries match a query, by facility, diagnostic, year and health; see `Searchable`."""
        return self._require_searchable().count_facets(query)

    def list_changes(self, since: int = 0, *, limit: int = 1000) -> ChangePage:
        """What has changed since a token that an earlier answer gave; see `Searchable`."""
        return self._require_searchable().list_changes(since, limit=limit)

    def _require_searchable(self) -> Searchable:
        if not isinstance(self._index, Searchable):
            raise Unsearchable("This index only finds images by their paths.")
        return self._index

    def open(self, path: str, *, chunked: bool = True, view: ViewFunction = _identity) -> xr.Dataset:
        """Open an image: its headers are read, its pixels are not.

        Args:
            path: the public path; with ``/raw`` behind it, the file as it is, with its own names and attributes; with
                ``/~…`` behind it, a variant: see `transforms.variant`.
            chunked: whether virtual variables are dask arrays; see `add_variables`.
            view: what to make of the dataset; the outcome is remembered under this very function.

        Returns:
            The labelled dataset, the caller's own: what is loaded into it, or taken out, no one else sees. The
            numbers in it are shared, and so cannot be written to.

        Raises:
            NotFound: there is no such image.
            BadVariant: the variant cannot be made of this image.
            Missing: its file is not there.
            Unreadable: its file cannot be read; the message says why.
        """
        return self.open_address(self.resolve_path(path), chunked=chunked, view=view)

    def resolve_path(self, path: str) -> ImageAddress | ImageCollection:
        """What a path leads to. Headers are read where it asks for a variant, which has to fit them.

        Raises:
            NotFound: there is no such image.
            BadVariant: the path asks for a variant that cannot be made of it.
            Missing: its file is not there, where headers are needed.
            Unreadable: likewise, if it cannot be read.
        """
        image, mark, segment = f"/{path}".partition(f"/{MARK}")
        try:
            address = self._find_image(image[1:])
        except NotFound:
            return self._find_collection(image[1:], segment)
        return self._resolve_variant(address, segment) if mark else address

    def _resolve_variant(
        self, address: ImageAddress, segment: str, looks: _ImageSnapshot | None = None
    ) -> ImageAddress:
        looks = looks or self._take_image_snapshot(address)
        opened = self._open_image(looks.image)
        variant = resolve_variant(opened.labelled, parse_variant(segment), self._derive_related(looks.related))
        return replace(address, variant=variant.canonical_text)

    def _find_image(self, path: str) -> ImageAddress:
        try:
            return ImageAddress(self.find_entry(path))
        except NotFound:
            if not path.endswith(RAW_SUFFIX):
                raise
        return ImageAddress(self.find_entry(path.removesuffix(RAW_SUFFIX)), is_raw=True)

    def _find_collection(self, folder: str, segment: str) -> ImageCollection:
        """The collection of images that a folder's path leads to.

        Raises:
            NotFound: there is no such folder; or it has no variants.
        """
        found = parse_collection(folder, segment) if folder or segment else None
        if found is None:
            raise NotFound(f"There is no image at {folder!r}.")
        self.list_children(folder, limit=1)  # to see whether there is such a folder
        return found

    def open_address(
        self,
        address: ImageAddress | ImageCollection,
        *,
        chunked: bool = True,
        view: ViewFunction = _identity,
        state: ContentState | None = None,
    ) -> xr.Dataset:
        """Open what a path was found to lead to; see `open`.

        Args:
            address: what it leads to.
            chunked: see `open`.
            view: see `open`.
            state: that it is to be in, as `get_state` has found it just now; else the state that it is in now.

        Raises:
            Changed: it is not in that state any more.
        """
        state = state or self.get_state(address)
        if isinstance(address, ImageCollection):
            return view(self._open_collection(address, state, chunked=chunked))
        looks = self._get_image_snapshot(address, state)
        derived = self._derive_image(looks.image, looks.related, chunked=chunked, view=view)
        return derived.dataset.copy(deep=False)

    def list_images(self, asked: ImageCollection, *, most: int) -> tuple[Entry, ...]:
        """All images of a collection, in the order of their paths, or of their shots where it is a stack.

        Raises:
            NotFound: there is no such folder.
            TooMany: they are more than `most`.
        """
        return tuple(each.entry for each in find_members(asked, self._index, self._require_searchable, most))

    def get_origins(
        self, address: ImageAddress | ImageCollection, state: ContentState | None = None
    ) -> Mapping[str, Origin]:
        """How each variable of an image came to be; see `open_address`. Of collections nothing is told."""
        if isinstance(address, ImageCollection):
            return {}
        looks = self._get_image_snapshot(address, state or self.get_state(address))
        return self._derive_image(looks.image, looks.related).origins

    def get_state(self, address: ImageAddress | ImageCollection) -> ContentState:
        """The state of an image, or of all of a collection: a look at each file and at related ones.

        No file is opened, but for headers, where these say which others are related.

        Raises:
            Missing: the file is not there.
            Changed: the file is being written to.
            Unreadable: what is there is no file, or lies outside the archive.
        """
        if isinstance(address, ImageCollection):
            return self.get_collection_state(address)[0]
        looks = self._take_image_snapshot(address)
        files = (looks.image, *looks.related.available.values())
        text = repr(
            (
                address.path,
                *looks.related.available,
                *(each.fingerprint for each in files),
                *looks.related.unavailable.items(),
            )
        )
        return ContentState(text, max(each.version.modified for each in files), looks)

    def get_collection_state(self, asked: ImageCollection) -> tuple[ContentState, dict[str, ContentState]]:
        """The state of a collection, and those of its images by their paths; see `get_state`.

        One that cannot be read has one, too.

        Raises:
            NotFound: there is no such collection.
            TooMany: they are more than one dataset may be of.
        """
        images = {each.path: self._get_member_state(each) for each in self._find_members(asked)}
        return replace(ContentState.combine(asked.path, images.values()), snapshot=images), images

    def _get_member_state(self, member: ImageAddress) -> ContentState:
        """The state of a member; one that cannot be read has one, too."""
        try:
            return self.get_state(member)
        except Changed:
            raise  # asking again helps
        except (BadVariant, Unreadable) as error:
            return ContentState(f"{member.path}: {error}", 0, error)

    def _find_members(self, asked: ImageCollection) -> list[ImageAddress]:
        return find_members(asked, self._index, self._require_searchable)

    def _open_collection(self, asked: ImageCollection, state: ContentState, *, chunked: bool) -> xr.Dataset:
        """A collection as one dataset, remembered for as long as each of its images is the same."""
        states = state.snapshot if isinstance(state.snapshot, Mapping) else {}

        def open_member(image: ImageAddress) -> DerivedImage:
            looks = self._get_image_snapshot(image, states.get(image.path) or ContentState("", 0))
            varied = self._resolve_variant(image, asked.variant.removeprefix(MARK), looks) if asked.variant else image
            return self._derive_image(replace(looks.image, address=varied), looks.related, chunked=chunked)

        images = self._find_members(asked)
        found, left_out = open_members(asked, images, open_member)
        key = (asked.path, *found.values(), *left_out.items())
        dataset = self._collection_cache.get(key)
        if dataset is None:
            dataset = combine_members(asked, images, found, left_out)
            self._collection_cache[key] = dataset
        return dataset.copy(deep=False)

    def _get_image_snapshot(self, address: ImageAddress, state: ContentState) -> _ImageSnapshot:
        """What was looked at to learn a state.

        Raises:
            Changed: it is not known any more, and the image is not in that state now.
            Exception: what was raised when it was looked at.
        """
        if isinstance(state.snapshot, Exception):
            raise state.snapshot
        if not isinstance(state.snapshot, _ImageSnapshot):
            now = self.get_state(address)
            if now != state:
                raise Changed
            return self._get_image_snapshot(address, now)
        return state.snapshot

    def explain_labelling(self, entry: Entry) -> Iterator[str]:
        """Say, line by line, what the descriptions of diagnostics make of an image; see `explanation`.

        Raises:
            Missing: its file is not there.
            Unreadable: its file cannot be read; the message says why.
        """
        raw = self.open_address(ImageAddress(entry, is_raw=True))
        looks = self._take_image_snapshot(ImageAddress(entry))
        return explain_labelling(raw, self._derive_image(looks.image, looks.related), entry.facts, self.diagnostics)

    def locate_file(self, entry: Entry) -> Path:
        """Where an entry's file is now. The path is never a client's to see.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive.
        """
        version = self.get_file_version(entry)
        self._files.fetch_file(entry, version)
        return version.path

    def hold_file(self, entry: Entry) -> FileHandle:
        """Hold an entry's file open as it is now: for handing on its bytes.

        Raises:
            Missing: the file is not there.
            Changed: it is being written to.
            Unreadable: what is there is no file, or lies outside the archive, or cannot be opened.
        """
        file, held = self._files.take_snapshot(entry)
        self._files.fetch_file(entry, file.version)
        held = held or file.acquire_handle()
        held.version = file.version
        return held

    def get_file_version(self, entry: Entry) -> Version:
        """An entry's file at this moment; a look at it, without opening it.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive.
        """
        return self._files.get_file_version(entry)

    def _take_snapshot(self, address: ImageAddress) -> _FileSnapshot:
        return _FileSnapshot(address, *self._files.take_snapshot(address.entry))

    def _take_image_snapshot(self, address: ImageAddress) -> _ImageSnapshot:
        look = self._take_snapshot(address)
        return _ImageSnapshot(look, self._find_related(look))

    def _open_image(self, look: _FileSnapshot) -> _OpenImage:
        """An image without what is derived from it: its headers are read."""
        self._files.fetch_file(look.address.entry, look.version)
        opened = self._image_cache.get(look.cache_key)
        if opened is None or not self._files.is_available(opened.content, look.file):
            content = self._files.find_content(look.file)
            said = self._files.check_integrity(look.address.entry, look.file, content)
            raw = readers.read(content, self._frame_cache.get_memo(look.version))
            opened = _OpenImage(self._label_image(raw, look.address, said), content)
            self._image_cache[look.cache_key] = opened
        return opened

    def _label_image(self, raw: xr.Dataset, address: ImageAddress, said: Mapping[str, str]) -> LabelledImage:
        entry = address.entry
        source = Source(entry.path, said.get("source", "").removeprefix("sha256:"))
        if address.is_raw:
            return LabelledImage(raw.assign_attrs(said), None, source)
        diagnostic = find_diagnostic(raw, entry.facts, self.diagnostics)
        labelled = label_dataset(raw, entry.facts, diagnostic).assign_attrs(
            file_as_it_is=f"{entry.path}{RAW_SUFFIX}", **said
        )
        return LabelledImage(labelled, diagnostic, source)

    def _find_related(self, look: _FileSnapshot) -> _RelatedImages:
        """Look for the images that an image's recipes take inputs from. None of these has such images in its turn."""
        if look.address.is_raw or not self._has_related:
            return _NO_RELATED
        diagnostic = self._open_image(look).labelled.diagnostic
        there: dict[str, _FileSnapshot] = {}
        absent: dict[str, str] = {}
        for name, rule in diagnostic.related.items() if diagnostic else ():
            entry = look.address.entry
            found = self._index.find_nearest(
                entry, rule.format_patterns(entry.facts), when=rule.when, within_days=rule.within_days
            )
            try:
                if found is None:
                    absent[name] = f"the archive has no {name} for this image"
                else:
                    there[name] = self._take_snapshot(ImageAddress(found))
                    self._open_image(there[name])
            except Changed:
                raise  # asking again helps
            except Unreadable as error:
                there.pop(name, None)
                absent[name] = f"the {name} of this image, {found.path if found else name}: {error}"
        return _RelatedImages(there, absent)

    def _derive_related(self, related: _RelatedImages, *, chunked: bool = False) -> dict[str, DerivedImage]:
        return {
            name: self._derive_image(look, _NO_RELATED, chunked=chunked) for name, look in related.available.items()
        }

    def _derive_image(
        self, look: _FileSnapshot, related: _RelatedImages, *, chunked: bool = False, view: ViewFunction = _identity
    ) -> DerivedImage:
        """An image with all that is derived from it."""
        opened = self._open_image(look)
        others = self._derive_related(related, chunked=chunked)
        variant = look.address.variant
        of = (look.cache_key, related.cache_key, opened, *others.values())
        key = (*of, tuple(related.unavailable.items()), variant, chunked, view)
        derived = self._derived_cache.get(key)
        if derived is None:
            labelled = opened.labelled
            if variant and look.address.is_raw:  # what is computed is computed of what numbers mean
                labelled = replace(labelled, dataset=decode_dataset(labelled.dataset))
            derived = derive_variables(
                labelled,
                steps=parse_variant(variant) if variant else (),
                others=others,
                absent=related.unavailable,
                path=look.address.path,
                remember=self._frame_cache.get_memo((look.cache_key, related.cache_key)),
                chunked=chunked,
            )
            derived = replace(derived, dataset=view(derived.dataset))
            self._derived_cache[key] = derived
        return derived
