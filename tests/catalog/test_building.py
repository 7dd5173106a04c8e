"""Builds that are killed, that meet others, and that read what earlier versions wrote."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from tests.building import OVERTAKEN, started
from tests.rows import DEFAULT, Rows, paths, row

import shotdap.catalog
from shotdap.catalog import (
    BadCatalog,
    BadQuery,
    Busy,
    Fact,
    Health,
    Row,
    SqlIndex,
    Superseded,
    Watermark,
    build_catalog,
)
from shotdap.catalog.entry import FileInspection
from shotdap.catalog.index import InspectionResult
from shotdap.catalog.index.fulltext import join_entry_words
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES, FACET_COUNTS, FOLDERS, METADATA, SCHEMA_VERSION

KILLS: Final = 50


def finished(url: str) -> float:
    """Build to the end; how long that took."""
    begun, process = time.monotonic(), started(url)
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - begun


def killed(url: str, seconds: float) -> Watermark | None:
    """Begin to build, and kill that; how far it came."""
    process = started(url)
    process.join(seconds)
    process.kill()
    process.join()
    return reached(url)


def reached(url: str) -> Watermark | None:
    index = SqlIndex(url)
    watermark = index.read_watermark()
    index.close()
    return watermark


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """What a catalog holds that was built without any trouble."""
    url = f"sqlite:///{tmp_path_factory.mktemp('whole') / 'catalog.db'}"
    finished(url)
    return content(url)


IN_FOLDER: Final = sa.and_(ENTRIES.c.folder == FOLDERS.c.id, ENTRIES.c.path == FOLDERS.c.path + "/" + ENTRIES.c.name)


def content(url: str) -> list[tuple[Any, ...]]:
    """All that a catalog says of the archive, once seen that its tables agree."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        entries = connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.path)).mappings().all()
        counted = connection.execute(sa.select(sa.func.sum(FACET_COUNTS.c.count))).scalar()
        by_folder = (
            "SELECT count(*) FROM entries e JOIN folders f ON e.folder = f.id WHERE e.path = f.path || '/' || e.name"
        )
        in_folders = connection.execute(sa.text(by_folder)).scalar()
        if connection.dialect.name == "sqlite":
            assert connection.execute(sa.text("PRAGMA integrity_check")).scalar() == "ok"
            first = sa.text("SELECT count(*) FROM words WHERE words MATCH 'omega'")
            assert connection.execute(first).scalar() == len(entries)
    assert counted == in_folders == len(entries)
    return [(entry["key"], entry["path"], entry["file"], tuple(entry["facts"].items())) for entry in entries]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    created: str = request.getfixturevalue("postgres").create()
    return created


class TestKilled:
    def test_at_any_moment(self, tmp_path: Path, whole: list[tuple[Any, ...]]) -> None:
        """However often a build is killed, and when, the next one goes on; at last the catalog is the right one."""
        url, moments = f"sqlite:///{tmp_path / 'catalog.db'}", random.Random(6)  # noqa: S311 — no secret
        lasts = finished(f"sqlite:///{tmp_path / 'timed.db'}")
        stages = [killed(url, moments.uniform(0, lasts / 5)) for _ in range(KILLS)]
        finished(url)

        assert len(set(stages)) > 2
        assert content(url) == whole

    def test_in_any_database(self, url: str, whole: list[tuple[Any, ...]]) -> None:
        """So it is in either kind of database, while its tables are made too."""
        for moment in (0.02, 0.05, 0.1, 0.2, 0.4):
            killed(url, moment)
        finished(url)

        assert content(url) == whole


@pytest.mark.parametrize("count", [1023, 1024, 1025, 3071])
def test_however_many(url: str, count: int) -> None:
    """Rows are written many in a statement, and none is lost between two of those."""
    index = SqlIndex(url)
    build_catalog(Rows([row(number, name=f"n{number}.hdf") for number in range(count)]), index, DEFAULT)

    assert sorted(paths(index)) == sorted(f"omega/62328/asbo1/n{number}" for number in range(count))
    for number in (0, count - 2, count - 1):
        assert [entry.facts["name"] for entry in index.search(f"n{number}").entries] == [f"n{number}.hdf"]
    index.close()


class TestTwoAtOnce:
    def test_three_processes(self, url: str, whole: list[tuple[Any, ...]]) -> None:
        """Of builds at once the last goes on from where the others were, which end; the catalog is the right one."""
        processes = [started(url) for _ in range(3)]
        for process in processes:
            process.join(120)
        codes = [process.exitcode for process in processes]

        assert 0 in codes
        assert set(codes) <= {0, OVERTAKEN}
        assert content(url) == whole

    def test_the_later_goes_on(self, url: str) -> None:
        """A build that another one has overtaken writes nothing any more."""
        index = SqlIndex(url)
        rows = [row(number, version=number, name=f"n{number}") for number in range(3)]

        def overtaken() -> Iterator[Row]:
            build_catalog(Rows(rows), index, DEFAULT)
            yield row(1, version=1, name="n1", file="stale")

        with pytest.raises(Superseded, match=SUPERSEDED):
            build_catalog(Given(overtaken()), index, DEFAULT)
        file, watermark = index.find_entry("omega/62328/asbo1/n1").file, index.read_watermark()
        index.close()

        assert (file, watermark) == ("file.hdf", 2)

    def test_patience(self, url: str) -> None:
        """A patient build leaves one alone that is at work, and is not kept by one that has ended, well or not."""
        index = SqlIndex(url)

        def meanwhile() -> Iterator[Row]:
            with pytest.raises(Busy):
                build_catalog(Rows([]), index, DEFAULT, patient=True)
            yield row(1)

        build_catalog(Given(meanwhile()), index, DEFAULT)
        report = build_catalog(Rows([row(2)]), index, DEFAULT, patient=True)
        index.close()

        assert report.added == 1


SUPERSEDED: Final = "Another build of this catalog has begun since, and goes on from where this one was."


class Given:
    """An archive that gives these rows."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows

    def read_rows(self, since: Any = None, /) -> Iterator[Row]:  # noqa: ANN401, ARG002 — a watermark
        return self._rows

    def count_rows(self, since: Any = None, /) -> int:  # noqa: ANN401, ARG002
        return 0


class TestVersions:
    def test_tables(self, url: str) -> None:
        """Migrations make the very tables that the code knows."""
        index = SqlIndex(url)
        index.check_version()
        index.close()
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_object": is_ours})

            assert compare_metadata(context, METADATA) == []

    def test_last(self) -> None:
        """The version that the code knows is that of the last migration."""
        folder = Path(str(shotdap.catalog.__file__)).parent / "migrations"

        assert ScriptDirectory(str(folder)).get_current_head() == SCHEMA_VERSION

    def test_first_version(self, tmp_path: Path) -> None:
        """A catalog of the first version, which had no number, is refused with the command, and then migrated whole."""
        path = tmp_path / "catalog.db"
        write_first_version(path)
        index = SqlIndex.open_sqlite(path)
        with pytest.raises(BadCatalog, match=r"of version 1, .* `shotdap catalog migrate`"):
            index.find_entry("omega/1/a/x")
        before = index.migrate()
        good, bad = index.find_entry("omega/1/a/x"), index.find_entry("top")

        assert before == "1"
        assert (good.file, good.facts, good.health) == ("x.hdf", FACTS, Health.OK)
        assert good.first_inspection is not None
        assert good.first_inspection.sha256 == "0" * 64
        assert (bad.health, bad.reason) == (Health.MISSING, "It is gone.")
        assert paths(index) == ["omega/1/a/x", "omega/1/a/y", "top"]
        assert index.read_watermark() == 7
        assert index.count_by_facet("facility") == {"": 1, "OMEGA": 2}
        assert index.migrate() == SCHEMA_VERSION

    def test_building_on(self, tmp_path: Path) -> None:
        """The next build goes on where the first version was: what it inspected stays inspected."""
        write_first_version(tmp_path / "catalog.db")
        index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
        index.migrate()
        same = [Row("1", "x.hdf", 1, FACTS), Row("2", "y.hdf", 1, FACTS), Row("3", "gone.hdf", 1, {})]
        report = build_catalog(Rows([*same, row(4)]), index, DEFAULT, full=True)

        assert (report.added, report.changed, report.unchanged, report.removed) == (1, 0, 3, 0)
        assert index.find_entry("omega/1/a/x").health is Health.OK

    def test_second_version(self, url: str) -> None:
        """A catalog of the second version, without dates beside attributes and names, gets them."""
        index = SqlIndex(url)
        build_catalog(Rows([row(1, date="2022-03-24", pulse="square"), row(2, note="a\0b")]), index, DEFAULT)
        index.record_inspections((index.find_entry(path), SEEN) for path in paths(index))
        dates = described_dates(index)
        index.close()
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for statement in SECOND_VERSION:
                connection.exec_driver_sql(statement)
        index = SqlIndex(url)
        with pytest.raises(BadCatalog, match="of version 2"):
            index.check_version()
        index.migrate()

        assert described_dates(index) == dates == ["2022-03-24T00:00:00", None]
        assert len(index.search("SweepSpeed:2").entries) == 2
        with pytest.raises(BadQuery, match="did you mean pulse"):
            index.search("pulze:square")
        index.close()

    def test_newer(self, tmp_path: Path) -> None:
        """A catalog that a newer shotdap made is refused, also by a migration."""
        index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
        index.check_version()
        index.close()
        with closing(sqlite3.connect(tmp_path / "catalog.db")) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = '99'")
        for ask in (SqlIndex.check_version, SqlIndex.migrate):
            with pytest.raises(BadCatalog, match="version 99, made by a newer shotdap"):
                ask(SqlIndex.open_sqlite(tmp_path / "catalog.db"))

    def test_no_database(self, tmp_path: Path) -> None:
        """What is no database is refused, without its place."""
        (tmp_path / "catalog.db").write_text("nothing of the kind" * 100)
        with pytest.raises(BadCatalog, match="is not a database") as caught:
            SqlIndex.open_sqlite(tmp_path / "catalog.db").check_version()

        assert str(tmp_path) not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql+psycopg://u:secret@127.0.0.1:1/none",
            "oracle+oracledb://u:secret@127.0.0.1:1/none",
            "nonesuch://u:secret@h/d",
            "no url",
        ],
    )
    def test_not_reached(self, url: str) -> None:
        """A database that cannot be reached is told in a sentence, without its password."""
        with pytest.raises(BadCatalog, match=r"\.$") as caught:
            SqlIndex(url).check_version()

        assert "secret" not in str(caught.value)

    def test_another_kind(self) -> None:
        """A database of a kind that keeps no catalog is told what kinds do; an archive may be in it."""
        with pytest.raises(BadCatalog, match=r"kept in SQLite or PostgreSQL .* not oracle"):
            SqlIndex("oracle+oracledb://u@127.0.0.1:1/none").check_version()


SEEN: Final = InspectionResult(Health.OK, "", FileInspection("0" * 64, 1, 1, {}, {"SweepSpeed": ["2"]}))
SECOND_VERSION: Final = (
    "DROP INDEX attributes_by_text", "DROP INDEX attributes_by_number", "ALTER TABLE attributes DROP COLUMN date",
    "CREATE INDEX attributes_by_text ON attributes (name, text, entry)",
    "CREATE INDEX attributes_by_number ON attributes (name, number, entry)",
    "DROP INDEX entries_of_facility", "DROP TABLE names", "UPDATE alembic_version SET version_num = '2'",
)  # fmt: skip


def described_dates(index: SqlIndex) -> list[str | None]:
    with index._database.begin_read() as connection:  # noqa: SLF001
        return list(connection.execute(sa.select(ATTRIBUTES.c.date).order_by(ATTRIBUTES.c.entry)).scalars())


def is_ours(_object: object, name: str, kind: str, _reflected: object, _other: object) -> bool:
    """Whether something is described in the tables' module; full text makes its own."""
    return kind != "table" or not name.startswith(("words", "alembic"))


FACTS: Final[dict[str, Fact]] = {"facility": "OMEGA", "shot": 1, "diagnostic": "A", "date": "2022-05-19T10:41:07"}


def write_first_version(path: Path) -> None:
    """A catalog as the first version of shotdap wrote it."""
    facts = '{"facility": "OMEGA", "shot": 1, "diagnostic": "A", "date": "2022-05-19T10:41:07"}'
    seen = f'{{"sha256": "{"0" * 64}", "size": 1, "modified": 2, "structure": {{"image": "uint16[2]"}}}}'
    entries = [
        ("omega/1/a/x", "1", "omega/1/a", "x", "x.hdf", facts, "ok", "", seen),
        ("omega/1/a/y", "2", "omega/1/a", "y", "y.hdf", facts, "unseen", "", None),
        ("top", "3", "", "top", "gone.hdf", "{}", "missing", "It is gone.", None),
    ]
    folders = [("omega", "", "omega"), ("omega/1", "omega", "1"), ("omega/1/a", "omega/1", "a")]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(FIRST_VERSION)
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", entries)
        connection.executemany("INSERT INTO folders VALUES (?, ?, ?)", folders)
        connection.execute("INSERT INTO state VALUES ('watermark', '{\"value\": 7, \"is_time\": false}')")


FIRST_VERSION: Final = """
CREATE TABLE entries (path TEXT NOT NULL, "key" TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL,
    file TEXT NOT NULL, facts JSON NOT NULL, health TEXT NOT NULL, reason TEXT NOT NULL, seen JSON,
    PRIMARY KEY (path), UNIQUE ("key"));
CREATE INDEX entries_by_folder ON entries (parent, name);
CREATE INDEX entries_by_health ON entries (health, path);
CREATE TABLE folders (path TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (path));
CREATE INDEX folders_by_folder ON folders (parent, name);
CREATE TABLE state (name TEXT NOT NULL, value JSON NOT NULL, PRIMARY KEY (name));
"""


def test_words() -> None:
    """Words are runs of letters and digits, small, each once, and none too long."""
    assert join_entry_words("omega/1/p510_2", {"name": "P510_2-s1.hdf", "shot": 1, "note": "x" * 100}).split() == [
        "omega", "1", "p510", "2", "s1", "hdf", "x" * 64,
    ]  # fmt: skip


@given(st.text(st.characters(max_codepoint=127), max_size=200))
def test_words_in_ascii(text: str) -> None:
    """A text has the same words whether or not another one, which is not in ASCII, stands behind it."""
    assert join_entry_words(f"{text} ß", {}).split() == [*join_entry_words(text, {}).split(), "ß"]
