"""Bytes in the archive's own database: a BLOB or ``bytea`` column, or an Oracle BFILE.

The archive's column ``file`` contains the row's key, a value of a unique column. The bytes are read a piece at a time,
so that neither this server nor the database needs memory for a whole image.
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
from shotdap.catalog.archive.sql import find_columns, reflect_table
from shotdap.catalog.entry import Changed, Missing, Unreadable
from shotdap.catalog.storage.content_cache import FileCache
from shotdap.catalog.storage.store import Version

_PIECE_SIZE = 1 << 20  # bytes read at a time


class _Columns(NamedTuple):
    content: sa.ColumnClause[Any]
    key: sa.ColumnClause[Any]
    version: sa.ColumnElement[Any]


@dataclass(frozen=True)
class BlobStore:
    """Images in a column of a table, copied to a local cache before they are read."""

    database: ArchiveDatabase
    table: str
    content_column: str
    """The column with the bytes: BLOB, BFILE, ``bytea``."""
    key_column: str
    """The unique column whose values are in the archive's column ``file``."""
    cache: FileCache
    changed_column: str | None = None
    """A column that changes whenever the bytes do; without it, new bytes of the same number are not noticed."""
    schema: str | None = None

    def get_version(self, file: str, /) -> Version:
        """Return the version of a row's bytes, or the last known one while the database is unavailable; see `Store`."""
        location = (str(self.database.engine.url), self.table, self.content_column, file)

        def query_status(connection: sa.Connection) -> tuple[int, Any]:
            columns = self._columns
            access = _LOB_ACCESS_BY_DIALECT.get(self.database.engine.dialect.name, _SUBSTRING_ACCESS)
            query = sa.select(access.make_size_query(columns.content), columns.version)
            rows = connection.execute(query.where(self._match_row(file)).limit(2)).all()
            if len(rows) > 1:
                raise Unreadable("The archive has several rows with the key of this image.")
            if not rows or rows[0][0] is None:
                raise Missing("The file is missing from the archive: its row is gone, or holds no bytes.")
            return access.read_size(connection, rows[0][0]), rows[0][1]

        with _wrap_archive_errors():
            try:
                size, changed = self.database.run_with_retry(query_status)
            except LostArchive:
                last = self.cache.find_last_version(*location)
                if last is None:
                    raise
                return last
        version = self.cache.make_version(*location, str(changed), size=size, modified=_convert_to_nanoseconds(changed))
        self.cache.save_last_version(version, *location)
        return version

    def fetch_file(self, file: str, version: Version, /) -> None:
        """Copy the bytes; see `Store`."""

        def stream_pieces() -> Iterator[bytes]:
            with _wrap_archive_errors(), self.database.open_connection() as connection:
                access = _LOB_ACCESS_BY_DIALECT.get(self.database.engine.dialect.name, _SUBSTRING_ACCESS)
                yield from access.read_pieces(connection, self._columns.content, self._match_row(file))
            if self.get_version(file) != version:
                raise Changed

        self.cache.ensure_content(version, stream_pieces)
        location = (str(self.database.engine.url), self.table, self.content_column, file)
        self.cache.save_last_version(version, *location)  # again: a dangling link may have been removed

    def describe_location(self, file: str, /) -> str:
        """Describe the row; see `Store`."""
        return f"{self.table}.{self.content_column} where {self.key_column} = {file!r}"

    def _match_row(self, file: str) -> sa.ColumnElement[bool]:
        key = self._columns.key
        if isinstance(key.type, sa.Numeric | sa.Integer):
            if not _INTEGER_PATTERN.fullmatch(file):
                raise Missing("The file is missing from the archive: its key is no number, and the rows' keys are.")
            return key == int(file)
        return key == file

    @cached_property
    def _columns(self) -> _Columns:
        table = self.database.run_with_retry(lambda connection: reflect_table(connection, self.table, self.schema))
        content, key = find_columns(table, (self.content_column, self.key_column))
        changed = find_columns(table, (self.changed_column,))[0] if self.changed_column else sa.null()
        return _Columns(content, key, sa.type_coerce(changed, NullType()))


_INTEGER_PATTERN = re.compile(r"-?[0-9]{1,38}")  # an Oracle NUMBER has 38 digits


class _LobAccess(NamedTuple):
    """The functions to read large objects of one database."""

    make_size_query: Callable[[sa.ColumnClause[Any]], sa.ColumnElement[Any]]
    """Make the expression to select for the size."""
    read_size: Callable[[sa.Connection, Any], int]
    """Return the size from the selected value."""
    read_pieces: Callable[[sa.Connection, sa.ColumnClause[Any], sa.ColumnElement[bool]], Iterator[bytes]]


def _read_substrings(
    connection: sa.Connection, content: sa.ColumnClause[Any], is_row: sa.ColumnElement[bool]
) -> Iterator[bytes]:
    """Read the bytes of a value by substring queries."""
    for start in count(1, _PIECE_SIZE):
        part = sa.func.substr(sa.cast(content, sa.LargeBinary), start, _PIECE_SIZE, type_=sa.LargeBinary)
        piece = connection.execute(sa.select(part).where(is_row)).scalar()
        if not piece:
            return
        yield bytes(piece)


def _read_lob(
    connection: sa.Connection, content: sa.ColumnClause[Any], is_row: sa.ColumnElement[bool]
) -> Iterator[bytes]:
    """Read the bytes of an Oracle LOB through its locator."""
    with _wrap_driver_errors(connection):
        lob: Any = connection.execute(sa.select(sa.type_coerce(content, NullType())).where(is_row)).scalar_one()
        for start in range(1, lob.size() + 1, _PIECE_SIZE):
            yield lob.read(start, _PIECE_SIZE)


def _get_lob_size(connection: sa.Connection, lob: Any) -> int:  # noqa: ANN401 — the driver's own
    with _wrap_driver_errors(connection):
        return int(lob.size())


@contextmanager
def _wrap_driver_errors(connection: sa.Connection) -> Iterator[None]:
    """Turn errors of the driver, which locators raise without SQLAlchemy, into the catalog's."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        code = getattr(error.args[0] if error.args else None, "full_code", type(error).__name__)
        if code in _MISSING_FILE_CODES:
            raise Missing("The file is missing from the archive.") from error
        raise Unreadable(f"The archive's database does not give the file: {code}.") from error


# A BFILE's directory, the right to it, or the file is missing.
_MISSING_FILE_CODES = frozenset({"ORA-22285", "ORA-22286", "ORA-22288"})


_SUBSTRING_ACCESS = _LobAccess(
    lambda content: sa.func.length(sa.cast(content, sa.LargeBinary)),  # SQLite counts the characters of text
    lambda _connection, size: int(size),
    _read_substrings,
)
ORACLE_LOB_ACCESS = _LobAccess(lambda content: sa.type_coerce(content, NullType()), _get_lob_size, _read_lob)
_LOB_ACCESS_BY_DIALECT: Mapping[str, _LobAccess] = MappingProxyType({"oracle": ORACLE_LOB_ACCESS})


def _convert_to_nanoseconds(changed: object) -> int:
    """Convert a version to a time; return 0 if it is none. Only differences between versions matter, not the times."""
    if isinstance(changed, str):
        with suppress(ValueError):
            changed = datetime.fromisoformat(changed)
    if isinstance(changed, date) and not isinstance(changed, datetime):
        changed = datetime.combine(changed, time.min)
    if not isinstance(changed, datetime):
        return 0
    return max(0, round((changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp() * 1e6) * 1000)


@contextmanager
def _wrap_archive_errors() -> Iterator[None]:
    """Turn errors of the archive into `Unreadable`."""
    try:
        yield
    except BadArchive as error:
        raise Unreadable(str(error)) from error
