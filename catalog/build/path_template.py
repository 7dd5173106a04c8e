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
from shotdap.catalog.names import path_segment

__all__ = ["DEFAULT_TEMPLATE", "PathTemplate", "segment"]

DEFAULT_TEMPLATE: Final = "{facility}/{shot}/{diagnostic}/{name}"
"""A shot number is no key: OMEGA and OMEGA EP count separately, so the facility comes first."""

_UNKNOWN: Final = "unknown"  # stands in a path for a column that is empty
_LONGEST: Final = 120  # characters of a segment; an index of PostgreSQL holds paths of 2,700 bytes, a URL 8,000


@dataclass(frozen=True)
class PathTemplate:
    """How a row's columns make a public path: ``{facility}/{shot}/{diagnostic}/{name}``."""

    text: str = DEFAULT_TEMPLATE

    @cached_property
    def _parts(self) -> tuple[tuple[str, str, Callable[[str, str], str]], ...]:
        """Words, each with the column that comes after them, if any does, and with what spells its values."""
        parsed = string.Formatter().parse(self.text)
        return tuple((words, name or "", _SEGMENTS.get(name or "", _segment)) for words, name, _, _ in parsed)

    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    def check(self, available: Iterable[str]) -> None:
        """Hold it against the columns that an archive has.

        Raises:
            BadArchive: it names a column that is not there, or none, or cannot make a path.
        """
        available = set(available)
        try:
            missing = [name for name in self.columns() if name not in available]
            sample = "" if missing else self.text.format_map(dict.fromkeys(self.columns(), "x"))
        except ValueError as error:
            raise BadArchive(f"The path template {self.text!r} does not read as one: {error}.") from error
        if missing or not self.columns():
            raise BadArchive(
                f"The path template {self.text!r} names {', '.join(missing) or 'no column'};"
                f" the columns are {', '.join(sorted(available))}."
            )
        if any(segment != path_segment(segment) for segment in sample.split("/")):
            raise BadArchive(
                f"The path template {self.text!r} makes no path: between its slashes are columns in braces, letters,"
                " digits, and - _ . only."
            )

    def path(self, row: Row) -> str:
        """The public path of a row, every segment safe; a column without a value is called ``unknown``."""
        facts = row.facts
        return "".join([words + spelled(name, str(facts.get(name, ""))) for words, name, spelled in self._parts])


def _slug(text: str) -> str:
    return re.sub(r"\s+", "-", text.strip()).lower()


_FORMATS = re.compile(r"\.(hdf4?|h4|hdf5|h5|he5|nc4?|cdf|tiff?|json|png|jpe?g)$", re.IGNORECASE)


_FOLDERS = re.compile(r"[/\\:]|^\.$")


def _stem(text: str) -> str:
    """A file's name without the folders above it and the ending that names its format."""
    name = PurePosixPath(PureWindowsPath(text).as_posix()).name if _FOLDERS.search(text) else text
    return _FORMATS.sub("", name)


_SPELLINGS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"facility": _slug, "diagnostic": _slug, "name": _stem}
)


def segment(text: str) -> str:
    """Any text as one segment of a path; of one that is too long the beginning, and a hash of the whole."""
    whole = path_segment(text)
    if len(whole) <= _LONGEST:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{whole[: _LONGEST - 17]}.{digest}"


@lru_cache(1 << 14)
def _segment(column: str, value: str) -> str:
    return segment(_SPELLINGS.get(column, str)(value) or _UNKNOWN)


_SEGMENTS: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        "": lambda _column, _value: "",
        "name": _segment.__wrapped__,  # each image has another one: none is worth keeping
    }
)
