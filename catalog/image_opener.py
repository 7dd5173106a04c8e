"""Determine the versions of images' files, open them as labelled lazy datasets, and remember these."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import TypeAlias

import cachebox
import xarray as xr

from shotdap.catalog.diagnostics.derive import DerivedImage, LabelledImage, derive_variables, resolve_variant
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.diagnostics.label import find_diagnostic, label_dataset
from shotdap.catalog.entry import Changed, Entry, Index, Unreadable
from shotdap.catalog.file_access import FileHeaders, ImageFiles
from shotdap.catalog.paths import RAW_SUFFIX, ImageAddress
from shotdap.catalog.readers.lazy import FrameMemory
from shotdap.catalog.storage import FileHandle, Version, VersionedFile
from shotdap.transforms import parse_variant
from shotdap.transforms.decoding import decode_dataset
from shotdap.transforms.virtual.provenance import Source

ViewFunction: TypeAlias = Callable[[xr.Dataset], xr.Dataset]
"""A lazy adaptation of every dataset that a caller opens, computed from the dataset alone."""

_MAX_OPEN_DATASETS = 512  # headers remembered, each view by itself; some 50 kB each
_MAX_COLLECTIONS = 4  # remembered, each with the headers of up to 200 images


@dataclass(frozen=True)
class FileSnapshot:
    """An image's entry and the version of its file at one moment."""

    entry: Entry
    is_raw: bool
    file: VersionedFile
    handle: FileHandle | None
    """Keeps this version readable for as long as the snapshot exists."""

    @property
    def version(self) -> Version:
        """The version of the file."""
        return self.file.version

    @property
    def fingerprint(self) -> tuple[Hashable, ...]:
        """The state of row and file; equal in every process."""
        entry = self.entry
        return entry.path, tuple(sorted(entry.facts.items())), entry.inspection_state, *self.version.fingerprint

    @property
    def cache_key(self) -> Hashable:
        """The key under which the opened image is remembered; the same for all its variants."""
        return *self.fingerprint, self.version.path, self.is_raw


@dataclass(frozen=True)
class ImageSnapshot:
    """An image and the images that its recipes take inputs from, at one moment."""

    image: FileSnapshot
    related: Mapping[str, FileSnapshot]
    unavailable: Mapping[str, str]
    """The reason for each related image that is not available."""

    @property
    def cache_key(self) -> tuple[Hashable, Hashable]:
        """The key of everything that is derived from these files."""
        return self.image.cache_key, tuple((name, each.cache_key) for name, each in self.related.items())

    def format_fingerprint(self, path: str) -> str:
        """Return the fingerprint of the content at a path of the image, which may be a variant."""
        files = (self.image, *self.related.values())
        return repr((path, *self.related, *(each.fingerprint for each in files), *self.unavailable.items()))


@dataclass(frozen=True, eq=False)  # compared by identity: a reopened file gives a new cache key
class _OpenFile:
    """A labelled image and the headers that it was made from."""

    labelled: LabelledImage
    headers: FileHeaders


class ImageOpener:
    """Opens images of an archive.

    Args:
        index: finds related images.
        files: the archive's files.
        diagnostics: descriptions of the archive's cameras, the particular before the general.
        results: remembers results that need whole images.
    """

    def __init__(
        self, index: Index, files: ImageFiles, diagnostics: tuple[Diagnostic, ...], results: FrameMemory
    ) -> None:
        self._index = index
        self._files = files
        self._diagnostics = diagnostics
        self._has_related = any(diagnostic.related for diagnostic in diagnostics)
        self._results = results
        self._file_cache: cachebox.LRUCache[Hashable, _OpenFile] = cachebox.LRUCache(_MAX_OPEN_DATASETS)
        self._derived_cache: cachebox.LRUCache[Hashable, DerivedImage] = cachebox.LRUCache(_MAX_OPEN_DATASETS)
        self.collection_cache: cachebox.LRUCache[Hashable, xr.Dataset] = cachebox.LRUCache(_MAX_COLLECTIONS)
        """Datasets of shots and stacks, by the opened images that they consist of."""

    def restrict(self, index: Index) -> ImageOpener:
        """Return an opener that finds related images by another index of the same archive.

        It shares what is remembered, whose keys have all files that a dataset is made of, and the reasons for others.
        """
        restricted = copy(self)
        restricted._index = index  # noqa: SLF001 — this class's own
        return restricted

    def take_snapshot(self, address: ImageAddress) -> ImageSnapshot:
        """Determine the versions of an image's file and of those of its related images, each once.

        Headers are read only if they decide which other images are related. Related images of related images are
        ignored.

        Raises:
            Missing: the file does not exist.
            Changed: the file, or a related one, is being written to.
            Unreadable: it is no file, or is outside the archive.
        """
        image = FileSnapshot(address.entry, address.is_raw, *self._files.take_snapshot(address.entry))
        related: dict[str, FileSnapshot] = {}
        unavailable: dict[str, str] = {}
        diagnostic = None if address.is_raw or not self._has_related else self._open_file(image).labelled.diagnostic
        for name, rule in diagnostic.related.items() if diagnostic else ():
            facts = address.entry.facts
            nearest = self._index.find_nearest(
                address.entry, rule.format_patterns(facts), when=rule.when, within_days=rule.within_days
            )
            if nearest is None:
                unavailable[name] = f"the archive has no {name} for this image"
                continue
            try:
                file, handle = self._files.take_snapshot(nearest)
                snapshot = FileSnapshot(nearest, is_raw=False, file=file, handle=handle)
                self._open_file(snapshot)
            except Changed:
                raise  # a new request may succeed
            except Unreadable as error:
                unavailable[name] = f"the {name} of this image, {nearest.path}: {error}"
            else:
                related[name] = snapshot
        return ImageSnapshot(image, related, unavailable)

    def resolve_variant(self, snapshot: ImageSnapshot, segment: str) -> str:
        """Return the canonical form of the segment of a path that asks for a variant.

        Raises:
            BadVariant: the variant does not fit this image.
        """
        labelled = self._open_file(snapshot.image).labelled
        return resolve_variant(labelled, parse_variant(segment), self._derive_related(snapshot)).canonical_text

    def derive_image(
        self, snapshot: ImageSnapshot, address: ImageAddress, *, chunked: bool = False, view: ViewFunction | None = None
    ) -> DerivedImage:
        """Open an image with its virtual variables.

        Raises:
            BadVariant: the variant of the address does not fit this image.
            Unreadable: its file cannot be read.
        """
        opened = self._open_file(snapshot.image)
        others = self._derive_related(snapshot, chunked=chunked)
        files = (*snapshot.cache_key, opened, *others.values())
        key = (*files, tuple(snapshot.unavailable.items()), address.variant, chunked, view)
        derived = self._derived_cache.get(key)
        if derived is None:
            labelled = opened.labelled
            if address.variant and address.is_raw:  # transforms compute with physical values, not with stored numbers
                labelled = replace(labelled, dataset=decode_dataset(labelled.dataset))
            derived = derive_variables(
                labelled,
                steps=parse_variant(address.variant) if address.variant else (),
                others=others,
                absent=snapshot.unavailable,
                path=address.path,
                remember=self._results.get_memo(snapshot.cache_key),
                chunked=chunked,
            )
            if view is not None:
                derived = replace(derived, dataset=view(derived.dataset))
            self._derived_cache[key] = derived
        return derived

    def _open_file(self, snapshot: FileSnapshot) -> _OpenFile:
        """Read a file's headers and label its arrays, without virtual variables."""
        self._files.fetch_file(snapshot.entry, snapshot.version)
        opened = self._file_cache.get(snapshot.cache_key)
        if opened is None or not self._files.is_available(opened.headers, snapshot.file):
            entry = snapshot.entry
            headers = self._files.read_headers(entry, snapshot.file)
            raw, integrity = headers.dataset, headers.integrity
            source = Source(entry.path, integrity.get("source", "").removeprefix("sha256:"))
            if snapshot.is_raw:
                labelled = LabelledImage(raw.assign_attrs(integrity), None, source)
            else:
                diagnostic = find_diagnostic(raw, entry.facts, self._diagnostics)
                attributes = {"file_as_it_is": f"{entry.path}{RAW_SUFFIX}", **integrity}
                dataset = label_dataset(raw, entry.facts, diagnostic).assign_attrs(attributes)
                labelled = LabelledImage(dataset, diagnostic, source)
            opened = self._file_cache[snapshot.cache_key] = _OpenFile(labelled, headers)
        return opened

    def _derive_related(self, snapshot: ImageSnapshot, *, chunked: bool = False) -> dict[str, DerivedImage]:
        return {
            name: self.derive_image(ImageSnapshot(each, {}, {}), ImageAddress(each.entry), chunked=chunked)
            for name, each in snapshot.related.items()
        }
