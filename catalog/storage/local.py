r"""Files in folders: the archive's paths, as they are or as they were mounted elsewhere, become local ones.

A row may say ``22/02/04/HDF.1``, ``/archive/22/02/04/HDF.1`` or ``\\server\share\22\HDF.1``. Whatever it says, the
file that is opened lies, all links followed, in the folder that stands for the beginning of its path.
"""

from __future__ import annotations

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
    """Where paths lead that begin with none of the prefixes."""
    prefixes: Mapping[str, Path] = field(default_factory=dict)
    """For the beginning of a path, the local folder that stands for it; the longest that fits is taken.

    One with a backslash or a drive is Windows': either slash will do in the paths, and any case in their beginning.
    """

    def get_version(self, file: str, /) -> Version:
        """A look at the file; see `Store`."""
        try:
            folder, rest = self._find_folder(file)
            path = (folder / rest).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise Unreadable("The archive's row leads to a file outside the archive.")
            status = path.stat()
        except FileNotFoundError as error:
            raise Missing("The file is missing from the archive.") from error
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a ring of links
            if isinstance(error, Unreadable):
                raise
            if isinstance(error, PermissionError):
                raise Unreadable("The file cannot be opened: the folder that it is in may not be read.") from error
            raise Unreadable("The archive's row names no file that could exist.") from error
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("The archive's row leads to something that is not a file.")
        return make_stat_version(path, status)

    def fetch_file(self, file: str, version: Version, /) -> None:
        """Do nothing: the file is where it is read."""

    def describe_location(self, file: str, /) -> str:
        """The local path; see `Store`."""
        folder, rest = self._find_folder(file)
        return str(folder / rest)

    def _find_folder(self, file: str) -> tuple[Path, str]:
        """The folder that a path leads into, and the way from there."""
        for prefix, folder in self._sorted_prefixes:
            path = type(prefix)(file)
            if path.is_relative_to(prefix):
                return folder, path.relative_to(prefix).as_posix()
        return self.root, file

    @cached_property
    def _sorted_prefixes(self) -> list[tuple[PurePath, Path]]:
        read = [(_parse_prefix(prefix), folder) for prefix, folder in self.prefixes.items()]
        return sorted(read, key=lambda pair: len(pair[0].parts), reverse=True)


def _parse_prefix(prefix: str) -> PurePath:
    windows = PureWindowsPath(prefix)
    return windows if "\\" in prefix or windows.drive else PurePosixPath(prefix)
