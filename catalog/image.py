"""An image as one immutable snapshot: its fingerprint and its content belong to the same versions of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import xarray as xr

from shotdap.catalog.diagnostics.derive import DerivedImage
from shotdap.catalog.entry import Entry
from shotdap.catalog.image_opener import ImageOpener, ImageSnapshot, ViewFunction
from shotdap.catalog.paths import ImageAddress
from shotdap.catalog.storage import Version
from shotdap.transforms.virtual.provenance import Origin


class Image(Protocol):
    """An image of the archive, its unmodified file, a variant, a shot or a stack, as found by its path.

    The versions of its files are determined once, when its content is first needed. They stay readable as long as the
    image exists, because the files are held open, unless too many are open or the bytes are a copy. Methods and
    properties that need them raise:

    - `Missing`: a file does not exist.
    - `Changed`: a file is being written to, or was overwritten.
    - `Unreadable`: it is no file, or is outside the archive, or cannot be read.
    - `TooMany`: a shot or a stack has more images than can be opened as one dataset.
    """

    @property
    def path(self) -> str:
        """The canonical path."""
        ...

    @property
    def entry(self) -> Entry | None:
        """The entry in the catalog; `None` for a shot or a stack."""
        ...

    @property
    def has_groups(self) -> bool:
        """True for a folder, which is opened with a group for each image in it."""
        ...

    @property
    def fingerprint(self) -> str:
        """A text that identifies the content, in every process and on every server."""
        ...

    @property
    def member_fingerprints(self) -> Mapping[str, str]:
        """The fingerprint of each image that it consists of, by path."""
        ...

    @property
    def modified(self) -> int:
        """The latest change of its files, in nanoseconds since 1970."""
        ...

    @property
    def version(self) -> Version | None:
        """The version of its file; `None` for a shot or a stack."""
        ...

    @property
    def related(self) -> Mapping[str, Entry]:
        """The other images that its virtual variables take inputs from, by the names that recipes give them."""
        ...

    def open(self, *, chunked: bool = True, view: ViewFunction | None = None) -> xr.Dataset:
        """Open the image: its headers are read, its pixels are not.

        Args:
            chunked: whether virtual variables are dask arrays; see `add_variables`.
            view: adapts the dataset; the result is remembered under this very function.

        Returns:
            The labelled dataset, the caller's own. The numbers in it are shared, and therefore read-only.

        Raises:
            BadVariant: the variant does not fit this image.
            BadStack: the images cannot be stacked.
        """
        ...

    def open_shared(self, *, view: ViewFunction | None = None) -> xr.Dataset:
        """Open the image without dask, for a caller that only selects from it and reads its attributes.

        To copy the dataset would take as long as to select from it.

        Args:
            view: see `open`.

        Returns:
            A dataset that other callers have, too: do not change it, and load nothing into it.

        Raises:
            BadVariant: the variant does not fit this image.
            BadStack: the images cannot be stacked.
        """
        ...

    def list_origins(self) -> Mapping[str, Origin]:
        """Return the provenance of each variable; nothing for a shot or a stack."""
        ...


class SingleImage:
    """One image of the archive, or a variant of it; see `Image`."""

    has_groups = False

    def __init__(self, address: ImageAddress, opener: ImageOpener, snapshot: ImageSnapshot | None = None) -> None:
        self.address = address
        self._opener = opener
        if snapshot is not None:
            self._taken = snapshot

    @property
    def path(self) -> str:
        """The canonical path."""
        return self.address.path

    @property
    def entry(self) -> Entry:
        """The entry in the catalog."""
        return self.address.entry

    @property
    def snapshot(self) -> ImageSnapshot:
        """The versions of its files, determined once."""
        # In Python 3.11, `cached_property` would let all images wait for one hung disk. Of threads that race the first
        # one's snapshot counts.
        taken: ImageSnapshot | None = self.__dict__.get("_taken")
        return taken or self.__dict__.setdefault("_taken", self._opener.take_snapshot(self.address))

    @property
    def fingerprint(self) -> str:
        """A text that identifies the content."""
        return self.snapshot.format_fingerprint(self.path)

    @property
    def member_fingerprints(self) -> Mapping[str, str]:
        """Its own fingerprint, by its path."""
        return {self.path: self.fingerprint}

    @property
    def modified(self) -> int:
        """The latest change of its files, in nanoseconds since 1970."""
        return max(each.version.modified for each in (self.snapshot.image, *self.snapshot.related.values()))

    @property
    def version(self) -> Version:
        """The version of its file."""
        return self.snapshot.image.version

    @property
    def related(self) -> Mapping[str, Entry]:
        """The other images that its virtual variables take inputs from."""
        return {name: each.entry for name, each in self.snapshot.related.items()}

    def select_variant(self, segment: str) -> SingleImage:
        """Return a variant of this image, with the same versions of its files.

        Raises:
            BadVariant: the variant does not fit this image.
            Unreadable: the image's file cannot be read.
        """
        variant = self._opener.resolve_variant(self.snapshot, segment)
        return SingleImage(replace(self.address, variant=variant), self._opener, self.snapshot)

    def derive(self, *, chunked: bool = False, view: ViewFunction | None = None) -> DerivedImage:
        """Return the opened image with the provenance of its variables; it is shared, so do not change it."""
        return self._opener.derive_image(self.snapshot, self.address, chunked=chunked, view=view)

    def open(self, *, chunked: bool = True, view: ViewFunction | None = None) -> xr.Dataset:
        """Open the image; see `Image`."""
        return self.derive(chunked=chunked, view=view).dataset.copy(deep=False)

    def open_shared(self, *, view: ViewFunction | None = None) -> xr.Dataset:
        """Open the image, to select from it; see `Image`."""
        return self.derive(view=view).dataset

    def list_origins(self) -> Mapping[str, Origin]:
        """Return the provenance of each variable."""
        return self.derive().origins
