"""What a row says, whatever stands in it: no value of an archive's stops a build."""

from __future__ import annotations

import hashlib
import re
from math import isfinite
from typing import Final

from shotdap.catalog.archive.archive import Row
from shotdap.catalog.entry import Fact, Health

__all__ = ["facts_of", "fault_of", "key_of"]

_LONGEST_KEY: Final = 400  # characters; an index of PostgreSQL holds 2,700 bytes
_LONGEST_FILE: Final = 4096  # bytes of a path, Linux's PATH_MAX
_NO_NAME: Final = re.compile("[\0\ud800-\udbff]")  # an undecodable byte, U+DC80 and above, is part of a name in Linux
_PLAIN: Final = frozenset((str, int))
_NO_KEY: Final = "no-key."
_NO_FAULT: Final = (Health.UNSEEN, "")


def key_of(row: Row) -> str:
    """What identifies a row for ever: its key; of one that is too long the beginning, and a hash of the whole.

    A row without a key is identified by all that it says.
    """
    key = str(row.key)
    if not key:
        return f"{_NO_KEY}{_hash(repr((row.file, sorted(row.facts.items(), key=str))))}"
    return key if len(key) <= _LONGEST_KEY else f"{key[: _LONGEST_KEY - 65]}.{_hash(key)}"


def facts_of(row: Row) -> dict[str, Fact]:
    """What a row says of its image, as values that JSON carries; others as text."""
    facts = row.facts
    if isinstance(facts, dict) and _PLAIN.issuperset(map(type, facts.values())):  # mostly
        return facts
    return {name: value if type(value) in _PLAIN else _carried(value) for name, value in facts.items()}


def fault_of(row: Row) -> tuple[Health, str]:
    """What can be said of the row's file before anybody looks: mostly nothing, or why it cannot be read."""
    if not row.file:
        return Health.UNREADABLE, "The archive's row names no file."
    if len(row.file) > _LONGEST_FILE or not _could_exist(row.file):
        return Health.UNREADABLE, "The archive's row names no file that could exist."
    if not row.key:
        return Health.UNREADABLE, "The archive's row has no key, so nobody can tell which row this is."
    return _NO_FAULT


def _could_exist(file: str) -> bool:
    return (file.isascii() and file.isprintable()) or not _NO_NAME.search(file)  # mostly the former, and quickly


def _carried(value: object) -> Fact:
    return value if isinstance(value, float) and isfinite(value) else str(value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
