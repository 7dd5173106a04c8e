"""An archive that is only a directory tree: every file at its relative path, its name kept whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shotdap.catalog.archive import Row, Watermark
from shotdap.catalog.entry import Child, Entry, NotFound, Page
from shotdap.catalog.names import archive_name, path_segment

__all__ = ["Folder"]


@dataclass(frozen=True)
class Folder:
    """A directory tree, as an index that needs no database and as an archive to build a catalog from.

    It is looked at anew for each request, so a file is there as soon as it is written. Hidden files and everything
    that a symbolic link leads out of the tree are left out.
    """

    root: Path

    def find(self, path: str) -> Entry:
        """The file with this path; see `Index`."""
        relative = self._relative(path)
        if not self._within(relative).is_file():
            raise NotFound(f"There is no file at {path!r}.")
        return Entry(path, str(relative), {"name": relative.name})

    def children(self, path: str, *, after: str | None = None, limit: int = 100) -> Page:
        """The directories and files directly below one; see `Index`."""
        directory = self._within(self._relative(path)) if path else self.root
        if not directory.is_dir():
            raise NotFound(f"There is no folder at {path!r}.")
        with os.scandir(directory) as found:
            listed = sorted(
                Child(name, f"{path}/{name}" if path else name, entry.is_dir())
                for entry in found
                if not entry.name.startswith(".") and (name := path_segment(entry.name)) > (after or "")
            )
        page = tuple(listed[:limit])
        return Page(page, page[-1].name if len(listed) > limit else None)

    def rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """A row for each file, its version the time of its last change; see `Archive`."""
        files = (path for path in self.root.rglob("*") if path.is_file() and not self._hidden(path))
        for changed, path in sorted((path.stat().st_mtime, path) for path in files):
            if since is None or changed >= float(str(since)):
                relative = str(path.relative_to(self.root))
                yield Row(relative, relative, changed, {"name": path.name})

    def _relative(self, path: str) -> Path:
        names = [archive_name(segment) for segment in path.split("/")]
        if any(not name or name.startswith(".") or "/" in name or "\0" in name for name in names):
            raise NotFound(f"There is nothing at {path!r}.")
        return Path(*names)

    def _within(self, relative: Path) -> Path:
        """The file or directory itself, which no link has led out of the tree."""
        try:
            target = (self.root / relative).resolve()
            inside = target.is_relative_to(self.root.resolve()) and target.exists()
        except OSError as error:  # a name too long for the file system, a ring of links
            raise NotFound("There is nothing at this path.") from error
        if not inside:
            raise NotFound("There is nothing at this path.")
        return target

    def _hidden(self, path: Path) -> bool:
        inside = path.relative_to(self.root)
        leads_out = not path.resolve().is_relative_to(self.root.resolve())
        return leads_out or any(part.startswith(".") for part in inside.parts)
