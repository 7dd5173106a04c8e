"""Names for clients: shortened, unique, and with a record of the original names.

netCDF allows 256 bytes of UTF-8 (``NC_MAX_NAME``), and file systems, in which a segment of a Zarr key is a file's name,
allow 255. A longer name keeps its beginning, followed by a hash of the whole name, so that a name is shortened the same
way in every file, and different names stay different.

A variable's attribute ``original_name`` is its name in the file. Attributes and dimensions have no attributes of their
own: code that renames some lists them, "new: old, new: old", in an attribute of their variable or group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

MAX_NAME_BYTES: Final = 255
"""The longest name, in bytes of UTF-8."""

RENAMED_ATTRIBUTES: Final = "renamed_attributes"
"""The attribute that lists the renamed attributes."""

RENAMED_DIMENSIONS: Final = "renamed_dimensions"
"""The attribute that lists the renamed dimensions without a coordinate, which would have the original name."""

_HASH_DIGITS: Final = 8  # hexadecimal digits
_NUMBER_BYTES: Final = 8  # bytes of a long name that are replaced by a number
_MAX_UNDERSCORES: Final = 8  # after one name; those of 10,000 equal names would take 50 MB


def shorten_name(name: str, whole: str | None = None) -> str:
    """Return the name itself, or, if it is longer than `MAX_NAME_BYTES`, its beginning and a hash.

    Args:
        name: the name for clients.
        whole: the text to hash; the name itself by default. The original names keep names different that replaced
            characters have made equal.
    """
    encoded = name.encode(errors="surrogatepass")
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256((name if whole is None else whole).encode(errors="surrogatepass")).hexdigest()
    beginning = encoded[: MAX_NAME_BYTES - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{beginning}_{digest[:_HASH_DIGITS]}"


def shorten_path(path: str) -> str:
    """Shorten each name of a path."""
    return "/".join(map(shorten_name, path.split("/")))


def list_renamed(attrs: Mapping[Any, Any], key: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the attribute that lists renamed objects, after its present value; nothing if none was renamed.

    Args:
        attrs: the attributes that it is added to.
        key: `RENAMED_ATTRIBUTES` or `RENAMED_DIMENSIONS`.
        own: the old name for each new one; equal names are not listed.
    """
    lines = [str(attrs[key])] if key in attrs else []
    lines += [f"{name}: {old}" for name, old in own.items() if name != old]
    return {key: ", ".join(lines)} if lines else {}


def add_underscores(name: str, number: int) -> str:
    """Return the name with an underscore for each collision, or with their number if they are many."""
    underscores = number - 1
    return f"{name}{'_' * underscores}" if underscores <= _MAX_UNDERSCORES else f"{name}_{number}"


class UniqueNames:
    """The names that are in use in one namespace; finds a free one for each new name.

    A name that has collided before continues from the number that it reached then. So each candidate is tried once;
    counting from 2 again would try all earlier ones: 20,000 equal names took two minutes.

    Args:
        taken: names that are in use from the beginning.
        numbered: makes a candidate from a name and a number from 2.
        key: returns the part of a name that must be unique; the whole name by default.
    """

    def __init__(
        self,
        taken: Iterable[str] = (),
        numbered: Callable[[str, int], str] = lambda name, number: f"{name[: MAX_NAME_BYTES - _NUMBER_BYTES]}_{number}",
        key: Callable[[str], str] = str,
    ) -> None:
        self._key = key
        self._make_candidate = numbered
        self._taken = set(map(key, taken))
        self._next: dict[str, int] = {}

    def claim(self, name: str) -> str:
        """Return the name if it is free, else the first free candidate, and reserve it."""
        candidate, number = name, self._next.get(name, 2)
        while self._key(candidate) in self._taken:
            candidate = self._make_candidate(name, number)
            number += 1
        self._next[name] = number
        self._taken.add(self._key(candidate))
        return candidate
