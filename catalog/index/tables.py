"""The tables of the catalog's own database.

Rule 1: one counter, in `STATE`, numbers all that is written. An entry's or a folder's id is the number that it was
        written under, so that no id is ever given twice; ``change`` is the number of the last writing, so that what
        has changed since some number is one range of an index.
Rule 2: whoever writes holds the only row of `STATE`. Numbers therefore appear in the order in which they were given.
Rule 3: every column that is searched or sorted by has an index that ends in what makes it unique: a page costs the
        same however deep it lies.
Rule 4: what can be counted is counted as it is written, in `FACET_COUNTS`, never when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

__all__ = [
    "ATTRIBUTES",
    "ENTRIES",
    "FACET_COUNTS",
    "FACT_NAMES",
    "FOLDERS",
    "METADATA",
    "REMOVED_ENTRIES",
    "ROOT_FOLDER",
    "SCHEMA_VERSION",
    "STATE",
    "SafeText",
    "escape_text",
    "escape_texts",
]

SCHEMA_VERSION: Final = "3"
"""The version of these tables: the last of ``catalog/migrations/versions``."""

ROOT_FOLDER: Final = 0
"""The folder that all others are in; it has no row."""

_UNSAFE: Final = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED: Final = re.compile("\x1a([0-9a-f]{4})")  # U+001A is SUBSTITUTE: it stands for what cannot be written


def escape_text(text: str) -> str:
    """What `SafeText` writes for a text."""
    if text.isascii() and text.isprintable():  # mostly, and quickly
        return text
    return _UNSAFE.sub(lambda match: f"\x1a{ord(match[0]):04x}", text)


def escape_texts(texts: Sequence[str]) -> Sequence[str]:
    """What `SafeText` writes for each of some texts."""
    whole = "".join(texts)
    return texts if whole.isascii() and whole.isprintable() else [escape_text(text) for text in texts]


class SafeText(sa.types.TypeDecorator[str]):
    """Any text of Python's, in the order of its characters.

    PostgreSQL has no NUL, and no database has halves of characters, which Python keeps where a name is no UTF-8. They
    are written as U+001A and four hexadecimal digits.
    """

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """PostgreSQL's own order of text is the one of a language; the collation C is that of the characters."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(sa.Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 — as SQLAlchemy's
        """What to write for a text."""
        return None if value is None else escape_text(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 — likewise
        """The text behind what was written."""
        if value is None or "\x1a" not in value:
            return value
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)


METADATA: Final = sa.MetaData()
ENTRIES: Final = sa.Table(
    "entries",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("key", SafeText, nullable=False, unique=True),
    sa.Column("path", SafeText, nullable=False, unique=True),
    sa.Column("folder", sa.BigInteger, nullable=False),
    sa.Column("name", SafeText, nullable=False),
    sa.Column("file", SafeText, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("stamp", sa.BigInteger),  # a hash of file and facts; none where it was not computed yet
    sa.Column("facility", SafeText),
    sa.Column("shot", sa.BigInteger),
    sa.Column("date", SafeText),  # ISO 8601 without a zone, as the laboratory writes it
    sa.Column("diagnostic", SafeText),
    sa.Column("health", SafeText, nullable=False),
    sa.Column("reason", SafeText, nullable=False),
    sa.Column("seen", sa.JSON(none_as_null=True)),
    sa.Column("change", sa.BigInteger, nullable=False, unique=True),
    sa.Index("entries_by_folder", "folder", "name"),
    sa.Index("entries_by_shot", "shot", "id"),
    sa.Index("entries_by_date", "date", "id"),
    sa.Index("entries_by_diagnostic", "diagnostic", "shot", "id"),
    sa.Index("entries_by_facility", "facility", "diagnostic", "date", "id"),
    sa.Index("entries_of_facility", "facility", "date", "id"),
)
sa.Index(
    "entries_by_health",
    ENTRIES.c.health,
    ENTRIES.c.path,
    sqlite_where=sa.text("health <> 'ok'"),  # most are good, and those nobody looks for
    postgresql_where=sa.text("health <> 'ok'"),
)
REMOVED_ENTRIES: Final = sa.Table(  # entries whose rows are gone: their paths are nobody else's
    "removed",
    METADATA,
    sa.Column("key", SafeText, primary_key=True),
    sa.Column("path", SafeText, nullable=False, unique=True),
    sa.Column("change", sa.BigInteger, nullable=False, unique=True),
)
FOLDERS: Final = sa.Table(
    "folders",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("path", SafeText, nullable=False, unique=True),
    sa.Column("parent", sa.BigInteger, nullable=False),
    sa.Column("name", SafeText, nullable=False),
    sa.Index("folders_by_folder", "parent", "name"),
)
ATTRIBUTES: Final = sa.Table(  # what inspections found in files, under the names that are configured
    "attributes",
    METADATA,
    sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", SafeText, primary_key=True),
    sa.Column("text", SafeText, primary_key=True),
    sa.Column("number", sa.Double),
    sa.Column("date", SafeText),  # that of the entry: what has an attribute is found in the order of dates
    sa.Index("attributes_by_text", "name", "text", "date", "entry"),
    sa.Index("attributes_by_number", "name", "number", "date", "entry"),
)
FACT_NAMES: Final = (
    sa.Table(  # of all facts that any row has said, so that a question for another one is answered at once
        "names",
        METADATA,
        sa.Column("name", SafeText, primary_key=True),
    )
)
FACET_COUNTS: Final = sa.Table(  # how many entries there are of each kind; what is unknown is an empty text
    "tallies",
    METADATA,
    sa.Column("facility", SafeText, primary_key=True),
    sa.Column("diagnostic", SafeText, primary_key=True),
    sa.Column("year", SafeText, primary_key=True),
    sa.Column("health", SafeText, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
STATE: Final = sa.Table(  # one row
    "state",
    METADATA,
    sa.Column("counter", sa.BigInteger, nullable=False),
    sa.Column("build", sa.BigInteger, nullable=False),  # the number of the last build that began
    sa.Column("active", sa.Double),  # when that build last wrote, in seconds since 1970; none when it has ended
    sa.Column("watermark", sa.JSON(none_as_null=True)),
)
