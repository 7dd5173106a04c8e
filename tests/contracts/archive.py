"""The contract of every archive: rows in the order of their versions, from a watermark on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Final

import pytest
import sqlalchemy as sa

from shotdap.catalog import Archive, ArchiveDatabase, BadArchive, Between, ColumnFilter, Row, SqlArchive, Watermark

__all__ = ["ArchiveContract", "DatabaseContract", "create_table"]


class ArchiveContract:
    """Base class: the fixture `archive` is an archive of three rows or more, whose versions are not all equal."""

    def test_rows(self, archive: Archive) -> None:
        """Each row has a unique key, and text for its file."""
        rows = list(archive.read_rows())

        assert len(rows) >= 3
        assert len({row.key for row in rows}) == len(rows)
        assert all(isinstance(row, Row) and row.file for row in rows)

    def test_facts(self, archive: Archive) -> None:
        """Facts have types that JSON and every protocol can represent."""
        facts = [fact for row in archive.read_rows() for fact in row.facts.values()]

        assert facts
        assert all(isinstance(fact, str | int | float) for fact in facts)

    def test_ordered(self, archive: Archive) -> None:
        """Rows come in the order of their versions."""
        versions = [row.version for row in archive.read_rows() if row.version is not None]

        assert versions == sorted(versions)
        assert versions[0] != versions[-1]

    def test_watermark(self, archive: Archive) -> None:
        """Reading from a watermark returns the rows with that version, and all later ones."""
        rows = list(archive.read_rows())
        for row in rows:
            newer = [other for other in rows if other.version >= row.version]  # type: ignore[operator]  # as above

            assert list(archive.read_rows(row.version)) == newer

    def test_count(self, archive: Archive) -> None:
        """An archive counts the rows that it would return, from any watermark."""
        for since in (None, *(row.version for row in archive.read_rows())):
            assert archive.count_rows(since) == len(list(archive.read_rows(since)))

    def test_repeatable(self, archive: Archive) -> None:
        """A second reading returns the same rows, even while the first one is unfinished."""
        unfinished = archive.read_rows()
        first = next(unfinished)

        assert [first, *unfinished] == list(archive.read_rows())


_NUMBERS = count()
_COLUMNS: Final = {
    "key": "IMAGE_ID", "file": "ARCHIVE_FILE", "version": "MODIFIED",
    "facility": "FACILITY", "shot": "SHOT_NUMBER", "date": "SHOT_DATE", "name": "SOURCE_FILE",
}  # fmt: skip
_NOON: Final = datetime(2022, 3, 24, 12, 0, 0)  # noqa: DTZ001 — the laboratory's time, without a zone
HOSTILE: Final = (
    "'; DROP TABLE ARCHIVE_FILES; --", '"quoted"', "../../etc/passwd", "x" * 4000, "größe", "%s%(x)s{0}:name", "\\",
)  # fmt: skip


def create_table(writer: sa.Engine) -> sa.Table:
    """Create an empty table of images, with a name that is unique in this run."""
    # On Oracle and PostgreSQL, names without capitals are unquoted, and their case is ignored.
    spelled = str if writer.dialect.name == "sqlite" else str.lower
    table = sa.Table(
        spelled(f"ARCHIVE_FILES_{next(_NUMBERS)}"),
        sa.MetaData(),
        sa.Column(spelled("IMAGE_ID"), sa.Integer),
        sa.Column(spelled("ARCHIVE_FILE"), sa.String(4000)),
        sa.Column(spelled("MODIFIED"), sa.DateTime),
        sa.Column(spelled("FACILITY"), sa.String(4000)),
        sa.Column(spelled("SHOT_NUMBER"), sa.Integer),
        sa.Column(spelled("SHOT_DATE"), sa.DateTime),
        sa.Column(spelled("SOURCE_FILE"), sa.String(4000)),
    )
    with writer.begin() as connection:
        connection.execute(sa.schema.CreateTable(table))
    return table


class DatabaseContract(ArchiveContract):
    """Base class: the fixture `writer` is an engine that may write, the fixture `database` the same, read-only."""

    @pytest.fixture
    def table(self, writer: sa.Engine) -> sa.Table:
        """An empty table of images."""
        return create_table(writer)

    @pytest.fixture
    def insert(self, writer: sa.Engine, table: sa.Table) -> Callable[..., None]:
        """A function that inserts a row: ``insert(IMAGE_ID=1)``."""

        def insert_row(**values: object) -> None:
            row = {"IMAGE_ID": 1, "ARCHIVE_FILE": "file.hdf", "MODIFIED": _NOON, "FACILITY": "OMEGA"} | values
            named = {column.name: row[column.name.upper()] for column in table.columns if column.name.upper() in row}
            with writer.begin() as connection:
                connection.execute(table.insert(), named)

        return insert_row

    @pytest.fixture
    def sql_archive(self, database: ArchiveDatabase, table: sa.Table) -> SqlArchive:
        """The table, mapped by the default settings, its name in capitals."""
        return SqlArchive(database, table.name.upper(), _COLUMNS)

    @pytest.fixture
    def archive(self, insert: Callable[..., None], sql_archive: SqlArchive) -> SqlArchive:
        """Three rows with one time stamp; the keys have another order than the versions."""
        for key, days in enumerate((300, 0, 100, 100, 100), 1):
            insert(IMAGE_ID=key, MODIFIED=_NOON + timedelta(days=days), SHOT_NUMBER=key)
        return sql_archive

    def test_row(self, insert: Callable[..., None], sql_archive: SqlArchive) -> None:
        """A row's columns get our names, and types that JSON and every protocol can represent."""
        insert(IMAGE_ID=7, SHOT_NUMBER=103741, SHOT_DATE=_NOON, SOURCE_FILE="p510.hdf")
        (row,) = sql_archive.read_rows()

        assert (row.key, row.file) == ("7", "file.hdf")
        assert dict(row.facts) == {
            "facility": "OMEGA", "shot": 103741, "date": "2022-03-24T12:00:00", "name": "p510.hdf",
        }  # fmt: skip

    @pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
    def test_hostile_text(self, insert: Callable[..., None], sql_archive: SqlArchive, value: str) -> None:
        """Any text is returned unchanged, and as a key it finds its own row."""
        insert(SOURCE_FILE=value, ARCHIVE_FILE=value, FACILITY=value)
        insert(IMAGE_ID=2, FACILITY="another")
        found = SqlArchive(sql_archive.database, sql_archive.table, _COLUMNS, where={"FACILITY": value})

        assert [(row.file, row.facts["name"], row.facts["facility"]) for row in found.read_rows()] == [
            (value, value, value)
        ]

    def test_null(self, insert: Callable[..., None], sql_archive: SqlArchive) -> None:
        """A NULL column is no fact; a row without key and file is returned with empty ones."""
        insert(IMAGE_ID=None, ARCHIVE_FILE=None, FACILITY=None)
        (row,) = sql_archive.read_rows()

        assert (row.key, row.file, dict(row.facts)) == ("", "", {})

    def test_without_version(self, insert: Callable[..., None], sql_archive: SqlArchive) -> None:
        """A row whose version is NULL is returned every time, so it is never lost."""
        insert()
        insert(IMAGE_ID=2, MODIFIED=None)

        assert "2" in {row.key for row in sql_archive.read_rows(_find_later_watermark(sql_archive))}

    @pytest.mark.parametrize(
        ("where", "keys"),
        [
            ({"SHOT_NUMBER": 2}, {"2"}),
            ({"shot_number": (1, 3)}, {"1", "3"}),
            ({"SHOT_NUMBER": Between(2, 3)}, {"2", "3"}),
            ({"SHOT_NUMBER": Between(least=3)}, {"3", "4"}),
            ({"SHOT_NUMBER": Between(most=1)}, {"1"}),
            ({"SHOT_NUMBER": Between()}, {"1", "2", "3", "4"}),
            ({"SHOT_NUMBER": Between(2), "FACILITY": "EP"}, {"4"}),
            ({"SHOT_DATE": Between(_NOON + timedelta(days=2), _NOON + timedelta(days=3))}, {"2", "3"}),
            ({"FACILITY": ()}, set()),
        ],
        ids=range(9),
    )
    def test_where(
        self, insert: Callable[..., None], sql_archive: SqlArchive, where: dict[str, ColumnFilter], keys: set[str]
    ) -> None:
        """Only rows that match every filter are returned: a value, one of several, or one in a range."""
        for number in (1, 2, 3, 4):
            facility = "OMEGA" if number < 4 else "EP"
            insert(IMAGE_ID=number, SHOT_NUMBER=number, SHOT_DATE=_NOON + timedelta(days=number), FACILITY=facility)
        filtered = SqlArchive(sql_archive.database, sql_archive.table, _COLUMNS, where=where)

        assert {row.key for row in filtered.read_rows()} == keys

    @pytest.mark.parametrize("name", ["NONESUCH", "x' OR 1=1 --", 'y"; DROP TABLE z; --'])
    def test_no_table(self, sql_archive: SqlArchive, table: sa.Table, name: str) -> None:
        """The error for an unknown table lists the existing ones."""
        with pytest.raises(BadArchive, match=f"There is no table .* tables are: .*{table.name}"):
            list(SqlArchive(sql_archive.database, name, _COLUMNS).read_rows())

    def test_no_column(self, sql_archive: SqlArchive) -> None:
        """The error for an unknown column lists the existing ones."""
        wrong = SqlArchive(sql_archive.database, sql_archive.table, _COLUMNS | {"shot": "SHOT; --"})
        with pytest.raises(BadArchive, match=r"(?i)has no column SHOT; --\. Its columns are: IMAGE_ID, ARCHIVE_FILE"):
            list(wrong.read_rows())


def _find_later_watermark(archive: SqlArchive) -> Watermark:
    """Return a watermark later than all versions."""
    latest = max(row.version for row in archive.read_rows() if row.version is not None)
    return latest + timedelta(days=1) if isinstance(latest, datetime) else f"{latest}~"
