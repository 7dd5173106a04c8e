"""What an archive says of its images: one row for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol, TypeAlias

from shotdap.catalog.entry import Fact

__all__ = ["Archive", "BadArchive", "Row", "Watermark"]

Watermark: TypeAlias = int | float | str | datetime
"""How far an archive has been read: the greatest value of its version column."""


class BadArchive(ValueError):
    """The archive cannot be read as configured; the message says what was found and what would fit."""


@dataclass(frozen=True)
class Row:
    """One row of ``ARCHIVE_FILES``, its columns under the names that the configuration gives them."""

    key: str
    """Identifies the row for ever."""
    file: str
    """Where the file is, as the archive says it."""
    version: Watermark | None = None
    """Grows whenever the row changes; `None` where the archive keeps no such column."""
    facts: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
    """The other columns: facility, shot, diagnostic, name, …"""


class Archive(Protocol):
    """Where rows come from."""

    def rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """Rows in the order of their versions, from a watermark on.

        Rows *at* the watermark come again: two rows may share a time stamp, and only one been there the last time.

        Raises:
            BadArchive: the archive is not as configured, or cannot be reached.
        """
        ...
