"""An archive in Oracle: the real driver with its network protocol, against a server that imitates Oracle's.

What this proves, and what it does not, is in docs/archive.md. ``ORACLE_TEST_DSN``, SQLAlchemy's URL of an account that
may make tables, runs the same contract against a real one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme
from sqlalchemy.dialects import oracle
from sqlglot import exp, parse
from tests.conftest import skip_absent
from tests.contracts.archive import DatabaseContract, create_table
from tests.oracle import PASSWORD, Mirror, has_orafce, mirroring
from tests.oracle_tls import WALLET_PASSWORD, Listener, listening
from tests.postgres import Postgres

from shotdap.catalog import (
    ArchiveDatabase,
    BadArchive,
    Between,
    BlobStore,
    ColumnFilter,
    FileCache,
    LostArchive,
    Missing,
    SqlArchive,
)
from shotdap.catalog.storage import blobs
from shotdap.config.settings import load_defaults

_COLUMNS = {"key": "IMAGE_ID", "file": "ARCHIVE_FILE", "version": "MODIFIED"}
_NOON = datetime(2022, 3, 24, 12, 0, 0)  # noqa: DTZ001 — the laboratory's time, without a zone
_DSN = os.environ.get("ORACLE_TEST_DSN")


@pytest.fixture(scope="session")
def mirror(postgres: Postgres) -> Iterator[Mirror]:
    if not has_orafce(postgres):
        skip_absent("PostgreSQL's extension orafce is not installed")
    with mirroring(postgres) as server:
        yield server


@pytest.fixture(scope="session")
def writer(mirror: Mirror) -> Iterator[sa.Engine]:
    engine = mirror.create_engine()
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def database(mirror: Mirror) -> Iterator[ArchiveDatabase]:
    database = ArchiveDatabase(mirror.url, PASSWORD, attempts=1)
    yield database
    database.engine.dispose()


class TestContract(DatabaseContract):
    """The contract of archives on Oracle."""


@pytest.mark.skipif(_DSN is None, reason="ORACLE_TEST_DSN names no Oracle database")
class TestLive(DatabaseContract):
    """The contract on a real Oracle database."""

    @pytest.fixture
    def writer(self) -> sa.Engine:
        """An engine of the account."""
        return sa.create_engine(str(_DSN), poolclass=sa.NullPool)

    @pytest.fixture
    def database(self) -> ArchiveDatabase:
        """The same database, read-only."""
        return ArchiveDatabase(str(_DSN), attempts=1)

    @pytest.fixture
    def table(self, writer: sa.Engine) -> Iterator[sa.Table]:
        """A table that is dropped after the test."""
        table = create_table(writer)
        yield table
        table.drop(writer)


@pytest.fixture(scope="module")
def listener(mirror: Mirror) -> Iterator[Listener]:
    with listening(mirror) as listener:
        yield listener


@pytest.fixture(scope="module")
def columns(writer: sa.Engine) -> dict[str, str]:
    """The columns of a table with one row."""
    with writer.begin() as connection:
        connection.execute(sa.text("CREATE TABLE SAFE (IMAGE_ID NUMBER, F VARCHAR2(9))"))
        connection.execute(sa.text("INSERT INTO SAFE VALUES (7, 'x.hdf')"))
    return {"key": "IMAGE_ID", "file": "F"}


class TestWallet:
    """A listener that speaks TLS and requires a certificate of its clients."""

    def test_rows(self, listener: Listener, columns: dict[str, str], tmp_path: Path) -> None:
        """With the alias and the wallet in a folder, rows are read over TLS."""
        database = create_wallet(listener, listener.create_wallet(tmp_path))

        assert [(row.key, row.file) for row in SqlArchive(database, "SAFE", columns).read_rows()] == [("7", "x.hdf")]
        database.engine.dispose()

    def test_strangers(self, listener: Listener, columns: dict[str, str], tmp_path: Path) -> None:
        """A wallet that does not trust the listener gets no rows."""
        database = create_wallet(listener, listener.create_wallet(tmp_path, trustme.CA()))
        with pytest.raises(LostArchive, match=r"does not answer: OperationalError DPY-\d+\.$"):
            list(SqlArchive(database, "SAFE", columns).read_rows())

    def test_password(self, listener: Listener, columns: dict[str, str], tmp_path: Path) -> None:
        """The error for a wallet with another password is a sentence that contains neither password."""
        database = create_wallet(listener, listener.create_wallet(tmp_path), "another-secret")
        with pytest.raises((BadArchive, LostArchive), match=r"\.$") as caught:
            list(SqlArchive(database, "SAFE", columns).read_rows())

        assert not {"another-secret", WALLET_PASSWORD} & set(repr(database).split("'"))
        assert "secret" not in str(caught.value)


def create_wallet(listener: Listener, folder: Path, password: str = WALLET_PASSWORD) -> ArchiveDatabase:
    return ArchiveDatabase(
        listener.url, PASSWORD, attempts=1, oracle_wallet=folder, oracle_wallet_password=password, connect_seconds=10
    )


class TestRefusals:
    def test_password(self, mirror: Mirror) -> None:
        """The error for a wrong password contains Oracle's number, and not the password."""
        with pytest.raises(BadArchive, match="ORA-01017") as caught:
            list(SqlArchive(ArchiveDatabase(mirror.url, "wrong-secret", attempts=1), "T", _COLUMNS).read_rows())

        assert "wrong-secret" not in f"{caught.value!r} {ArchiveDatabase(mirror.url, 'wrong-secret')!r}"

    def test_silent(self) -> None:
        """A listener that accepts a connection and sends nothing counts as lost after the timeout for connecting."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"oracle+oracledb://reader@127.0.0.1:{listener.getsockname()[1]}/?service_name=LASER"
            archive = SqlArchive(ArchiveDatabase(url, "secret", connect_seconds=0.3, attempts=2), "T", _COLUMNS)
            with pytest.raises(LostArchive, match=r"does not answer: OperationalError\.$"):
                list(archive.read_rows())

    def test_zoned_version(self, writer: sa.Engine, database: ArchiveDatabase) -> None:
        """A version with a time zone, which the driver drops, is refused with a solution."""
        with writer.begin() as connection:
            connection.execute(
                sa.text("CREATE TABLE ZONED (IMAGE_ID NUMBER, F VARCHAR2(9), V TIMESTAMP WITH TIME ZONE)")
            )
        zoned = SqlArchive(database, "ZONED", {"key": "IMAGE_ID", "file": "F", "version": "V"})
        with pytest.raises(BadArchive, match="SYS_EXTRACT_UTC"):
            list(zoned.read_rows())

    def test_fractions(self, writer: sa.Engine, database: ArchiveDatabase) -> None:
        """A TIMESTAMP keeps its microseconds: reading from the later of two in one second returns only that one."""
        table = sa.table("fine", sa.column("image_id"), sa.column("f"), sa.column("v", sa.TIMESTAMP()))
        rows = [{"image_id": n, "f": "f", "v": _NOON.replace(microsecond=n)} for n in (1, 2)]
        with writer.begin() as connection:
            connection.execute(sa.text("CREATE TABLE FINE (IMAGE_ID NUMBER, F VARCHAR2(9), V TIMESTAMP(6))"))
            connection.execute(table.insert(), rows)
        archive = SqlArchive(database, "FINE", {"key": "IMAGE_ID", "file": "F", "version": "V"})

        assert [row.key for row in archive.read_rows(_NOON.replace(microsecond=2))] == ["2"]


class TestBytes:
    @pytest.fixture
    def make(
        self, writer: sa.Engine, database: ArchiveDatabase, tmp_path: Path, postgres: Postgres
    ) -> Iterator[BlobStore]:
        table = sa.table("images", sa.column("image_id"), sa.column("modified", oracle.DATE()), sa.column("image"))
        with writer.begin() as connection:
            ddl = "CREATE TABLE IMAGES (IMAGE_ID NUMBER(10), MODIFIED DATE, IMAGE BLOB, OUTSIDE BFILE)"
            connection.execute(sa.text(ddl))
            connection.execute(sa.text(f"CREATE OR REPLACE DIRECTORY SHOTS AS '{postgres.folder / 'data'}'"))
            row = {"image_id": 1, "modified": _NOON, "image": b"abc" * 400_000}
            connection.execute(table.insert(), [row])
            outside = sa.text("INSERT INTO IMAGES (IMAGE_ID, OUTSIDE) VALUES (:key, BFILENAME('SHOTS', :name))")
            connection.execute(outside, [{"key": 3, "name": "PG_VERSION"}, {"key": 2, "name": "nonesuch"}])
        yield BlobStore(database, "IMAGES", "IMAGE", "IMAGE_ID", FileCache(tmp_path / "cache", 100 << 20), "MODIFIED")
        with writer.begin() as connection:
            connection.execute(sa.text("DROP TABLE IMAGES"))

    def test_blob(self, make: BlobStore) -> None:
        """A BLOB of several pieces is read whole."""
        version = make.get_version("1")
        make.fetch_file("1", version)

        assert version.path.read_bytes() == b"abc" * 400_000

    def test_bfile(self, make: BlobStore, postgres: Postgres) -> None:
        """A BFILE is read through its directory object; a BFILE without a file is missing."""
        outside = BlobStore(make.database, "IMAGES", "OUTSIDE", "IMAGE_ID", make.cache, "MODIFIED")
        version = outside.get_version("3")
        outside.fetch_file("3", version)

        assert version.path.read_bytes() == (postgres.folder / "data" / "PG_VERSION").read_bytes()
        with pytest.raises(Missing):
            outside.get_version("2")

    @pytest.mark.parametrize("file", ["2", "4", "", "1 OR 1=1"])
    def test_missing(self, make: BlobStore, file: str) -> None:
        """A missing row, or one without content, is a missing file."""
        with pytest.raises(Missing):
            make.get_version(file)


class TestSql:
    """Every statement, as it is sent to Oracle."""

    @pytest.mark.parametrize("since", [None, _NOON])
    @pytest.mark.parametrize(
        "where", [{}, {"SHOT": 5}, {"SHOT": (5, 6)}, {"SHOT": Between(5, 6)}, {"SHOT": "'; DROP TABLE x; --"}]
    )
    def test_rows(self, since: datetime | None, where: dict[str, ColumnFilter]) -> None:
        """Each statement for rows is one query in Oracle's SQL, with every value bound."""
        *without, newer = _make_archive(where).build_statements(since)
        for statement, values in [*((each, 0) for each in without), (newer, since is not None)]:
            (parsed,) = parse(_compile(statement), read="oracle")

            assert isinstance(parsed, exp.Select)
            assert not list(parsed.find_all(exp.Literal))
            assert len(list(parsed.find_all(exp.Placeholder))) == _find_bound_values(where) + values

    def test_bytes(self) -> None:
        """The statements for a row's bytes are in Oracle's SQL, with every value bound."""
        content, key = sa.column("IMAGE", oracle.BLOB()), sa.column("IMAGE_ID", sa.Integer())
        table = sa.table("ARCHIVE_FILES", content, key)
        for selected in (blobs.ORACLE_LOB_ACCESS.make_size_query(content), content):
            text = _compile(sa.select(selected).select_from(table).where(key == sa.literal(1)).limit(2))
            (parsed,) = parse(text, read="oracle")

            assert isinstance(parsed, exp.Select)


def test_view() -> None:
    """The view in the documentation has exactly the columns that the default settings name."""
    text = (Path(__file__).parents[3] / "config/oracle/1_view.sql").read_text("utf-8")
    (view,) = (each for each in parse(text, read="oracle") if isinstance(each, exp.Create))

    assert view.this.name == "SHOTDAP_FILES"
    assert view.expression.named_selects == list(load_defaults()["archive"]["columns"].values())


def _find_bound_values(where: dict[str, ColumnFilter]) -> int:
    values = where.get("SHOT", ())
    return len(values) if isinstance(values, tuple) else 2 if isinstance(values, Between) else 1


def _compile(statement: sa.ClauseElement) -> str:
    dialect = oracle.dialect()  # type: ignore[no-untyped-call]  # of SQLAlchemy
    return str(statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True}))


def _make_archive(where: dict[str, ColumnFilter]) -> SqlArchive:
    """Return an archive that knows its table, so that it needs no database."""
    archive = SqlArchive(ArchiveDatabase("oracle+oracledb://reader@host/?service_name=x"), "T", _COLUMNS, where=where)
    columns: list[sa.ColumnClause[object]] = [sa.column(name) for name in ("IMAGE_ID", "ARCHIVE_FILE", "SHOT")]
    archive.__dict__["reflected_table"] = sa.table("T", *columns, sa.column("MODIFIED", oracle.DATE()))
    return archive
