"""How many entries there are of each kind; counted by those who write, so that asking costs the same at any size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.entry import Health
from shotdap.catalog.index.tables import FACET_COUNTS

__all__ = ["Facet", "count_by_facet", "count_entries"]

Facet: TypeAlias = Literal["facility", "diagnostic", "year", "health"]
"""What entries are counted by."""


def count_by_facet(connection: sa.Connection, name: Facet, chosen: Mapping[Facet, str]) -> dict[str, int]:
    """For each value of a facet the number of entries that have it, among those with the chosen values of others.

    An entry of which the archive does not say it is counted under the empty text.
    """
    total = sa.func.sum(FACET_COUNTS.c.count)
    statement = sa.select(FACET_COUNTS.c[name], total).group_by(FACET_COUNTS.c[name]).having(total > 0)
    for other, value in chosen.items():
        statement = statement.where(FACET_COUNTS.c[other] == value)
    found = connection.execute(statement.order_by(FACET_COUNTS.c[name]))
    return {value: int(number) for value, number in found}


def count_entries(connection: sa.Connection, healths: Iterable[Health] = Health) -> int:
    """The number of entries that are in one of these states."""
    total = sa.select(sa.func.coalesce(sa.func.sum(FACET_COUNTS.c.count), 0)).where(
        FACET_COUNTS.c.health.in_(list(healths))
    )
    return int(connection.execute(total).scalar_one())
