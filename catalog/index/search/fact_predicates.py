"""What the archive says of entries, as conditions of the text that it is kept as.

Facts are JSON as Python writes it: ASCII, ``{"camera": "Big Kid", "shot": 103741}``. A quotation mark within a name or
a text has a backslash before it, so ``, "shot": `` stands there if, and only if, the row says something under ``shot``.
Capitals are as good as small letters where what may match is looked for, and are not where it is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa

from shotdap.catalog.index.fulltext import MAX_WORD_LENGTH, MAX_WORDS, parse_search_words
from shotdap.catalog.index.search.sql_functions import contains, ilike
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query import Pattern, TextRange, Value
from shotdap.catalog.query.values import parse_number

__all__ = ["has_fact", "has_word", "may_have_fact", "may_have_words"]

_PLAIN_PART: Final = re.compile(r"[a-hjl-zA-HJL-Z0-9_.-]+")  # k and i are also the small forms of U+212A and U+0130
_PLAIN_TEXT: Final = re.compile(r"[\w .,:;+-]+", re.ASCII)  # what JSON writes as it is
_WORD: Final = re.compile(r"[a-z0-9]+")
_FACTS_TEXT: Final = sa.cast(ENTRIES.c.facts, sa.Text)
_SEARCHABLE_TEXT: Final = _FACTS_TEXT + ENTRIES.c.path
_HAS_ALL_WORDS: Final = sa.func.length(_FACTS_TEXT) + sa.func.length(ENTRIES.c.path) < 2 * MAX_WORDS
"""That all words of an entry are known: each takes a character, and one beside it."""


def may_have_fact(name: str, value: Value) -> sa.ColumnElement[bool]:
    """That something is said under a name which may be a value; where this does not hold, it is not."""
    return _make_like_condition(f"{json.dumps(name)}:", *_split_plain_parts(value))


def may_have_words(value: Value) -> sa.ColumnElement[bool] | None:
    """That the path or the facts may have all words of a value; nothing, where too little is known of those."""
    texts = [word for word, _ in parse_search_words(value.text)] if isinstance(value, Pattern) else []
    longest = max((part for text in texts for part in _PLAIN_PART.findall(text)), key=len, default="")
    if not longest:
        return None
    return ilike(_SEARCHABLE_TEXT, _make_like_pattern(longest))


def has_fact(name: str, value: Value) -> sa.ColumnElement[bool] | None:
    """That a value, spelled so, is what is said under a name for sure; nothing, where this text cannot show it."""
    if isinstance(value, TextRange) or not _PLAIN_TEXT.fullmatch(value.text):
        return None
    said = f"{json.dumps(name)}: {json.dumps(value.text)}"
    return sa.or_(*(contains(_FACTS_TEXT, f"{before}{said}") for before in ("{", ", ")))


def has_word(value: Value) -> sa.ColumnElement[bool] | None:
    """That a value is one word and what is said under some name, for sure; nothing, where this cannot show it."""
    text = value.text.lower() if isinstance(value, Pattern) else ""
    if not _WORD.fullmatch(text) or len(text) > MAX_WORD_LENGTH:
        return None
    return sa.and_(_make_like_condition(f": {json.dumps(text)}"), _HAS_ALL_WORDS)


def _split_plain_parts(value: Value) -> Iterable[str]:
    """The parts of a text, in their order, that JSON writes as they are; of numbers there are many spellings."""
    if isinstance(value, TextRange) or (not value.is_quoted and parse_number(value.text) is not None):
        return ()
    return _PLAIN_PART.findall(value.text)


def _make_like_condition(*parts: str) -> sa.ColumnElement[bool]:
    """That the facts have these parts in this order, in any case."""
    return ilike(_FACTS_TEXT, _make_like_pattern(*parts))


def _make_like_pattern(*parts: str) -> str:
    escaped = (re.sub(r"([/%_])", r"/\1", part) for part in parts)
    return f"%{'%'.join(escaped)}%"
