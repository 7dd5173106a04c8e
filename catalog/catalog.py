"""The catalog: find an image by its path, and open it as a labelled lazy dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from functools import partial
from hashlib import blake2b
from pathlib import Path

import xarray as xr

from shotdap.catalog.collections.combined_image import CombinedImage
from shotdap.catalog.collections.latest import find_latest
from shotdap.catalog.collections.members import MAX_IMAGES, find_members
from shotdap.catalog.diagnostics.diagnostic import Diagnostic
from shotdap.catalog.diagnostics.explain import explain_labelling
from shotdap.catalog.entry import Entry, FolderPage, Index, NotFound
from shotdap.catalog.file_access import ArchiveFiles, ImageFiles
from shotdap.catalog.image import Image, SingleImage
from shotdap.catalog.image_opener import ImageOpener, ViewFunction
from shotdap.catalog.index import FIRST_TOKEN, BuildState, ChangePage, FacetCounts, SearchPage
from shotdap.catalog.index.search.visibility import EVERYTHING, Visibility
from shotdap.catalog.inspection.check_file import inspect_in_sandbox
from shotdap.catalog.inspection.sandbox import Sandbox
from shotdap.catalog.paths import RAW_SUFFIX, CollectionAddress, ImageAddress, parse_collection
from shotdap.catalog.query import Query
from shotdap.catalog.readers.gunzip import Unpacker
from shotdap.catalog.readers.lazy import FrameCache, FrameMemory
from shotdap.catalog.searchable import BuiltIndex, RestrictableIndex, Searchable, Unsearchable
from shotdap.catalog.storage import FileHandle, LocalStore, Store, Version
from shotdap.transforms import MARK

_OBJECT_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # in the representation of a function


def compute_diagnostics_fingerprint(diagnostics: tuple[Diagnostic, ...]) -> str:
    """Compute a hash of descriptions of diagnostics."""
    return blake2b(_OBJECT_ADDRESS.sub("", repr(diagnostics)).encode(), digest_size=16).hexdigest()


class Catalog:
    """Every image of an archive, found by its public path and opened lazily.

    Args:
        index: finds entries.
        store: contains the archive's files, or is their folder. No file outside it is ever opened.
        diagnostics: descriptions of the archive's cameras, the particular before the general.
        cache_bytes: how much of decoded frames, and of results that need whole images, to remember.
        unpacker: unpacks files that are packed by gzip; without it they are not read.
        sandbox: the sandbox in which a file that was never inspected is read whole before it is read here; without
            it, such a file is trusted.
        refuse_changed: whether to refuse a file that changed since its inspection, rather than serve it with a
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
        sandbox: Sandbox | None = None,
        refuse_changed: bool = False,
    ) -> None:
        cache = FrameCache(cache_bytes)
        where = LocalStore(store) if isinstance(store, Path) else store
        inspect = partial(inspect_in_sandbox, sandbox) if sandbox else None
        files = ArchiveFiles(where, unpacker, inspect, cache, refuse_changed=refuse_changed)
        self._set_up(index, files, diagnostics, cache)

    @classmethod
    def from_files(
        cls, index: Index, files: ImageFiles, diagnostics: tuple[Diagnostic, ...], results: FrameMemory
    ) -> Catalog:
        """Make a catalog whose files may be read elsewhere.

        Args:
            index: finds entries.
            files: the archive's files.
            diagnostics: as for the class.
            results: remembers results that need whole images.
        """
        catalog = cls.__new__(cls)
        catalog._set_up(index, files, diagnostics, results)  # noqa: SLF001 — this class's own
        return catalog

    def _set_up(
        self, index: Index, files: ImageFiles, diagnostics: tuple[Diagnostic, ...], results: FrameMemory
    ) -> None:
        self._index = index
        self.visibility = EVERYTHING
        """The entries that exist in it."""
        self._files = files
        self.diagnostics = diagnostics
        """Descriptions of the archive's cameras."""
        self._opener = ImageOpener(index, files, diagnostics, results)
        self.diagnostics_fingerprint = compute_diagnostics_fingerprint(diagnostics)
        """A hash of the descriptions; the same in every process, and another one if any of them changes."""

    def restrict(self, visibility: Visibility) -> Catalog:
        """Return the catalog for a reader who sees only some entries: for them, no other entry exists.

        A related image that they must not see is not used either; what needs it is left out.

        Raises:
            TypeError: the index shows everything to everybody.
        """
        if visibility.is_everything:
            return self
        if not isinstance(self._index, RestrictableIndex):
            raise TypeError(f"{type(self._index).__name__} cannot be restricted.")
        restricted = copy(self)
        restricted.visibility = visibility
        restricted._index = self._index.restrict(visibility)  # noqa: SLF001 — this class's own
        restricted._opener = self._opener.restrict(restricted._index)  # noqa: SLF001
        return restricted

    def find_entry(self, path: str) -> Entry:
        """Return the entry with this path.

        Raises:
            NotFound: there is none.
        """
        return self._index.find_entry(path)

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """List the folders and entries directly below a folder; ``""`` is the top.

        Raises:
            NotFound: there is no such folder.
        """
        return self._index.list_children(path, after=after, limit=limit)

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """Return a page of entries that match a query; see `Searchable`."""
        return self._require_searchable().search(query, after=after, limit=limit)

    def count_facets(self, query: Query | str = "") -> FacetCounts:
        """Count the entries that match a query, by facility, diagnostic, year and health; see `Searchable`."""
        return self._require_searchable().count_facets(query)

    def list_changes(self, since: str = FIRST_TOKEN, *, limit: int = 1000) -> ChangePage:
        """List the changes since the token of an earlier page; see `Searchable`."""
        return self._require_searchable().list_changes(since, limit=limit)

    def make_present_token(self) -> str:
        """Return the token with which only later changes are listed; see `Searchable`."""
        return self._require_searchable().make_present_token()

    def read_build_state(self) -> BuildState | None:
        """Return how far the catalog has been built; `None` for one that is not built."""
        return self._index.read_build_state() if isinstance(self._index, BuiltIndex) else None

    def find_latest(self, path: str) -> str:
        """Return the path that ``latest`` in another one stands for now; see `collections.latest`.

        Raises:
            NotFound: there is none.
        """
        return find_latest(path, self._index, self._require_searchable())

    def _require_searchable(self) -> Searchable:
        if not isinstance(self._index, Searchable):
            raise Unsearchable("This index only finds images by their paths.")
        return self._index

    def image(self, path: str) -> Image:
        """Find an image: one of the archive, its unmodified file, a variant, a shot or a stack.

        Its files are examined when its content is first needed. If the path contains a variant, headers are read here,
        because the variant has to match them.

        Args:
            path: the public path; with ``/raw`` behind it, the unmodified file, with its own names and attributes; with
                ``/~…`` behind it, a variant or a stack: see `transforms.virtual.variant` and `paths`.

        Raises:
            NotFound: there is no such image.
            BadVariant: the path contains a variant that does not fit the image.
            Missing: headers are needed, and its file does not exist.
            Unreadable: headers are needed, and cannot be read.
        """
        base, mark, segment = f"/{path}".partition(f"/{MARK}")
        base = base[1:]
        try:
            try:
                image = self.image_from_entry(self.find_entry(base))
            except NotFound:
                if not base.endswith(RAW_SUFFIX):
                    raise
                image = self.image_from_entry(self.find_entry(base.removesuffix(RAW_SUFFIX)), is_raw=True)
        except NotFound:
            collection = parse_collection(base, segment) if base or segment else None
            if collection is None:
                raise NotFound(f"There is no image at {base!r}.") from None
            self.list_children(base, limit=1)  # raises NotFound if there is no such folder
            find = partial(find_members, collection, self._index, self._require_searchable)
            return CombinedImage(collection, find, self._opener)
        return image.select_variant(segment) if mark else image

    def image_from_entry(self, entry: Entry, *, is_raw: bool = False) -> SingleImage:
        """Return the image of a known entry, or its unmodified file."""
        return SingleImage(ImageAddress(entry, is_raw=is_raw), self._opener)

    def open(self, path: str, *, chunked: bool = True, view: ViewFunction | None = None) -> xr.Dataset:
        """Open an image: its headers are read, its pixels are not; see `image` and `Image.open`."""
        return self.image(path).open(chunked=chunked, view=view)

    def list_entries(self, folder: str, *, most: int = MAX_IMAGES) -> tuple[Entry, ...]:
        """Return the entries of all images in a folder, in the order of their paths; ``""`` is the top.

        Raises:
            NotFound: there is no such folder.
            TooMany: they are more than `most`.
        """
        return tuple(find_members(CollectionAddress(folder), self._index, self._require_searchable, most))

    def explain_labelling(self, entry: Entry) -> Iterator[str]:
        """Explain, line by line, which description of a diagnostic an image matches; see `diagnostics.explain`.

        Raises:
            Missing: its file does not exist.
            Unreadable: its file cannot be read; the message says why.
        """
        raw = self.image_from_entry(entry, is_raw=True).open()
        return explain_labelling(raw, self.image_from_entry(entry).derive(), entry.facts, self.diagnostics)

    def locate_file(self, entry: Entry) -> Path:
        """Return the present path of an entry's file. It must not be shown to a client.

        Raises:
            Missing: the file does not exist.
            Unreadable: it is no file, or is outside the archive.
        """
        version = self.get_file_version(entry)
        self._files.fetch_file(entry, version)
        return version.path

    def open_file_handle(self, entry: Entry) -> FileHandle:
        """Open an entry's file as it is now, for copying its bytes.

        Raises:
            Missing: the file does not exist.
            Changed: it is being written to.
            Unreadable: it is no file, or is outside the archive, or cannot be opened.
        """
        file, handle = self._files.take_snapshot(entry)
        self._files.fetch_file(entry, file.version)
        handle = handle or file.acquire_handle()
        handle.version = file.version
        return handle

    def get_file_version(self, entry: Entry) -> Version:
        """Return the present version of an entry's file, without opening it.

        Raises:
            Missing: the file does not exist.
            Unreadable: it is no file, or is outside the archive.
        """
        return self._files.get_file_version(entry)
