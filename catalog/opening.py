"""The catalog: finds an image by its path, and opens it as a labelled lazy dataset."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cachebox
import xarray as xr

from shotdap.catalog import readers
from shotdap.catalog.entry import Entry, Fact, Index, Missing, Page, Unreadable
from shotdap.catalog.labels import Diagnostic, label
from shotdap.catalog.lazy import FrameCache

__all__ = ["Catalog"]

_FACT_NAMES = {"name": "source_file"}  # a column's name, where it says too little as an attribute
_OPEN_DATASETS = 256  # headers remembered; some 50 kB each


@dataclass(frozen=True)
class Version:
    """A file at one moment: what is remembered of it is only true of this."""

    path: Path
    size: int
    modified: int
    """Nanoseconds since 1970, as the file system says."""


class Catalog:
    """Every image of an archive, found by its public path and opened lazily.

    Args:
        index: finds entries.
        root: the folder that the archive's files lie in. No file outside it is ever opened.
        diagnostics: descriptions of the archive's cameras, the particular before the general.
        cache_bytes: how much of decoded frames to remember.
    """

    def __init__(
        self, index: Index, root: Path, diagnostics: tuple[Diagnostic, ...] = (), *, cache_bytes: int = 512 << 20
    ) -> None:
        self._index = index
        self._root = root.resolve()
        self._diagnostics = diagnostics
        self._frames = FrameCache(cache_bytes)
        self._opened: cachebox.LRUCache[Hashable, xr.Dataset] = cachebox.LRUCache(_OPEN_DATASETS)

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

    def open(self, path: str, *, chunked: bool = True) -> xr.Dataset:
        """Open an image: its headers are read, its pixels are not.

        Args:
            path: the public path.
            chunked: whether virtual variables are dask arrays; see `extend`.

        Returns:
            The labelled dataset. It may be shared: narrow it, compute from it, but do not load into it.

        Raises:
            NotFound: there is no such image.
            Missing: its file is not there.
            Unreadable: its file cannot be read; the message says why.
        """
        return self.open_entry(self.find(path), chunked=chunked)

    def open_entry(self, entry: Entry, *, chunked: bool = True) -> xr.Dataset:
        """Open an entry that was found before; see `open`."""
        version = self._version(entry)
        key = (entry.path, version, chunked)
        dataset = self._opened.get(key)
        if dataset is None:
            raw = readers.read(version.path, self._frames.of(version))
            dataset = _with_facts(label(raw, self._diagnostics, chunked=chunked), entry.facts)
            self._opened[key] = dataset
        return dataset.copy(deep=False)

    def _version(self, entry: Entry) -> Version:
        try:
            path = (self._root / entry.file).resolve()
            if not path.is_relative_to(self._root):
                raise Unreadable("The archive's row leads to a file outside the archive.")
            status = path.stat()
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except (OSError, ValueError) as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable("The archive's row names no file that could exist.") from error
        if not path.is_file():
            raise Unreadable("The archive's row leads to something that is not a file.")
        return Version(path, status.st_size, status.st_mtime_ns)


def _with_facts(dataset: xr.Dataset, facts: Mapping[str, Fact]) -> xr.Dataset:
    """Put what the catalog knows first; an attribute of the file that has such a name is called ``file_<name>``."""
    known = {_FACT_NAMES.get(name, name): value for name, value in facts.items()}
    from_file: dict[str, Any] = {
        f"file_{name}" if name in known else str(name): value for name, value in dataset.attrs.items()
    }
    labelled = dataset.copy(deep=False)
    labelled.attrs = {**known, **from_file}
    return labelled
