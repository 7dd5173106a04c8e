"""An archive that is a directory tree: every file is at its relative path, with its full name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from shotdap.catalog.archive.archive import LostArchive, Row, Watermark
from shotdap.catalog.archive.directory_search import search_folder
from shotdap.catalog.entry import Child, Entry, FolderPage, NotFound, TimeDirection, Unreadable
from shotdap.catalog.index import FIRST_TOKEN, ChangePage, FacetCounts, SearchPage
from shotdap.catalog.index.nearest import match_facts, select_nearest
from shotdap.catalog.index.search.visibility import EVERYTHING, Visibility
from shotdap.catalog.names import decode_path_segment, encode_path_segment
from shotdap.catalog.query import Query, parse_query
from shotdap.catalog.searchable import Unsearchable

_SECONDS_PER_DAY = 86_400.0
_NO_CHANGES = "A directory tree keeps no record of changes; a catalog does, which `shotdap catalog build` makes."


@dataclass(frozen=True)
class DirectoryArchive:
    """A directory tree: an index that needs no database, and an archive to build a catalog from.

    Each request reads it again, so a new file appears immediately. Hidden files, and symbolic links that lead out of
    the tree, are excluded.
    """

    root: Path
    visibility: Visibility = EVERYTHING
    """The files that exist for whoever asks by this object."""

    def restrict(self, visibility: Visibility) -> DirectoryArchive:
        """Return the same tree, for a reader who sees only some files."""
        return replace(self, visibility=visibility)

    def find_entry(self, path: str) -> Entry:
        """Find the file with this path; see `Index`."""
        relative = self._decode_path(path)
        entry = Entry(path, str(relative), {"name": relative.name})
        if not self.visibility.allows(entry) or not self._resolve_within_root(relative).is_file():
            raise NotFound(f"There is no file at {path!r}.")
        return entry

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """List the directories and files directly below a directory; see `Index`."""
        children = [child for child in self._list_directory(path) if child.name > (after or "")]
        page = tuple(children[:limit])
        return FolderPage(page, page[-1].name if len(children) > limit else None)

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """Search files by names and paths, in the order of their paths; see `directory_search`.

        Raises:
            BadQuery: the query cannot be understood.
        """
        parsed = parse_query(query) if isinstance(query, str) else query
        return search_folder(self._list_directory, self.root, parsed, after, limit)

    def count_facets(self, query: Query | str = "") -> FacetCounts:  # noqa: ARG002 — as a catalog's
        """Refuse: a directory tree has no facet counts; see `Searchable`."""
        raise Unsearchable(
            "In a directory tree nothing is counted; in a catalog it is, which `shotdap catalog build` makes."
        )

    def list_changes(self, since: str = FIRST_TOKEN, *, limit: int = 1000) -> ChangePage:  # noqa: ARG002 — as a catalog's
        """Refuse: a directory tree has no record of changes; see `Searchable`."""
        raise Unsearchable(_NO_CHANGES)

    def make_present_token(self) -> str:
        """Refuse, as `list_changes` does."""
        raise Unsearchable(_NO_CHANGES)

    def _list_directory(self, path: str) -> list[Child]:
        """List all children of a directory, in the order of their names."""
        directory = self._resolve_within_root(self._decode_path(path)) if path else self.root
        if not directory.is_dir() or not self.visibility.may_lead_to(path):
            raise NotFound(f"There is no folder at {path!r}.")
        try:
            with os.scandir(directory) as entries:
                children = sorted(
                    Child(name, f"{path}/{name}" if path else name, entry.is_dir())
                    for entry in entries
                    if self._is_listed(entry) and (name := encode_path_segment(entry.name))
                )
                return children if self.visibility.is_everything else list(filter(self._is_visible, children))
        except OSError as error:
            folder = f"The folder {path!r}" if path else "The archive's folder"
            raise Unreadable(f"{folder} cannot be listed: {error.strerror}.") from error

    def find_nearest(
        self,
        entry: Entry,
        match: Mapping[str, str],
        *,
        when: TimeDirection = "earlier",
        within_days: float | None = None,
    ) -> Entry | None:
        """Find the file in the same directory whose time of change is nearest; see `Index`."""
        if match.keys() != {"name"}:  # the only known fact of a file
            return None
        file = self._decode_path(entry.path)
        directory = self._resolve_within_root(file.parent)
        everything = self.restrict(EVERYTHING)  # the nearest of all files, or none: see `SqlIndex.find_nearest`
        here = self._resolve_within_root(file).stat().st_mtime
        with os.scandir(directory) as entries:
            near = [each for each in entries if match_facts({"name": each.name}, match) and each.name != file.name]
            dated = [
                (
                    everything.find_entry("/".join(map(encode_path_segment, (*file.parent.parts, each.name)))),
                    (each.stat().st_mtime - here) / _SECONDS_PER_DAY,
                )
                for each in near
                if each.is_file() and self._is_listed(each)
            ]
        nearest = select_nearest(dated, when, within_days)
        return nearest if nearest is not None and self.visibility.allows(nearest) else None

    def read_rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """Read a row for each file whose name is text, its version the time of its last change; see `Archive`."""

        def raise_lost_archive(error: OSError) -> NoReturn:  # to skip the folder would remove its images
            raise LostArchive(f"The folder {error.filename} cannot be listed: {error.strerror}.") from error

        files: list[tuple[float, Path]] = []
        walk = os.walk(self.root, onerror=raise_lost_archive)
        for path in (Path(folder, name) for folder, _, names in walk for name in names):
            own = path.relative_to(self.root)
            is_hidden = any(part.startswith(".") for part in own.parts)
            # Python keeps bytes of a name that are not UTF-8 as surrogates, which no database stores.
            is_text = not any("\ud800" <= character <= "\udfff" for character in str(own))
            is_inside = path.is_file() and path.resolve().is_relative_to(self.root.resolve())
            if is_inside and is_text and not is_hidden:
                files.append((path.stat().st_ctime, path))  # st_mtime is older in a copy
        for changed, path in sorted(files):
            if since is None or changed >= float(str(since)):
                relative = str(path.relative_to(self.root))
                yield Row(relative, relative, changed, {"name": path.name})

    def count_rows(self, since: Watermark | None = None, /) -> int:
        """Return the number of files that `read_rows` yields; see `Archive`."""
        return sum(1 for _ in self.read_rows(since))

    def _is_visible(self, child: Child) -> bool:
        """Check whether a reader may see a file, or a folder by its path: what is in it is not looked at."""
        if child.is_folder:
            return self.visibility.may_lead_to(child.path)
        name = decode_path_segment(child.name)
        return self.visibility.allows(Entry(child.path, "", {"name": name}))

    def _decode_path(self, path: str) -> Path:
        """Return the relative file path of a public path; a file has one public path, the listed one."""
        segments = path.split("/")
        names = [decode_path_segment(segment) for segment in segments]
        is_canonical = segments == [encode_path_segment(name) for name in names]
        if not is_canonical or not all(name and name[0] != "." and not {"/", "\0"} & {*name} for name in names):
            raise NotFound(f"There is nothing at {path!r}.")
        return Path(*names)

    def _resolve_within_root(self, relative: Path) -> Path:
        """Return the file or directory with all links resolved; refuse one outside the tree."""
        try:
            target = Path(os.path.realpath(self.root / relative))  # `Path.resolve` would ask for the status, too
            inside = target.is_relative_to(os.path.realpath(self.root))
            if inside:
                target.stat()
        except PermissionError as error:
            raise Unreadable("The folder that this path leads into may not be read.") from error
        except (OSError, RuntimeError, ValueError) as error:  # too long a name, a cycle of links, a surrogate
            raise NotFound("There is nothing at this path.") from error
        if not inside:
            raise NotFound("There is nothing at this path.")
        return target

    def _is_listed(self, entry: os.DirEntry[str]) -> bool:
        """Check that an entry is a file or directory, not hidden, and not a link out of the tree."""
        path = Path(entry)
        if entry.name.startswith(".") or not (path.is_dir() or path.is_file()):
            return False
        return not entry.is_symlink() or path.resolve().is_relative_to(self.root.resolve())
