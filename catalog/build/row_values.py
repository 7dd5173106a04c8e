"""What a row says, whatever stands in it: no value of an archive's stops a build."""

from __future__ import annotations

import hashlib
import re
from math import isfinite
from typing import Final

from shotdap.catalog.archive.archive import Row
from shotdap.catalog.entry import Fact, Health

_MAX_KEY_LENGTH: Final = 400  # characters; an index of PostgreSQL holds 2,700 bytes
_MAX_FILE_LENGTH: Final = 4096  # bytes of a path, Linux's PATH_MAX
_INVALID_CHARACTERS: Final = re.compile(
    "[\0\ud800-\udbff]"
)  # an undecodable byte, U+DC80 and above, is part of a name in Linux
_JSON_TYPES: Final = frozenset((str, int))
_NO_KEY_PREFIX: Final = "no-key."
_NO_FAULT: Final = (Health.UNSEEN, "")


def get_row_key(row: Row) -> str:
    """What identifies a row for ever: its key; of one that is too long the beginning, and a hash of the whole.

    A row without a key is identified by all that it says.
    """
    key = str(row.key)
    if not key:
        return f"{_NO_KEY_PREFIX}{_hash_text(repr((row.file, sorted(row.facts.items(), key=str))))}"
    return key if len(key) <= _MAX_KEY_LENGTH else f"{key[: _MAX_KEY_LENGTH - 65]}.{_hash_text(key)}"


def normalize_facts(row: Row) -> dict[str, Fact]:
    """What a row says of its image, as values that JSON carries; others as text."""
    facts = row.facts
    if isinstance(facts, dict) and _JSON_TYPES.issuperset(map(type, facts.values())):  # mostly
        return facts
    return {name: value if type(value) in _JSON_TYPES else _convert_value(value) for name, value in facts.items()}


def check_row(row: Row) -> tuple[Health, str]:
    """What can be said of the row's file before anybody looks: mostly nothing, or why it cannot be read."""
    if not row.file:
        return Health.UNREADABLE, "The archive's row names no file."
    if len(row.file) > _MAX_FILE_LENGTH or not _is_possible_path(row.file):
        return Health.UNREADABLE, "The archive's row names no file that could exist."
    if not row.key:
        return Health.UNREADABLE, "The archive's row has no key, so nobody can tell which row this is."
    return _NO_FAULT


def _is_possible_path(file: str) -> bool:
    return (file.isascii() and file.isprintable()) or not _INVALID_CHARACTERS.search(
        file
    )  # mostly the former, and quickly


def _convert_value(value: object) -> Fact:
    return value if isinstance(value, float) and isfinite(value) else str(value)


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
