"""How a row's columns make a public path."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Final

from shotdap.catalog.archive.archive import BadArchive, Row
from shotdap.catalog.names import encode_path_segment

DEFAULT_TEMPLATE: Final = "{facility}/{shot}/{diagnostic}/{name}"
"""A shot number is no key: OMEGA and OMEGA EP count separately, so the facility comes first."""

_UNKNOWN_VALUE: Final = "unknown"  # stands in a path for a column that is empty
_MAX_SEGMENT_LENGTH: Final = (
    120  # characters of a segment; an index of PostgreSQL holds paths of 2,700 bytes, a URL 8,000
)


@dataclass(frozen=True)
class PathTemplate:
    """How a row's columns make a public path: ``{facility}/{shot}/{diagnostic}/{name}``."""

    text: str = DEFAULT_TEMPLATE

    @cached_property
    def _parsed_parts(self) -> tuple[tuple[str, str, Callable[[str, str], str]], ...]:
        """Words, each with the column that comes after them, if any does, and with what spells its values."""
        parsed = string.Formatter().parse(self.text)
        return tuple(
            (words, name or "", _SEGMENT_MAKERS.get(name or "", _make_column_segment)) for words, name, _, _ in parsed
        )

    def list_columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    def check_columns(self, available: Iterable[str]) -> None:
        """Hold it against the columns that an archive has.

        Raises:
            BadArchive: it names a column that is not there, or none, or cannot make a path.
        """
        available = set(available)
        try:
            missing = [name for name in self.list_columns() if name not in available]
            sample = "" if missing else self.text.format_map(dict.fromkeys(self.list_columns(), "x"))
        except ValueError as error:
            raise BadArchive(f"The path template {self.text!r} does not read as one: {error}.") from error
        if missing or not self.list_columns():
            raise BadArchive(
                f"The path template {self.text!r} names {', '.join(missing) or 'no column'};"
                f" the columns are {', '.join(sorted(available))}."
            )
        if any(segment != encode_path_segment(segment) for segment in sample.split("/")):
            raise BadArchive(
                f"The path template {self.text!r} makes no path: between its slashes are columns in braces, letters,"
                " digits, and - _ . only."
            )

    def format_path(self, row: Row) -> str:
        """The public path of a row, every segment safe; a column without a value is called ``unknown``."""
        facts = row.facts
        return "".join([words + spelled(name, str(facts.get(name, ""))) for words, name, spelled in self._parsed_parts])


def _make_slug(text: str) -> str:
    return re.sub(r"\s+", "-", text.strip()).lower()


_FORMAT_SUFFIX = re.compile(r"\.(hdf4?|h4|hdf5|h5|he5|nc4?|cdf|tiff?|json|png|jpe?g)$", re.IGNORECASE)


_FOLDER_PATTERN = re.compile(r"[/\\:]|^\.$")


def _extract_stem(text: str) -> str:
    """A file's name without the folders above it and the ending that names its format."""
    name = PurePosixPath(PureWindowsPath(text).as_posix()).name if _FOLDER_PATTERN.search(text) else text
    return _FORMAT_SUFFIX.sub("", name)


_VALUE_FORMATTERS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"facility": _make_slug, "diagnostic": _make_slug, "name": _extract_stem}
)


def make_path_segment(text: str) -> str:
    """Any text as one segment of a path; of one that is too long the beginning, and a hash of the whole."""
    whole = encode_path_segment(text)
    if len(whole) <= _MAX_SEGMENT_LENGTH:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{whole[: _MAX_SEGMENT_LENGTH - 17]}.{digest}"


@lru_cache(1 << 14)
def _make_column_segment(column: str, value: str) -> str:
    return make_path_segment(_VALUE_FORMATTERS.get(column, str)(value) or _UNKNOWN_VALUE)


_SEGMENT_MAKERS: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        "": lambda _column, _value: "",
        "name": _make_column_segment.__wrapped__,  # each image has another one: none is worth keeping
    }
)
