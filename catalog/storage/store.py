"""The contract of all stores: return the version of a file, and fetch its bytes to a local file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol


class Version(NamedTuple):
    """A file at one moment; anything cached about the file is valid for this version only."""

    path: Path
    """The local path, valid once the file was fetched."""
    size: int
    modified: int
    """Nanoseconds since 1970, from the store."""
    identity: tuple[int, ...] = ()
    """Inode number and time of the inode's last change (ctime, nanoseconds) of a path that others may write to.

    Empty if the path never gets other content: a local copy, whose name is a hash of its origin.
    """

    @property
    def fingerprint(self) -> tuple[int | str, ...]:
        """A key that distinguishes this version from the file's others, the same in every process.

        Size and time alone do not: programs that restore or synchronise files reset the time.
        """
        return self.size, self.modified, *(self.identity or (self.path.name,))


class Store(Protocol):
    """A store of the bytes of images."""

    def get_version(self, file: str, /) -> Version:
        """Return the file's current version, without reading its bytes.

        Args:
            file: the file in the archive's row.

        Raises:
            Missing: there is no such file.
            Unreadable: the row names no file, or one outside the archive, or the store does not answer.
        """
        ...

    def fetch_file(self, file: str, version: Version, /) -> None:
        """Make this version readable at its path.

        Raises:
            Missing: the file is gone.
            Unreadable: it is another version by now, or cannot be fetched; the message says why.
        """
        ...

    def describe_location(self, file: str, /) -> str:
        """Describe the location of a file's bytes, for the administrator only."""
        ...
