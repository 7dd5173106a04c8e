"""The catalog's own database, in SQLite and in PostgreSQL: lookups, counts, words, attributes and changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.index import IndexContract, walk_index
from tests.postgres import Postgres
from tests.rows import DEFAULT, Rows, list_paths, make_row

from shotdap.catalog import Entry, Health, NotFound, PathTemplate, Row, SqlIndex, build_catalog
from shotdap.catalog.entry import FileInspection
from shotdap.catalog.index import InspectionResult
from shotdap.catalog.index.fulltext import FULLTEXT_INDEXES
from shotdap.catalog.index.tables import ATTRIBUTES, ENTRIES

NUMBERS: Final = count()
HOSTILE: Final = (
    "'; DROP TABLE entries; --", '"quoted"', "../..", "a\0b", "\x1a0000", "half \udcff", "x" * 10_000, "", "größe",
    "%s%(x)s{0}", "\u2028", "🎇",
)  # fmt: skip


@pytest.fixture(scope="module")
def empty_catalog(postgres: Postgres) -> str:
    """The name of an empty catalog in PostgreSQL, a template for others.

    The database's own order of text is a language's, in which "a" comes before "B".
    """
    execute(postgres, "CREATE DATABASE made TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'")
    index = SqlIndex(postgres.url("made"))
    index.check_version()
    index.close()
    return "made"


def execute(postgres: Postgres, statement: str) -> None:
    engine = sa.create_engine(postgres.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))


@pytest.fixture(params=["sqlite", "postgresql"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlIndex]:
    """An empty catalog, in each kind of database."""
    if request.param == "sqlite":
        index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
    else:
        server, name = request.getfixturevalue("postgres"), f"catalog_{next(NUMBERS)}"
        execute(server, f"CREATE DATABASE {name} TEMPLATE {request.getfixturevalue('empty_catalog')}")
        index = SqlIndex(server.url(name))
    yield index
    index.close()


def find_by_words(index: SqlIndex, text: str) -> list[str]:
    """Return the paths of entries that match in full text."""
    with index._database.begin_read() as connection:  # noqa: SLF001 — the search over it is another module's
        matching = FULLTEXT_INDEXES[connection.dialect.name].select_matching_ids(text)
        return sorted(connection.execute(sa.select(ENTRIES.c.path).where(ENTRIES.c.id.in_(matching))).scalars())


def read_attributes(index: SqlIndex) -> list[tuple[str, str, float | None]]:
    with index._database.begin_read() as connection:  # noqa: SLF001
        columns = (ATTRIBUTES.c.name, ATTRIBUTES.c.text, ATTRIBUTES.c.number)
        return [tuple(line) for line in connection.execute(sa.select(*columns).order_by(*columns[:2]))]


def make_inspection(sha256: str = "0" * 64, **attributes: list[str]) -> FileInspection:
    return FileInspection(sha256, 1000, 1, {"image": "uint16[2,2]"}, attributes)


class TestContract(IndexContract):
    @pytest.fixture
    def index(self, index: SqlIndex) -> SqlIndex:
        """Folders of several levels; a folder and an image of one name; names with capital and small letters."""
        rows = [
            make_row(number, shot=number % 3, name=f"{'nN'[number % 2]}{number}.hdf", diagnostic=f"d{number % 2}")
            for number in range(12)
        ]
        build_catalog(Rows(rows), index, DEFAULT)
        build_catalog(
            Rows([make_row("both", name="0"), make_row("more", name="1")]), index, PathTemplate("omega/{name}")
        )
        build_catalog(Rows([make_row("top", name="top"), make_row("Top", name="Top")]), index, PathTemplate("{name}"))
        return index


class TestHostile:
    @pytest.mark.parametrize("date", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00"])
    def test_beyond_the_calendar(self, index: SqlIndex, date: str) -> None:
        """A moment that is outside the calendar in UTC counts as unknown, and stops no build."""
        build_catalog(Rows([make_row(1, date=date, name="x")]), index, DEFAULT)

        assert [entry.facts["date"] for entry in index.search("name:x").entries] == [date]

    def test_rows(self, index: SqlIndex) -> None:
        """A row with any text becomes an entry that is found, with the same text."""
        rows = [make_row(f"k{value}", name=value, facility=value, file=value, diagnostic=value) for value in HOSTILE]
        build_catalog(Rows(rows), index, DEFAULT)
        entries = [index.find_entry(path) for path in list_paths(index)]

        assert sorted(entry.file for entry in entries) == sorted(HOSTILE)
        assert sorted(str(entry.facts["name"]) for entry in entries) == sorted(HOSTILE)

    @pytest.mark.parametrize(
        ("file", "reason"),
        [
            ("", "The archive's row names no file."),
            ("a\0b", "The archive's row names no file that could exist."),
            ("half \ud800", "The archive's row names no file that could exist."),
            ("x" * 10_000, "The archive's row names no file that could exist."),
        ],
    )
    def test_impossible_files(self, index: SqlIndex, file: str, reason: str) -> None:
        """The name of a file that cannot exist is an error without any inspection."""
        build_catalog(Rows([make_row(1, file=file)]), index, DEFAULT)
        (path,) = list_paths(index)

        assert (index.find_entry(path).health, index.find_entry(path).reason) == (Health.UNREADABLE, reason)

    def test_keys(self, index: SqlIndex) -> None:
        """Rows with hostile, very long, or empty keys stay separate, and are the same in the next build."""
        rows = [make_row(key, file=f"{number}") for number, key in enumerate((*HOSTILE, "x" * 9_999, "y" * 10_000))]
        rows += [make_row("", file="one"), make_row("", file="another")]
        first = build_catalog(Rows(rows), index, DEFAULT)
        again = build_catalog(Rows(rows), index, DEFAULT)

        assert first.added == len(rows)
        assert (again.added, again.changed, again.unchanged) == (0, 0, len(rows))

    def test_no_key(self, index: SqlIndex) -> None:
        """A row without a key has a reason that says so."""
        build_catalog(Rows([make_row("")]), index, DEFAULT)
        (path,) = list_paths(index)

        assert index.find_entry(path).reason == "The archive's row has no key, so nobody can tell which row this is."

    def test_wrong_types(self, index: SqlIndex) -> None:
        """Invalid numbers, huge numbers and values of strange types do not stop a build."""
        odd = [float("inf"), float("nan"), 10**30, -1, 7.5, True, b"bytes", "7", " 8 ", "not a number", None, ()]
        rows = [Row(f"{n}", "f", 1, {"shot": value, "date": value, "name": f"n{n}"}) for n, value in enumerate(odd)]  # type: ignore[dict-item]  # on purpose
        report = build_catalog(Rows(rows), index, DEFAULT)

        assert report.added == len(odd)
        assert build_catalog(Rows(rows), index, DEFAULT).changed == 0
        assert len(list_paths(index)) == len(odd)

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.text(max_size=8), st.text(), st.text()), max_size=8, unique_by=lambda each: each[0]))
    def test_any_text(self, index: SqlIndex, texts: list[tuple[str, str, str]]) -> None:
        """Any texts make entries; paths are unique, and consist of safe characters."""
        rows = [make_row(key, file=file, name=name, diagnostic=file) for key, file, name in texts]
        build_catalog(Rows(rows), index, DEFAULT)
        known = list_paths(index)

        assert len(set(known)) == len(known)
        assert set("".join(known)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/")
        assert {file for _, file, _ in texts} <= {index.find_entry(path).file for path in known}


class TestFacets:
    def test_counts(self, index: SqlIndex) -> None:
        """Entries are counted by facility, diagnostic, year and health, also among those with a selected value."""
        rows = [make_row(n, name=f"n{n}", diagnostic="AB"[n % 2], date=f"202{n % 3}-05-19T10:41:07") for n in range(10)]
        build_catalog(Rows([*rows, make_row("x", facility="OMEGA EP")]), index, DEFAULT)

        assert index.count_by_facet("facility") == {"OMEGA": 10, "OMEGA EP": 1}
        assert index.count_by_facet("diagnostic") == {"A": 5, "ASBO1": 1, "B": 5}
        assert index.count_by_facet("year") == {"": 1, "2020": 4, "2021": 3, "2022": 3}
        assert index.count_by_facet("diagnostic", {"year": "2020"}) == {"A": 2, "B": 2}
        assert index.count_by_facet("health") == {"unseen": 11}
        assert index.count_to_inspect(again=True) == 11

    def test_follow(self, index: SqlIndex) -> None:
        """The counts follow rows that change, are removed or added, and the results of inspections."""
        build_catalog(Rows([make_row(1, name="a"), make_row(2, name="b"), make_row(3, name="c")]), index, DEFAULT)
        build_catalog(
            Rows([make_row(1, name="a", diagnostic="P510"), make_row(2, name="b")]), index, DEFAULT, full=True
        )
        index.record_inspections(
            [(index.find_entry("omega/62328/asbo1/b"), InspectionResult(Health.MISSING, "It is gone."))]
        )

        assert index.count_by_facet("diagnostic") == {"ASBO1": 1, "P510": 1}
        assert index.count_by_facet("health") == {"missing": 1, "unseen": 1}
        assert (index.count_to_inspect(again=True), index.count_to_inspect(again=False)) == (2, 2)


class TestWords:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("asbo1", {"a_1", "b-2"}),
            ("ASBO1 b", {"b-2"}),
            ("a_1", {"a_1"}),
            ("asb*", {"a_1", "b-2"}),
            ("asb", set()),
            ("63", {"b-2"}),
            ("2022-05-19", {"b-2"}),
            ("größe", {"grösse"}),
            ("x" * 200, {"long"}),
            ("'; DROP TABLE words; --", set()),
            ('" OR "', set()),
        ],
    )
    def test_found(self, index: SqlIndex, text: str, names: set[str]) -> None:
        """An entry is found by words of its path and facts, all of them, in any case, or by prefixes."""
        build_catalog(
            Rows([make_row(1, name="a_1"), make_row(2, name="b-2", shot=63, date="2022-05-19")]), index, DEFAULT
        )
        other = [make_row(3, name="grösse", diagnostic="Größe"), make_row(4, name="long", diagnostic="x" * 300)]
        build_catalog(Rows(other), index, DEFAULT)

        assert {str(index.find_entry(path).facts["name"]) for path in find_by_words(index, text)} == names

    def test_follow(self, index: SqlIndex) -> None:
        """A changed entry is found by its new words only, a removed one by none."""
        build_catalog(Rows([make_row(1, name="a", camera="old"), make_row(2, name="b", camera="old")]), index, DEFAULT)
        build_catalog(Rows([make_row(1, name="a", camera="new")]), index, DEFAULT, full=True)

        assert find_by_words(index, "old") == []
        assert find_by_words(index, "new") == ["omega/62328/asbo1/a"]


class TestAttributes:
    def test_follow(self, index: SqlIndex) -> None:
        """An inspection adds attributes, the next one replaces them, and a new file removes them."""
        build_catalog(Rows([make_row(1)]), index, DEFAULT)
        (path,) = list_paths(index)
        seen = make_inspection(SweepSpeed=["2", "2.0"], Unit=["ASBO1", "x" * 5000])
        index.record_inspections([(index.find_entry(path), InspectionResult(Health.OK, "", seen))])
        first = read_attributes(index)
        index.record_inspections(
            [(index.find_entry(path), InspectionResult(Health.OK, "", make_inspection(SweepSpeed=["nan"])))]
        )
        second = read_attributes(index)
        build_catalog(Rows([make_row(1, file="other")]), index, DEFAULT)

        assert first == [
            ("SweepSpeed", "2", 2), ("SweepSpeed", "2.0", 2), ("Unit", "ASBO1", None), ("Unit", "x" * 200, None),
        ]  # fmt: skip
        assert second == [("SweepSpeed", "nan", None)]
        assert read_attributes(index) == []

    def test_seen(self, index: SqlIndex) -> None:
        """The result of an inspection is stored, attributes included."""
        build_catalog(Rows([make_row(1)]), index, DEFAULT)
        (path,) = list_paths(index)
        seen = make_inspection(Unit=["ASBO1"])
        index.record_inspections([(index.find_entry(path), InspectionResult(Health.OK, "", seen))])
        index.record_inspections([(index.find_entry(path), InspectionResult(Health.MISSING, "It is gone."))])

        assert index.find_entry(path) == replace(
            index.find_entry(path), health=Health.MISSING, reason="It is gone.", last_good_inspection=seen
        )

    def test_too_late(self, index: SqlIndex) -> None:
        """The result for a file that is no longer the entry's is ignored."""
        build_catalog(Rows([make_row(1)]), index, DEFAULT)
        (path,) = list_paths(index)
        before = index.find_entry(path)
        build_catalog(Rows([make_row(1, file="other")]), index, DEFAULT)
        index.record_inspections([(before, InspectionResult(Health.OK, "", make_inspection()))])

        assert index.find_entry(path).health is Health.UNSEEN


class TestChanges:
    def test_feed(self, index: SqlIndex) -> None:
        """The changes since a token are the last of each path, removals included, the oldest first."""
        build_catalog(Rows([make_row(n, name=f"n{n}") for n in range(5)]), index, DEFAULT)
        token = index.list_changes().token
        build_catalog(
            Rows([make_row(0, name="n0"), make_row(1, name="n1", file="moved"), make_row(5, name="n5")]),
            index,
            DEFAULT,
            full=True,
        )
        index.record_inspections(
            [(index.find_entry("omega/62328/asbo1/n0"), InspectionResult(Health.OK, "", make_inspection()))]
        )
        news = index.list_changes(token).changes

        assert [(change.path[-2:], change.entry is None) for change in news] == [
            ("n5", False), ("n1", False), ("n2", True), ("n3", True), ("n4", True), ("n0", False),
        ]  # fmt: skip
        assert [change.number for change in news] == sorted(change.number for change in news)
        assert index.list_changes(str(news[-1].number)).changes == ()

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_pages(self, index: SqlIndex, limit: int) -> None:
        """Pages of any length contain every change once."""
        build_catalog(Rows([make_row(n, name=f"n{n}") for n in range(7)]), index, DEFAULT)
        build_catalog(Rows([make_row(n, name=f"n{n}") for n in range(3)]), index, DEFAULT, full=True)
        page = index.list_changes(limit=limit)
        told = list(page.changes)
        while page.has_more:
            page = index.list_changes(page.token, limit=limit)
            told += page.changes

        assert told == list(index.list_changes().changes)
        assert len(told) == 7


class TestNearest:
    @pytest.fixture
    def shots(self, index: SqlIndex) -> SqlIndex:
        """A shot a day; a background of the same camera in between, and another camera at the same time."""
        rows = [make_row(f"s{day}", name=f"s{day}", date=f"2022-05-{day:02}T12:00:00") for day in range(1, 29)]
        rows += [make_row(f"b{day}", name=f"bg{day}", date=f"2022-05-{day:02}T18:00:00") for day in (3, 9, 20)]
        rows += [make_row("o", name="other", diagnostic="P510", date="2022-05-10T12:00:00.5")]
        rows += [
            make_row("ep", name="bg_ep", facility="OMEGA EP", date="2022-05-10T11:00:00"),
            make_row("u", name="bg_undated"),
        ]
        build_catalog(Rows(rows), index, DEFAULT)
        return index

    @pytest.mark.parametrize(
        ("match", "when", "within", "name"),
        [
            ({"name": "bg*"}, "earlier", None, "bg9"),
            ({"name": "bg*"}, "later", None, "bg20"),
            ({"name": "bg*"}, "nearest", None, "bg9"),
            ({"name": "bg*"}, "earlier", 0.75, "bg9"),
            ({"name": "bg*"}, "earlier", 0.74, None),
            ({"name": "bg*"}, "later", 10, None),
            ({"name": "bg*"}, "later", 1e9, "bg20"),
            ({}, "nearest", None, "other"),
            ({}, "earlier", None, "bg9"),
            ({"diagnostic": "ASBO?"}, "later", None, "s11"),
            ({"diagnostic": "P*"}, "nearest", None, "other"),
            ({"diagnostic": "p*"}, "nearest", None, "other"),
            ({"diagnostic": "X*"}, "nearest", None, None),
            ({"diagnostic": "ASBO1", "name": "s[12]"}, "nearest", None, "s2"),
            ({"camera": "X*"}, "nearest", None, None),
        ],
    )
    def test_found(
        self, shots: SqlIndex, match: dict[str, str], when: str, within: float | None, name: str | None
    ) -> None:
        """The nearest matching entry of the same facility is found, on the requested side and within the limit."""
        entry = shots.find_entry("omega/62328/asbo1/s10")
        near = shots.find_nearest(entry, match, when=when, within_days=within)  # type: ignore[arg-type]  # from a table

        assert (near.facts["name"] if near else None) == name

    def test_undated(self, shots: SqlIndex) -> None:
        """An entry without a date has no nearest entry."""
        assert shots.find_nearest(shots.find_entry("omega/62328/asbo1/bg_undated"), {}) is None
        assert shots.find_nearest(Entry("a", "b"), {}) is None

    def test_doubtful(self, shots: SqlIndex) -> None:
        """Files that an inspection found missing or unreadable are ignored."""
        entry = shots.find_entry("omega/62328/asbo1/s10")
        for name, health in (("bg9", Health.MISSING), ("bg3", Health.UNREADABLE)):
            shots.record_inspections(
                [(shots.find_entry(f"omega/62328/asbo1/{name}"), InspectionResult(health, "gone"))]
            )
            near = shots.find_nearest(entry, {"name": "bg*"})

            assert (near.facts["name"] if near else None) == {"bg9": "bg3", "bg3": None}[name]

    def test_ties(self, index: SqlIndex) -> None:
        """Of several entries at one distance, on either side, the first path wins, in any order of building."""
        days = {"m": 10, "z": 9, "c": 9, "b": 11}
        build_catalog(Rows([make_row(n, name=n, date=f"2022-05-{day:02}") for n, day in days.items()]), index, DEFAULT)
        entry = index.find_entry("omega/62328/asbo1/m")
        near = [index.find_nearest(entry, {}, when=when) for when in ("earlier", "later", "nearest")]

        assert [found and found.facts["name"] for found in near] == ["c", "b", "b"]

    def test_far(self, index: SqlIndex) -> None:
        """The first match is found after any number of entries that do not match."""
        rows = [make_row(n, name=f"n{n}", date=f"2022-05-19T{n // 60:02}:{n % 60:02}:00") for n in range(350)]
        build_catalog(Rows(rows), index, DEFAULT)
        near = index.find_nearest(index.find_entry("omega/62328/asbo1/n349"), {"name": "n0"}, when="earlier")

        assert near is not None
        assert near.facts["name"] == "n0"


class TestRemoval:
    def test_removed_rows(self, index: SqlIndex) -> None:
        """A full build removes entries whose rows were removed, and folders that are empty then."""
        build_catalog(Rows([make_row(1), make_row(2, shot=7), make_row(3, shot=7, diagnostic="P510")]), index, DEFAULT)
        report = build_catalog(Rows([make_row(1), make_row(3, shot=7, diagnostic="P510")]), index, DEFAULT, full=True)

        assert (report.removed, report.unchanged) == (1, 2)
        assert [child.path for child in walk_index(index) if child.is_folder] == [
            "omega", "omega/62328", "omega/62328/asbo1", "omega/7", "omega/7/p510",
        ]  # fmt: skip
        with pytest.raises(NotFound):
            index.find_entry("omega/7/asbo1/asbo1")

    def test_empty_archive(self, index: SqlIndex) -> None:
        """An archive may become empty; then the catalog has no folder."""
        build_catalog(Rows([make_row(n, shot=n) for n in range(9)]), index, DEFAULT)

        assert build_catalog(Rows([]), index, DEFAULT, full=True).removed == 9
        assert index.list_children("").children == ()

    def test_path_stays_taken(self, index: SqlIndex) -> None:
        """No other row gets a removed entry's path, but its own row gets it again when it comes back."""
        build_catalog(Rows([make_row(1)]), index, DEFAULT)
        build_catalog(Rows([]), index, DEFAULT, full=True)
        build_catalog(Rows([make_row(2, version=2)]), index, DEFAULT)
        other = list_paths(index)
        build_catalog(Rows([make_row(2, version=2), make_row(1, version=3, file="again")]), index, DEFAULT)

        assert other == ["omega/62328/asbo1/asbo1.2"]
        assert index.find_entry("omega/62328/asbo1/asbo1").file == "again"

    def test_incremental_build_removes_nothing(self, index: SqlIndex) -> None:
        """An incremental build removes nothing."""
        build_catalog(Rows([make_row(1), make_row(2, version=2)]), index, DEFAULT)

        assert build_catalog(Rows([make_row(2, version=2)]), index, DEFAULT).removed == 0
        assert len(list_paths(index)) == 2

    def test_moved_without_version(self, index: SqlIndex) -> None:
        """A full build finds a row that changed without a new version; its entry keeps its path."""
        build_catalog(Rows([make_row(1), make_row(2, version=2, name="b")]), index, DEFAULT)
        changed = Rows([make_row(1, file="moved"), make_row(2, version=2, name="b")])

        assert build_catalog(changed, index, DEFAULT).changed == 0
        assert build_catalog(changed, index, DEFAULT, full=True).changed == 1
        assert index.find_entry("omega/62328/asbo1/asbo1").file == "moved"
        assert index.read_watermark() == 2
