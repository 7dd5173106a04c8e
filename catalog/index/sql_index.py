"""The catalog's own database, as one object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.archive.archive import Watermark
from shotdap.catalog.entry import Entry, FolderPage, Health, TimeDirection
from shotdap.catalog.index import build_lock
from shotdap.catalog.index.build_lock import BuildLock
from shotdap.catalog.index.changes import ChangePage, list_changes
from shotdap.catalog.index.database import BadCatalog, Database
from shotdap.catalog.index.facet_counts import Facet, count_by_facet, count_entries
from shotdap.catalog.index.facets import FacetCounts, count_facets
from shotdap.catalog.index.listing import find_entry, list_children
from shotdap.catalog.index.nearest import find_nearest
from shotdap.catalog.index.records import InspectionResult, Record, convert_to_new_record, decode_entry_row
from shotdap.catalog.index.search import PartitionCache, SearchPage, search_entries
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.index.transaction import WriteTransaction
from shotdap.catalog.query import Query, parse_query

__all__ = ["SqlIndex"]

_FAILED_HEALTHS: Final = (Health.MISSING, Health.UNREADABLE)
_NOT_OK: Final = sa.text("health <> 'ok'")  # as the index over health has it, so that it is used


@dataclass(frozen=True)
class SqlIndex:
    """Entries in a database of the catalog's own: SQLite, or PostgreSQL for several servers.

    An empty database gets its tables when it is first used.
    """

    url: str
    """SQLAlchemy's URL: ``sqlite:///catalog.db``."""

    @classmethod
    def open_sqlite(cls, path: Path) -> SqlIndex:
        """The index kept in an SQLite file, made where it does not exist."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadCatalog(
                f"The folder for the catalog's database (the setting catalog.index) cannot be made: {error.strerror}."
            ) from error
        return cls(f"sqlite:///{path}")

    @cached_property
    def _database(self) -> Database:
        return Database(self.url)

    @cached_property
    def _partitions(self) -> PartitionCache:
        return PartitionCache()

    def is_empty(self) -> bool:
        """Whether no catalog has been begun here.

        Raises:
            BadCatalog: this is no database, or it does not answer.
        """
        return self._database.read_version() is None

    def check_version(self) -> None:
        """See that the database can be used.

        Raises:
            BadCatalog: it is of another version, or no database, or does not answer.
        """
        _ = self._database.engine

    def migrate(self) -> str | None:
        """Bring the database to this version of shotdap; what it holds is kept.

        Returns:
            The version that it had, or `None` if it was empty.

        Raises:
            BadCatalog: it is newer than this shotdap, or no database.
        """
        return self._database.migrate()

    def close(self) -> None:
        """End the connections; the next question makes new ones."""
        self._database.close()
        self._partitions.reset()

    def find_entry(self, path: str) -> Entry:
        """The entry with this path; see `Index`."""
        with self._database.begin_read() as connection:
            return find_entry(connection, path)

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """The folders and entries directly below a folder; see `Index`."""
        with self._database.begin_read() as connection:
            return list_children(connection, path, after, limit)

    def find_nearest(
        self,
        entry: Entry,
        match: Mapping[str, str],
        *,
        when: TimeDirection = "earlier",
        within_days: float | None = None,
    ) -> Entry | None:
        """The entry of the same facility nearest in time whose facts match shell patterns; see `find_nearest`."""
        with self._database.begin_read() as connection:
            return find_nearest(connection, entry, match, when=when, within_days=within_days)

    def list_changes(self, since: int = 0, *, limit: int = 1000) -> ChangePage:
        """What has changed since a token that an earlier answer gave, removals included."""
        with self._database.begin_read() as connection:
            return list_changes(connection, since, limit)

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """A page of entries that match a query, the newest first; see `search_entries`.

        Raises:
            BadQuery: the query cannot be understood.
            BadToken: `list_entries` is not what an earlier page of this query gave.
        """
        wanted = parse_query(query) if isinstance(query, str) else query
        with self._database.begin_read() as connection:
            return search_entries(connection, self._partitions, wanted, after, limit)

    def count_facets(self, query: Query | str = "") -> FacetCounts:
        """How many entries match a query, by facility, diagnostic, year and health; see `count_facets`.

        Raises:
            BadQuery: the query cannot be understood.
        """
        wanted = parse_query(query) if isinstance(query, str) else query
        with self._database.begin_read() as connection:
            return count_facets(connection, self._partitions, wanted)

    def count_by_facet(self, name: Facet, chosen: Mapping[Facet, str] | None = None) -> dict[str, int]:
        """For each facility, diagnostic, year or health the number of entries; see `tallies.facet`."""
        with self._database.begin_read() as connection:
            return count_by_facet(connection, name, chosen or {})

    def count_to_inspect(self, *, again: bool) -> int:
        """How many entries there are, or of these only those that were not found good yet."""
        with self._database.begin_read() as connection:
            return count_entries(connection, Health if again else (Health.UNSEEN, *_FAILED_HEALTHS))

    def list_entries(self, limit: int, path: str = "") -> list[Entry]:
        """Some entries, in the order of their paths, from a path on."""
        return self._select_entries(limit, ENTRIES.c.path > path)

    def list_uninspected(self, limit: int) -> list[Entry]:
        """Some entries whose files have not been looked at."""
        return self._select_entries(limit, _NOT_OK, ENTRIES.c.health == Health.UNSEEN)

    def list_failed(self, limit: int, after: str = "") -> list[Entry]:
        """Some entries whose files were missing or unreadable, in the order of their paths."""
        return self._select_entries(limit, _NOT_OK, ENTRIES.c.health.in_(_FAILED_HEALTHS), ENTRIES.c.path > after)

    def _select_entries(self, limit: int, *wanted: sa.ColumnElement[bool] | sa.TextClause) -> list[Entry]:
        statement: sa.Select[Any] = sa.select(ENTRIES).where(*wanted).order_by(ENTRIES.c.path).limit(limit)
        with self._database.begin_read() as connection:
            return [decode_entry_row(row) for row in connection.execute(statement).mappings()]

    def record_inspections(self, verdicts: Iterable[tuple[Entry, InspectionResult]]) -> None:
        """Write down what an inspection found of entries that are still as it saw them."""
        with build_lock.begin_transaction(self._database) as transaction:
            transaction.record_inspections(verdicts)

    def put_records(self, records: Iterable[Record], watermark: Watermark | None = None) -> None:
        """Add or replace records and move the watermark, all or nothing: a catalog without an archive."""
        given = {record.key: record for record in records}
        turn = self.acquire_build_lock()
        with self.begin_transaction(turn, watermark) as writing:
            known = writing.find_existing(list(given))
            writing.add_records([convert_to_new_record(record) for key, record in given.items() if key not in known])
            writing.replace_records([record for key, record in given.items() if key in known])
        self.release_build_lock(turn)

    def read_watermark(self) -> Watermark | None:
        """How far the archive has been read; `None` before the first build."""
        return build_lock.read_watermark(self._database)

    def acquire_build_lock(self, *, patient: bool = False) -> BuildLock:
        """Take the turn to build; a build that is at work ends, or, if this one is patient, raises `Busy`."""
        return build_lock.acquire_build_lock(self._database, patient=patient)

    def release_build_lock(self, turn: BuildLock) -> None:
        """Give the turn to build back."""
        build_lock.release_build_lock(self._database, turn)

    def begin_transaction(
        self, turn: BuildLock, watermark: Watermark | None = None
    ) -> AbstractContextManager[WriteTransaction]:
        """A transaction of a build, all of which is written or nothing; see `turns.writing`."""
        return build_lock.begin_transaction(self._database, turn, watermark)

    def list_ids(self, after: int, upto: int, limit: int) -> list[int]:
        """The ids of some entries, the least first, in a range that excludes its lower end."""
        statement = sa.select(ENTRIES.c.id).where(ENTRIES.c.id > after, ENTRIES.c.id <= upto)
        with self._database.begin_read() as connection:
            return list(connection.execute(statement.order_by(ENTRIES.c.id).limit(limit)).scalars())
