"""Search, in SQLite and in PostgreSQL: what is found, in which order, page by page, by which indexes, and counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
import sqlalchemy.event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rows import DEFAULT, Rows, row

from shotdap.catalog import (
    BadQuery,
    BadToken,
    Catalog,
    DirectoryArchive,
    Entry,
    Health,
    Row,
    SqlIndex,
    Unsearchable,
    build_catalog,
    parse_query,
)
from shotdap.catalog.entry import FileInspection
from shotdap.catalog.index import InspectionResult
from shotdap.catalog.index.records import extract_column_facts
from shotdap.catalog.index.search import Matcher, pages
from shotdap.catalog.query import Query

NUMBERS: Final = count()
ATTRIBUTES: Final = ("SweepSpeed", "Unit")
KINDS: Final = ["sqlite", "postgresql"]
HOSTILE: Final = (
    "'; DROP TABLE entries; --",
    "a\0b",
    "half \udcff",
    "x" * 5000,
    "größe",
    "%s%(x)s{0}",
    "\\u0000",
    "K\u212a",
)


@contextmanager
def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[SqlIndex]:
    """An empty catalog in one kind of database."""
    if request.param == "sqlite":
        index = SqlIndex.open_sqlite(folder / "catalog.db")
    else:
        server, name = request.getfixturevalue("postgres"), f"search_{next(NUMBERS)}"
        engine = sa.create_engine(server.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:  # whose own order of text is a language's
            connection.exec_driver_sql(
                f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'"
            )
        index = SqlIndex(server.url(name))
    yield index
    index.close()


@pytest.fixture(params=KINDS)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlIndex]:
    with opened(request, tmp_path) as index:
        yield index


@pytest.fixture(scope="module", params=KINDS)
def shots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlIndex]:
    """Six hundred images of all kinds, and some that say strange things; a third of them inspected."""
    with opened(request, tmp_path_factory.mktemp("shots")) as index:
        build_catalog(Rows([*map(_image, range(600)), *_strange()]), index, DEFAULT)
        index.record_inspections(
            (entry, _verdict(number)) for number, entry in enumerate(everything(index)) if number % 3 == 0
        )
        yield index


def _image(number: int) -> Row:
    rng = random.Random(number)  # noqa: S311 — the same at each run
    said: dict[str, Any] = {
        "facility": rng.choice(["OMEGA", "OMEGA", "OMEGA EP", ""]),
        "shot": 62_000 + number // 8,
        "diagnostic": rng.choice(["P510", "P510_2", "SOP", "ASBO1", ""]),
        "name": f"{rng.choice(['laser', 'plasma'])}_{number}.hdf",
        "date": f"2022-{1 + number // 50:02}-{1 + number % 28:02}T10:{number % 60:02}:00",
        "camera": rng.choice(["Big Kid", "small", "7", 7, 7.5]),
    }
    for name in rng.sample(sorted(said), rng.choice([0, 0, 1, 2])):
        del said[name]
    return Row(str(number), "file", 1, said)


def _strange() -> Iterator[Row]:
    for number, text in enumerate(HOSTILE):
        yield Row(f"strange{number}", "file", 1, {"facility": text, "diagnostic": text, "name": text, "camera": text})
    many = " ".join(f"w{number}" for number in range(300))  # more than are kept, so the last is not among them
    yield Row("wordy", "file", 1, {"name": "wordy", "date": "2022-07-01", "note": many, "camera": "Zeta"})
    yield Row("capital", "file", 1, {"name": "capital", "Camera": "Big Kid", "camera": "small"})
    yield Row("quoted", "file", 1, {"name": "quoted", 'the "camera': "Big Kid", "camera": "small"})
    yield Row("new", "file", 1, {"name": "new", "note": "a\U0001e900b \u0c5a"})  # letters of a later Unicode


def _verdict(number: int) -> InspectionResult:
    if number % 9 == 0:
        return InspectionResult(Health.MISSING, "It is gone.")
    speeds = [str(number % 4), *(["2.50"] if number % 5 == 0 else [])]
    seen = FileInspection(
        "0" * 64, 1, 1, {}, {"SweepSpeed": speeds, "Unit": ["ASBO1" if number % 2 else HOSTILE[number % 8]]}
    )
    return InspectionResult(Health.OK, "", seen)


def everything(index: SqlIndex) -> list[Entry]:
    found: list[Entry] = []
    while some := index.list_entries(1000, found[-1].path if found else ""):
        found += some
    return found


def matching(index: SqlIndex, query: Query) -> list[str]:
    """What matches, looked at one by one."""
    return sorted(entry.path for entry in everything(index) if Matcher(query, ATTRIBUTES)(entry))


def searched(index: SqlIndex | DirectoryArchive, query: Query | str, limit: int = 1000) -> list[Entry]:
    """All that is found, from as many pages as it takes."""
    page = index.search(query, limit=limit)
    found = list(page.entries)
    while page.after is not None:
        page = index.search(query, after=page.after, limit=limit)
        assert len(page.entries) <= limit
        found += page.entries
    return found


def names(index: SqlIndex | DirectoryArchive, query: str) -> list[str]:
    return [str(entry.facts["name"]) for entry in searched(index, query)]


QUERIES: Final = [
    "", "facility:omega", "-facility:omega", "facility:omega*", 'facility:""', "diagnostic:P510,sop",
    "-diagnostic:p510*", "diagnostic:P510 shot:62010..62020", "facility:omega diagnostic:p510", "facility:none",
    "shot:62003", "shot:..62005", "shot:62001,62005..62007,>62070", "shot:62000..62010 shot:62008..",
    "shot:1..5 shot:7", "-shot:..62070", "date:2022-03", "date:2022-03-07", "date:2022-03..2022-04",
    "-date:2022", "date:<2022-02,2022-12", "shot:62001.. date:2022-05", "date:2022-01..2022-06 date:2022-06..",
    "health:missing", "health:ok", "-health:ok,unseen", "health:un*", "name:laser*", "name:*_1?.hdf",
    "-name:laser*", 'name:"laser*"', "camera:7", "camera:>7", 'camera:"7"', "camera:big*", 'camera:"big kid"',
    "camera:ki*,sm*", "camera:a..c", "camera:k", "SweepSpeed:2", "SweepSpeed = 2.5", "SweepSpeed:>=2",
    "SweepSpeed:1..2", "-SweepSpeed:2", "Unit:ASBO1", "Unit:asbo1", "Unit:A*", "Unit:*1", "Unit:a..x",
    "Unit:größe", "laser", "LASER", "laser 10*", "-laser", "p510_2", '"big kid"', '"kid big"', "größe",
    "-big", "-zeta", "-omega", "-asbo1 -sop", "-10*", '-camera:"big kid"', "-camera:7", '-camera:"7"', "-camera:k",
    "-Unit:ASBO1", '-Unit:"ASBO1"', "-Unit:A*", "-SweepSpeed:1..2", "-SweepSpeed:2.50,1", "-shot:62003..62010,>62070",
    "-date:2022-03..,2022-01", "p5*", "l*", "laser hdf", "laser omega", "name:*a*_1*", "Unit:*", "SweepSpeed:0,1,2,3",
    "SweepSpeed:0.. Unit:ASBO1", "SweepSpeed:>2 laser", "SweepSpeed:2 date:2022-03..2022-05", "Unit:a..x SweepSpeed:2",
    "SweepSpeed:2 facility:omega", "SweepSpeed:7", "SweepSpeed:7..9", "Unit:z*", "w250", "w299",
    '-camera:"Big Kid"', '-Camera:"Big Kid"', "a\U0001e900b", "\u0c5a", "-\u0c5a", "note:a\U0001e900b*",
    "SweepSpeed:0..3 camera:big*", f"Unit:{'x' * 200}", f"Unit:{'x' * 201}", f"-Unit:{'x' * 200}", "Unit:xx*",
    f"shot:{','.join(str(62_000 + 2 * number) for number in range(40))} laser", "date:..9999 shot:1..",
    "path:omega/62003/*", "path:*62003*", "path:omega/62003/*,omega/62004/*", "path:nowhere*",
    "shot:62003 laser SweepSpeed:0..9", "facility:omega health:missing date:2022-02.. -diagnostic:sop",
    "name:%s*", "name:?%*", 'facility:"a\0b"', 'Unit:"a\0b"', '"drop table"',
    *(f'name:"{text}"' for text in ("%s%(x)s{0}", "'; DROP TABLE entries; --", "a\0b", "half \udcff", "\\\\u0000")),
    'name:"K\u212a"',
]  # fmt: skip
SINGLE: Final = [each for each in QUERIES if each and " " not in each]
TERMS: Final = st.tuples(st.sampled_from(["", "", "-"]), st.sampled_from(SINGLE)).map("".join)


class TestFound:
    @pytest.mark.parametrize("text", QUERIES)
    def test_each(self, shots: SqlIndex, text: str) -> None:
        """What matches is found, all of it and nothing else, once."""
        assert sorted(entry.path for entry in searched(shots, text)) == matching(shots, parse_query(text))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(TERMS, max_size=4).map(" ".join), st.sampled_from([1, 7, 30, 100, 1000]))
    def test_any(self, shots: SqlIndex, text: str, limit: int) -> None:
        """However terms are put together and pages are cut, the same is true."""
        text = text.replace("--", "")

        assert sorted(entry.path for entry in searched(shots, text, limit)) == matching(shots, parse_query(text))

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", ["d", "c", "b", "a", "e"]),
            ("facility:omega", ["d", "a", "e"]),
            ("diagnostic:P510,SOP shot:5..6", ["c", "b"]),
            ("date:2022-03-24", ["b", "a"]),
            ("date:2022-03..2023", ["d", "c", "b", "a"]),
            ("SweepSpeed = 2", ["a"]),
            ("SweepSpeed:>=2", ["b", "a"]),
            ("SweepSpeed:2,3", ["b", "a"]),
            ("-SweepSpeed:2", ["d", "c", "b", "e"]),
            ("health:ok", ["b", "a"]),
            ('"laser plasma"', ["c"]),
            ("laser plasma", ["d", "c"]),
            ("name:[abc]", []),
        ],
    )
    def test_by_hand(self, index: SqlIndex, text: str, found: list[str]) -> None:
        """What stands in the documentation is found: the newest first, or the greatest shot; what has no date last."""
        rows = [
            row(1, name="a", shot=9, diagnostic="P510", date="2022-03-24T09:00:00"),
            row(2, name="b", shot=5, diagnostic="P510", date="2022-03-24T23:59:59", facility="OMEGA EP"),
            row(3, name="c", shot=6, diagnostic="SOP", date="2022-04-01", facility="OMEGA EP", note="a laser plasma"),
            row(4, name="d", shot=7, diagnostic="ASBO1", date="2023-12-31", note="plasma, then laser"),
            row(5, name="e", shot=7, diagnostic="ASBO1"),
        ]
        build_catalog(Rows(rows), index, DEFAULT)
        for name, speeds in (("a", ["2.0", "2"]), ("b", ["3"])):
            (entry,) = searched(index, f"name:{name}")
            index.record_inspections(
                [(entry, InspectionResult(Health.OK, "", FileInspection("", 1, 1, {}, {"SweepSpeed": speeds})))]
            )

        assert names(index, text) == found

    def test_misspelled(self, shots: SqlIndex) -> None:
        """A name that no image says anything under is pointed at, with what is like it or what there is."""
        with pytest.raises(BadQuery, match="did you mean SweepSpeed") as caught:
            shots.search("laser SweepSped:2")

        assert caught.value.column == 7
        there = "the archive says Camera, camera, .*, files SweepSpeed, Unit"
        with pytest.raises(BadQuery, match=f'No image says anything under "entirely_different"; {there}'):
            shots.search("-entirely_different:2")

    def test_names_of_old_rows(self, index: SqlIndex) -> None:
        """A name that only the first of many rows has said is known for ever, also where it is nearly spelled."""
        build_catalog(
            Rows([row("first", name="first", polarisation="p"), *(row(n, name=f"n{n}") for n in range(300))]),
            index,
            DEFAULT,
        )

        assert names(index, "polarisation:p") == ["first"]
        with pytest.raises(BadQuery, match="did you mean polarisation"):
            index.search("polarization:p")

    def test_nothing_indexed(self, index: SqlIndex) -> None:
        """Where no attribute of files is known, the setting that would make it so is named."""
        build_catalog(Rows([row(1)]), index, DEFAULT)
        with pytest.raises(BadQuery, match=r"catalog\.indexed_attributes"):
            index.search("SweepSpeed:2")

    def test_another_database(self, tmp_path: Path) -> None:
        """A catalog that is made anew in the place of another is searched as it is."""
        index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
        build_catalog(Rows([row(1, name="a", facility="old")]), index, DEFAULT)
        assert names(index, "facility:old") == ["a"]
        index.close()
        (tmp_path / "catalog.db").unlink()
        other = SqlIndex.open_sqlite(tmp_path / "catalog.db")
        build_catalog(Rows([row(1, name="b", facility="new")]), other, DEFAULT)
        other.close()

        assert names(index, "facility:new") == ["b"]
        index.close()

    def test_many_names(self, index: SqlIndex) -> None:
        """More names than a statement may have parameters are chosen from, and a name of a fact may be a long one."""
        rows = [row(n, diagnostic=f"d{n}", facility="a" if n else "b") for n in range(66_000)]
        build_catalog(Rows([*rows, row("long", **{"x" * 6000: "y"})]), index, DEFAULT)

        assert len(index.search("-facility:b d*", limit=1000).entries) == 1000

    def test_empty_catalog(self, index: SqlIndex) -> None:
        """In an empty catalog nothing is found, and nothing is wrong."""
        index.check_version()

        assert index.search("laser shot:1.. SweepSpeed:2") == pages.SearchPage((), None)
        assert index.count_facets().total == 0


class TestOrder:
    @pytest.mark.parametrize(
        "text", ["", "laser", "facility:omega", "health:missing", "diagnostic:sop,p510", "-date:2022-03"]
    )
    def test_dates(self, shots: SqlIndex, text: str) -> None:
        """The newest come first, those without a date last."""
        dates = [extract_column_facts(entry.facts)["date"] for entry in searched(shots, text, 50)]
        known = [str(date) for date in dates if date is not None]

        assert known == sorted(known, reverse=True)
        assert dates == known + [None] * (len(dates) - len(known))

    @pytest.mark.parametrize("text", ["shot:62010..62050", "shot:>62010 diagnostic:sop,p510", "shot:62001,62070 laser"])
    def test_shots(self, shots: SqlIndex, text: str) -> None:
        """Of a query for shots the greatest come first."""
        numbers = [int(entry.facts["shot"]) for entry in searched(shots, text, 10)]

        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) > 1


class TestPages:
    @pytest.mark.parametrize(
        "text", ["", "laser", "facility:omega,omega?ep diagnostic:p510*", "shot:62010..", "SweepSpeed:2"]
    )
    @pytest.mark.parametrize("limit", [1, 2, 13])
    def test_any_length(self, shots: SqlIndex, text: str, limit: int) -> None:
        """Pages of any length are pieces of the whole, in its order."""
        whole = searched(shots, text)

        assert searched(shots, text, limit) == whole
        assert len(whole) > 30

    @pytest.mark.parametrize("apart", [0, 4])
    @pytest.mark.parametrize("text", QUERIES)
    def test_rare(self, shots: SqlIndex, text: str, apart: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """However far apart what matches lies, pages that end before they are full lose nothing, and keep the order."""
        whole = searched(shots, text)
        monkeypatch.setattr(pages, "_MAX_CANDIDATES", 3)
        monkeypatch.setattr(pages, "_MAX_SCANNED", 40)
        monkeypatch.setattr(pages, "_MAX_GROUPS", 2)
        monkeypatch.setattr(
            pages, "_MAX_ID_SPREAD", apart
        )  # whether the index of words is asked about those walked past

        assert searched(shots, text, 20) == whole

    def test_a_bounded_look(self, shots: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page of what matches nowhere ends empty before all has been looked at, and says where to go on."""
        monkeypatch.setattr(pages, "_MAX_SCANNED", 40)
        page = shots.search("camera:>1000")

        assert page.entries == ()
        assert page.after is not None

    def test_many_ranges(self, shots: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        """What lies between the ranges that are asked for is not walked past, however many they are."""
        monkeypatch.setattr(pages, "_MAX_SCANNED", 40)
        for text in (
            f"shot:{','.join(str(62_000 + 2 * number) for number in range(36))}",
            f"date:{','.join(f'2022-{1 + number // 14:02}-{1 + 2 * (number % 14):02}' for number in range(90))}",
        ):
            page, found = shots.search(text, limit=50), list[str]()
            while page.after is not None:
                assert len(page.entries) == 50
                found += [entry.path for entry in page.entries]
                page = shots.search(text, after=page.after, limit=50)

            assert sorted([*found, *(entry.path for entry in page.entries)]) == matching(shots, parse_query(text))
            assert len(found) >= 50

    @pytest.mark.parametrize("text", ["", "laser", "shot:1..", "diagnostic:new*,p510"])
    def test_meanwhile(self, index: SqlIndex, text: str) -> None:
        """What comes while somebody turns pages disturbs nothing: all that was there is found, once."""
        rows = [row(n, name=f"laser{n}", shot=n, diagnostic="P510", date=f"2022-01-{1 + n % 28:02}") for n in range(60)]
        build_catalog(Rows(rows), index, DEFAULT)
        before = {entry.path for entry in searched(index, text)}
        page, found = index.search(text, limit=7), list[str]()
        for number in count(100):
            found += [entry.path for entry in page.entries]
            if page.after is None:
                break
            rows += [
                row(
                    number,
                    name=f"laser{number}",
                    shot=number % 60,
                    diagnostic="NEW",
                    date=f"2022-01-{number % 28 + 1:02}",
                )
            ]
            build_catalog(Rows(rows), index, DEFAULT, full=True)
            page = index.search(text, after=page.after, limit=7)

        assert before <= set(found)
        assert len(found) == len(set(found))

    @pytest.mark.parametrize(
        "after", ["", "x", "AAAA", "WzEsMl0", "null", "\0", "ß", "=" * 10_000, "W10", "eyJhIjoxfQ"]
    )
    def test_bad_tokens(self, shots: SqlIndex, after: str) -> None:
        """What is no token is refused in a sentence."""
        with pytest.raises(BadToken, match=r"\.$"):
            shots.search("laser", after=after)

    def test_another_querys_token(self, shots: SqlIndex) -> None:
        """A token is good for its own query, however that is written."""
        after = shots.search("laser  diagnostic = p510", limit=1).after

        assert shots.search("laser diagnostic:p510", after=after).entries
        for other in ("plasma", "shot:1..", ""):
            with pytest.raises(BadToken, match=r"another query|of this query"):
                shots.search(other, after=after)

    @pytest.mark.parametrize("limit", [-5, 0, 10**9])
    def test_strange_limits(self, shots: SqlIndex, limit: int) -> None:
        """A page has one entry at least, if there is any, and not more than a thousand."""
        assert 1 <= len(shots.search("", limit=limit).entries) <= pages.MAX_PAGE_SIZE


class TestFacets:
    @pytest.mark.parametrize(
        "text",
        ["", "facility:omega", "-facility:omega diagnostic:p510*", "date:2022", "-date:2022",
         "date:2021..2022 health:missing", "laser", "shot:62003..62010", "date:2022-03", "SweepSpeed:2 facility:omega"],
    )  # fmt: skip
    def test_counts(self, shots: SqlIndex, text: str) -> None:
        """The counts are those of what is found."""
        found, facets = searched(shots, text), shots.count_facets(text)
        own = [extract_column_facts(entry.facts) for entry in found]

        assert (facets.total, facets.is_complete) == (len(found), True)
        assert facets.counts["facility"] == Counter(each["facility"] or "" for each in own)
        assert facets.counts["diagnostic"] == Counter(each["diagnostic"] or "" for each in own)
        assert facets.counts["year"] == Counter(str(each["date"] or "")[:4] for each in own)
        assert facets.counts["health"] == Counter(entry.health.value for entry in found)

    def test_bounded(self, shots: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of what is too much to be counted one by one the newest are counted, and that is said."""
        monkeypatch.setattr("shotdap.catalog.index.facets.MOST", 10)
        facets = shots.count_facets("laser")

        assert (facets.total, facets.is_complete) == (50, False)


@contextmanager
def statements(index: SqlIndex) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed meanwhile."""
    engine, told = index._database.engine, list[tuple[str, Any]]()  # noqa: SLF001

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        told.append((statement, parameters))

    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    yield told
    sqlalchemy.event.remove(engine, "before_cursor_execute", note)


def plans(index: SqlIndex, text: str) -> list[str]:
    """How the database goes about each walk of a search."""
    after = index.search(text, limit=5).after
    with statements(index) as told:
        index.search(text, after=after, limit=5)
    is_sqlite = index.url.startswith("sqlite")
    found = []
    with index._database.begin_read() as connection:  # noqa: SLF001
        if not is_sqlite:
            connection.exec_driver_sql(
                "SET enable_seqscan = off"
            )  # a small table is read whole, whatever indexes there are
            connection.exec_driver_sql("SET enable_sort = off")
            connection.exec_driver_sql("ANALYZE")
            connection.exec_driver_sql("SET enable_bitmapscan = off")
        for statement, parameters in told:
            if "AS place" in statement and "AS end0" not in statement:  # of many stretches the ends are sorted
                explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
                found.append(
                    "\n".join(str(line[-1]) for line in connection.exec_driver_sql(explain + statement, parameters))
                )
    return found


def test_a_page_of_one(shots: SqlIndex) -> None:
    """A page of one image that looks at many asks the database for more of them each time, not for two."""
    with statements(shots) as told:
        shots.search("camera:>1000", limit=1)

    assert len(told) < 50


class TestPlans:
    @pytest.mark.parametrize(
        ("text", "by"),
        [
            ("", "entries_by_date"),
            ("date:2022-03..2022-06", "entries_by_date"),
            ("laser", "entries_by_date"),
            ("camera:big*", "entries_by_date"),
            ("-health:missing", "entries_of_facility"),
            ("facility:omega diagnostic:p510", "entries_by_facility"),
            ("facility:omega diagnostic:p510 date:2022-03..", "entries_by_facility"),
            ("diagnostic:sop", "entries_by_facility"),
            ("facility:omega", "entries_of_facility"),
            ("shot:62003..62060", "entries_by_shot"),
            ("shot:62003..62060 date:2022-01..", "entries_by_shot"),
            ("diagnostic:P510 shot:62003..62060", "entries_by_diagnostic"),
            ("SweepSpeed:2", "attributes_by_number"),
            ("SweepSpeed:2 facility:omega", "attributes_by_number"),
            ("SweepSpeed:>=2", "attributes_by_number"),
            ("Unit:A* date:2022-02..", "attributes_by_text"),
        ],
    )
    def test_walks(self, shots: SqlIndex, text: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page is read from its index in the order of that, nothing is sorted and no table read whole."""
        monkeypatch.setattr(pages, "_MAX_CANDIDATES", 0)
        told = [plan for plan in plans(shots, text) if by in plan]

        assert told
        for plan in told:
            assert "TEMP B-TREE FOR ORDER BY" not in plan
            assert "Sort  (" not in plan  # a merge has a "Sort Key" as well
            assert "SCAN entries\n" not in f"{plan}\n"
            assert "Seq Scan on entries" not in plan

    @pytest.mark.parametrize("text", ["laser omega", "SweepSpeed != 2", "diagnostic:sop SweepSpeed != 2"])
    def test_conditions(self, shots: SqlIndex, text: str) -> None:
        """What other tables tell of entries that are walked past is asked of each; no join looks through all of it."""
        told = plans(shots, text)

        assert any("SubPlan" in plan or "SUBQUERY" in plan for plan in told)
        assert not any("Join" in plan or "Nested Loop" in plan for plan in told)

    def test_no_compiler(self, request: pytest.FixtureRequest) -> None:
        """PostgreSQL compiles no statement of a catalog: that takes 90 ms, and a page some milliseconds."""
        index = SqlIndex(request.getfixturevalue("postgres").create())
        with index._database.begin_read() as connection:  # noqa: SLF001
            said = connection.exec_driver_sql("SHOW jit").scalar()
        index.close()

        assert said == "off"


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> DirectoryArchive:
        for name in ("b/asbo1.h5", "b/asbo2.h5", "a/PCIS-[phosphor] 1.h5", "a.h5", "b/c/asbo1.h5", ".hidden.h5"):
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / name).touch()
        (tmp_path / "tree/b/ring").symlink_to(tmp_path / "tree")
        (tmp_path / "tree/out").symlink_to(tmp_path)
        return DirectoryArchive(tmp_path / "tree")

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", ["a/PCIS-_x5B_phosphor_x5D__x20_1.h5", "a.h5", "b/asbo1.h5", "b/asbo2.h5", "b/c/asbo1.h5"]),
            ("name:asbo*", ["b/asbo1.h5", "b/asbo2.h5", "b/c/asbo1.h5"]),
            ("phosphor", ["a/PCIS-_x5B_phosphor_x5D__x20_1.h5"]),
            ("path:b/* -path:b/c/*", ["b/asbo1.h5", "b/asbo2.h5"]),
            ("shot:1..", []),
        ],
    )
    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_found(self, folder: DirectoryArchive, text: str, found: list[str], limit: int) -> None:
        """Files are found by names and paths, page by page, hidden ones aside and nothing outside or twice."""
        assert sorted(entry.path for entry in searched(folder, text, limit)) == sorted(found)
        assert all(folder.find_entry(entry.path) == entry for entry in searched(folder, text, limit))

    def test_a_bounded_look(self, folder: DirectoryArchive, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page looks at so many files, and says where to go on."""
        monkeypatch.setattr("shotdap.catalog.archive.directory_search._MAX_SCANNED", 2)

        assert folder.search("name:asbo2.h5").entries == ()
        assert [entry.path for entry in searched(folder, "name:asbo2.h5")] == ["b/asbo2.h5"]

    def test_what_a_folder_does_not_know(self, folder: DirectoryArchive) -> None:
        """What needs a catalog says so."""
        catalog = Catalog(folder, folder.root)
        for ask in (catalog.count_facets, catalog.list_changes):
            with pytest.raises(Unsearchable, match="`shotdap catalog build`"):
                ask()

        assert len(catalog.search("asbo1*").entries) == 2
