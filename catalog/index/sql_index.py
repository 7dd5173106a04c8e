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
from shotdap.catalog.entry import Entry, Health, Page, When
from shotdap.catalog.index import build_lock
from shotdap.catalog.index.build_lock import Turn
from shotdap.catalog.index.changes import Changes, changes
from shotdap.catalog.index.database import BadCatalog, Database
from shotdap.catalog.index.facet_counts import Facet, count, facet
from shotdap.catalog.index.facets import Facets, facets
from shotdap.catalog.index.listing import children, find
from shotdap.catalog.index.nearest import nearest
from shotdap.catalog.index.records import Record, Verdict, drafted, entry_of
from shotdap.catalog.index.search import Kinds, SearchPage, search
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.index.transaction import Writing
from shotdap.catalog.query import Query, parse

__all__ = ["SqlIndex"]

_DOUBTFUL: Final = (Health.MISSING, Health.UNREADABLE)
_NOT_GOOD: Final = sa.text("health <> 'ok'")  # as the index over health has it, so that it is used


@dataclass(frozen=True)
class SqlIndex:
    """Entries in a database of the catalog's own: SQLite, or PostgreSQL for several servers.

    An empty database gets its tables when it is first used.
    """

    url: str
    """SQLAlchemy's URL: ``sqlite:///catalog.db``."""

    @classmethod
    def at(cls, path: Path) -> SqlIndex:
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
    def _kinds(self) -> Kinds:
        return Kinds()

    def is_empty(self) -> bool:
        """Whether no catalog has been begun here.

        Raises:
            BadCatalog: this is no database, or it does not answer.
        """
        return self._database.version() is None

    def check(self) -> None:
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
        self._kinds.forget()

    def find(self, path: str) -> Entry:
        """The entry with this path; see `Index`."""
        with self._database.reading() as connection:
            return find(connection, path)

    def children(self, path: str, *, after: str | None = None, limit: int = 100) -> Page:
        """The folders and entries directly below a folder; see `Index`."""
        with self._database.reading() as connection:
            return children(connection, path, after, limit)

    def nearest(
        self, entry: Entry, match: Mapping[str, str], *, when: When = "earlier", within_days: float | None = None
    ) -> Entry | None:
        """The entry of the same facility nearest in time whose facts match shell patterns; see `nearest`."""
        with self._database.reading() as connection:
            return nearest(connection, entry, match, when=when, within_days=within_days)

    def changes(self, since: int = 0, *, limit: int = 1000) -> Changes:
        """What has changed since a token that an earlier answer gave, removals included."""
        with self._database.reading() as connection:
            return changes(connection, since, limit)

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """A page of entries that match a query, the newest first; see `search`.

        Raises:
            BadQuery: the query cannot be understood.
            BadToken: `after` is not what an earlier page of this query gave.
        """
        wanted = parse(query) if isinstance(query, str) else query
        with self._database.reading() as connection:
            return search(connection, self._kinds, wanted, after, limit)

    def facets(self, query: Query | str = "") -> Facets:
        """How many entries match a query, by facility, diagnostic, year and health; see `facets`.

        Raises:
            BadQuery: the query cannot be understood.
        """
        wanted = parse(query) if isinstance(query, str) else query
        with self._database.reading() as connection:
            return facets(connection, self._kinds, wanted)

    def facet(self, name: Facet, chosen: Mapping[Facet, str] | None = None) -> dict[str, int]:
        """For each facility, diagnostic, year or health the number of entries; see `tallies.facet`."""
        with self._database.reading() as connection:
            return facet(connection, name, chosen or {})

    def count(self, *, again: bool) -> int:
        """How many entries there are, or of these only those that were not found good yet."""
        with self._database.reading() as connection:
            return count(connection, Health if again else (Health.UNSEEN, *_DOUBTFUL))

    def after(self, limit: int, path: str = "") -> list[Entry]:
        """Some entries, in the order of their paths, from a path on."""
        return self._some(limit, ENTRIES.c.path > path)

    def unseen(self, limit: int) -> list[Entry]:
        """Some entries whose files have not been looked at."""
        return self._some(limit, _NOT_GOOD, ENTRIES.c.health == Health.UNSEEN)

    def doubtful(self, limit: int, after: str = "") -> list[Entry]:
        """Some entries whose files were missing or unreadable, in the order of their paths."""
        return self._some(limit, _NOT_GOOD, ENTRIES.c.health.in_(_DOUBTFUL), ENTRIES.c.path > after)

    def _some(self, limit: int, *wanted: sa.ColumnElement[bool] | sa.TextClause) -> list[Entry]:
        statement: sa.Select[Any] = sa.select(ENTRIES).where(*wanted).order_by(ENTRIES.c.path).limit(limit)
        with self._database.reading() as connection:
            return [entry_of(row) for row in connection.execute(statement).mappings()]

    def judge(self, verdicts: Iterable[tuple[Entry, Verdict]]) -> None:
        """Write down what an inspection found of entries that are still as it saw them."""
        with build_lock.writing(self._database) as transaction:
            transaction.judge(verdicts)

    def put(self, records: Iterable[Record], watermark: Watermark | None = None) -> None:
        """Add or replace records and move the watermark, all or nothing: a catalog without an archive."""
        given = {record.key: record for record in records}
        turn = self.begin()
        with self.writing(turn, watermark) as writing:
            known = writing.known(list(given))
            writing.add([drafted(record) for key, record in given.items() if key not in known])
            writing.replace([record for key, record in given.items() if key in known])
        self.end(turn)

    def watermark(self) -> Watermark | None:
        """How far the archive has been read; `None` before the first build."""
        return build_lock.watermark(self._database)

    def begin(self, *, patient: bool = False) -> Turn:
        """Take the turn to build; a build that is at work ends, or, if this one is patient, raises `Busy`."""
        return build_lock.begin(self._database, patient=patient)

    def end(self, turn: Turn) -> None:
        """Give the turn to build back."""
        build_lock.end(self._database, turn)

    def writing(self, turn: Turn, watermark: Watermark | None = None) -> AbstractContextManager[Writing]:
        """A transaction of a build, all of which is written or nothing; see `turns.writing`."""
        return build_lock.writing(self._database, turn, watermark)

    def numbers(self, after: int, upto: int, limit: int) -> list[int]:
        """The ids of some entries, the least first, in a range that excludes its lower end."""
        statement = sa.select(ENTRIES.c.id).where(ENTRIES.c.id > after, ENTRIES.c.id <= upto)
        with self._database.reading() as connection:
            return list(connection.execute(statement.order_by(ENTRIES.c.id).limit(limit)).scalars())
