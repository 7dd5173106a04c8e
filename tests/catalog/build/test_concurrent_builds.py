"""Builds that are killed or run at the same time, and versions of the catalog."""

from __future__ import annotations

import random
import re
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
from tests.building import OVERTAKEN, start_build
from tests.rows import DEFAULT, Rows, list_paths, make_row

import shotdap.catalog
from shotdap.catalog import (
    BadCatalog,
    Busy,
    Row,
    SqlIndex,
    Superseded,
    Watermark,
    build_catalog,
)
from shotdap.catalog.index.fulltext import join_entry_words
from shotdap.catalog.index.tables import ENTRIES, FACET_COUNTS, FOLDERS, METADATA, SCHEMA_VERSION

KILLS: Final = 50


def finish_build(url: str) -> float:
    """Build to the end; return how long that took."""
    begun, process = time.monotonic(), start_build(url)
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - begun


def kill_build(url: str, seconds: float) -> Watermark | None:
    """Start a build and kill it; return its watermark."""
    process = start_build(url)
    process.join(seconds)
    process.kill()
    process.join()
    return read_watermark(url)


def read_watermark(url: str) -> Watermark | None:
    index = SqlIndex(url)
    watermark = index.read_watermark()
    index.close()
    return watermark


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """The content of a catalog whose build was not disturbed."""
    url = f"sqlite:///{tmp_path_factory.mktemp('whole') / 'catalog.db'}"
    finish_build(url)
    return read_content(url)


IN_FOLDER: Final = sa.and_(ENTRIES.c.folder == FOLDERS.c.id, ENTRIES.c.path == FOLDERS.c.path + "/" + ENTRIES.c.name)


def read_content(url: str) -> list[tuple[Any, ...]]:
    """Return what a catalog knows of the archive, after checking that its tables are consistent."""
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
        """If builds are killed at any moment, the next one continues; at the end the catalog is correct."""
        url, moments = f"sqlite:///{tmp_path / 'catalog.db'}", random.Random(6)  # noqa: S311 — no secret
        lasts = finish_build(f"sqlite:///{tmp_path / 'timed.db'}")
        stages = [kill_build(url, moments.uniform(0, lasts / 5)) for _ in range(KILLS)]
        finish_build(url)

        assert len(set(stages)) > 2
        assert read_content(url) == whole

    def test_in_any_database(self, url: str, whole: list[tuple[Any, ...]]) -> None:
        """The same holds in each kind of database, also while its tables are created."""
        for moment in (0.02, 0.05, 0.1, 0.2, 0.4):
            kill_build(url, moment)
        finish_build(url)

        assert read_content(url) == whole


@pytest.mark.parametrize("count", [1023, 1024, 1025, 3071])
def test_however_many(url: str, count: int) -> None:
    """Rows are written many in a statement, and none is lost between two statements."""
    index = SqlIndex(url)
    build_catalog(Rows([make_row(number, name=f"n{number}.hdf") for number in range(count)]), index, DEFAULT)

    assert sorted(list_paths(index)) == sorted(f"omega/62328/asbo1/n{number}" for number in range(count))
    for number in (0, count - 2, count - 1):
        assert [entry.facts["name"] for entry in index.search(f"n{number}").entries] == [f"n{number}.hdf"]
    index.close()


class TestTwoAtOnce:
    def test_three_processes(self, url: str, whole: list[tuple[Any, ...]]) -> None:
        """Of several builds at once, the last one continues and the others end; the catalog is correct."""
        processes = [start_build(url) for _ in range(3)]
        for process in processes:
            process.join(120)
        codes = [process.exitcode for process in processes]

        assert 0 in codes
        assert set(codes) <= {0, OVERTAKEN}
        assert read_content(url) == whole

    def test_the_later_continues(self, url: str) -> None:
        """A build that a later one has overtaken writes nothing any more."""
        index = SqlIndex(url)
        rows = [make_row(number, version=number, name=f"n{number}") for number in range(3)]

        def read_and_overtake() -> Iterator[Row]:
            build_catalog(Rows(rows), index, DEFAULT)
            yield make_row(1, version=1, name="n1", file="stale")

        with pytest.raises(Superseded, match=SUPERSEDED):
            build_catalog(Given(read_and_overtake()), index, DEFAULT)
        file, watermark = index.find_entry("omega/62328/asbo1/n1").file, index.read_watermark()
        index.close()

        assert (file, watermark) == ("file.hdf", 2)

    def test_patience(self, url: str) -> None:
        """A patient build does not overtake a running one, and does not wait for one that has ended in any way."""
        index = SqlIndex(url)

        def read_while_busy() -> Iterator[Row]:
            with pytest.raises(Busy):
                build_catalog(Rows([]), index, DEFAULT, patient=True)
            yield make_row(1)

        build_catalog(Given(read_while_busy()), index, DEFAULT)
        report = build_catalog(Rows([make_row(2)]), index, DEFAULT, patient=True)
        index.close()

        assert report.added == 1


SUPERSEDED: Final = "Another build of this catalog has begun since, and goes on from where this one was."


class Given:
    """An archive with these rows."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows

    def read_rows(self, since: Any = None, /) -> Iterator[Row]:  # noqa: ANN401, ARG002 — a watermark
        return self._rows

    def count_rows(self, since: Any = None, /) -> int:  # noqa: ANN401, ARG002
        return 0


class TestVersions:
    def test_tables(self, url: str) -> None:
        """The migrations create exactly the tables that the code knows."""
        index = SqlIndex(url)
        index.check_version()
        index.close()
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_object": is_ours})

            assert compare_metadata(context, METADATA) == []

    def test_last(self) -> None:
        """The version in the code is that of the last migration."""
        folder = Path(str(shotdap.catalog.__file__)).parent / "migrations"

        assert ScriptDirectory(str(folder)).get_current_head() == SCHEMA_VERSION

    def test_first_version(self, tmp_path: Path) -> None:
        """A catalog of version 1, which did not store its number, is refused with what to do."""
        path = tmp_path / "catalog.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(FIRST_VERSION)
        for ask in (SqlIndex.check_version, SqlIndex.migrate):
            with pytest.raises(BadCatalog, match=r"of version 1, .* needs 4.* `shotdap catalog build`"):
                ask(SqlIndex.open_sqlite(path))

    def test_second_version(self, url: str) -> None:
        """A catalog of version 2 is refused, also by a migration, with what to do."""
        index = SqlIndex(url)
        index.check_version()
        index.close()
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '2'"))
        for ask in (SqlIndex.check_version, SqlIndex.migrate):
            with pytest.raises(BadCatalog, match=r"of version 2, .* needs 4.* `shotdap catalog build`"):
                ask(SqlIndex(url))

    def test_current(self, url: str) -> None:
        """A migration creates the tables of an empty database, and keeps a catalog of this version as it is."""
        index = SqlIndex(url)
        first = index.migrate()
        build_catalog(Rows([make_row(1)]), index, DEFAULT)
        again = index.migrate()
        known = list_paths(index)
        index.close()

        assert (first, again) == (None, SCHEMA_VERSION)
        assert known == ["omega/62328/asbo1/asbo1"]

    def test_migrations_import_no_code(self) -> None:
        """A migration creates the same tables for ever: it imports nothing that may change."""
        folder = Path(str(shotdap.catalog.__file__)).parent / "migrations"

        imports = re.compile(r"^\s*(?:from|import) shotdap\b", re.MULTILINE)

        assert not [path.name for path in folder.rglob("*.py") if imports.search(path.read_text())]

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
        """A file that is no database is refused, with a message that does not contain its path."""
        (tmp_path / "catalog.db").write_text("nothing of the kind" * 100)
        with pytest.raises(BadCatalog, match="is not a catalog's database") as caught:
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
        """The error for an unreachable database is a sentence without the password."""
        with pytest.raises(BadCatalog, match=r"\.$") as caught:
            SqlIndex(url).check_version()

        assert "secret" not in str(caught.value)

    def test_another_kind(self) -> None:
        """The error for a database of another kind names the kinds that can hold a catalog."""
        with pytest.raises(BadCatalog, match=r"kept in SQLite or PostgreSQL .* not oracle"):
            SqlIndex("oracle+oracledb://u@127.0.0.1:1/none").check_version()


def is_ours(_object: object, name: str, kind: str, _reflected: object, _other: object) -> bool:
    """Check whether a table is one of the module `tables`; full text has its own."""
    return kind != "table" or not name.startswith(("words", "alembic"))


def test_words() -> None:
    """Words are runs of letters and digits, in small letters, each once, with a limited length."""
    assert join_entry_words("omega/1/p510_2", {"name": "P510_2-s1.hdf", "shot": 1, "note": "x" * 100}).split() == [
        "omega", "1", "p510", "2", "s1", "hdf", "x" * 64,
    ]  # fmt: skip


@given(st.text(st.characters(max_codepoint=127), max_size=200))
def test_words_in_ascii(text: str) -> None:
    """A text has the same words with or without a following word that is not ASCII."""
    assert join_entry_words(f"{text} ß", {}).split() == [*join_entry_words(text, {}).split(), "ß"]


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
"""The tables of the first catalogs, which had no version and were SQLite's only."""
