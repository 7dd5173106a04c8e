"""What the catalog knows of one image, and how it is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

__all__ = [
    "Changed",
    "Child",
    "Entry",
    "Fact",
    "FileInspection",
    "FolderPage",
    "Health",
    "Index",
    "Missing",
    "NotFound",
    "TimeDirection",
    "Unreadable",
]

Fact: TypeAlias = str | int | float

TimeDirection: TypeAlias = Literal["earlier", "later", "nearest"]
"""Where in time another image lies: before this one, after it, or as near as possible."""


class NotFound(LookupError):
    """Nothing has this path; the message says so in a sentence for the client."""


class Unreadable(OSError):
    """The entry is known but its file cannot be read; the message says why, and names no path of the server."""


class Missing(Unreadable):
    """The entry is known but its file is not where the archive says."""


class Changed(Unreadable):
    """The file was replaced or rewritten while it was read: what was read is of no use, and asking again helps."""

    def __init__(self, message: str = "The file has changed while it was read; ask again.") -> None:
        super().__init__(message)


class Health(StrEnum):
    """What the last inspection found."""

    UNSEEN = "unseen"
    OK = "ok"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    CHANGED = "changed"


@dataclass(frozen=True)
class FileInspection:
    """What was found in a file that could be read."""

    sha256: str
    size: int
    modified: int
    """Nanoseconds since 1970, as the file system says."""
    structure: Mapping[str, str]
    """For each array its type and shape: ``uint16[2,1100,1100]``."""
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)  # pickle carries it between processes
    """For each attribute that was asked for, the values that it has in the file's arrays, as text."""


@dataclass(frozen=True)
class Entry:
    """One image of the archive."""

    path: str
    """The public path: ``omega/62328/asbo1/asbo1_s62328``. Permanent."""
    file: str
    """Where the bytes are, relative to the archive's root. Never shown to a client."""
    facts: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    """What the archive's row says: facility, shot, diagnostic, …"""
    health: Health = Health.UNSEEN
    reason: str = ""
    """Why the file cannot be read, where it cannot."""
    first_inspection: FileInspection | None = None
    """What the file was when it was first inspected."""

    @property
    def inspection_state(self) -> tuple[Health, str]:
        """What an inspection has said of it: its health, and the SHA-256 of the file that was seen."""
        return self.health, self.first_inspection.sha256 if self.first_inspection else ""


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
    """Some children of a folder, in the order of their names."""

    children: tuple[Child, ...]
    after: str | None
    """The name to continue after, or `None` on the last page."""


class Index(Protocol):
    """Finds entries by their public paths."""

    def find_entry(self, path: str) -> Entry:
        """The entry with this path.

        Raises:
            NotFound: there is none.
        """
        ...

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """The folders and entries directly below a folder; ``""`` is the top.

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
        """The image of the same facility nearest in time to another whose row matches; `None` where there is none.

        Args:
            entry: the other image; it is never its own neighbour.
            match: patterns as a shell has them, for what the row says, case ignored.
            when: on which side of it; what is of the same time is on both.
            within_days: how far off it may be; `None` for any time.
        """
        ...
