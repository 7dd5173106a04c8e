"""The contract of archives: one row for each image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from shotdap.catalog.entry import Fact

Watermark: TypeAlias = int | float | str | datetime
"""The position up to which an archive has been read: the greatest value of its version column."""


class BadArchive(ValueError):
    """The archive cannot be read as configured; the message names the fault and what would fit."""


class LostArchive(BadArchive):
    """The archive does not answer now, but may later: a poller reports it and continues."""


class Row(NamedTuple):
    """One row of ``ARCHIVE_FILES``, its columns under their names in the configuration."""

    key: str
    """The row's permanent key; empty if the archive has none."""
    file: str
    """The location of the file, as the archive spells it; empty if it is unknown."""
    version: Watermark | None = None
    """Grows whenever the row changes; `None` if the archive has no such column."""
    facts: Mapping[str, Fact] = MappingProxyType({})
    """The other columns: facility, shot, diagnostic, name, …"""


class Archive(Protocol):
    """A source of rows."""

    def read_rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """Read rows in the order of their versions, from a watermark on.

        Rows *at* the watermark are repeated: two rows may share a time stamp, and the second may be new.

        Raises:
            LostArchive: the archive does not answer now; the rows read before are valid.
            BadArchive: the archive is not as configured.
        """
        ...

    def count_rows(self, since: Watermark | None = None, /) -> int:
        """Return the number of rows that `read_rows` yields, to estimate its duration.

        Raises:
            LostArchive: the archive does not answer now.
            BadArchive: the archive is not as configured.
        """
        ...
