"""The protocols of indexes that answer queries, that show each reader only some entries, or that builds fill."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from shotdap.catalog.entry import Index
from shotdap.catalog.index import FIRST_TOKEN, BuildState, ChangePage, FacetCounts, SearchPage
from shotdap.catalog.index.search.visibility import Visibility
from shotdap.catalog.query import Query


class Unsearchable(LookupError):
    """The request needs a catalog, and there is none; the message is a sentence for the client."""


@runtime_checkable
class RestrictableIndex(Index, Protocol):
    """An index that can be asked for a reader who sees only some entries."""

    def restrict(self, visibility: Visibility) -> RestrictableIndex:
        """Return the same index for such a reader: for them, no other entry exists."""
        ...


@runtime_checkable
class BuiltIndex(Index, Protocol):
    """An index that builds fill from an archive."""

    def read_build_state(self) -> BuildState:
        """Return whether a build is running, and how far the archive has been read."""
        ...


@runtime_checkable
class Searchable(Protocol):
    """An index that answers queries."""

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """Return a page of entries that match a query.

        Raises:
            BadQuery: the query is not valid.
            BadToken: `after` is not the token of an earlier page of this query.
            TooSlow: it takes longer than the time limit.
        """
        ...

    def count_facets(self, query: Query | str = "") -> FacetCounts:
        """Count the entries that match a query, by facility, diagnostic, year and health.

        Raises:
            BadQuery: the query is not valid.
            TooSlow: it takes longer than the time limit.
            Unsearchable: this index counts nothing.
        """
        ...

    def list_changes(self, since: str = FIRST_TOKEN, *, limit: int = 1000) -> ChangePage:
        """List the changes since the token of an earlier page.

        Raises:
            BadToken: this is no token.
            OutdatedToken: what the reader may see has changed since.
            Unsearchable: this index records no changes.
        """
        ...

    def make_present_token(self) -> str:
        """Return the token with which `list_changes` lists only later changes.

        Raises:
            Unsearchable: this index records no changes.
        """
        ...
