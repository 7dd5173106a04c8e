"""An Oracle server for tests, which python-oracledb, the real driver, accepts as one.

seerdb's Mirror speaks Oracle's network protocol and has Oracle's data dictionary, over PostgreSQL with the extension
orafce. So the driver, SQLAlchemy's Oracle dialect, the types and the errors are real; Oracle's optimiser and its own
reading of SQL are not (`tests.catalog.archive.test_oracle` has a live suite for those).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from seerdb.server import Server
from seerdb.server.backends.postgres import PostgresBackend
from tests.postgres import Postgres

__all__ = ["PASSWORD", "Mirror", "has_orafce", "mirroring"]

USER: Final = "reader"
PASSWORD: Final = "tiger/@:" * 2  # characters with a meaning in URLs
_PRESENTED: Final = "12.1"  # the oldest version that the driver's thin mode supports


@dataclass(frozen=True)
class Mirror:
    """A server for Oracle's clients."""

    server: Server
    behind: str
    """The URL of the PostgreSQL database behind it."""

    @property
    def url(self) -> str:
        """SQLAlchemy's URL, without the password."""
        return f"oracle+oracledb://{USER}@127.0.0.1:{self.server.port}/?service_name=FREEPDB1"

    def create_engine(self) -> sa.Engine:
        """Create an engine that may write, with which tests prepare their tables."""
        return sa.create_engine(sa.make_url(self.url).set(password=PASSWORD))


class _Backend(PostgresBackend):
    """The Mirror's backend on PostgreSQL 15, which lacks ``IS JSON``, needed by one part of its helper functions.

    That part fails, and its rollback would undo the others, including the types DATE and BLOB.
    """

    def _install_part(self, part: str, *ddl: str) -> None:
        failures = len(self._install_failures)
        super()._install_part(part, *ddl)
        if len(self._install_failures) == failures:
            self._conn.commit()


@contextmanager
def mirroring(postgres: Postgres) -> Iterator[Mirror]:
    """Run an Oracle server, with its own database, while the block lasts."""
    logging.getLogger("seerdb").setLevel(logging.CRITICAL)
    url = sa.make_url(postgres.create())
    _create_extension(url)
    conninfo = f"host={url.host} port={url.port} user={url.username} dbname={url.database}"

    def session() -> _Backend:
        return _Backend(conninfo, credentials={USER: PASSWORD}, presents=_PRESENTED)

    server = Server(port=0, backend_factory=session)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Mirror(server, str(url))
    finally:
        server.close()
        thread.join()


def has_orafce(postgres: Postgres) -> bool:
    """Check whether PostgreSQL has the extension that the Mirror needs."""
    engine = sa.create_engine(postgres.url(), poolclass=sa.NullPool)
    with engine.connect() as connection:
        available = sa.table("pg_available_extensions", sa.column("name"))
        return connection.scalar(sa.select(available).where(available.c.name == "orafce")) is not None


def _create_extension(url: sa.URL) -> None:
    """Create the extension before the first session: a session that creates it cannot set what it needs."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE EXTENSION orafce"))
