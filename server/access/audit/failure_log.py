"""The last failed requests of each user, kept for them: their client may show only "Access failure"."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from shotdap.catalog.index.tables import SafeText
from shotdap.config import Settings
from shotdap.server.access.principal import Principal
from shotdap.server.shared_database import SharedDatabase

_LOG = logging.getLogger("shotdap.http")
_MAX_ROWS: Final = 20_000  # of all users
_MAX_TEXT_LENGTH: Final = 4000
_WRITES_PER_SECOND: Final = 20  # of one process; a client that fails more often learns nothing from more of them

_METADATA: Final = sa.MetaData()
_TABLE: Final = sa.Table(
    "request_failures",
    _METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("owner", SafeText, nullable=False),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("method", SafeText, nullable=False),
    sa.Column("target", SafeText, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("message", SafeText, nullable=False),
    sa.Index("request_failures_by_owner", "owner", "number"),
)


@dataclass(frozen=True)
class Failure:
    """A request that failed."""

    time: float
    """Seconds since 1970."""
    method: str
    target: str
    """The path and the query, below the path at which the application is mounted, without secrets."""
    status: int
    message: str
    """The sentence of the error."""


class FailureLog:
    """The failures of a site, in a database that all its processes share.

    Args:
        database: has them.
        keep: the number of failures of one user that are kept.
    """

    def __init__(self, database: SharedDatabase, keep: int) -> None:
        self._database = database
        self._keep = keep
        self._lock = threading.Lock()
        self._allowance, self._counted = float(_WRITES_PER_SECOND), time.monotonic()

    @classmethod
    def from_settings(cls, settings: Settings) -> FailureLog | None:
        """Return the failures of a site; `None` if it keeps none.

        They are in the catalog's PostgreSQL, or beside the tokens. A server without tokens has them in the folder of
        the frames that its processes share, so that no file appears where nobody expects one.
        """
        url = settings.catalog.url
        if not url and settings.access.mode != "open":
            url = f"sqlite:///{settings.access.database}"
        elif not url and settings.catalog.frames is not None:
            url = f"sqlite:///{settings.catalog.frames / 'failures.db'}"
        return cls(SharedDatabase(url, _METADATA), settings.audit.failures) if url and settings.audit.failures else None

    def add(self, owner: str, failure: Failure) -> None:
        """Keep a failure; forget the oldest, and some if very many come at a time. A database that is away is ignored.

        Args:
            owner: whose it is; see `get_failure_owner`.
            failure: the failure; its texts are cut.
        """
        if not self._may_write():
            return
        row = {**vars(failure), "owner": owner}
        row |= {name: row[name][:_MAX_TEXT_LENGTH] for name in ("target", "message")}
        newest = sa.select(_TABLE.c.number).where(_TABLE.c.owner == owner).order_by(_TABLE.c.number.desc())
        try:
            with self._database.begin() as connection:
                result = connection.execute(_TABLE.insert().values(row))
                number: int = result.inserted_primary_key[0]  # type: ignore[index]  # of one row
                limit = connection.execute(newest.offset(self._keep).limit(1)).scalar()
                if limit is not None:
                    connection.execute(_TABLE.delete().where(_TABLE.c.owner == owner, _TABLE.c.number <= limit))
                connection.execute(_TABLE.delete().where(_TABLE.c.number <= number - _MAX_ROWS))
        except (SQLAlchemyError, OSError) as error:
            _LOG.warning("a failed request is not kept for its user: %s", error)

    def list_failures(self, owner: str, limit: int) -> Sequence[Failure]:
        """Return the last failures of a user, the newest first."""
        return self._select(_TABLE.c.owner == owner, limit)

    def list_faults(self, limit: int) -> Sequence[Failure]:
        """Return the last failures of the server itself, whoever's the requests were, the newest first."""
        return self._select(_TABLE.c.status >= HTTPStatus.INTERNAL_SERVER_ERROR, limit)

    def _select(self, condition: sa.ColumnElement[bool], limit: int) -> Sequence[Failure]:
        columns = [_TABLE.c[each.name] for each in fields(Failure)]
        statement = sa.select(*columns).where(condition).order_by(_TABLE.c.number.desc()).limit(limit)
        with self._database.begin_read() as connection:
            return [Failure(**row) for row in connection.execute(statement).mappings()]

    def _may_write(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._allowance = min(
                self._allowance + (now - self._counted) * _WRITES_PER_SECOND, float(_WRITES_PER_SECOND)
            )
            self._counted = now
            if self._allowance < 1:
                return False
            self._allowance -= 1
            return True


def get_failure_owner(principal: Principal, address: str) -> str:
    """Return whose failures those of a request are.

    A token that is restricted, or is a link that somebody else has, shows nothing of what its owner does otherwise.
    """
    if not principal.name:
        return f"address {address}"
    return f"user {principal.name}" if principal.may_delegate else f"token {principal.token_id}"
