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

from shotdap.catalog.index.fulltext import LONGEST_WORD, MOST_WORDS, asked
from shotdap.catalog.index.search.sql_functions import alike, has
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query import Pattern, Span, Value
from shotdap.catalog.query.values import number

__all__ = ["has_word", "may_have_words", "may_say", "says"]

_PARTS: Final = re.compile(r"[a-hjl-zA-HJL-Z0-9_.-]+")  # k and i are also the small forms of U+212A and U+0130
_WHOLE: Final = re.compile(r"[\w .,:;+-]+", re.ASCII)  # what JSON writes as it is
_WORD: Final = re.compile(r"[a-z0-9]+")
_FACTS: Final = sa.cast(ENTRIES.c.facts, sa.Text)
_ALL: Final = _FACTS + ENTRIES.c.path
_SPARSE: Final = sa.func.length(_FACTS) + sa.func.length(ENTRIES.c.path) < 2 * MOST_WORDS
"""That all words of an entry are known: each takes a character, and one beside it."""


def may_say(name: str, value: Value) -> sa.ColumnElement[bool]:
    """That something is said under a name which may be a value; where this does not hold, it is not."""
    return _like(f"{json.dumps(name)}:", *_parts(value))


def may_have_words(value: Value) -> sa.ColumnElement[bool] | None:
    """That the path or the facts may have all words of a value; nothing, where too little is known of those."""
    texts = [word for word, _ in asked(value.text)] if isinstance(value, Pattern) else []
    longest = max((part for text in texts for part in _PARTS.findall(text)), key=len, default="")
    if not longest:
        return None
    return alike(_ALL, _pattern(longest))


def says(name: str, value: Value) -> sa.ColumnElement[bool] | None:
    """That a value, spelled so, is what is said under a name for sure; nothing, where this text cannot show it."""
    if isinstance(value, Span) or not _WHOLE.fullmatch(value.text):
        return None
    said = f"{json.dumps(name)}: {json.dumps(value.text)}"
    return sa.or_(*(has(_FACTS, f"{before}{said}") for before in ("{", ", ")))


def has_word(value: Value) -> sa.ColumnElement[bool] | None:
    """That a value is one word and what is said under some name, for sure; nothing, where this cannot show it."""
    text = value.text.lower() if isinstance(value, Pattern) else ""
    if not _WORD.fullmatch(text) or len(text) > LONGEST_WORD:
        return None
    return sa.and_(_like(f": {json.dumps(text)}"), _SPARSE)


def _parts(value: Value) -> Iterable[str]:
    """The parts of a text, in their order, that JSON writes as they are; of numbers there are many spellings."""
    if isinstance(value, Span) or (not value.quoted and number(value.text) is not None):
        return ()
    return _PARTS.findall(value.text)


def _like(*parts: str) -> sa.ColumnElement[bool]:
    """That the facts have these parts in this order, in any case."""
    return alike(_FACTS, _pattern(*parts))


def _pattern(*parts: str) -> str:
    escaped = (re.sub(r"([/%_])", r"/\1", part) for part in parts)
    return f"%{'%'.join(escaped)}%"
