"""Archives in memory, and the paths of catalogs that are built from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.contracts.index import walk_index

from shotdap.catalog import BadArchive, PathTemplate, Row, SqlIndex, Watermark

__all__ = ["DEFAULT", "Rows", "list_paths", "make_row"]

DEFAULT: Final = PathTemplate()


@dataclass
class Rows:
    """An archive in memory, whose connection may break after some rows."""

    rows_: Sequence[Row]
    breaks_after: int | None = None
    asked: Watermark | None = None

    def read_rows(self, since: Watermark | None = None, /) -> Iterator[Row]:
        self.asked = since
        for number, row in enumerate(self.rows_):
            if number == self.breaks_after:
                raise BadArchive("The archive's database does not answer.")
            if since is None or row.version is None or row.version >= since:  # type: ignore[operator]
                yield row

    def count_rows(self, since: Watermark | None = None, /) -> int:
        return sum(1 for _ in Rows(self.rows_).read_rows(since))


def make_row(key: object, version: Watermark | None = 1, file: str = "file.hdf", **facts: str | float) -> Row:
    """Return a row with default facts, which the arguments override."""
    described: dict[str, Any] = {"facility": "OMEGA", "shot": 62328, "diagnostic": "ASBO1", "name": "asbo1.hdf"}
    return Row(str(key), file, version, described | facts)


def list_paths(index: SqlIndex) -> list[str]:
    """Return the paths of all entries."""
    return [child.path for child in walk_index(index) if not child.is_folder]
