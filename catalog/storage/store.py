"""What every place that holds bytes can do: say which version they are, and have them as a local file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol


class Version(NamedTuple):
    """A file at one moment: what is remembered of it is only true of this."""

    path: Path
    """Where it can be read, once it was fetched."""
    size: int
    modified: int
    """Nanoseconds since 1970, as the place says."""
    identity: tuple[int, ...] = ()
    """Inode number and time of the inode's last change (ctime, nanoseconds), of a path that others may write to.

    Empty where no other content ever appears at the path: a local copy, named after what it is a copy of.
    """

    @property
    def fingerprint(self) -> tuple[int | str, ...]:
        """What tells it from the file's other versions, the same in every process.

        Size and time alone do not: programs that restore or synchronise files set the old time again.
        """
        return self.size, self.modified, *(self.identity or (self.path.name,))


class Store(Protocol):
    """A place that holds the bytes of images."""

    def get_version(self, file: str, /) -> Version:
        """What is there at this moment; a look that moves no bytes.

        Args:
            file: as the archive's row says it.

        Raises:
            Missing: nothing is there.
            Unreadable: the row leads to no file, or out of the archive, or the place does not answer.
        """
        ...

    def fetch_file(self, file: str, version: Version, /) -> None:
        """See to it that this version can be read at its path.

        Raises:
            Missing: nothing is there any more.
            Unreadable: it is another version by now, or cannot be had; the message says why.
        """
        ...

    def describe_location(self, file: str, /) -> str:
        """Where the bytes of a file are looked for: for the administrator, and no one else."""
        ...
