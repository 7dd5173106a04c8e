"""The template of public paths: how a row's columns make a path."""

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
"""A shot number is not unique: OMEGA and OMEGA EP count separately, so the facility comes first."""

_UNKNOWN_VALUE: Final = "unknown"  # in a path, for an empty column
_MAX_SEGMENT_LENGTH: Final = 120  # characters; an index of PostgreSQL holds paths of 2,700 bytes, a URL 8,000


@dataclass(frozen=True)
class PathTemplate:
    """A template of public paths: ``{facility}/{shot}/{diagnostic}/{name}``."""

    text: str = DEFAULT_TEMPLATE

    @cached_property
    def _parts(self) -> tuple[tuple[str, str, Callable[[str, str], str]], ...]:
        """Literal texts, each with the name of the next column, if any, and the function that makes its segment."""
        parsed = string.Formatter().parse(self.text)
        return tuple(
            (words, name or "", _SEGMENT_MAKERS.get(name or "", _make_column_segment)) for words, name, _, _ in parsed
        )

    def list_columns(self) -> tuple[str, ...]:
        """List the columns of the template."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    def check_columns(self, available: Iterable[str]) -> None:
        """Check the template against the columns of an archive.

        Raises:
            BadArchive: it names a missing column, or no column, or cannot make a path.
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
        """Return the public path of a row, with safe segments; the segment of an empty column is ``unknown``."""
        facts = row.facts
        return "".join([text + make(name, str(facts.get(name, ""))) for text, name, make in self._parts])


def _make_slug(text: str) -> str:
    return re.sub(r"\s+", "-", text.strip()).lower()


_FORMAT_SUFFIX = re.compile(r"\.(hdf4?|h4|hdf5|h5|he5|nc4?|cdf|tiff?|json|png|jpe?g)$", re.IGNORECASE)


_FOLDER_PATTERN = re.compile(r"[/\\:]|^\.$")


def _extract_stem(text: str) -> str:
    """Return a file's name without its folders and the extension of its format."""
    name = PurePosixPath(PureWindowsPath(text).as_posix()).name if _FOLDER_PATTERN.search(text) else text
    return _FORMAT_SUFFIX.sub("", name)


_VALUE_FORMATTERS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"facility": _make_slug, "diagnostic": _make_slug, "name": _extract_stem}
)


def make_path_segment(text: str) -> str:
    """Make a path segment of any text; shorten a long one to its beginning and a hash."""
    segment = encode_path_segment(text)
    if len(segment) <= _MAX_SEGMENT_LENGTH:
        return segment
    digest = hashlib.sha256(segment.encode()).hexdigest()[:16]
    return f"{segment[: _MAX_SEGMENT_LENGTH - 17]}.{digest}"


@lru_cache(1 << 14)
def _make_column_segment(column: str, value: str) -> str:
    return make_path_segment(_VALUE_FORMATTERS.get(column, str)(value) or _UNKNOWN_VALUE)


_SEGMENT_MAKERS: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        "": lambda _column, _value: "",
        "name": _make_column_segment.__wrapped__,  # not cached: each image has another name
    }
)
