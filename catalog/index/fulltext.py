"""Full text: the words of an entry's path and of what the archive says of it.

A word is a run of letters or digits, in any case: ``p510_2_s103741`` is three. What words an entry has is decided here
and not by the database, so that SQLite and PostgreSQL find the same.

SQLite's index keeps no text of its own, so the words that an entry had must be given to take it out again: whoever
changes what a word is writes a migration that fills the index anew.
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

__all__ = [
    "FULLTEXT_INDEXES",
    "MAX_WORDS",
    "MAX_WORD_LENGTH",
    "FullTextIndex",
    "extract_entry_words",
    "join_entry_words",
    "parse_search_words",
]

_WORD: Final = re.compile(r"([^\W_]{1,64})[^\W_]*")  # of what is longer the beginning, here and in a question
_ASCII_SIZE: Final = 128
MAX_WORD_LENGTH: Final = 64
"""Characters of a word; of a longer one the beginning counts."""
MAX_WORDS: Final = 256
"""How many words of an entry are kept, the first ones."""
_ASCII_TRANSLATION: Final = bytes(
    ord(chr(code).lower() if code < _ASCII_SIZE and chr(code).isalnum() else " ") for code in range(256)
)
"""For each byte of a text in ASCII the small letter or digit that it is, or a space."""

EntryWords: TypeAlias = tuple[int, str]
"""An entry's id, and its words."""


def join_entry_words(path: str, facts: Mapping[str, Fact]) -> str:
    """The words that an entry is found by, each once, with spaces between."""
    return " ".join(extract_entry_words(path, facts))


def extract_entry_words(path: str, facts: Mapping[str, Fact]) -> Collection[str]:
    """The words that an entry is found by, each once."""
    words = dict.fromkeys(_tokenize_text(" ".join((path, *map(str, facts.values())))))
    return words if len(words) <= MAX_WORDS else list(islice(words, MAX_WORDS))


def _tokenize_text(text: str) -> list[str]:
    """The words of a text; where all is ASCII, as mostly, in a quarter of the time that the expression takes."""
    if text.isascii():
        words = text.encode().translate(_ASCII_TRANSLATION).decode().split()
        if max(map(len, words), default=0) <= MAX_WORD_LENGTH:
            return words
    return _WORD.findall(text.lower())


class FullTextIndex(Protocol):
    """One kind of database's index of words."""

    def create_table(self, connection: sa.Connection) -> None:
        """Make it, empty."""
        ...

    def add_entries(self, connection: sa.Connection, entries: Iterable[EntryWords]) -> None:
        """Put entries in that are not there."""
        ...

    def remove_entries(self, connection: sa.Connection, entries: Iterable[EntryWords]) -> None:
        """Take entries out, given the words that they have."""
        ...

    def select_matching_ids(self, text: str) -> sa.Select[tuple[int]]:
        """The ids of entries that have all words of a text; a word with ``*`` behind it, any that begins so."""
        ...

    def has_words(self, entry: sa.Column[int], text: str, least: int, greatest: int) -> sa.ColumnElement[bool]:
        """That an entry with one of these ids has all words of a text; of others nothing is known.

        In words that keep a database to the order in which it walks along the entries.
        """
        ...


@lru_cache(256)
def parse_search_words(text: str) -> tuple[tuple[str, bool], ...]:
    """The words of a question, each with whether it is a beginning: ``asbo*``."""
    lowered = text.lower()
    return tuple((found[1], lowered[found.end() :].startswith("*")) for found in _WORD.finditer(lowered))


class _SqliteFullText:
    """FTS5, without the text (``content=''``) and the places and number of its words (``detail``, ``columnsize``).

    Nobody asks how well an entry fits. What is beyond ASCII is part of a word for the tokenizer ``ascii``: the words
    are told apart already, by spaces, and the letters that another tokenizer knows are those of an older Unicode.

    A word's list that fills fewer than four pages is read from its beginning, wherever in it a question begins. So
    pages have 1,000 bytes and not 4,050: two frequent words take a third of the time, and a build the same.
    """

    _TABLE: Final = sa.table("words", sa.column("rowid", sa.Integer), sa.column("text"), sa.column("words"))
    _INSERT_TABLE: Final = sa.table("words", sa.column("rowid"), sa.column("text"))
    _DELETE_COMMAND: Final = _TABLE.insert().values({name: sa.bindparam(name) for name in ("rowid", "text", "words")})

    def create_table(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(
            "CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none, columnsize=0, tokenize='ascii')"
        )
        connection.exec_driver_sql("INSERT INTO words (words, rank) VALUES ('pgsz', 1000)")

    def add_entries(self, connection: sa.Connection, entries: Iterable[EntryWords]) -> None:
        insert_rows(connection, self._INSERT_TABLE, entries)

    def remove_entries(self, connection: sa.Connection, entries: Iterable[EntryWords]) -> None:
        # a row whose column of the table's name holds a command: that is how FTS5 has it
        gone = ({"words": "delete", "rowid": number, "text": words} for number, words in entries)
        execute_many(connection, self._DELETE_COMMAND, gone)

    def select_matching_ids(self, text: str) -> sa.Select[tuple[int]]:
        quoted = (f'"{word}"{"*" if begins else ""}' for word, begins in parse_search_words(text))
        found = self._TABLE.c.words.op("MATCH")(" AND ".join(quoted) or '""')
        return sa.select(self._TABLE.c.rowid).where(found)

    def has_words(self, entry: sa.Column[int], text: str, least: int, greatest: int) -> sa.ColumnElement[bool]:
        inside = self.select_matching_ids(text).where(self._TABLE.c.rowid.between(least, greatest))
        return (entry + 0).in_(inside)


class _PostgresqlFullText:
    """A column of type ``tsvector`` with an index (GIN)."""

    _TABLE: Final = sa.table("words", sa.column("entry", sa.BigInteger), sa.column("words", postgresql.TSVECTOR))

    def create_table(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE words (entry BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)")
        connection.exec_driver_sql("CREATE INDEX words_by_word ON words USING gin (words)")

    def add_entries(self, connection: sa.Connection, entries: Iterable[EntryWords]) -> None:
        values = [{"entry": number, "list": words.split()} for number, words in entries]
        if values:
            listed = sa.func.array_to_tsvector(sa.bindparam("list", type_=postgresql.ARRAY(sa.Text)))
            connection.execute(self._TABLE.insert().values(entry=sa.bindparam("entry"), words=listed), values)

    def remove_entries(self, connection: sa.Connection, entries: Iterable[EntryWords]) -> None:
        values = [{"gone": number} for number, _words in entries]
        if values:
            connection.execute(self._TABLE.delete().where(self._TABLE.c.entry == sa.bindparam("gone")), values)

    def select_matching_ids(self, text: str) -> sa.Select[tuple[int]]:
        quoted = (f"'{word}'{':*' if begins else ''}" for word, begins in parse_search_words(text))
        query = sa.cast(sa.bindparam(None, " & ".join(quoted)), postgresql.TSQUERY)
        return sa.select(self._TABLE.c.entry).where(self._TABLE.c.words.op("@@")(query))

    def has_words(self, entry: sa.Column[int], text: str, least: int, greatest: int) -> sa.ColumnElement[bool]:  # noqa: ARG002 — here it is known of all
        of_entry = self.select_matching_ids(text).where(self._TABLE.c.entry == entry)
        return of_entry.offset(0).correlate(entry.table).exists()  # with an OFFSET it is no join, in whatever order


FULLTEXT_INDEXES: Final[Mapping[str, FullTextIndex]] = MappingProxyType(
    {"sqlite": _SqliteFullText(), "postgresql": _PostgresqlFullText()}
)
"""The index of words, by SQLAlchemy's name of the kind of database."""
