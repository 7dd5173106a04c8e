"""Numbers of entries by facility, diagnostic, year and health.

They are counted when entries are written, so that reading them costs the same at any size of the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import sqlalchemy as sa

from shotdap.catalog.entry import Health
from shotdap.catalog.index.tables import FACET_COUNTS

Facet: TypeAlias = Literal["facility", "diagnostic", "year", "health"]
"""The properties by which entries are counted."""


def count_by_facet(connection: sa.Connection, name: Facet, selection: Mapping[Facet, str]) -> dict[str, int]:
    """Return the number of entries for each value of a facet, among those with the selected values of other facets.

    Entries whose value is unknown are counted under the empty text.
    """
    total = sa.func.sum(FACET_COUNTS.c.count)
    statement = sa.select(FACET_COUNTS.c[name], total).group_by(FACET_COUNTS.c[name]).having(total > 0)
    for other, value in selection.items():
        statement = statement.where(FACET_COUNTS.c[other] == value)
    return {value: int(count) for value, count in connection.execute(statement.order_by(FACET_COUNTS.c[name]))}


def count_entries(connection: sa.Connection, healths: Iterable[Health] = Health) -> int:
    """Return the number of entries in one of these states of health."""
    total = sa.func.coalesce(sa.func.sum(FACET_COUNTS.c.count), 0)
    statement = sa.select(total).where(FACET_COUNTS.c.health.in_(list(healths)))
    return int(connection.execute(statement).scalar_one())
