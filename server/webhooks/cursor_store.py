"""How far each webhook has come, and which process sends for it: one, which holds a lease."""

from __future__ import annotations

import time
from typing import Final

import sqlalchemy as sa

from shotdap.server.access.access_database import METADATA, AccessDatabase

LEASE_SECONDS: Final = 60.0
"""The time after which another process may send, if this one does not renew its lease: longer than one attempt."""

_CURSORS: Final = sa.Table(
    "webhook_cursors",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, nullable=False),  # of the changes that were delivered last; empty before the first
    sa.Column("holder", sa.Text, nullable=False),  # the process with the lease
    sa.Column("expires", sa.Double, nullable=False),  # in seconds since 1970
)


class CursorStore:
    """The cursors of the webhooks of a site.

    Args:
        database: the site's.
    """

    def __init__(self, database: AccessDatabase) -> None:
        self._database = database

    def take(self, name: str, holder: str) -> str | None:
        """Take or renew the lease on a webhook.

        Args:
            name: of the webhook.
            holder: an identifier of this process.

        Returns:
            The token of the changes that were delivered last, empty before the first; `None` if another one sends.
        """
        now = time.time()
        with self._database.begin() as connection:
            row = connection.execute(sa.select(_CURSORS).where(_CURSORS.c.name == name).with_for_update()).first()
            if row is None:
                values = {"name": name, "token": "", "holder": holder, "expires": now + LEASE_SECONDS}
                connection.execute(sa.insert(_CURSORS).values(values))
                return ""
            if row.holder != holder and row.expires > now:
                return None
            lease = {"holder": holder, "expires": now + LEASE_SECONDS}
            connection.execute(sa.update(_CURSORS).where(_CURSORS.c.name == name).values(lease))
            return str(row.token)

    def advance(self, name: str, holder: str, token: str) -> bool:
        """Record what was delivered; return false if another process sends by now."""
        mine = sa.and_(_CURSORS.c.name == name, _CURSORS.c.holder == holder)
        with self._database.begin() as connection:
            return bool(connection.execute(sa.update(_CURSORS).where(mine).values(token=token)).rowcount)

    def release(self, name: str, holder: str) -> None:
        """End the lease, so that another process may send at once."""
        mine = sa.and_(_CURSORS.c.name == name, _CURSORS.c.holder == holder)
        with self._database.begin() as connection:
            connection.execute(sa.update(_CURSORS).where(mine).values(expires=0.0))
