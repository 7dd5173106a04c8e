"""Bytes in the archive's own database: a BLOB or ``bytea`` column, or an Oracle BFILE.

The row is found by what the archive says is its file: the value of a column that no two rows share. The bytes are read
a piece at a time, so that neither this server nor the database holds an image in memory whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.types import NullType

from shotdap.catalog.archive.archive import BadArchive, LostArchive
from shotdap.catalog.archive.connection import ArchiveDatabase
from shotdap.catalog.archive.sql import own_columns, reflected
from shotdap.catalog.entry import Changed, Missing, Unreadable
from shotdap.catalog.storage.content_cache import Cache
from shotdap.catalog.storage.store import Version

__all__ = ["LargeObjects"]

_PIECE = 1 << 20  # bytes read at a time


class _Columns(NamedTuple):
    content: sa.ColumnClause[Any]
    key: sa.ColumnClause[Any]
    version: sa.ColumnElement[Any]


@dataclass(frozen=True)
class LargeObjects:
    """Images that stand in a column of a table, copied to a local cache before they are read."""

    database: ArchiveDatabase
    table: str
    content: str
    """The column with the bytes: BLOB, BFILE, ``bytea``."""
    key: str
    """The column that the archive's ``file`` is a value of; no two rows have the same."""
    cache: Cache
    changed: str | None = None
    """A column that changes whenever the bytes do; without it, new bytes of the old number are not noticed."""
    schema: str | None = None

    def version(self, file: str, /) -> Version:
        """A look at the row, or what was last seen of it while the database is away; see `Store`."""
        place = self._place(file)
        with _as_unreadable():
            try:
                size, changed = self.database.ask(lambda connection: self._status(connection, file))
            except LostArchive:
                last = self.cache.last(*place)
                if last is None:
                    raise
                return last
        version = self.cache.version(*place, str(changed), size=size, modified=_nanoseconds(changed))
        self.cache.note(version, *place)
        return version

    def fetch(self, file: str, version: Version, /) -> None:
        """Copy the bytes; see `Store`."""
        self.cache.hold(version, lambda: self._pieces(file, version))
        self.cache.note(version, *self._place(file))  # again: a link that leads nowhere yet may be swept away

    def tried(self, file: str, /) -> str:
        """The row; see `Store`."""
        return f"{self.table}.{self.content} where {self.key} = {file!r}"

    def _place(self, file: str) -> tuple[str, ...]:
        return str(self.database.engine.url), self.table, self.content, file

    def _status(self, connection: sa.Connection, file: str) -> tuple[int, Any]:
        """How many bytes a row has, and when they changed.

        Raises:
            Missing: there is no such row, or it has no bytes.
        """
        way, columns = self._way, self._columns
        asked = sa.select(way.asked(columns.content), columns.version).where(self._is_row(file)).limit(2)
        rows = connection.execute(asked).all()
        if len(rows) > 1:
            raise Unreadable("The archive has several rows with the key of this image.")
        if not rows or rows[0][0] is None:
            raise Missing("The file is missing from the archive: its row is gone, or holds no bytes.")
        return way.size(connection, rows[0][0]), rows[0][1]

    def _pieces(self, file: str, version: Version) -> Iterator[bytes]:
        with _as_unreadable(), self.database.session() as connection:
            yield from self._way.pieces(connection, self._columns.content, self._is_row(file))
        if self.version(file) != version:
            raise Changed

    def _is_row(self, file: str) -> sa.ColumnElement[bool]:
        key = self._columns.key
        if isinstance(key.type, sa.Numeric | sa.Integer):
            if not _WHOLE.fullmatch(file):
                raise Missing("The file is missing from the archive: its key is no number, and the rows' keys are.")
            return key == int(file)
        return key == file

    @cached_property
    def _columns(self) -> _Columns:
        table = self.database.ask(lambda connection: reflected(connection, self.table, self.schema))
        content, key = own_columns(table, (self.content, self.key))
        changed = own_columns(table, (self.changed,))[0] if self.changed else sa.null()
        return _Columns(content, key, sa.type_coerce(changed, NullType()))

    @property
    def _way(self) -> _Way:
        return _WAYS.get(self.database.engine.dialect.name, _PARTS)


_WHOLE = re.compile(r"-?[0-9]{1,38}")  # an Oracle NUMBER has 38 digits


class _Way(NamedTuple):
    """How a database is asked for a large object."""

    asked: Callable[[sa.ColumnClause[Any]], sa.ColumnElement[Any]]
    """What to select to learn its size."""
    size: Callable[[sa.Connection, Any], int]
    """The size, from what was selected."""
    pieces: Callable[[sa.Connection, sa.ColumnClause[Any], sa.ColumnElement[bool]], Iterator[bytes]]


def _parts(connection: sa.Connection, content: sa.ColumnClause[Any], is_row: sa.ColumnElement[bool]) -> Iterator[bytes]:
    """The bytes of a value, cut out by the database."""
    for start in count(1, _PIECE):
        part = sa.func.substr(_binary(content), start, _PIECE, type_=sa.LargeBinary)
        piece = connection.execute(sa.select(part).where(is_row)).scalar()
        if not piece:
            return
        yield bytes(piece)


def _locator(
    connection: sa.Connection, content: sa.ColumnClause[Any], is_row: sa.ColumnElement[bool]
) -> Iterator[bytes]:
    """The bytes of an Oracle LOB, read through its locator."""
    with _driver_in_words(connection):
        lob = connection.execute(sa.select(_bare(content)).where(is_row)).scalar_one()
        for start in range(1, lob.size() + 1, _PIECE):
            yield lob.read(start, _PIECE)


def _lob_size(connection: sa.Connection, lob: Any) -> int:  # noqa: ANN401 — the driver's own
    with _driver_in_words(connection):
        return int(lob.size())


@contextmanager
def _driver_in_words(connection: sa.Connection) -> Iterator[None]:
    """Say what went wrong with a locator, which is asked past SQLAlchemy."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        code = getattr(error.args[0] if error.args else None, "full_code", type(error).__name__)
        if code in _NO_FILE:
            raise Missing("The file is missing from the archive.") from error
        raise Unreadable(f"The archive's database does not give the file: {code}.") from error


_NO_FILE = frozenset({"ORA-22285", "ORA-22286", "ORA-22288"})  # of a BFILE: its directory, the right to it, the file


def _counted(_connection: sa.Connection, size: Any) -> int:  # noqa: ANN401 — a number
    return int(size)


def _bare(content: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(content, NullType())


def _binary(content: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(content, sa.LargeBinary)  # SQLite counts the characters of text


def _length(content: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]:
    return sa.func.length(_binary(content))


_PARTS = _Way(_length, _counted, _parts)
ORACLE = _Way(_bare, _lob_size, _locator)
_WAYS: Mapping[str, _Way] = MappingProxyType({"oracle": ORACLE})


def _nanoseconds(changed: object) -> int:
    """A version as a time; 0 where it is none. Its being another is what counts, not when that was."""
    if isinstance(changed, str):
        with suppress(ValueError):
            changed = datetime.fromisoformat(changed)
    if isinstance(changed, date) and not isinstance(changed, datetime):
        changed = datetime.combine(changed, time.min)
    if not isinstance(changed, datetime):
        return 0
    return max(0, round((changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp() * 1e6) * 1000)


@contextmanager
def _as_unreadable() -> Iterator[None]:
    try:
        yield
    except BadArchive as error:
        raise Unreadable(str(error)) from error
