"""The catalog's entry of one image, and the protocol of an index of entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, Protocol, TypeAlias

Fact: TypeAlias = str | int | float

TimeDirection: TypeAlias = Literal["earlier", "later", "nearest"]
"""The side on which another image is searched in time."""


class NotFound(LookupError):
    """Nothing has this path; the message is a sentence for the client."""


class Unreadable(OSError):
    """The file of an entry cannot be read; the message gives the reason, and no path of the server."""


class Missing(Unreadable):
    """The file of an entry does not exist at the place that the archive gives."""


class Changed(Unreadable):
    """The file was replaced or rewritten while it was read: the data is useless, and a new request may succeed."""

    def __init__(self, message: str = "The file has changed while it was read; ask again.") -> None:
        super().__init__(message)


class Undecided(Unreadable):
    """It is not known whether the file can be read: the next attempt may succeed.

    Args:
        message: what happened.
        seconds: the time before another attempt is worthwhile.
    """

    def __init__(self, message: str, seconds: float = 0) -> None:
        super().__init__(message)
        self.retry_seconds = seconds


class Overloaded(Exception):
    """Too much is asked for at once; the message is a sentence for the client."""

    def __init__(self, message: str = "The server is busy; ask again in a few seconds.") -> None:
        super().__init__(message)


class Health(StrEnum):
    """The result of the last inspection."""

    UNSEEN = "unseen"
    OK = "ok"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    CHANGED = "changed"


FAILED_HEALTHS: Final = (Health.MISSING, Health.UNREADABLE)
"""The health of entries whose file cannot be read."""


@dataclass(frozen=True)
class FileInspection:
    """The content of a file that could be read."""

    sha256: str
    size: int
    modified: int
    """The file system's time stamp, in nanoseconds since 1970."""
    structure: Mapping[str, str]
    """For each array its type and shape: ``uint16[2,1100,1100]``."""
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)  # pickle carries it between processes
    """For each indexed attribute its values in the file's arrays, as text."""


@dataclass(frozen=True)
class Entry:
    """One image of the archive."""

    path: str
    """The public path: ``omega/62328/asbo1/asbo1_s62328``. Permanent."""
    file: str
    """The file's path, relative to the archive's root. Never shown to a client."""
    facts: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    """The values of the archive's row: facility, shot, diagnostic, …"""
    health: Health = Health.UNSEEN
    reason: str = ""
    """The reason why the file cannot be read; empty if it can."""
    last_good_inspection: FileInspection | None = None
    """The content of the file at its last good inspection; the SHA-256 is that of the first."""

    @property
    def inspection_state(self) -> tuple[Health, str]:
        """The result of inspections: the health, and the SHA-256 of the file when it was first inspected."""
        return self.health, self.last_good_inspection.sha256 if self.last_good_inspection else ""


@dataclass(frozen=True, order=True)
class Child:
    """One line of a listing."""

    name: str
    path: str
    is_folder: bool
    health: Health = Health.UNSEEN
    reason: str = ""


@dataclass(frozen=True)
class FolderPage:
    """A page of a folder's children, in the order of their names."""

    children: tuple[Child, ...]
    after: str | None
    """The name after which the next page begins; `None` on the last page."""


class Index(Protocol):
    """Finds entries by their public paths."""

    def find_entry(self, path: str) -> Entry:
        """Return the entry with this path.

        Raises:
            NotFound: there is none.
        """
        ...

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """List the folders and entries directly below a folder; ``""`` is the top.

        Raises:
            NotFound: there is no such folder.
        """
        ...

    def find_nearest(
        self,
        entry: Entry,
        match: Mapping[str, str],
        *,
        when: TimeDirection = "earlier",
        within_days: float | None = None,
    ) -> Entry | None:
        """Find the matching image of the same facility that is nearest in time to another; `None` if there is none.

        Args:
            entry: the other image; it is never its own neighbour.
            match: shell patterns for values of the row, case ignored.
            when: the side in time; an image of the same time is on both.
            within_days: the maximum distance in time; `None` for no limit.
        """
        ...
