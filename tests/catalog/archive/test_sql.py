"""An archive behind SQL: its columns by configuration, whatever their values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from tests.contracts.archive import DatabaseContract

from shotdap.catalog import ArchiveDatabase, BadArchive, Row, SqlArchive

COLUMNS: Final = {
    "key": "IMAGE_ID", "file": "ARCHIVE_FILE", "version": "MODIFIED",
    "facility": "FACILITY", "shot": "SHOT_NUMBER", "date": "SHOT_DATE", "name": "SOURCE_FILE",
}  # fmt: skip
HOSTILE: Final = (
    "'; DROP TABLE ARCHIVE_FILES; --", '"quoted"', "../../etc/passwd", "a\0b", "x" * 10_000, "größe", "%s%(x)s{0}", "",
)  # fmt: skip
DATES: Final = ("2022-03-24 09:26:44", "2022-03-24 09:26:44.000000", "2022-03-24T09:26:44", "2022-03-25")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "archive.db")) as connection:
        connection.execute(
            "CREATE TABLE ARCHIVE_FILES (IMAGE_ID INTEGER PRIMARY KEY, ARCHIVE_FILE TEXT, MODIFIED DATETIME,"
            " FACILITY TEXT, SHOT_NUMBER INTEGER, SHOT_DATE DATETIME, SOURCE_FILE TEXT)"
        )
        yield connection


@pytest.fixture
def archive(database: sqlite3.Connection, tmp_path: Path) -> SqlArchive:
    del database
    return SqlArchive(ArchiveDatabase(f"sqlite:///{tmp_path / 'archive.db'}"), "ARCHIVE_FILES", COLUMNS)


def insert(database: sqlite3.Connection, **values: object) -> None:
    row = {"ARCHIVE_FILE": "file.hdf", "MODIFIED": "2022-03-24 09:26:44", "FACILITY": "OMEGA", **values}
    marks = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO ARCHIVE_FILES ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
    database.commit()


def get_refusal(archive: SqlArchive) -> str:
    with pytest.raises(BadArchive) as caught:
        list(archive.read_rows())
    return str(caught.value)


class TestContract(DatabaseContract):
    """The contract of archives on every database."""

    @pytest.fixture
    def writer(self, tmp_path: Path) -> sa.Engine:
        """An engine that may write."""
        return sa.create_engine(f"sqlite:///{tmp_path / 'archive.db'}", poolclass=sa.NullPool)

    @pytest.fixture
    def database(self, writer: sa.Engine) -> Iterator[ArchiveDatabase]:
        """The same database, read-only."""
        database = ArchiveDatabase(str(writer.url), attempts=1)
        yield database
        database.engine.dispose()

    def test_read_only(self, database: ArchiveDatabase, table: sa.Table) -> None:
        """The table is never written to."""
        with pytest.raises(BadArchive):
            database.run_with_retry(lambda connection: connection.execute(table.delete()))


class TestMapping:
    def test_row(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """A row's columns get our names, and types that JSON and every protocol can represent."""
        insert(database, SHOT_NUMBER=103741, SHOT_DATE="2022-03-24 09:26:44.000000", SOURCE_FILE="p510.hdf")

        assert list(archive.read_rows()) == [
            Row("1", "file.hdf", "2022-03-24 09:26:44", {
                "facility": "OMEGA", "shot": 103741, "date": "2022-03-24T09:26:44", "name": "p510.hdf",
            })
        ]  # fmt: skip

    def test_values(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """Values are replaced as configured; others are unchanged."""
        values: Mapping[str, Mapping[str, str]] = {"facility": {"OMEGA EP": "ep"}, "shot": {"7": "seven"}}
        for facility, shot in (("OMEGA EP", 7), ("OMEGA", 8)):
            insert(database, FACILITY=facility, SHOT_NUMBER=shot)
        mapped = SqlArchive(archive.database, archive.table, COLUMNS, values=values)

        assert [(row.facts["facility"], row.facts["shot"]) for row in mapped.read_rows()] == [
            ("ep", "seven"),
            ("OMEGA", 8),
        ]

    def test_one_column_twice(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """A column may have two names here, and its name may be in any case."""
        insert(database)
        mapped = SqlArchive(
            archive.database, "ARCHIVE_FILES", {"key": "image_id", "number": "IMAGE_ID", "file": "Archive_File"}
        )

        assert list(mapped.read_rows()) == [Row("1", "file.hdf", None, {"number": 1})]

    def test_view(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """A view can be read like a table."""
        insert(database)
        database.execute("CREATE VIEW IMAGES AS SELECT IMAGE_ID, ARCHIVE_FILE FROM ARCHIVE_FILES")
        mapped = SqlArchive(archive.database, "IMAGES", {"key": "IMAGE_ID", "file": "ARCHIVE_FILE"})

        assert [row.key for row in mapped.read_rows()] == ["1"]

    def test_foreign_key(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """A table that refers to a missing or invisible table is readable."""
        database.execute("CREATE TABLE IMAGES (K INTEGER, F TEXT, S INTEGER REFERENCES SHOTS (ID))")
        database.execute("INSERT INTO IMAGES VALUES (1, 'f', 2)")
        database.commit()

        assert [row.key for row in SqlArchive(archive.database, "IMAGES", {"key": "K", "file": "F"}).read_rows()] == [
            "1"
        ]


class TestWatermark:
    @pytest.mark.parametrize("stored", DATES)
    def test_any_spelling_of_time(self, database: sqlite3.Connection, archive: SqlArchive, stored: str) -> None:
        """The row at the watermark is returned again, however the database formats its times."""
        insert(database, MODIFIED=stored)
        (row,) = archive.read_rows()

        assert list(archive.read_rows(row.version)) == [row]

    def test_rows_without_version(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """A row without a version is returned every time, so it is never lost."""
        insert(database)
        (row,) = archive.read_rows()
        insert(database, MODIFIED=None)

        assert {row.key for row in archive.read_rows(row.version)} == {"1", "2"}

    def test_no_version_column(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """Without a version column, all rows are returned each time, whatever the watermark."""
        insert(database)
        mapped = SqlArchive(archive.database, "ARCHIVE_FILES", {"key": "IMAGE_ID", "file": "ARCHIVE_FILE"})

        assert len(list(mapped.read_rows(5))) == 1


class TestHostileValues:
    @pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
    def test_text(self, database: sqlite3.Connection, archive: SqlArchive, value: str) -> None:
        """Any text is returned unchanged."""
        insert(database, SOURCE_FILE=value, ARCHIVE_FILE=value, FACILITY=value)
        (row,) = archive.read_rows()

        assert (row.file, row.facts["name"], row.facts["facility"]) == (value, value, value)

    def test_nulls(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """An empty column is no fact, and an empty file an empty name."""
        insert(database, ARCHIVE_FILE=None, FACILITY=None, SOURCE_FILE=None)

        assert list(archive.read_rows()) == [Row("1", "", "2022-03-24 09:26:44", {})]

    @pytest.mark.parametrize("value", ["not a date", 7, 7.5, b"bytes"])
    def test_wrong_types(self, database: sqlite3.Connection, archive: SqlArchive, value: Any) -> None:  # noqa: ANN401
        """A value of another type than its column, which SQLite allows, hides no other row."""
        insert(database, SHOT_NUMBER=value, SHOT_DATE=value)
        insert(database, SHOT_NUMBER=8)
        wrong, right = archive.read_rows()

        assert right.facts["shot"] == 8
        assert all(isinstance(fact, str | int | float) for fact in wrong.facts.values())

    def test_no_number(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """A number that JSON cannot represent becomes text."""
        insert(database, SHOT_NUMBER=float("inf"))

        assert [row.facts["shot"] for row in archive.read_rows()] == ["inf"]


class TestRefusals:
    def test_unknown_table(self, database: sqlite3.Connection, archive: SqlArchive) -> None:
        """The error for an unknown table lists the existing tables and views."""
        database.execute("CREATE VIEW IMAGES AS SELECT * FROM ARCHIVE_FILES")
        message = get_refusal(SqlArchive(archive.database, "ARCHIVE_FILE", COLUMNS))

        assert message == "There is no table ARCHIVE_FILE. The tables are: ARCHIVE_FILES, IMAGES."

    def test_unknown_column(self, archive: SqlArchive) -> None:
        """The error for an unknown column lists the existing ones."""
        message = get_refusal(SqlArchive(archive.database, "ARCHIVE_FILES", {**COLUMNS, "shot": "SHOT"}))

        assert message.startswith("ARCHIVE_FILES has no column SHOT. Its columns are: IMAGE_ID, ")

    def test_required_columns(self, archive: SqlArchive) -> None:
        """An archive without a column for the key or the file is refused."""
        assert "file" in get_refusal(SqlArchive(archive.database, "ARCHIVE_FILES", {"key": "IMAGE_ID"}))

    @pytest.mark.parametrize(
        "url",
        ["sqlite:////nonesuch/archive.db", "nonesuch://host/db", "no url", "oracle+nonesuch://u:secret@host/db",
         "mysql+pymysql://u:secret@host/db"],
    )  # fmt: skip
    def test_no_database(self, url: str) -> None:
        """The error for an unreachable database is a sentence without its location or its password."""
        message = get_refusal(SqlArchive(ArchiveDatabase(url, attempts=1), "ARCHIVE_FILES", COLUMNS))

        assert message.endswith(".")
        assert not any(secret in message for secret in ("nonesuch/", "secret", "host"))

    def test_not_a_database(self, tmp_path: Path) -> None:
        """The error for a file that is no database contains neither its path nor any SQL."""
        (tmp_path / "archive.db").write_text("nothing of the kind" * 100)
        message = get_refusal(
            SqlArchive(ArchiveDatabase(f"sqlite:///{tmp_path / 'archive.db'}"), "ARCHIVE_FILES", COLUMNS)
        )

        assert str(tmp_path) not in message
        assert "PRAGMA" not in message
        assert "SELECT" not in message
