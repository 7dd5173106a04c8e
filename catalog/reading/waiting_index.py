"""An index that an event loop asks: what takes time is awaited, and nothing is asked twice for one response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from shotdap.catalog.entry import Entry, FolderPage, TimeDirection
from shotdap.catalog.index import FIRST_TOKEN, ChangePage, FacetCounts, SearchPage
from shotdap.catalog.index.search.visibility import Visibility
from shotdap.catalog.query import Query
from shotdap.catalog.reading.process_pool import ProcessPool
from shotdap.catalog.reading.suspending import compute_once, wait_for
from shotdap.catalog.searchable import RestrictableIndex, Searchable

_Result = TypeVar("_Result")


class _SearchableIndex(RestrictableIndex, Searchable, Protocol):
    """What every index of a site is."""

    def restrict(self, visibility: Visibility) -> _SearchableIndex: ...


AskFunction: TypeAlias = Callable[[str, "partial[Any]"], Any]
"""Asks an index by a call, which a key identifies; it may raise `Suspended`."""

FindFunction: TypeAlias = Callable[[Callable[[str], Entry], str], Entry]
"""Finds the entry at a path by a function of an index; it may raise `Suspended`."""


def ask_at_once(key: str, call: partial[Any]) -> Any:  # noqa: ANN401 — the call's
    """Ask an index whose answer takes less than a change to a thread: a database in a file of this machine."""
    return compute_once(key, call)


def ask_in_thread(key: str, call: partial[Any]) -> Any:  # noqa: ANN401 — the call's
    """Ask an index that takes time: a database on another machine."""
    return wait_for(key, partial(asyncio.to_thread, call), call)


def ask_in_process(pool: ProcessPool, key: str, call: partial[Any]) -> Any:  # noqa: ANN401 — the call's
    """Ask an index that may hang: folders of a file server."""
    return wait_for(key, partial(pool.call, call, subject=key), partial(pool.call_from_thread, call, subject=key))


class WaitingIndex:
    """An index that an event loop asks; see `Index` and `Searchable`.

    Args:
        index: finds the entries.
        ask: how it is asked.
        find: how it is asked for one entry, if that differs.
    """

    def __init__(self, index: _SearchableIndex, ask: AskFunction, find: FindFunction | None = None) -> None:
        self._index = index
        self._ask = ask
        self._find = find

    def restrict(self, visibility: Visibility) -> WaitingIndex:
        """Return the same index, for a reader who sees only some entries; a response is for one reader."""
        return WaitingIndex(self._index.restrict(visibility), self._ask, self._find)

    def find_entry(self, path: str) -> Entry:
        """Find the entry with this path; see `Index`."""
        if self._find is not None:
            return self._find(self._index.find_entry, path)
        return self._wait_for(partial(self._index.find_entry, path))

    def list_children(self, path: str, *, after: str | None = None, limit: int = 100) -> FolderPage:
        """List what is directly below a folder; see `Index`."""
        return self._wait_for(partial(self._index.list_children, path, after=after, limit=limit))

    def find_nearest(
        self,
        entry: Entry,
        match: Mapping[str, str],
        *,
        when: TimeDirection = "earlier",
        within_days: float | None = None,
    ) -> Entry | None:
        """Find the matching image that is nearest in time; see `Index`."""
        return self._wait_for(partial(self._index.find_nearest, entry, dict(match), when=when, within_days=within_days))

    def search(self, query: Query | str, *, after: str | None = None, limit: int = 100) -> SearchPage:
        """Return a page of entries that match a query; see `Searchable`."""
        return self._wait_for(partial(self._index.search, query, after=after, limit=limit))

    def count_facets(self, query: Query | str = "") -> FacetCounts:
        """Count the entries that match a query; see `Searchable`."""
        return self._wait_for(partial(self._index.count_facets, query))

    def list_changes(self, since: str = FIRST_TOKEN, *, limit: int = 1000) -> ChangePage:
        """List the changes since an earlier page; see `Searchable`."""
        return self._wait_for(partial(self._index.list_changes, since, limit=limit))

    def make_present_token(self) -> str:
        """Return the token of now; see `Searchable`."""
        return self._wait_for(partial(self._index.make_present_token))

    def _wait_for(self, call: partial[_Result]) -> _Result:
        result: _Result = self._ask(repr((call.func.__name__, call.args, call.keywords)), call)
        return result
