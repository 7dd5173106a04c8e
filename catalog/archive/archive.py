"""What an archive says of its images: one row for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from shotdap.catalog.entry import Fact

Watermark: TypeAlias = int | float | str | datetime
"""How far an archive has been read: the greatest value of its version column."""


class BadArchive(ValueError):
    """The archive cannot be read as configured; the message says what was found and what would fit."""


class LostArchive(BadArchive):
    """The archive does not answer now, and may later: whoever polls it says so and goes on."""


class Row(NamedTuple):
    """One row of ``ARCHIVE_FILES``, its columns under the names that the configuration gives them."""

    key: str
    """Identifies the row for ever; empty where the archive has none."""
    file: str
    """Where the file is, as the archive says it; empty where it does not."""
    version: Watermark | None = None
    """Grows whenever the row changes; `None` where the archive keeps no such column."""
    facts: Mapping[str, Fact] = MappingProxyType({})
    """The other columns: facility, shot, diagnostic, name, …"""


class Archive(Protocol):
    """Where rows come from."""

    def read_rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        """Rows in the order of their versions, from a watermark on.

        Rows *at* the watermark come again: two rows may share a time stamp, and only one been there the last time.

        Raises:
            LostArchive: the archive does not answer now; the rows that came before are good.
            BadArchive: the archive is not as configured.
        """
        ...

    def count_rows(self, since: Watermark | None = None, /) -> int:
        """How many rows `read_rows` gives, for those who tell a person how long it takes.

        Raises:
            LostArchive: the archive does not answer now.
            BadArchive: the archive is not as configured.
        """
        ...
