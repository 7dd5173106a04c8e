"""The kinds of entries that there are, kept in memory for as long as nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.index.tables import STATE, TALLIES

__all__ = ["Kinds", "Pair"]

Pair: TypeAlias = tuple[str, str]
"""A facility and a diagnostic; what is unknown is an empty text."""

_COUNTER: Final = sa.select(STATE.c.counter)
_COUNTED: Final = (
    sa.select(TALLIES.c.facility, TALLIES.c.diagnostic, TALLIES.c.health).where(TALLIES.c.count > 0).distinct()
)


class Kinds:
    """The pairs of a facility and a diagnostic that one catalog's entries have, each with the healths of those.

    A catalog of many years has tens of thousands of tallies. They change with the counter, so they are read again when
    that is another one. Safe to be used by several threads.
    """

    def __init__(self) -> None:
        self._kept: tuple[int, Mapping[Pair, Collection[str]]] = (-1, {})

    def of(self, connection: sa.Connection) -> Mapping[Pair, Collection[str]]:
        """What there is now, by a connection to the catalog's database."""
        counter: int = connection.execute(_COUNTER).scalar_one()
        kept, kinds = self._kept
        if kept != counter:
            kinds = _read(connection)
            self._kept = (counter, kinds)
        return kinds

    def forget(self) -> None:
        """Read anew the next time, from what may be another database."""
        self._kept = (-1, {})


def _read(connection: sa.Connection) -> Mapping[Pair, Collection[str]]:
    kinds = defaultdict[Pair, set[str]](set)
    for facility, diagnostic, health in connection.execute(_COUNTED):
        kinds[facility, diagnostic].add(health)
    return dict(kinds)
