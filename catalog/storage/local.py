r"""Files in folders: paths of the archive, absolute, relative or of another machine, become local paths.

A row may contain ``22/02/04/HDF.1``, ``/archive/22/02/04/HDF.1`` or ``\\server\share\22\HDF.1``. In any case the opened
file is, with all links resolved, in the folder that replaces the prefix of its path.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from shotdap.catalog.entry import Missing, Unreadable
from shotdap.catalog.storage.store import Version
from shotdap.catalog.storage.versioned_file import make_stat_version


@dataclass(frozen=True)
class LocalStore:
    """Files below one folder or several."""

    root: Path
    """The folder for paths without any of the prefixes."""
    prefixes: Mapping[str, Path] = field(default_factory=dict)
    """Local folders by the prefixes of paths that they replace; the longest matching prefix applies.

    A prefix with a backslash or a drive is a Windows path: it matches paths with either slash, in any case.
    """

    def get_version(self, file: str, /) -> Version:
        """Return the file's version; see `Store`."""
        try:
            folder, rest = self._find_folder(file)
            path = Path(os.path.realpath(folder / rest))  # `Path.resolve` would ask for the file's status, too
            if not path.is_relative_to(os.path.realpath(folder)):
                raise Unreadable("The archive's row leads to a file outside the archive.")
            status = path.stat()
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except (OSError, ValueError) as error:
            if isinstance(error, Unreadable):
                raise
            if isinstance(error, PermissionError):
                raise Unreadable("The file cannot be opened: the folder that it is in may not be read.") from error
            raise Unreadable("The archive's row names no file that could exist.") from error
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("The archive's row leads to something that is not a file.")
        return make_stat_version(path, status)

    def fetch_file(self, file: str, version: Version, /) -> None:
        """Do nothing: the file is local."""

    def describe_location(self, file: str, /) -> str:
        """Return the local path; see `Store`."""
        folder, rest = self._find_folder(file)
        return str(folder / rest)

    def _find_folder(self, file: str) -> tuple[Path, str]:
        """Return the folder that a path leads into, and the path relative to it."""
        for prefix, folder in self._sorted_prefixes:
            path = type(prefix)(file)
            if path.is_relative_to(prefix):
                return folder, path.relative_to(prefix).as_posix()
        return self.root, file

    @cached_property
    def _sorted_prefixes(self) -> list[tuple[PurePath, Path]]:
        parsed: list[tuple[PurePath, Path]] = []
        for prefix, folder in self.prefixes.items():
            windows = PureWindowsPath(prefix)
            parsed.append((windows if "\\" in prefix or windows.drive else PurePosixPath(prefix), folder))
        return sorted(parsed, key=lambda pair: len(pair[0].parts), reverse=True)
