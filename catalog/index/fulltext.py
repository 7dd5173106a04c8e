"""Full text: the words of an entry's path and of its facts.

A word is a run of letters or digits, case ignored: ``p510_2_s103741`` has three. The words of an entry are computed
here and not by the database, so that SQLite and PostgreSQL find the same entries.

SQLite's index does not store the text, so removing an entry from it needs the words that the entry had: whoever changes
what a word is writes a migration that fills the index anew.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shotdap.catalog.entry import Fact
from shotdap.catalog.index.bulk_insert import execute_many, insert_rows

MAX_WORD_LENGTH: Final = 64
"""Characters of a word; of a longer word only the beginning counts."""
MAX_WORDS: Final = 256
"""Words of an entry that are indexed, the first ones."""
_WORD: Final = re.compile(r"([^\W_]{1,64})[^\W_]*")  # a word, cut to `MAX_WORD_LENGTH`
_ASCII_SIZE: Final = 128
_ASCII_TRANSLATION: Final = bytes(
    ord(chr(code).lower() if code < _ASCII_SIZE and chr(code).isalnum() else " ") for code in range(256)
)
"""For each byte of an ASCII text its small letter or digit, or a space."""

_EntryWords: TypeAlias = tuple[int, str]
"""An entry's id, and its words."""


def join_entry_words(path: str, facts: Mapping[str, Fact]) -> str:
    """Return the words of an entry, each once, separated by spaces."""
    return " ".join(extract_entry_words(path, facts))


def extract_entry_words(path: str, facts: Mapping[str, Fact]) -> Collection[str]:
    """Return the words of an entry, each once."""
    text = " ".join((path, *map(str, facts.values())))
    tokens: list[str] | None = None
    if text.isascii():  # almost always, and this takes a quarter of the time of the expression
        tokens = text.encode().translate(_ASCII_TRANSLATION).decode().split()
    if tokens is None or max(map(len, tokens), default=0) > MAX_WORD_LENGTH:
        tokens = _WORD.findall(text.lower())
    words = dict.fromkeys(tokens)
    return words if len(words) <= MAX_WORDS else list(islice(words, MAX_WORDS))


@lru_cache(256)
def parse_search_words(text: str) -> tuple[tuple[str, bool], ...]:
    """Return the words of a search text, each with whether it is a prefix: ``asbo*``."""
    lowered = text.lower()
    return tuple((match[1], lowered[match.end() :].startswith("*")) for match in _WORD.finditer(lowered))


class FullTextIndex(Protocol):
    """The word index of one kind of database."""

    def add_entries(self, connection: sa.Connection, entries: Iterable[_EntryWords]) -> None:
        """Add entries that are not in the index."""
        ...

    def remove_entries(self, connection: sa.Connection, entries: Iterable[_EntryWords]) -> None:
        """Remove entries, given the words that they have in the index."""
        ...

    def select_matching_ids(self, text: str) -> sa.Select[tuple[int]]:
        """Select the ids of entries that have all words of a search text; ``word*`` is a prefix."""
        ...

    def has_words(self, entry: sa.Column[int], text: str, least: int, greatest: int) -> sa.ColumnElement[bool]:
        """Return the condition that an entry has all words of a text; it is valid only for ids in this range.

        The condition does not change the order in which the database scans the entries.
        """
        ...


class _SqliteFullText:
    """FTS5 without the text (``content=''``), the positions and the number of words (``detail``, ``columnsize``).

    Matches are not ranked, so these are not needed. The tokenizer ``ascii`` takes characters beyond ASCII as parts of
    words: the words are separated by spaces already, and other tokenizers know only an older version of Unicode.

    FTS5 reads a list of ids that fills fewer than four pages from its beginning, wherever the requested range begins.
    Pages of 1,000 bytes instead of 4,050 cut the time for two frequent words to a third; a build takes the same time.
    """

    _TABLE: Final = sa.table("words", sa.column("rowid", sa.Integer), sa.column("text"), sa.column("words"))
    _INSERT_TABLE: Final = sa.table("words", sa.column("rowid"), sa.column("text"))
    _DELETE_COMMAND: Final = _TABLE.insert().values({name: sa.bindparam(name) for name in ("rowid", "text", "words")})

    def add_entries(self, connection: sa.Connection, entries: Iterable[_EntryWords]) -> None:
        insert_rows(connection, self._INSERT_TABLE, entries)

    def remove_entries(self, connection: sa.Connection, entries: Iterable[_EntryWords]) -> None:
        # in FTS5 a command is a row whose column with the table's name contains it
        commands = ({"words": "delete", "rowid": number, "text": words} for number, words in entries)
        execute_many(connection, self._DELETE_COMMAND, commands)

    def select_matching_ids(self, text: str) -> sa.Select[tuple[int]]:
        quoted = (f'"{word}"{"*" if is_prefix else ""}' for word, is_prefix in parse_search_words(text))
        matches = self._TABLE.c.words.op("MATCH")(" AND ".join(quoted) or '""')
        return sa.select(self._TABLE.c.rowid).where(matches)

    def has_words(self, entry: sa.Column[int], text: str, least: int, greatest: int) -> sa.ColumnElement[bool]:
        ids = self.select_matching_ids(text).where(self._TABLE.c.rowid.between(least, greatest))
        return (entry + 0).in_(ids)


class _PostgresqlFullText:
    """A column of type ``tsvector`` with a GIN index."""

    _TABLE: Final = sa.table("words", sa.column("entry", sa.BigInteger), sa.column("words", postgresql.TSVECTOR))

    def add_entries(self, connection: sa.Connection, entries: Iterable[_EntryWords]) -> None:
        values = [{"entry": number, "list": words.split()} for number, words in entries]
        if values:
            vector = sa.func.array_to_tsvector(sa.bindparam("list", type_=postgresql.ARRAY(sa.Text)))
            connection.execute(self._TABLE.insert().values(entry=sa.bindparam("entry"), words=vector), values)

    def remove_entries(self, connection: sa.Connection, entries: Iterable[_EntryWords]) -> None:
        values = [{"removed": number} for number, _words in entries]
        if values:
            connection.execute(self._TABLE.delete().where(self._TABLE.c.entry == sa.bindparam("removed")), values)

    def select_matching_ids(self, text: str) -> sa.Select[tuple[int]]:
        quoted = (f"'{word}'{':*' if is_prefix else ''}" for word, is_prefix in parse_search_words(text))
        query = sa.cast(sa.bindparam(None, " & ".join(quoted)), postgresql.TSQUERY)
        return sa.select(self._TABLE.c.entry).where(self._TABLE.c.words.op("@@")(query))

    def has_words(self, entry: sa.Column[int], text: str, least: int, greatest: int) -> sa.ColumnElement[bool]:  # noqa: ARG002 — needs no range
        matches = self.select_matching_ids(text).where(self._TABLE.c.entry == entry)
        return matches.offset(0).correlate(entry.table).exists()  # OFFSET prevents a join, which could be in any order


FULLTEXT_INDEXES: Final[Mapping[str, FullTextIndex]] = MappingProxyType(
    {"sqlite": _SqliteFullText(), "postgresql": _PostgresqlFullText()}
)
"""The word index, by SQLAlchemy's name of the kind of database."""
