"""Sanitising of rows: no value of an archive stops a build."""

from __future__ import annotations

import hashlib
import re
from math import isfinite
from typing import Final

from shotdap.catalog.archive.archive import Row
from shotdap.catalog.entry import Fact, Health

_MAX_KEY_LENGTH: Final = 400  # characters; an index of PostgreSQL holds 2,700 bytes
_MAX_FILE_LENGTH: Final = 4096  # bytes of a path, Linux's PATH_MAX
# An undecodable byte, U+DC80 and above, may be part of a name in Linux.
_INVALID_CHARACTERS: Final = re.compile("[\0\ud800-\udbff]")
_JSON_TYPES: Final = frozenset((str, int))
_NO_KEY_PREFIX: Final = "no-key."
_NO_PROBLEM: Final = (Health.UNSEEN, "")


def get_row_key(row: Row) -> str:
    """Return a row's permanent key; shorten a long one to its beginning and a hash.

    The key of a row without one is a hash of all its values.
    """
    key = str(row.key)
    if key and len(key) <= _MAX_KEY_LENGTH:
        return key
    text = key or repr((row.file, sorted(row.facts.items(), key=str)))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{key[: _MAX_KEY_LENGTH - 65]}.{digest}" if key else f"{_NO_KEY_PREFIX}{digest}"


def normalize_facts(row: Row) -> dict[str, Fact]:
    """Return a row's facts as values that JSON carries; convert others to text."""
    facts = row.facts
    if isinstance(facts, dict) and _JSON_TYPES.issuperset(map(type, facts.values())):  # mostly
        return facts
    return {
        name: value if type(value) in _JSON_TYPES or (isinstance(value, float) and isfinite(value)) else str(value)
        for name, value in facts.items()
    }


def check_row(row: Row) -> tuple[Health, str]:
    """Return the health of a row's file before its inspection: unseen, or unreadable with the reason."""
    if not row.file:
        return Health.UNREADABLE, "The archive's row names no file."
    is_plain = row.file.isascii() and row.file.isprintable()  # mostly so, and fast to check
    if len(row.file) > _MAX_FILE_LENGTH or not (is_plain or not _INVALID_CHARACTERS.search(row.file)):
        return Health.UNREADABLE, "The archive's row names no file that could exist."
    if not row.key:
        return Health.UNREADABLE, "The archive's row has no key, so nobody can tell which row this is."
    return _NO_PROBLEM
