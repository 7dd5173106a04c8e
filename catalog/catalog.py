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
from shotdap.catalog.collections.members import gathered, members, open_members
from shotdap.catalog.diagnostics.derive import Derived, Labelled, derive, variant_of
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.diagnostics.explain import explain
from shotdap.catalog.diagnostics.label import label, matching
from shotdap.catalog.entry import Changed, Entry, Index, NotFound, Page, Unreadable
from shotdap.catalog.file_access import Files
from shotdap.catalog.index import Changes, Facets, SearchPage
from shotdap.catalog.inspection.sandbox import Isolation
from shotdap.catalog.paths import RAW, Address, Collection, collection
from shotdap.catalog.query import Query
from shotdap.catalog.readers.gunzip import Unpacker
from shotdap.catalog.readers.lazy import FrameCache
from shotdap.catalog.searchable import Searchable, Unsearchable
from shotdap.catalog.storage import Folders, HeldFile, Store, Version, VersionedFile
from shotdap.transforms import MARK, BadVariant, parse_variant
from shotdap.transforms.decoding import decode_dataset
from shotdap.transforms.virtual.provenance import Origin, Source

__all__ = ["Catalog", "State", "View"]

View: TypeAlias = Callable[[xr.Dataset], xr.Dataset]
"""What a caller makes of every dataset it opens, lazily, from the dataset alone."""

_OBJECT = re.compile(r" at 0x[0-9a-f]+")  # in the representation of a function
_OPEN_DATASETS = 512  # headers remembered, each view by itself; some 50 kB each
_COLLECTIONS = 4  # remembered, each with the headers of up to 200 images


@dataclass(frozen=True)
class _Look:
    """An address, and its file at the moment that somebody looked."""

    address: Address
    file: VersionedFile
    held: HeldFile | None
    """Keeps this version readable for as long as the look is kept."""

    @property
    def version(self) -> Version:
        """The version of the file."""
        return self.file.version

    @property
    def key(self) -> Hashable:
        """What tells the image from all others, and from itself at other times; whatever the variant."""
        return *self.said, self.version.path, self.address.is_raw

    @property
    def said(self) -> tuple[Hashable, ...]:
        """What the archive and the file system say of it, which is the same for every process."""
        entry = self.address.entry
        return entry.path, tuple(sorted(entry.facts.items())), entry.inspected, *self.version.fingerprint


@dataclass(frozen=True)
class State:
    """All that what is served of an image depends on, besides the configuration."""

    text: str
    """What has the same text has the same values, in whichever process or on whichever server."""
    modified: int
    """When the youngest of the files was changed, in nanoseconds since 1970."""
    looks: _Looks | Mapping[str, State] | Exception | None = field(default=None, compare=False, repr=False)
    """What was looked at: an image and those related to it, each image of a collection, or why that cannot be.

    Whoever opens an image in this state gets what was looked at, as long as this is kept: files are held open for it.
    """

    @classmethod
    def joint(cls, path: str, states: Iterable[State]) -> State:
        """The state of a collection, of those of its images."""
        members = list(states)
        return cls(repr((path, *(each.text for each in members))), max((each.modified for each in members), default=0))

    @property
    def version(self) -> Version | None:
        """The version of an image's own file, if the state is that of an image and was not kept."""
        return self.looks.image.version if isinstance(self.looks, _Looks) else None

    def released(self) -> State:
        """Return the same state, to be kept; no file is held open for it."""
        return State(self.text, self.modified)


@dataclass(frozen=True, eq=False)  # two are the same only if they are one
class _Opened:
    """An image that was opened before."""

    labelled: Labelled
    content: VersionedFile
    """The file that its arrays are read from: the entry's own, or what that was unpacked to."""


@dataclass(frozen=True)
class _Related:
    """The other images that an image's recipes take inputs from."""

    there: Mapping[str, _Look]
    absent: Mapping[str, str]
    """For each that is not there, why."""

    @property
    def key(self) -> Hashable:
        """What tells them from others."""
        return tuple((name, look.key) for name, look in self.there.items())


_ALONE = _Related({}, {})


@dataclass(frozen=True)
class _Looks:
    """A look at an image, and at those that its recipes take inputs from."""

    image: _Look
    related: _Related


def _as_it_is(dataset: xr.Dataset) -> xr.Dataset:
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
        isolation: Isolation | None = None,
        refuse_changed: bool = False,
    ) -> None:
        self._index = index
        self.diagnostics = diagnostics
        """Descriptions of the archive's cameras."""
        self._any_related = any(diagnostic.related for diagnostic in diagnostics)
        where = Folders(store) if isinstance(store, Path) else store
        self._files = Files(where, unpacker, isolation, refuse_changed=refuse_changed)
        self._frames = FrameCache(cache_bytes)
        self._opened: cachebox.LRUCache[Hashable, _Opened] = cachebox.LRUCache(_OPEN_DATASETS)
        self._derived: cachebox.LRUCache[Hashable, Derived] = cachebox.LRUCache(_OPEN_DATASETS)
        self._collected: cachebox.LRUCache[Hashable, xr.Dataset] = cachebox.LRUCache(_COLLECTIONS)
        self.descriptions = blake2b(_OBJECT.sub("", repr(diagnostics)).encode(), digest_size=16).hexdigest()
        """How diagnostics are described, in a text that is the same in every process and changes with any of them."""

    def find(self, path: str) -> Entry:
        """The entry with this path.

        Raises:
            NotFound: there is none.
        """
        return self._index.find(path)

    def children(self, path: str, *, after: str | None = None, limit: int = 100) -> Page:
        """The folders and entries directly below a folder; ``""`` is the top.

        Raises:
            NotFound: there is no such folder.
        """
        return self._index.children(path, after=after, limit=limit)

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """A page of entries that match a query; see `Searchable`."""
        return self._searchable().search(query, after=after, limit=limit)

    def facets(self, query: Query | str = "") -> Facets:
        """How many entries match a query, by facility, diagnostic, year and health; see `Searchable`."""
        return self._searchable().facets(query)

    def changes(self, since: int = 0, *, limit: int = 1000) -> Changes:
        """What has changed since a token that an earlier answer gave; see `Searchable`."""
        return self._searchable().changes(since, limit=limit)

    def _searchable(self) -> Searchable:
        if not isinstance(self._index, Searchable):
            raise Unsearchable("This index only finds images by their paths.")
        return self._index

    def open(self, path: str, *, chunked: bool = True, view: View = _as_it_is) -> xr.Dataset:
        """Open an image: its headers are read, its pixels are not.

        Args:
            path: the public path; with ``/raw`` behind it, the file as it is, with its own names and attributes; with
                ``/~…`` behind it, a variant: see `transforms.variant`.
            chunked: whether virtual variables are dask arrays; see `extend`.
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
        return self.open_address(self.resolve(path), chunked=chunked, view=view)

    def resolve(self, path: str) -> Address | Collection:
        """What a path leads to. Headers are read where it asks for a variant, which has to fit them.

        Raises:
            NotFound: there is no such image.
            BadVariant: the path asks for a variant that cannot be made of it.
            Missing: its file is not there, where headers are needed.
            Unreadable: likewise, if it cannot be read.
        """
        image, mark, segment = f"/{path}".partition(f"/{MARK}")
        try:
            address = self._image(image[1:])
        except NotFound:
            return self._collection(image[1:], segment)
        return self._varied(address, segment) if mark else address

    def _varied(self, address: Address, segment: str, looks: _Looks | None = None) -> Address:
        looks = looks or self._looks(address)
        opened = self._open(looks.image)
        variant = variant_of(opened.labelled, parse_variant(segment), self._others(looks.related))
        return replace(address, variant=variant.text)

    def _image(self, path: str) -> Address:
        try:
            return Address(self.find(path))
        except NotFound:
            if not path.endswith(RAW):
                raise
        return Address(self.find(path.removesuffix(RAW)), is_raw=True)

    def _collection(self, folder: str, segment: str) -> Collection:
        """The collection of images that a folder's path leads to.

        Raises:
            NotFound: there is no such folder; or it has no variants.
        """
        found = collection(folder, segment) if folder or segment else None
        if found is None:
            raise NotFound(f"There is no image at {folder!r}.")
        self.children(folder, limit=1)  # to see whether there is such a folder
        return found

    def open_address(
        self,
        address: Address | Collection,
        *,
        chunked: bool = True,
        view: View = _as_it_is,
        state: State | None = None,
    ) -> xr.Dataset:
        """Open what a path was found to lead to; see `open`.

        Args:
            address: what it leads to.
            chunked: see `open`.
            view: see `open`.
            state: that it is to be in, as `state` has found it just now; else the state that it is in now.

        Raises:
            Changed: it is not in that state any more.
        """
        state = state or self.state(address)
        if isinstance(address, Collection):
            return view(self._gathered(address, state, chunked=chunked))
        looks = self._looks_of(address, state)
        derived = self._derive(looks.image, looks.related, chunked=chunked, view=view)
        return derived.dataset.copy(deep=False)

    def images(self, asked: Collection, *, most: int) -> tuple[Entry, ...]:
        """All images of a collection, in the order of their paths, or of their shots where it is a stack.

        Raises:
            NotFound: there is no such folder.
            TooMany: they are more than `most`.
        """
        return tuple(each.entry for each in members(asked, self._index, self._searchable, most))

    def origins(self, address: Address | Collection, state: State | None = None) -> Mapping[str, Origin]:
        """How each variable of an image came to be; see `open_address`. Of collections nothing is told."""
        if isinstance(address, Collection):
            return {}
        looks = self._looks_of(address, state or self.state(address))
        return self._derive(looks.image, looks.related).origins

    def state(self, address: Address | Collection) -> State:
        """The state of an image, or of all of a collection: a look at each file and at related ones.

        No file is opened, but for headers, where these say which others are related.

        Raises:
            Missing: the file is not there.
            Changed: the file is being written to.
            Unreadable: what is there is no file, or lies outside the archive.
        """
        if isinstance(address, Collection):
            return self.joint_state(address)[0]
        looks = self._looks(address)
        files = (looks.image, *looks.related.there.values())
        text = repr((address.path, *looks.related.there, *(each.said for each in files), *looks.related.absent.items()))
        return State(text, max(each.version.modified for each in files), looks)

    def joint_state(self, asked: Collection) -> tuple[State, dict[str, State]]:
        """The state of a collection, and those of its images by their paths; see `state`.

        One that cannot be read has one, too.

        Raises:
            NotFound: there is no such collection.
            TooMany: they are more than one dataset may be of.
        """
        images = {each.path: self._state_of(each) for each in self._members(asked)}
        return replace(State.joint(asked.path, images.values()), looks=images), images

    def _state_of(self, member: Address) -> State:
        """The state of a member; one that cannot be read has one, too."""
        try:
            return self.state(member)
        except Changed:
            raise  # asking again helps
        except (BadVariant, Unreadable) as error:
            return State(f"{member.path}: {error}", 0, error)

    def _members(self, asked: Collection) -> list[Address]:
        return members(asked, self._index, self._searchable)

    def _gathered(self, asked: Collection, state: State, *, chunked: bool) -> xr.Dataset:
        """A collection as one dataset, remembered for as long as each of its images is the same."""
        states = state.looks if isinstance(state.looks, Mapping) else {}

        def opened(image: Address) -> Derived:
            looks = self._looks_of(image, states.get(image.path) or State("", 0))
            varied = self._varied(image, asked.variant.removeprefix(MARK), looks) if asked.variant else image
            return self._derive(replace(looks.image, address=varied), looks.related, chunked=chunked)

        images = self._members(asked)
        found, left_out = open_members(asked, images, opened)
        key = (asked.path, *found.values(), *left_out.items())
        dataset = self._collected.get(key)
        if dataset is None:
            dataset = gathered(asked, images, found, left_out)
            self._collected[key] = dataset
        return dataset.copy(deep=False)

    def _looks_of(self, address: Address, state: State) -> _Looks:
        """What was looked at to learn a state.

        Raises:
            Changed: it is not known any more, and the image is not in that state now.
            Exception: what was raised when it was looked at.
        """
        if isinstance(state.looks, Exception):
            raise state.looks
        if not isinstance(state.looks, _Looks):
            now = self.state(address)
            if now != state:
                raise Changed
            return self._looks_of(address, now)
        return state.looks

    def explain(self, entry: Entry) -> Iterator[str]:
        """Say, line by line, what the descriptions of diagnostics make of an image; see `explanation`.

        Raises:
            Missing: its file is not there.
            Unreadable: its file cannot be read; the message says why.
        """
        raw = self.open_address(Address(entry, is_raw=True))
        looks = self._looks(Address(entry))
        return explain(raw, self._derive(looks.image, looks.related), entry.facts, self.diagnostics)

    def locate(self, entry: Entry) -> Path:
        """Where an entry's file is now. The path is never a client's to see.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive.
        """
        version = self.version(entry)
        self._files.fetch(entry, version)
        return version.path

    def hold(self, entry: Entry) -> HeldFile:
        """Hold an entry's file open as it is now: for handing on its bytes.

        Raises:
            Missing: the file is not there.
            Changed: it is being written to.
            Unreadable: what is there is no file, or lies outside the archive, or cannot be opened.
        """
        file, held = self._files.look(entry)
        self._files.fetch(entry, file.version)
        held = held or file.hold()
        held.version = file.version
        return held

    def version(self, entry: Entry) -> Version:
        """An entry's file at this moment; a look at it, without opening it.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive.
        """
        return self._files.version(entry)

    def _look(self, address: Address) -> _Look:
        return _Look(address, *self._files.look(address.entry))

    def _looks(self, address: Address) -> _Looks:
        look = self._look(address)
        return _Looks(look, self._related(look))

    def _open(self, look: _Look) -> _Opened:
        """An image without what is derived from it: its headers are read."""
        self._files.fetch(look.address.entry, look.version)
        opened = self._opened.get(look.key)
        if opened is None or not self._files.is_there(opened.content, look.file):
            content = self._files.content(look.file)
            said = self._files.integrity(look.address.entry, look.file, content)
            raw = readers.read(content, self._frames.of(look.version))
            opened = _Opened(self._labelled(raw, look.address, said), content)
            self._opened[look.key] = opened
        return opened

    def _labelled(self, raw: xr.Dataset, address: Address, said: Mapping[str, str]) -> Labelled:
        entry = address.entry
        source = Source(entry.path, said.get("source", "").removeprefix("sha256:"))
        if address.is_raw:
            return Labelled(raw.assign_attrs(said), None, source)
        diagnostic = matching(raw, entry.facts, self.diagnostics)
        labelled = label(raw, entry.facts, diagnostic).assign_attrs(file_as_it_is=f"{entry.path}{RAW}", **said)
        return Labelled(labelled, diagnostic, source)

    def _related(self, look: _Look) -> _Related:
        """Look for the images that an image's recipes take inputs from. None of these has such images in its turn."""
        if look.address.is_raw or not self._any_related:
            return _ALONE
        diagnostic = self._open(look).labelled.diagnostic
        there: dict[str, _Look] = {}
        absent: dict[str, str] = {}
        for name, rule in diagnostic.related.items() if diagnostic else ():
            entry = look.address.entry
            found = self._index.nearest(entry, rule.patterns(entry.facts), when=rule.when, within_days=rule.within_days)
            try:
                if found is None:
                    absent[name] = f"the archive has no {name} for this image"
                else:
                    there[name] = self._look(Address(found))
                    self._open(there[name])
            except Changed:
                raise  # asking again helps
            except Unreadable as error:
                there.pop(name, None)
                absent[name] = f"the {name} of this image, {found.path if found else name}: {error}"
        return _Related(there, absent)

    def _others(self, related: _Related, *, chunked: bool = False) -> dict[str, Derived]:
        return {name: self._derive(look, _ALONE, chunked=chunked) for name, look in related.there.items()}

    def _derive(self, look: _Look, related: _Related, *, chunked: bool = False, view: View = _as_it_is) -> Derived:
        """An image with all that is derived from it."""
        opened = self._open(look)
        others = self._others(related, chunked=chunked)
        variant = look.address.variant
        of = (look.key, related.key, opened, *others.values())
        key = (*of, tuple(related.absent.items()), variant, chunked, view)
        derived = self._derived.get(key)
        if derived is None:
            labelled = opened.labelled
            if variant and look.address.is_raw:  # what is computed is computed of what numbers mean
                labelled = replace(labelled, dataset=decode_dataset(labelled.dataset))
            derived = derive(
                labelled,
                steps=parse_variant(variant) if variant else (),
                others=others,
                absent=related.absent,
                path=look.address.path,
                remember=self._frames.of((look.key, related.key)),
                chunked=chunked,
            )
            derived = replace(derived, dataset=view(derived.dataset))
            self._derived[key] = derived
        return derived
