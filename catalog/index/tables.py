"""The tables of the catalog's own database.

Rule 1: one counter, in `STATE`, numbers every write. The id of an entry or a folder is the number of its first write,
        so that no id is ever used twice; ``change`` is the number of the last write, so that the changes since a
        number are one range of an index.
Rule 2: whoever writes locks the only row of `STATE`. Numbers therefore become visible in their order.
Rule 3: every column that is searched or sorted by has an index that ends in a unique column: all pages cost the same,
        also the last ones.
Rule 4: counts are updated in `FACET_COUNTS` with each write, never computed by a request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = "4"
"""The version of these tables: the revision of the last migration in ``catalog/migrations/versions``."""

ROOT_FOLDER: Final = 0
"""The id of the root folder, which has no row."""

_UNSAFE: Final = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED: Final = re.compile("\x1a([0-9a-f]{4})")  # U+001A is SUBSTITUTE: it replaces what cannot be stored


def escape_text(text: str) -> str:
    """Return the text that `SafeText` stores for a text."""
    if text.isascii() and text.isprintable():  # almost always, and fast
        return text
    return _UNSAFE.sub(lambda match: f"\x1a{ord(match[0]):04x}", text)


def escape_texts(texts: Sequence[str]) -> Sequence[str]:
    """Return the text that `SafeText` stores for each text."""
    joined = "".join(texts)
    return texts if joined.isascii() and joined.isprintable() else [escape_text(text) for text in texts]


class SafeText(sa.types.TypeDecorator[str]):
    """Any Python text, sorted by code points.

    PostgreSQL cannot store NUL, and no database stores lone surrogates, which Python has in names that are not UTF-8.
    They are stored as U+001A and four hexadecimal digits.
    """

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the type: in PostgreSQL with collation C, because its default collation is that of a language."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(sa.Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 — as SQLAlchemy's
        """Return the text to store."""
        return None if value is None else escape_text(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 — likewise
        """Return the text for a stored one."""
        if value is None or "\x1a" not in value:
            return value
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)


METADATA: Final = sa.MetaData()
HEALTH_NOT_OK: Final = sa.text("health <> 'ok'")
"""The condition of a partial index. A query that repeats it literally uses that index."""
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
    sa.Column("stamp", sa.BigInteger),  # a hash of file and facts; none if not computed yet
    sa.Column("facility", SafeText),
    sa.Column("shot", sa.BigInteger),
    sa.Column("date", SafeText),  # ISO 8601 without a zone, in the laboratory's time
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
    sqlite_where=HEALTH_NOT_OK,  # most entries are ok, and nobody searches for these
    postgresql_where=HEALTH_NOT_OK,
)
REMOVED_ENTRIES: Final = sa.Table(  # entries whose rows were removed: no other entry gets their paths
    "removed",
    METADATA,
    sa.Column("key", SafeText, primary_key=True),
    sa.Column("path", SafeText, nullable=False, unique=True),
    sa.Column("change", sa.BigInteger, nullable=False, unique=True),
)
PAST_ENTRIES: Final = sa.Table(  # entries before they were removed or got other facts: who could see them is told
    "past",
    METADATA,
    sa.Column("change", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("path", SafeText, nullable=False),
    sa.Column("moment", SafeText, nullable=False),  # of the change, as dates are
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("facility", SafeText),
    sa.Column("shot", sa.BigInteger),
    sa.Column("date", SafeText),
    sa.Column("diagnostic", SafeText),
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
ATTRIBUTES: Final = sa.Table(  # attributes of inspected files, those with configured names
    "attributes",
    METADATA,
    sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", SafeText, primary_key=True),
    sa.Column("text", SafeText, primary_key=True),
    sa.Column("number", sa.Double),
    sa.Column("date", SafeText),  # the entry's date: entries with an attribute are found in its order
    sa.Index("attributes_by_text", "name", "text", "date", "entry"),
    sa.Index("attributes_by_number", "name", "number", "date", "entry"),
)
FACT_NAMES: Final = sa.Table(  # names of all facts of any row, so that a query for another name is refused at once
    "names",
    METADATA,
    sa.Column("name", SafeText, primary_key=True),
)
FACET_COUNTS: Final = sa.Table(  # numbers of entries; an unknown value is the empty text
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
    sa.Column("active", sa.Double),  # when that build last wrote, in seconds since 1970; none if it has ended
    sa.Column("watermark", sa.JSON(none_as_null=True)),
)
