"""An archive that is only a directory tree: every file at its relative path, its name kept whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from shotdap.catalog.archive.archive import LostArchive, Row, Watermark
from shotdap.catalog.archive.directory_search import search_folder
from shotdap.catalog.entry import Child, Entry, FolderPage, NotFound, TimeDirection, Unreadable
from shotdap.catalog.index import ChangePage, FacetCounts, SearchPage
from shotdap.catalog.names import decode_path_segment, encode_path_segment
from shotdap.catalog.nearness import match_facts, select_nearest
from shotdap.catalog.query import Query, parse_query
from shotdap.catalog.searchable import Unsearchable

_SECONDS_PER_DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class DirectoryArchive:
    """A directory tree, as an index that needs no database and as an archive to build a catalog from.

    It is looked at anew for each request, so a file is there as soon as it is written. Hidden files and everything
    that a symbolic link leads out of the tree are left out.
    """

    root: Path

    def find_entry(self, path: str) -> Entry:
        """The file with this path; see `Index`."""
        relative = self._decode_path(path)
        if not self._resolve_within_root(relative).is_file():
            raise NotFound(f"There is no file at {path!r}.")
        return Entry(path, str(relative), {"name": relative.name})

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """The directories and files directly below one; see `Index`."""
        listed = [child for child in self._list_directory(path) if child.name > (after or "")]
        page = tuple(listed[:limit])
        return FolderPage(page, page[-1].name if len(listed) > limit else None)

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """Files whose names and paths match, in the order of their paths; see `folder_search`.

        Raises:
            BadQuery: the query cannot be understood.
        """
        wanted = parse_query(query) if isinstance(query, str) else query
        return search_folder(self._list_directory, self.root, wanted, after, limit)

    def count_facets(self, query: Query | str = "") -> FacetCounts:  # noqa: ARG002 — as a catalog's
        """Nothing is counted in a directory tree; see `Searchable`."""
        raise Unsearchable(
            "In a directory tree nothing is counted; in a catalog it is, which `shotdap catalog build` makes."
        )

    def list_changes(self, since: int = 0, *, limit: int = 1000) -> ChangePage:  # noqa: ARG002 — as a catalog's
        """Nothing is written down of a directory tree; see `Searchable`."""
        raise Unsearchable(
            "A directory tree keeps no record of changes; a catalog does, which `shotdap catalog build` makes."
        )

    def _list_directory(self, path: str) -> list[Child]:
        """All children of a directory, in the order of their names."""
        directory = self._resolve_within_root(self._decode_path(path)) if path else self.root
        if not directory.is_dir():
            raise NotFound(f"There is no folder at {path!r}.")
        try:
            with os.scandir(directory) as found:
                return sorted(
                    Child(name, f"{path}/{name}" if path else name, entry.is_dir())
                    for entry in found
                    if self._is_listed(entry) and (name := encode_path_segment(entry.name))
                )
        except OSError as error:
            where = f"The folder {path!r}" if path else "The archive's folder"
            raise Unreadable(f"{where} cannot be listed: {error.strerror}.") from error

    def find_nearest(
        self,
        entry: Entry,
        match: Mapping[str, str],
        *,
        when: TimeDirection = "earlier",
        within_days: float | None = None,
    ) -> Entry | None:
        """The file of the same directory nearest in time of its last change; see `Index`."""
        if match.keys() != {"name"}:  # nothing else is known of a file
            return None
        file = self._decode_path(entry.path)
        directory = self._resolve_within_root(file.parent)
        here = self._resolve_within_root(file).stat().st_mtime
        with os.scandir(directory) as found:
            near = [each for each in found if match_facts({"name": each.name}, match) and each.name != file.name]
            dated = [
                (
                    self.find_entry("/".join(map(encode_path_segment, (*file.parent.parts, each.name)))),
                    (each.stat().st_mtime - here) / _SECONDS_PER_DAY,
                )
                for each in near
                if each.is_file() and self._is_listed(each)
            ]
        return select_nearest(dated, when, within_days)

    def read_rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """A row for each file whose name is text, its version the time of its last change; see `Archive`."""
        files = (path for path in self._walk_files() if path.is_file() and not self._is_excluded(path))
        for changed, path in sorted((path.stat().st_ctime, path) for path in files):  # st_mtime is older in a copy
            if since is None or changed >= float(str(since)):
                relative = str(path.relative_to(self.root))
                yield Row(relative, relative, changed, {"name": path.name})

    def _walk_files(self) -> Iterator[Path]:
        """All that is in the tree but folders; a folder that is left out would take its images out of the catalog."""

        def raise_lost_archive(error: OSError) -> NoReturn:
            raise LostArchive(f"The folder {error.filename} cannot be listed: {error.strerror}.") from error

        for folder, _, names in os.walk(self.root, onerror=raise_lost_archive):
            yield from (Path(folder, name) for name in names)

    def count_rows(self, since: Watermark | None = None, /) -> int:
        """How many files `read_rows` gives; see `Archive`."""
        return sum(1 for _ in self.read_rows(since))

    def _decode_path(self, path: str) -> Path:
        """The file's own path; there is one public path to it, the one that is listed."""
        segments = path.split("/")
        names = [decode_path_segment(segment) for segment in segments]
        if segments != [encode_path_segment(name) for name in names] or not all(map(_is_plain_name, names)):
            raise NotFound(f"There is nothing at {path!r}.")
        return Path(*names)

    def _resolve_within_root(self, relative: Path) -> Path:
        """The file or directory itself, which no link has led out of the tree."""
        try:
            target = (self.root / relative).resolve()
            inside = target.is_relative_to(self.root.resolve()) and target.exists()
        except PermissionError as error:
            raise Unreadable("The folder that this path leads into may not be read.") from error
        except (OSError, RuntimeError, ValueError) as error:  # too long a name, a ring of links, half a character
            raise NotFound("There is nothing at this path.") from error
        if not inside:
            raise NotFound("There is nothing at this path.")
        return target

    def _is_listed(self, entry: os.DirEntry[str]) -> bool:
        """Whether something in a directory is listed: neither hidden, nor a pipe, nor a link to nowhere or outside."""
        path = Path(entry)
        if entry.name.startswith(".") or not (path.is_dir() or path.is_file()):
            return False
        return not entry.is_symlink() or path.resolve().is_relative_to(self.root.resolve())

    def _is_excluded(self, path: Path) -> bool:
        inside = path.relative_to(self.root)
        leads_out = not path.resolve().is_relative_to(self.root.resolve())
        return leads_out or any(part.startswith(".") for part in inside.parts) or not _is_valid_text(str(inside))


def _is_plain_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and "/" not in name and "\0" not in name


def _is_valid_text(name: str) -> bool:
    """Whether a database can hold a name; Python keeps bytes that are no UTF-8 as halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
