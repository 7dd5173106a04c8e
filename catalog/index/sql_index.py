"""The catalog's own database as one object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shotdap.catalog.archive.archive import Watermark
from shotdap.catalog.entry import FAILED_HEALTHS, Entry, FolderPage, Health, TimeDirection
from shotdap.catalog.index import build_lock
from shotdap.catalog.index.build_lock import BuildLock, BuildState
from shotdap.catalog.index.changes import FIRST_TOKEN, ChangePage, list_changes, make_present_token
from shotdap.catalog.index.database import READ_SECONDS, BadCatalog, Database
from shotdap.catalog.index.entry_lookup import find_entry, list_children, make_not_found
from shotdap.catalog.index.facet_counts import Facet, count_by_facet, count_entries
from shotdap.catalog.index.facets import FacetCounts, count_facets
from shotdap.catalog.index.nearest import find_nearest
from shotdap.catalog.index.records import InspectionResult, Record, convert_to_new_record, decode_entry_row
from shotdap.catalog.index.search import PartitionCache, SearchPage, search_entries
from shotdap.catalog.index.search.visibility import EVERYTHING, Visibility
from shotdap.catalog.index.tables import ENTRIES, HEALTH_NOT_OK
from shotdap.catalog.index.transaction import WriteTransaction
from shotdap.catalog.query import Query, parse_query


@dataclass(frozen=True)
class SqlIndex:
    """Entries in the catalog's own database: SQLite, or PostgreSQL for several servers.

    An empty database gets its tables when it is first used.
    """

    url: str
    """The URL for SQLAlchemy: ``sqlite:///catalog.db``."""
    read_seconds: float = READ_SECONDS
    """The time limit of one search, or of any other read; one that takes longer raises `TooSlow`."""
    visibility: Visibility = EVERYTHING
    """The entries that exist for whoever asks by this object."""

    @classmethod
    def open_sqlite(cls, path: Path, read_seconds: float = READ_SECONDS) -> SqlIndex:
        """Return the index in an SQLite file, which is created if it does not exist."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadCatalog(
                f"The folder for the catalog's database (the setting catalog.index) cannot be made: {error.strerror}."
            ) from error
        return cls(f"sqlite:///{path}", read_seconds)

    @cached_property
    def _database(self) -> Database:
        return Database(self.url, self.read_seconds)

    @cached_property
    def _partitions(self) -> PartitionCache:
        return PartitionCache()

    def restrict(self, visibility: Visibility) -> SqlIndex:
        """Return the same index, for a reader who sees only some entries; it has the same connections."""
        restricted = replace(self, visibility=visibility)
        restricted.__dict__.update(_database=self._database, _partitions=self._partitions)
        return restricted

    def is_empty(self) -> bool:
        """Check whether the database has no catalog yet.

        Raises:
            BadCatalog: this is no database, or it does not answer.
        """
        return self._database.read_version() is None

    def check_version(self) -> None:
        """Check that the database can be used.

        Raises:
            BadCatalog: it has another version, or is no database, or does not answer.
        """
        _ = self._database.engine

    def migrate(self) -> str | None:
        """Create the tables of an empty database; keep a database of this version.

        Returns:
            The version before, or `None` if the database was empty.

        Raises:
            BadCatalog: this shotdap cannot migrate its version, or it is no database.
        """
        return self._database.migrate()

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._database.close()
        self._partitions.reset()

    def find_entry(self, path: str) -> Entry:
        """Return the entry at a path; see `Index`."""
        with self._database.begin_read() as connection:
            entry = find_entry(connection, path)
        if not self.visibility.is_everything and not self.visibility.allows(entry):
            raise make_not_found(path)
        return entry

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """List the folders and entries directly below a folder; see `Index`."""
        with self._database.begin_read() as connection:
            return list_children(connection, path, after, limit, self.visibility)

    def find_nearest(
        self,
        entry: Entry,
        match: Mapping[str, str],
        *,
        when: TimeDirection = "earlier",
        within_days: float | None = None,
    ) -> Entry | None:
        """Return the entry nearest in time, of the same facility, whose facts match patterns; see `find_nearest`.

        If a reader must not see the nearest, there is none: the next one would give other values without a word.
        """
        with self._database.begin_read() as connection:
            nearest = find_nearest(connection, entry, match, when=when, within_days=within_days)
        return nearest if nearest is not None and self.visibility.allows(nearest) else None

    def list_changes(self, since: str = FIRST_TOKEN, *, limit: int = 1000) -> ChangePage:
        """List the changes, removals included, since a token from an earlier page."""
        with self._database.begin_read() as connection:
            return list_changes(connection, since, limit, self.visibility)

    def make_present_token(self) -> str:
        """Return the token with which `list_changes` lists only later changes."""
        with self._database.begin_read() as connection:
            return make_present_token(connection, self.visibility)

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """Return a page of entries that match a query, the newest first; see `search_entries`.

        Raises:
            BadQuery: the query has an error.
            BadToken: `after` is not the token of an earlier page of this query.
        """
        parsed = parse_query(query) if isinstance(query, str) else query
        with self._database.begin_read() as connection:
            return search_entries(connection, self._partitions, parsed, after, limit, visibility=self.visibility)

    def count_facets(self, query: Query | str = "") -> FacetCounts:
        """Count the entries that match a query, by facility, diagnostic, year and health; see `count_facets`.

        Raises:
            BadQuery: the query has an error.
        """
        parsed = parse_query(query) if isinstance(query, str) else query
        with self._database.begin_read() as connection:
            return count_facets(connection, self._partitions, parsed, self.visibility)

    def count_by_facet(self, name: Facet, selection: Mapping[Facet, str] | None = None) -> dict[str, int]:
        """Return the number of entries for each facility, diagnostic, year or health; see `count_by_facet`."""
        with self._database.begin_read() as connection:
            return count_by_facet(connection, name, selection or {})

    def count_to_inspect(self, *, again: bool) -> int:
        """Return the number of all entries, or only of those whose files were not found good yet."""
        with self._database.begin_read() as connection:
            return count_entries(connection, Health if again else (Health.UNSEEN, *FAILED_HEALTHS))

    def list_entries(self, limit: int, path: str = "") -> list[Entry]:
        """List entries in the order of their paths, after a path."""
        return self._select_entries(limit, ENTRIES.c.path > path)

    def list_uninspected(self, limit: int) -> list[Entry]:
        """List entries whose files were not inspected."""
        return self._select_entries(limit, HEALTH_NOT_OK, ENTRIES.c.health == Health.UNSEEN)

    def list_failed(self, limit: int, after: str = "") -> list[Entry]:
        """List entries whose files were missing or unreadable, in the order of their paths, after a path."""
        return self._select_entries(limit, HEALTH_NOT_OK, ENTRIES.c.health.in_(FAILED_HEALTHS), ENTRIES.c.path > after)

    def _select_entries(self, limit: int, *conditions: sa.ColumnElement[bool] | sa.TextClause) -> list[Entry]:
        statement: sa.Select[Any] = sa.select(ENTRIES).where(*conditions).order_by(ENTRIES.c.path).limit(limit)
        with self._database.begin_read() as connection:
            return [decode_entry_row(row) for row in connection.execute(statement).mappings()]

    def record_inspections(self, results: Iterable[tuple[Entry, InspectionResult]]) -> None:
        """Write the inspection results of entries that have not changed since; see `WriteTransaction`."""
        with build_lock.begin_transaction(self._database) as transaction:
            transaction.record_inspections(results)

    def put_records(self, records: Iterable[Record], watermark: Watermark | None = None) -> None:
        """Add or replace records and set the watermark, all or nothing: a catalog without an archive."""
        by_key = {record.key: record for record in records}
        lock = self.acquire_build_lock()
        with self.begin_transaction(lock, watermark) as transaction:
            existing = transaction.find_existing(list(by_key))
            transaction.add_records(
                [convert_to_new_record(each) for key, each in by_key.items() if key not in existing]
            )
            transaction.replace_records([record for key, record in by_key.items() if key in existing])
        self.release_build_lock(lock)

    def read_watermark(self) -> Watermark | None:
        """Return how far the archive has been read; `None` before the first build."""
        return build_lock.read_watermark(self._database)

    def read_build_state(self) -> BuildState:
        """Return whether a build is running, and how far the archive has been read."""
        return build_lock.read_build_state(self._database)

    def acquire_build_lock(self, *, patient: bool = False) -> BuildLock:
        """Begin a build: a running build ends; if this one is patient, raise `Busy` instead."""
        return build_lock.acquire_build_lock(self._database, patient=patient)

    def release_build_lock(self, lock: BuildLock) -> None:
        """End a build."""
        build_lock.release_build_lock(self._database, lock)

    def begin_transaction(
        self, lock: BuildLock, watermark: Watermark | None = None
    ) -> AbstractContextManager[WriteTransaction]:
        """Begin a transaction of a build, which writes all or nothing; see `build_lock.begin_transaction`."""
        return build_lock.begin_transaction(self._database, lock, watermark)

    def list_ids(self, after: int, upto: int, limit: int) -> list[int]:
        """List ids of entries, the least first, greater than one id and up to another."""
        statement = sa.select(ENTRIES.c.id).where(ENTRIES.c.id > after, ENTRIES.c.id <= upto)
        with self._database.begin_read() as connection:
            return list(connection.execute(statement.order_by(ENTRIES.c.id).limit(limit)).scalars())
