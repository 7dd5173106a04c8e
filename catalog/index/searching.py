"""Search: pages of entries that match a query, the newest first.

Strategy: a page costs about the same wherever it lies and whatever is asked for.

1. What an index says is rare (an attribute's value, a word, a missing file) is fetched whole, and put into order here.
2. All else is walked in its order (see `streams`), narrowed by the tables (see `narrowing`), and decided entry by entry
   (see `matching`).
3. Where what matches is rare among what is walked, the walk ends after `_LOOKED` entries: the page has what was found
   until then, maybe nothing, and says where to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from heapq import merge
from typing import Any, Final

import sqlalchemy as sa

from shotdap.catalog.entry import Entry
from shotdap.catalog.index.among import selected
from shotdap.catalog.index.matching import Matcher
from shotdap.catalog.index.narrowing import Narrowing, kinds
from shotdap.catalog.index.places import place, token
from shotdap.catalog.index.records import entry_of
from shotdap.catalog.index.streams import Place, Stream, is_exact, order, place_of, streams, unpinned
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES
from shotdap.catalog.index.words import WORDS
from shotdap.catalog.query import Query
from shotdap.catalog.query.meanings import OWN

__all__ = ["MOST", "SearchPage", "search"]

MOST: Final = 1000
"""Entries of a page."""

_FEW: Final = 1000  # ids that are fetched whole, and put into order here
_LEAST: Final = 10  # entries that are fetched of one of several stretches at a time
_LOOKED: Final = 20_000  # entries that a page walks past in search of those that match
_NAMES: Final = 100  # of attributes, among which a misspelled one is looked for


@dataclass(frozen=True)
class SearchPage:
    """Some entries that match, the newest first."""

    entries: tuple[Entry, ...]
    after: str | None
    """What to ask with for those that follow; `None` where there are no more. Where what matches is rare, a page may
    hold fewer than were asked for, even none, and yet have more after it."""


@dataclass(frozen=True)
class _Found:
    """An entry that matches, and where it stands."""

    place: Place
    entry: Entry


def search(connection: sa.Connection, query: Query, after: str | None, limit: int) -> SearchPage:
    """A page of entries that match.

    Args:
        connection: to the catalog's database.
        query: what is looked for.
        after: the token of the page before.
        limit: how many, from 1 to `MOST`.

    Raises:
        BadQuery: a name is misspelled.
        BadToken: the token is none, or that of another query.
    """
    begin = None if after is None else place(after, query)
    narrowing = Narrowing(matcher(connection, query), WORDS[connection.dialect.name], kinds(connection))
    if narrowing.is_empty:
        return SearchPage((), None)
    found, stop = _Search(connection, narrowing, begin, max(1, min(limit, MOST))).page()
    return SearchPage(tuple(each.entry for each in found), None if stop is None else token(stop, query))


def matcher(connection: sa.Connection, query: Query) -> Matcher:
    """What decides whether an entry matches.

    Raises:
        BadQuery: a name is almost one that there is.
    """
    names = {term.name for term in query.terms if term.name is not None and term.name not in OWN}
    attributes = {name for name in names if _is_attribute(connection, name)}
    if names - attributes:
        _check_spelling(query, names - attributes, _facts(connection), _attributes(connection))
    return Matcher(query, attributes)


def _is_attribute(connection: sa.Connection, name: str) -> bool:
    return connection.execute(sa.select(1).where(ATTRIBUTES.c.name == name).limit(1)).first() is not None


def _attributes(connection: sa.Connection) -> list[str]:
    """The names of attributes, each found by one step in an index."""
    following = sa.select(sa.func.min(ATTRIBUTES.c.name)).where(ATTRIBUTES.c.name > sa.bindparam("last"))
    names = [""]
    while len(names) <= _NAMES and (name := connection.execute(following, {"last": names[-1]}).scalar()) is not None:
        names.append(name)
    return names[1:]


def _facts(connection: sa.Connection) -> set[str]:
    """The names of what the archive says of the last entries."""
    last = sa.select(ENTRIES.c.facts).order_by(ENTRIES.c.id.desc()).limit(_NAMES)
    return {name for facts in connection.execute(last).scalars() for name in facts}


def _check_spelling(query: Query, names: set[str], facts: set[str], attributes: Sequence[str]) -> None:
    known = {name.lower(): name for name in (*attributes, *facts, *OWN)}
    for term in query.terms:
        if term.name not in names - facts:
            continue
        close = get_close_matches(term.name.lower(), known, 1, 0.75)
        if close:
            raise query.mistake(term, f'No image says anything under "{term.name}"; did you mean {known[close[0]]}?')


@dataclass(frozen=True)
class _Search:
    """One page in the making."""

    connection: sa.Connection
    narrowing: Narrowing
    begin: Place | None
    limit: int

    def page(self) -> tuple[list[_Found], Place | None]:
        """What is found, and behind which place to go on."""
        few = self._few()
        found: list[_Found] = []
        for stretch, stop in self._stretches() if few is None else [(self._in_order(few), None)]:
            for each in stretch:
                if len(found) == self.limit:
                    return found, found[-1].place
                found.append(each)
            if stop is not None:
                return found, stop
        return found, None

    @cached_property
    def _by(self) -> sa.Column[Any]:
        return order(self.narrowing)

    @cached_property
    def _conditions(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (*unpinned(self.narrowing), *self.narrowing.conditions())

    def _few(self) -> list[int] | None:
        """The ids of some entries with all that match among them, where an index says that they are few."""
        for ids in self.narrowing.sets():
            few = [row[0] for row in self.connection.execute(ids.limit(_FEW + 1))]
            if len(few) <= _FEW:
                return sorted(set(few))
        return None

    def _in_order(self, ids: Sequence[int]) -> Iterator[_Found]:
        """Those of some entries that match, from the beginning of the page on."""
        columns = sa.select(ENTRIES.c.id, self._by)
        places: list[Place] = [(row[1], row[0]) for row in selected(self.connection, columns, ENTRIES.c.id, ids)]
        behind = sorted((p for p in places if self.begin is None or _key(p) < _key(self.begin)), key=_key, reverse=True)
        for start in range(0, len(behind), self.limit + 1):
            part = [number for _, number in behind[start : start + self.limit + 1]]
            rows = [row._mapping for row in selected(self.connection, sa.select(ENTRIES), ENTRIES.c.id, part)]  # noqa: SLF001 — SQLAlchemy's public name for it
            yield from self._matching(sorted(rows, key=self._key_of, reverse=True))

    def _stretches(self) -> Iterator[tuple[Iterator[_Found], Place | None]]:
        """Stretch after stretch those that match, each with the place where the walk ends before its time."""
        for group in streams(self.narrowing):
            if self.begin is not None and self.begin[0] is None and group[0].bounds is not None:
                continue  # the page begins behind all that have a date
            stop = self._stop(group)
            share = max(_LEAST, self.limit // len(group)) + 1
            rows = merge(*(self._walked(stream, stop, share) for stream in group), key=self._key_of, reverse=True)
            yield self._matching(rows), stop

    def _stop(self, group: Sequence[Stream]) -> Place | None:
        """Where a walk ends if too few match; nowhere, where all that is walked past matches."""
        if is_exact(self.narrowing):
            return None
        columns = (self._by, ENTRIES.c.id)
        ends = []
        for stream in group:
            statement = stream.select(columns, self.begin, None).offset(_LOOKED // len(group)).limit(1)
            row = self.connection.execute(statement).mappings().first()
            ends += [place_of(row, self._by)] if row else []
        return max(ends, key=_key, default=None)

    def _walked(self, stream: Stream, stop: Place | None, size: int) -> Iterator[sa.RowMapping]:
        """The rows of a stretch, fetched some at a time."""
        after = self.begin
        while True:
            statement = stream.select((ENTRIES,), after, stop).where(*self._conditions).limit(size)
            rows = self.connection.execute(statement).mappings().all()
            yield from rows
            if len(rows) < size:
                return
            after = place_of(rows[-1], self._by)

    def _matching(self, rows: Iterable[sa.RowMapping]) -> Iterator[_Found]:
        for row in rows:
            entry = entry_of(row)
            if self.narrowing.matcher(entry):
                yield _Found(place_of(row, self._by), entry)

    def _key_of(self, row: sa.RowMapping) -> tuple[bool, Any, int]:
        return _key(place_of(row, self._by))


def _key(place: Place) -> tuple[bool, Any, int]:
    """What sorts places; those without a value come first, so last where the greatest is first."""
    value, number = place
    return value is not None, value or 0, number
