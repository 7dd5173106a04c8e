"""Conditions on the facts of entries, tested on their stored text.

Facts are stored as JSON as Python writes it: ASCII, ``{"camera": "Big Kid", "shot": 103741}``. A quotation mark within
a name or a text is escaped by a backslash, so the text contains ``, "shot": `` if and only if the row has a fact of
this name. Necessary conditions ignore case, sufficient ones do not.
"""

from __future__ import annotations

import json
import re
from typing import Final

import sqlalchemy as sa

from shotdap.catalog.index.fulltext import MAX_WORD_LENGTH, MAX_WORDS, parse_search_words
from shotdap.catalog.index.search.sql_functions import contains, ilike
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query import Pattern, TextRange, Value
from shotdap.catalog.query.values import parse_number

_PLAIN_PART: Final = re.compile(r"[a-hjl-zA-HJL-Z0-9_.-]+")  # U+212A and U+0130 are also capitals of k and i
_PLAIN_TEXT: Final = re.compile(r"[\w .,:;+-]+", re.ASCII)  # text that JSON does not escape
_WORD: Final = re.compile(r"[a-z0-9]+")
_FACTS_TEXT: Final = sa.cast(ENTRIES.c.facts, sa.Text)
_SEARCHABLE_TEXT: Final = _FACTS_TEXT + ENTRIES.c.path
_HAS_ALL_WORDS: Final = sa.func.length(_FACTS_TEXT) + sa.func.length(ENTRIES.c.path) < 2 * MAX_WORDS
"""The condition that all words of an entry are indexed: each word takes one character and a separator at least."""


def may_have_fact(name: str, value: Value) -> sa.ColumnElement[bool]:
    """Return a necessary condition for a fact to have a value."""
    is_number = isinstance(value, Pattern) and not value.is_quoted and parse_number(value.text) is not None
    # JSON may spell a number differently
    parts = [] if isinstance(value, TextRange) or is_number else _PLAIN_PART.findall(value.text)
    return ilike(_FACTS_TEXT, _make_like_pattern(f"{json.dumps(name)}:", *parts))


def may_have_words(value: Value) -> sa.ColumnElement[bool] | None:
    """Return a necessary condition for an entry to have all words of a value; `None` if no word is plain."""
    words = [word for word, _ in parse_search_words(value.text)] if isinstance(value, Pattern) else []
    longest = max((part for word in words for part in _PLAIN_PART.findall(word)), key=len, default="")
    return ilike(_SEARCHABLE_TEXT, _make_like_pattern(longest)) if longest else None


def has_fact(name: str, value: Value) -> sa.ColumnElement[bool] | None:
    """Return a sufficient condition for a fact to have a value; `None` if the stored text cannot show it."""
    if isinstance(value, TextRange) or not _PLAIN_TEXT.fullmatch(value.text):
        return None
    fact = f"{json.dumps(name)}: {json.dumps(value.text)}"
    return sa.or_(*(contains(_FACTS_TEXT, f"{before}{fact}") for before in ("{", ", ")))


def has_word(value: Value) -> sa.ColumnElement[bool] | None:
    """Return a sufficient condition for a fact to be one given word; `None` if the stored text cannot show it."""
    text = value.text.lower() if isinstance(value, Pattern) else ""
    if not _WORD.fullmatch(text) or len(text) > MAX_WORD_LENGTH:
        return None
    return sa.and_(ilike(_FACTS_TEXT, _make_like_pattern(f": {json.dumps(text)}")), _HAS_ALL_WORDS)


def _make_like_pattern(*parts: str) -> str:
    """Return the pattern of texts that have these parts in this order."""
    escaped = (re.sub(r"([/%_])", r"/\1", part) for part in parts)
    return f"%{'%'.join(escaped)}%"
