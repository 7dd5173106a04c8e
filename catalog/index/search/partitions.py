"""The kinds of entries that there are, kept in memory for as long as nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.index.tables import FACET_COUNTS, STATE

__all__ = ["Partition", "PartitionCache"]

Partition: TypeAlias = tuple[str, str]
"""A facility and a diagnostic; what is unknown is an empty text."""

_SELECT_COUNTER: Final = sa.select(STATE.c.counter)
_SELECT_PARTITIONS: Final = (
    sa.select(FACET_COUNTS.c.facility, FACET_COUNTS.c.diagnostic, FACET_COUNTS.c.health)
    .where(FACET_COUNTS.c.count > 0)
    .distinct()
)


class PartitionCache:
    """The pairs of a facility and a diagnostic that one catalog's entries have, each with the healths of those.

    A catalog of many years has tens of thousands of tallies. They change with the counter, so they are read again when
    that is another one. Safe to be used by several threads.
    """

    def __init__(self) -> None:
        self._cached: tuple[int, Mapping[Partition, Collection[str]]] = (-1, {})

    def get_partitions(self, connection: sa.Connection) -> Mapping[Partition, Collection[str]]:
        """What there is now, by a connection to the catalog's database."""
        counter: int = connection.execute(_SELECT_COUNTER).scalar_one()
        kept, kinds = self._cached
        if kept != counter:
            kinds = _read_partitions(connection)
            self._cached = (counter, kinds)
        return kinds

    def reset(self) -> None:
        """Read anew the next time, from what may be another database."""
        self._cached = (-1, {})


def _read_partitions(connection: sa.Connection) -> Mapping[Partition, Collection[str]]:
    kinds = defaultdict[Partition, set[str]](set)
    for facility, diagnostic, health in connection.execute(_SELECT_PARTITIONS):
        kinds[facility, diagnostic].add(health)
    return dict(kinds)
