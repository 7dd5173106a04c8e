"""Pages of entries that match a query, the newest first.

Strategy: a page costs about the same wherever it lies and whatever is asked for.

1. The first entries in the query's order are looked at (see `courses`): of what is frequent they make a page.
2. What an index says is rare (an attribute's value, a word, a missing file) is fetched whole, and put into order here.
3. All else is walked in its order, narrowed by the tables (see `narrowing`), and decided entry by entry (see
   `matching`). Where what matches is rare among what is walked, the walk ends after `_LOOKED` entries: the page has
   what was found until then, maybe nothing, and says where to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.fulltext import WORDS
from shotdap.catalog.index.in_list import selected
from shotdap.catalog.index.records import ENTRY, entry_from
from shotdap.catalog.index.search.access_path import Course, course, order
from shotdap.catalog.index.search.cursor import place, token
from shotdap.catalog.index.search.fields import attributes_in
from shotdap.catalog.index.search.index_scan import Conditions, Place, Places, Stream, least, merged, nth, span
from shotdap.catalog.index.search.matching import Matcher
from shotdap.catalog.index.search.partitions import Kinds
from shotdap.catalog.index.search.plan import Narrowing
from shotdap.catalog.index.tables import ENTRIES
from shotdap.catalog.query import Query

__all__ = ["MOST", "SearchPage", "search"]

MOST: Final = 1000
"""Entries of a page."""

_FEW: Final = 1000  # ids that are fetched whole, and put into order here
_LOOKED: Final = 20_000  # entries that a page walks past at most in search of those that match,
_EACH: Final = 50  # and for each that it may hold,
_FIRST: Final = 4  # and at first,
_FIRST_BY_WORDS: Final = 20  # which costs less where an index tells who has a word
_LEAST: Final = 2000  # entries that any page may walk past
_GROUPS: Final = 16  # of stretches that a page walks through
_FETCHED: Final = 500  # entries at a time
_WHOLE: Final = sa.select(ENTRIES.c.id, *ENTRY)
_APART: Final = 4  # how many ids there may be to one that is walked past, for the index of words to be asked


@dataclass(frozen=True)
class SearchPage:
    """Some entries that match, the newest first."""

    entries: tuple[Entry, ...]
    after: str | None
    """What to ask with for those that follow; `None` where there are no more. Where what matches is rare, a page may
    hold fewer than were asked for, even none, and yet have more after it."""


def search(connection: sa.Connection, kinds: Kinds, query: Query, after: str | None, limit: int) -> SearchPage:
    """A page of entries that match.

    Args:
        connection: to the catalog's database.
        kinds: what there is in it.
        query: what is looked for.
        after: the token of the page before.
        limit: how many, from 1 to `MOST`.

    Raises:
        BadQuery: no image says anything under a name.
        BadToken: the token is none, or that of another query.
    """
    begin = None if after is None else place(after, query)
    narrowing = Narrowing(query, attributes_in(connection, query), WORDS[connection.dialect.name], kinds.of(connection))
    if narrowing.is_empty:
        return SearchPage((), None)
    found, stop = _Search(connection, narrowing, begin, max(1, min(limit, MOST))).page()
    return SearchPage(tuple(entry for _, entry in found), None if stop is None else token(stop, query))


_Found = tuple[Place, Entry]


@dataclass(frozen=True)
class _Search:
    """One page in the making."""

    connection: sa.Connection
    narrowing: Narrowing
    begin: Place | None
    limit: int

    def page(self) -> tuple[list[_Found], Place | None]:
        """What is found, and behind which place to go on."""
        looked, sets = min(_LOOKED, max(_LEAST, _EACH * self.limit)), list(self.narrowing.sets())
        found, stop = self._walked(min(looked, self._first * self.limit) if sets else looked)
        if stop is None or len(found) == self.limit or not sets:
            return found, stop
        few = self._few(sets)
        return self._walked(looked) if few is None else self._cut(self._matching(few))

    @property
    def _first(self) -> int:
        return _FIRST_BY_WORDS if self.narrowing.whole_words else _FIRST

    @cached_property
    def _course(self) -> Course:
        return course(self.connection, self.narrowing)

    @cached_property
    def _matches(self) -> Matcher:
        return Matcher(self.narrowing.query, self.narrowing.attributes)

    def _cut(self, found: Iterable[_Found]) -> tuple[list[_Found], Place | None]:
        """The page of what is found, and where to go on if that was not all."""
        some = list(islice(found, self.limit + 1))
        page = some[: self.limit]
        return page, page[-1][0] if len(some) > self.limit else None

    def _few(self, sets: Iterable[sa.Select[Any]]) -> Iterator[Place] | None:
        """Some places with all that match among them, where an index says that they are few."""
        for statement in sets:
            ids = self.connection.execute(statement.limit(_FEW + 1)).scalars().all()
            if len(ids) <= _FEW:
                return self._in_order(sorted(set(ids)))
        return None

    def _in_order(self, ids: Sequence[int]) -> Iterator[Place]:
        """The places of some entries, from the beginning of the page on."""
        columns = sa.select(order(self.narrowing), ENTRIES.c.id)
        places = [(row[0], row[1]) for row in selected(self.connection, columns, ENTRIES.c.id, ids)]
        behind = (each for each in places if self.begin is None or _key(each) < _key(self.begin))
        yield from sorted(behind, key=_key, reverse=True)

    def _walked(self, looked: int) -> tuple[list[_Found], Place | None]:
        """What is found by a walk past so many entries, and where to go on."""
        found: list[_Found] = []
        groups = [group for group in self._course.groups if not all(each.is_before(self.begin) for each in group)]
        for count, group in enumerate(groups, 1):
            stop = None if self._course.is_exact else self._place(nth(group, looked, self.begin))
            places = self._places(group, [*self._course.conditions, *self._by_words(group, looked)], stop)
            found += islice(self._matching(places), self.limit + 1 - len(found))
            if len(found) > self.limit:
                return found[: self.limit], found[self.limit - 1][0]
            if stop is None and count == _GROUPS < len(groups):
                stop = least(group)
            if stop is not None:
                return found, stop
        return found, None

    def _place(self, statement: Places) -> Place | None:
        row = self.connection.execute(statement).first()
        return (row[0], row[1]) if row else None

    def _by_words(self, group: Sequence[Stream], looked: int) -> Iterator[sa.ColumnElement[bool]]:
        """What the index of words tells of those that are walked past, where their ids are close to one another."""
        if self.narrowing.whole_words:
            first, last = self.connection.execute(span(group, looked + len(group), self.begin)).one()
            if first is not None and last - first < _APART * looked:
                yield self.narrowing.has_whole_words(first, last)

    def _places(self, group: Sequence[Stream], conditions: Conditions, stop: Place | None) -> Iterator[Place]:
        """The places in a group of stretches, fetched some at a time."""
        after = self.begin
        for size in self._sizes():
            statement = merged(group, conditions, after, stop).limit(size)
            rows = self.connection.execute(statement).all()
            yield from dict.fromkeys((row[0], row[1]) for row in rows)
            if len(rows) < size:
                return
            after = (rows[-1][0], rows[-1][1])

    def _matching(self, places: Iterator[Place]) -> Iterator[_Found]:
        """The entries at some places, those that match."""
        for size in self._sizes():
            some = {number: (value, number) for value, number in islice(places, size)}
            if not some:
                return
            rows = selected(self.connection, _WHOLE, ENTRIES.c.id, list(some))
            entries = {row[0]: entry_from(row[1:]) for row in rows}
            yield from (
                (some[number], entries[number])
                for number in some
                if number in entries and self._matches(entries[number])
            )

    def _sizes(self) -> Iterator[int]:
        """How many to fetch at a time: more and more, where those before were not enough."""
        size = self.limit + 1
        while True:
            yield size
            size = max(size, min(2 * size, _FETCHED))


def _key(place: Place) -> tuple[bool, Any, int]:
    """What sorts places; those without a value come first, so last where the greatest is first."""
    value, number = place
    return value is not None, value or 0, number
