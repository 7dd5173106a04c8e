"""What can be asked of an index beyond single paths."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from shotdap.catalog.index import ChangePage, FacetCounts, SearchPage
from shotdap.catalog.query import Query

__all__ = ["Searchable", "Unsearchable"]


class Unsearchable(LookupError):
    """What is asked needs a catalog, and there is none; the message says so in a sentence for the client."""


@runtime_checkable
class Searchable(Protocol):
    """An index that answers queries."""

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """A page of entries that match.

        Raises:
            BadQuery: the query cannot be understood.
            BadToken: `after` is not what an earlier page of this query gave.
        """
        ...

    def count_facets(self, query: Query | str = "") -> FacetCounts:
        """How many entries match.

        Raises:
            BadQuery: the query cannot be understood.
            Unsearchable: nothing is counted here.
        """
        ...

    def list_changes(self, since: int = 0, *, limit: int = 1000) -> ChangePage:
        """What has changed since a token that an earlier answer gave.

        Raises:
            Unsearchable: changes are not written down here.
        """
        ...
