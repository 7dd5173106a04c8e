"""Names that clients cannot take: how they are shortened and told apart, and where it is said what they were.

netCDF takes 256 bytes of UTF-8 (``NC_MAX_NAME``), and file systems, which keep a segment of a Zarr key as a name, take
255. A longer name keeps its beginning; a hash of the whole name follows, so that the same name is shortened the same
way in every file, and two names differ after as they did before.

A variable's attribute ``original_name`` is its name in the file. Attributes and dimensions have no attributes of their
own: whoever renames some lists them, "new: old, new: old", in an attribute of what they belong to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

MAX_NAME_BYTES: Final = 255
"""Bytes of UTF-8."""

RENAMED_ATTRIBUTES: Final = "renamed_attributes"
"""The attribute that lists attributes whose names are not the file's."""

RENAMED_DIMENSIONS: Final = "renamed_dimensions"
"""The attribute that lists dimensions whose names are not the file's, and which have no coordinate to say so."""

_HASH_DIGITS: Final = 8  # hexadecimal digits
_NUMBER_BYTES: Final = 8  # bytes of a long name that give way to a number
_MAX_UNDERSCORES: Final = 8  # behind one name; those of 10,000 names that collide would take 50 MB


def shorten_name(name: str, whole: str | None = None) -> str:
    """Return the name itself, or, where it is longer than `MAX_NAME_BYTES`, its beginning and a hash.

    Args:
        name: what clients are to see.
        whole: what the hash is made of; the name itself where it is left out. Names that were made alike before, by
            replacing characters, stay different by it.
    """
    encoded = name.encode(errors="surrogatepass")
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256((name if whole is None else whole).encode(errors="surrogatepass")).hexdigest()[
        :_HASH_DIGITS
    ]
    return f"{encoded[: MAX_NAME_BYTES - _HASH_DIGITS - 1].decode(errors='ignore')}_{digest}"


def shorten_path(path: str) -> str:
    """Return a path with each name between its slashes shortened."""
    return "/".join(map(shorten_name, path.split("/")))


def list_renamed(attrs: Mapping[Any, Any], key: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the attribute that lists what was renamed, behind what it says already; nothing where nothing was.

    Args:
        attrs: the attributes that it goes with.
        key: `RENAMED_ATTRIBUTES` or `RENAMED_DIMENSIONS`.
        own: by each new name the old one; those that are the same are not listed.
    """
    lines = [str(attrs[key])] if key in attrs else []
    lines += [f"{name}: {old}" for name, old in own.items() if name != old]
    return {key: ", ".join(lines)} if lines else {}


def add_underscores(name: str, number: int) -> str:
    """Return the name with an underscore for each collision, and with the number itself where those were many."""
    underscores = number - 1
    return f"{name}{'_' * underscores}" if underscores <= _MAX_UNDERSCORES else f"{name}_{number}"


def _add_number(name: str, number: int) -> str:
    return f"{name[: MAX_NAME_BYTES - _NUMBER_BYTES]}_{number}"


class UniqueNames:
    """The names that are taken in one namespace; gives each newcomer one that is free.

    A name that has collided before continues from the number that it reached then. So each candidate is tried once,
    where counting from 2 again would try all earlier ones: 20,000 names that collide took two minutes.

    Args:
        taken: names that are not free from the beginning.
        numbered: the candidate for a name and a number from 2.
        key: what must differ between two names; the name itself unless given.
    """

    def __init__(
        self,
        taken: Iterable[str] = (),
        numbered: Callable[[str, int], str] = _add_number,
        key: Callable[[str], str] = str,
    ) -> None:
        self._key = key
        self._make_candidate = numbered
        self._taken = set(map(key, taken))
        self._next: dict[str, int] = {}

    def claim(self, name: str) -> str:
        """Return the name if it is free, else the first free candidate; it is taken from now on."""
        candidate, number = name, self._next.get(name, 2)
        while self._key(candidate) in self._taken:
            candidate = self._make_candidate(name, number)
            number += 1
        self._next[name] = number
        self._taken.add(self._key(candidate))
        return candidate
