"""The catalog: finds an image by its path, and opens it as a labelled lazy dataset."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cachebox
import xarray as xr

from shotdap.catalog import readers
from shotdap.catalog.diagnostic import Diagnostic
from shotdap.catalog.entry import Entry, Examination, Health, Index, Missing, NotFound, Page, Unreadable
from shotdap.catalog.examination import examine
from shotdap.catalog.explanation import explain
from shotdap.catalog.isolation import Isolation
from shotdap.catalog.labels import label
from shotdap.catalog.lazy import FrameCache
from shotdap.catalog.unpacking import Unpacker, refuse
from shotdap.transforms import BadRecipe

__all__ = ["Catalog", "Version", "View"]

View: TypeAlias = Callable[[xr.Dataset], xr.Dataset]
"""What a caller makes of every dataset it opens, lazily, from the dataset alone."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # in the representation of a function
_RAW = "/raw"  # behind an image's path: its file as it is
_EXAMINED = 4096  # examinations remembered, of files that no inspection has seen
_OPEN_DATASETS = 512  # headers remembered, each view by itself; some 50 kB each


class Version(NamedTuple):
    """A file at one moment: what is remembered of it is only true of this."""

    path: Path
    size: int
    modified: int
    """Nanoseconds since 1970, as the file system says."""


@dataclass(frozen=True)
class _Opened:
    """A dataset that was opened before."""

    dataset: xr.Dataset
    content: Path
    """The file that its arrays are read from: the entry's own, or what that was unpacked to."""


def _as_it_is(dataset: xr.Dataset) -> xr.Dataset:
    return dataset


class Catalog:
    """Every image of an archive, found by its public path and opened lazily.

    Args:
        index: finds entries.
        root: the folder that the archive's files lie in. No file outside it is ever opened.
        diagnostics: descriptions of the archive's cameras, the particular before the general.
        cache_bytes: how much of decoded frames to remember.
        unpacker: unpacks files that are packed by gzip; without it they are not read.
        isolation: where a file that no inspection has seen is read whole before it is read here; without it, such a
            file is trusted.
        refuse_changed: whether to refuse a file that is not what an inspection saw, rather than serve it with a
            warning.
    """

    def __init__(  # noqa: PLR0913 — each is one choice of a deployment, by keyword
        self,
        index: Index,
        root: Path,
        diagnostics: tuple[Diagnostic, ...] = (),
        *,
        cache_bytes: int = 512 << 20,
        unpacker: Unpacker | None = None,
        isolation: Isolation | None = None,
        refuse_changed: bool = False,
    ) -> None:
        self._index = index
        self._root = root.resolve()
        self._diagnostics = diagnostics
        self._frames = FrameCache(cache_bytes)
        self._unpacker = unpacker
        self._isolation = isolation
        self._refuse_changed = refuse_changed
        self._examined: cachebox.LRUCache[Version, Examination | str] = cachebox.LRUCache(_EXAMINED)
        self._opened: cachebox.LRUCache[Hashable, _Opened] = cachebox.LRUCache(_OPEN_DATASETS)
        self.descriptions = _ADDRESS.sub("", repr(diagnostics))
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

    def open(self, path: str, *, chunked: bool = True, view: View = _as_it_is) -> xr.Dataset:
        """Open an image: its headers are read, its pixels are not.

        Args:
            path: the public path; with ``/raw`` behind it, the file as it is, with its own names and attributes.
            chunked: whether virtual variables are dask arrays; see `extend`.
            view: what to make of the dataset; the outcome is remembered under this very function.

        Returns:
            The labelled dataset, the caller's own: what is loaded into it, or taken out, no one else sees. The
            numbers in it are shared, and so cannot be written to.

        Raises:
            NotFound: there is no such image.
            Missing: its file is not there.
            Unreadable: its file cannot be read; the message says why.
        """
        entry, raw = self.resolve(path)
        return self.open_entry(entry, raw=raw, chunked=chunked, view=view)

    def resolve(self, path: str) -> tuple[Entry, bool]:
        """The entry that a path leads to, and whether it asks for the file as it is; see `open`.

        Raises:
            NotFound: there is no such image.
        """
        try:
            return self.find(path), False
        except NotFound:
            if not path.endswith(_RAW):
                raise
        return self.find(path.removesuffix(_RAW)), True

    def open_entry(
        self, entry: Entry, *, raw: bool = False, chunked: bool = True, view: View = _as_it_is
    ) -> xr.Dataset:
        """Open an entry that was found before; see `open`."""
        version = self.version(entry)
        key = (entry.path, tuple(entry.facts.items()), entry.inspected, version, raw, chunked, view)
        opened = self._opened.get(key)
        if opened is None or not self._is_there(opened.content, version):
            content = readers.unpacked(version.path, self._unpacker or refuse)
            said = self._integrity(entry, version, content)
            dataset = readers.read(content, self._frames.of(version))
            dataset = dataset if raw else self._labelled(dataset, entry, chunked=chunked)
            opened = _Opened(view(dataset.assign_attrs(said)), content)
            self._opened[key] = opened
        return opened.dataset.copy(deep=False)

    def _integrity(self, entry: Entry, version: Version, content: Path) -> dict[str, str]:
        """What can be said of a file's bytes, as attributes.

        Raises:
            Unreadable: the file cannot be read whole in isolation, or is not what was inspected, where that matters.
        """
        seen = entry.seen
        if seen is not None and entry.health is not Health.CHANGED and (seen.size, seen.modified) == version[1:]:
            return {"source": f"sha256:{seen.sha256}"}
        found = self._examine(version, content)
        source = {"source": f"sha256:{found.sha256}"} if found else {}
        if seen is None or (found and found.sha256 == seen.sha256):
            return source
        if self._refuse_changed:
            raise Unreadable("The file's bytes are not those that were inspected, so it is not served.")
        return source | {"integrity_warning": "The file's bytes are not those that were inspected."}

    def _examine(self, version: Version, content: Path) -> Examination | None:
        if self._isolation is None:
            return None
        found = self._examined.get(version)
        if found is None:
            try:
                found = self._isolation(examine, version.path, content)
            except Unreadable as error:
                found = str(error)  # remembered, or each request for a file that hangs would wait for it
            self._examined[version] = found
        if isinstance(found, str):
            raise Unreadable(found)
        return found

    def _is_there(self, content: Path, version: Version) -> bool:
        """Whether what was opened can still be read: an unpacked file may have made room for others since."""
        return content == version.path or (self._unpacker is not None and self._unpacker.touch(content))

    def explain(self, path: str) -> Iterator[str]:
        """Say, line by line, what the descriptions of diagnostics make of an image; see `explanation`.

        Raises:
            NotFound: there is no such image.
            Unreadable: its file cannot be read; the message says why.
        """
        entry = self.find(path)
        return explain(self.open_entry(entry, raw=True), entry.facts, self._diagnostics)

    def locate(self, entry: Entry) -> Path:
        """Where an entry's file is now: for handing on its bytes as they are. The path is never a client's to see.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive.
        """
        return self.version(entry).path

    def _labelled(self, raw: xr.Dataset, entry: Entry, *, chunked: bool) -> xr.Dataset:
        try:
            labelled = label(raw, entry.facts, self._diagnostics, chunked=chunked)
        except BadRecipe as error:
            raise Unreadable(f"The description of this diagnostic does not fit the file: {error}") from error
        return labelled.assign_attrs(file_as_it_is=f"{entry.path}{_RAW}")

    def version(self, entry: Entry) -> Version:
        """An entry's file at this moment; a look at it, without opening it.

        Raises:
            Missing: the file is not there.
            Unreadable: what is there is no file, or lies outside the archive.
        """
        try:
            path = (self._root / entry.file).resolve()
            if not path.is_relative_to(self._root):
                raise Unreadable("The archive's row leads to a file outside the archive.")
            status = path.stat()
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a ring of links
            if isinstance(error, Unreadable):
                raise
            raise Unreadable("The archive's row names no file that could exist.") from error
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("The archive's row leads to something that is not a file.")
        return Version(path, status.st_size, status.st_mtime_ns)
