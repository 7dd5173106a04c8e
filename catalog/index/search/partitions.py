"""The combinations of facility, diagnostic and health that entries have, cached until the catalog changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.index.tables import FACET_COUNTS, STATE

Partition: TypeAlias = tuple[str, str]
"""A facility and a diagnostic; an unknown one is the empty text."""

_SELECT_COUNTER: Final = sa.select(STATE.c.counter)
_SELECT_PARTITIONS: Final = (
    sa.select(FACET_COUNTS.c.facility, FACET_COUNTS.c.diagnostic, FACET_COUNTS.c.health)
    .where(FACET_COUNTS.c.count > 0)
    .distinct()
)


class PartitionCache:
    """The partitions of one catalog, each with the healths of its entries.

    A catalog of many years has tens of thousands of facet counts. They change only with the counter, so they are read
    again when it has changed. Several threads may use one cache.
    """

    def __init__(self) -> None:
        self._cached: tuple[int, Mapping[Partition, Collection[str]]] = (-1, {})

    def get_partitions(self, connection: sa.Connection) -> Mapping[Partition, Collection[str]]:
        """Return the partitions at the time of a transaction."""
        counter: int = connection.execute(_SELECT_COUNTER).scalar_one()
        cached_counter, partitions = self._cached
        if cached_counter != counter:
            healths = defaultdict[Partition, set[str]](set)
            for facility, diagnostic, health in connection.execute(_SELECT_PARTITIONS):
                healths[facility, diagnostic].add(health)
            partitions = dict(healths)
            self._cached = (counter, partitions)
        return partitions

    def reset(self) -> None:
        """Forget the partitions: the next connection may be to another database."""
        self._cached = (-1, {})
