"""An archive in PostgreSQL: a real server, which stops and starts again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.contracts.archive import DatabaseContract
from tests.postgres import Postgres, find_binaries, running

from shotdap.catalog import (
    ArchiveDatabase,
    BadArchive,
    BlobStore,
    FileCache,
    LostArchive,
    Missing,
    SqlArchive,
    Unreadable,
)

_COLUMNS = {"key": "IMAGE_ID", "file": "ARCHIVE_FILE"}


@pytest.fixture
def writer(postgres: Postgres) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres.create(), poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def database(writer: sa.Engine) -> Iterator[ArchiveDatabase]:
    database = ArchiveDatabase(writer.url.render_as_string(hide_password=False), attempts=1)
    yield database
    database.engine.dispose()


class TestContract(DatabaseContract):
    """The contract of archives on PostgreSQL."""

    def test_read_only(self, database: ArchiveDatabase, table: sa.Table) -> None:
        """The table is never written to, even if the account may write."""
        with pytest.raises(BadArchive, match="25006"):  # PostgreSQL's read_only_sql_transaction
            database.run_with_retry(lambda connection: connection.execute(table.delete()))


class TestAway:
    def test_server_restarts(self, postgres: Postgres) -> None:
        """A stopped server counts as lost; when it runs again, the same archive can be read."""
        with running(postgres.binaries) as server:
            database = ArchiveDatabase(server.url(), attempts=1, connect_seconds=2)
            archive = SqlArchive(database, "images", _COLUMNS)
            engine = sa.create_engine(server.url(), poolclass=sa.NullPool)
            with engine.begin() as connection:
                connection.execute(sa.text("CREATE TABLE images AS SELECT 1 AS image_id, 'f' AS archive_file"))
            before = list(archive.read_rows())
            server.stop()
            with pytest.raises(LostArchive, match=r"does not answer") as caught:
                list(archive.read_rows())
            server.start()

            assert list(archive.read_rows()) == before
            assert str(server.port) not in str(caught.value)
            database.engine.dispose()

    def test_server_stops_during_a_reading(self, postgres: Postgres) -> None:
        """A server that stops during a reading counts as lost, too; the rows before are correct."""
        with running(postgres.binaries) as server:
            database = ArchiveDatabase(server.url(), attempts=1, connect_seconds=2)
            engine = sa.create_engine(server.url(), poolclass=sa.NullPool)
            made = "CREATE TABLE images AS SELECT n AS image_id, 'f' AS archive_file FROM generate_series(1, 9000) AS n"
            with engine.begin() as connection:
                connection.execute(sa.text(made))
            rows = SqlArchive(database, "images", _COLUMNS).read_rows()
            first = next(rows)
            server.stop()
            with pytest.raises(LostArchive):
                list(rows)
            server.start()

            assert first.key == "1"
            database.engine.dispose()

    def test_too_long(self, writer: sa.Engine) -> None:
        """A statement that exceeds the database's time limit is cancelled."""
        url = writer.url.render_as_string(hide_password=False)
        database = ArchiveDatabase(url, attempts=1, statement_seconds=0.2)
        with pytest.raises(LostArchive, match="57014"):  # PostgreSQL's query_canceled
            database.run_with_retry(lambda connection: connection.execute(sa.select(sa.func.pg_sleep(30))))
        database.engine.dispose()


class TestBytes:
    @pytest.fixture
    def store(self, writer: sa.Engine, database: ArchiveDatabase, tmp_path: Path) -> BlobStore:
        with writer.begin() as connection:
            connection.execute(sa.text("CREATE TABLE images (image_id bigint, image bytea, modified timestamp)"))
            connection.execute(
                sa.text("INSERT INTO images VALUES (1, repeat('abc', 1000000)::bytea, now()), (2, NULL, now())")
            )
        return BlobStore(database, "IMAGES", "IMAGE", "IMAGE_ID", FileCache(tmp_path / "cache", 100 << 20), "MODIFIED")

    def test_bytea(self, store: BlobStore) -> None:
        """The bytes of a column are read from a local copy."""
        version = store.get_version("1")
        store.fetch_file("1", version)

        assert version.path.read_bytes() == b"abc" * 1_000_000
        assert version.size == 3_000_000

    @pytest.mark.parametrize("file", ["2", "3", "no number", "1; DROP TABLE images", "9" * 50, ""])
    def test_missing(self, store: BlobStore, file: str) -> None:
        """A missing row, or one without content, is a missing file."""
        with pytest.raises(Missing):
            store.get_version(file)

    def test_replaced(self, store: BlobStore, writer: sa.Engine) -> None:
        """Replaced bytes are another version; the old one is no longer available."""
        old = store.get_version("1")
        with writer.begin() as connection:
            connection.execute(
                sa.text("UPDATE images SET image = repeat('xyz', 1000000)::bytea, modified = now() + '1 s'")
            )
        with pytest.raises(Unreadable, match="has changed"):
            store.fetch_file("1", old)
        new = store.get_version("1")
        store.fetch_file("1", new)

        assert new != old
        assert new.path.read_bytes() == b"xyz" * 1_000_000


def test_binaries() -> None:
    """If PostgreSQL is installed, its programs are found."""
    found = find_binaries()

    assert found is None or (found / "initdb").is_file()
