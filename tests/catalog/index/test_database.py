"""The connection to the catalog's database: a read that takes too long ends, a write does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from shotdap.catalog import TooSlow
from shotdap.catalog.index.database import Database
from shotdap.catalog.time_limit import limit_time

ENDLESS: Final = sa.text(
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n > 0)"
    " SELECT count(*) FROM numbers"
)
LONG: Final = sa.text(
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 200000)"
    " SELECT count(*) FROM numbers"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty catalog, in each kind of database."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/catalog.db" if is_sqlite else request.getfixturevalue("postgres").create()
    Database(url).migrate()
    database = Database(url, 3600.0)
    yield database
    database.close()


def test_a_limited_read(database: Database) -> None:
    """A statement ends when the time of its read is over, and the next read is not affected."""
    limited = Database(database.url, 1.0)
    with pytest.raises(TooSlow, match="longer than the 1 seconds"), limited.begin_read() as connection:
        connection.execute(ENDLESS)
    with limited.begin_read() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    limited.close()


def test_a_limited_block(database: Database) -> None:
    """All reads of a block end together, also where each has more time."""

    def read_for_ever() -> None:
        while True:
            with database.begin_read() as connection:
                connection.execute(LONG)

    with pytest.raises(TooSlow, match=r"longer than the 0.5 seconds"), limit_time(0.5):
        read_for_ever()


def test_a_read_without_time(database: Database) -> None:
    """After its time, a block begins no statement."""
    with pytest.raises(TooSlow), limit_time(0.0), database.begin_read() as connection:
        connection.execute(sa.text("SELECT 1"))


def test_a_cancelled_read(tmp_path: Path) -> None:
    """Another thread ends a statement of SQLite."""
    database = Database(f"sqlite:///{tmp_path}/catalog.db", 3600.0)
    with limit_time() as limit, database.begin_read() as connection:
        threading.Timer(0.1, limit.cancel).start()
        with pytest.raises(OperationalError, match="interrupted"):
            connection.execute(ENDLESS)
    database.close()


def test_an_unlimited_write(database: Database) -> None:
    """A write goes on when the time of the block around it is over."""
    with limit_time(0.0), database.begin_write() as connection:
        assert connection.execute(LONG).scalar() == 200_000
