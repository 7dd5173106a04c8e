"""Search in SQLite and in PostgreSQL: matches, order, pages, the indexes in use, and facet counts."""

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
from tests.rows import DEFAULT, Rows, make_row

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
from shotdap.catalog.index.search import Matcher, result_pages
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
def open_index(request: pytest.FixtureRequest, folder: Path) -> Iterator[SqlIndex]:
    """Open an empty catalog in one kind of database."""
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
    with open_index(request, tmp_path) as index:
        yield index


@pytest.fixture(scope="module", params=KINDS)
def shots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlIndex]:
    """Six hundred images of all kinds, and some with strange facts; a third of them is inspected."""
    with open_index(request, tmp_path_factory.mktemp("shots")) as index:
        build_catalog(Rows([*map(_make_row, range(600)), *_make_strange_rows()]), index, DEFAULT)
        index.record_inspections(
            (entry, _make_result(number)) for number, entry in enumerate(list_all_entries(index)) if number % 3 == 0
        )
        yield index


def _make_row(number: int) -> Row:
    rng = random.Random(number)  # noqa: S311 — the same at each run
    facts: dict[str, Any] = {
        "facility": rng.choice(["OMEGA", "OMEGA", "OMEGA EP", ""]),
        "shot": 62_000 + number // 8,
        "diagnostic": rng.choice(["P510", "P510_2", "SOP", "ASBO1", ""]),
        "name": f"{rng.choice(['laser', 'plasma'])}_{number}.hdf",
        "date": f"2022-{1 + number // 50:02}-{1 + number % 28:02}T10:{number % 60:02}:00",
        "camera": rng.choice(["Big Kid", "small", "7", 7, 7.5]),
    }
    for name in rng.sample(sorted(facts), rng.choice([0, 0, 1, 2])):
        del facts[name]
    return Row(str(number), "file", 1, facts)


def _make_strange_rows() -> Iterator[Row]:
    for number, text in enumerate(HOSTILE):
        yield Row(f"strange{number}", "file", 1, {"facility": text, "diagnostic": text, "name": text, "camera": text})
    many = " ".join(f"w{number}" for number in range(300))  # more than are kept, so the last is omitted
    yield Row("wordy", "file", 1, {"name": "wordy", "date": "2022-07-01", "note": many, "camera": "Zeta"})
    yield Row("capital", "file", 1, {"name": "capital", "Camera": "Big Kid", "camera": "small"})
    yield Row("quoted", "file", 1, {"name": "quoted", 'the "camera': "Big Kid", "camera": "small"})
    yield Row("new", "file", 1, {"name": "new", "note": "a\U0001e900b \u0c5a"})  # letters of a later Unicode


def _make_result(number: int) -> InspectionResult:
    if number % 9 == 0:
        return InspectionResult(Health.MISSING, "It is gone.")
    speeds = [str(number % 4), *(["2.50"] if number % 5 == 0 else [])]
    seen = FileInspection(
        "0" * 64, 1, 1, {}, {"SweepSpeed": speeds, "Unit": ["ASBO1" if number % 2 else HOSTILE[number % 8]]}
    )
    return InspectionResult(Health.OK, "", seen)


def list_all_entries(index: SqlIndex) -> list[Entry]:
    results: list[Entry] = []
    while some := index.list_entries(1000, results[-1].path if results else ""):
        results += some
    return results


def match_each(index: SqlIndex, query: Query) -> list[str]:
    """Return the paths of all matches, testing each entry."""
    return sorted(entry.path for entry in list_all_entries(index) if Matcher(query, ATTRIBUTES)(entry))


def search_all(index: SqlIndex | DirectoryArchive, query: Query | str, limit: int = 1000) -> list[Entry]:
    """Return all results, page by page."""
    page = index.search(query, limit=limit)
    results = list(page.entries)
    while page.after is not None:
        page = index.search(query, after=page.after, limit=limit)
        assert len(page.entries) <= limit
        results += page.entries
    return results


def find_names(index: SqlIndex | DirectoryArchive, query: str) -> list[str]:
    return [str(entry.facts["name"]) for entry in search_all(index, query)]


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


class TestMatches:
    @pytest.mark.parametrize("text", QUERIES)
    def test_each(self, shots: SqlIndex, text: str) -> None:
        """A search returns all matches once, and nothing else."""
        assert sorted(entry.path for entry in search_all(shots, text)) == match_each(shots, parse_query(text))

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(TERMS, max_size=4).map(" ".join), st.sampled_from([1, 7, 100]))
    def test_any(self, shots: SqlIndex, text: str, limit: int) -> None:
        """The same holds for any combination of terms and any size of pages."""
        text = text.replace("--", "")

        assert sorted(entry.path for entry in search_all(shots, text, limit)) == match_each(shots, parse_query(text))

    @pytest.mark.parametrize(
        ("text", "results"),
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
    def test_by_hand(self, index: SqlIndex, text: str, results: list[str]) -> None:
        """The examples of the documentation: the newest is first, or the greatest shot; without a date is last."""
        rows = [
            make_row(1, name="a", shot=9, diagnostic="P510", date="2022-03-24T09:00:00"),
            make_row(2, name="b", shot=5, diagnostic="P510", date="2022-03-24T23:59:59", facility="OMEGA EP"),
            make_row(
                3, name="c", shot=6, diagnostic="SOP", date="2022-04-01", facility="OMEGA EP", note="a laser plasma"
            ),
            make_row(4, name="d", shot=7, diagnostic="ASBO1", date="2023-12-31", note="plasma, then laser"),
            make_row(5, name="e", shot=7, diagnostic="ASBO1"),
        ]
        build_catalog(Rows(rows), index, DEFAULT)
        for name, speeds in (("a", ["2.0", "2"]), ("b", ["3"])):
            (entry,) = search_all(index, f"name:{name}")
            index.record_inspections(
                [(entry, InspectionResult(Health.OK, "", FileInspection("", 1, 1, {}, {"SweepSpeed": speeds})))]
            )

        assert find_names(index, text) == results

    def test_misspelled(self, shots: SqlIndex) -> None:
        """A name that no image has is an error at its position, with a similar name or the known ones."""
        with pytest.raises(BadQuery, match="did you mean SweepSpeed") as caught:
            shots.search("laser SweepSped:2")

        assert caught.value.column == 7
        known = "the archive has Camera, camera, .*; files have SweepSpeed, Unit"
        with pytest.raises(BadQuery, match=f'No image has a fact or an attribute "entirely_different": {known}'):
            shots.search("-entirely_different:2")

    def test_names_of_old_rows(self, index: SqlIndex) -> None:
        """A name that only the first of many rows has stays known, also as the suggestion for a similar one."""
        build_catalog(
            Rows([make_row("first", name="first", polarisation="p"), *(make_row(n, name=f"n{n}") for n in range(300))]),
            index,
            DEFAULT,
        )

        assert find_names(index, "polarisation:p") == ["first"]
        with pytest.raises(BadQuery, match="did you mean polarisation"):
            index.search("polarization:p")

    def test_nothing_indexed(self, index: SqlIndex) -> None:
        """If no attribute of files is indexed, the error contains the setting that indexes them."""
        build_catalog(Rows([make_row(1)]), index, DEFAULT)
        with pytest.raises(BadQuery, match=r"catalog\.indexed_attributes"):
            index.search("SweepSpeed:2")

    def test_another_database(self, tmp_path: Path) -> None:
        """A catalog that replaces another one is searched as it is now."""
        index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
        build_catalog(Rows([make_row(1, name="a", facility="old")]), index, DEFAULT)
        assert find_names(index, "facility:old") == ["a"]
        index.close()
        (tmp_path / "catalog.db").unlink()
        other = SqlIndex.open_sqlite(tmp_path / "catalog.db")
        build_catalog(Rows([make_row(1, name="b", facility="new")]), other, DEFAULT)
        other.close()

        assert find_names(index, "facility:new") == ["b"]
        index.close()

    def test_many_names(self, index: SqlIndex) -> None:
        """There may be more diagnostics than a statement may have parameters, and long names of facts."""
        rows = [make_row(n, diagnostic=f"d{n}", facility="a" if n else "b") for n in range(66_000)]
        build_catalog(Rows([*rows, make_row("long", **{"x" * 6000: "y"})]), index, DEFAULT)

        assert len(index.search("-facility:b d*", limit=1000).entries) == 1000

    def test_empty_catalog(self, index: SqlIndex) -> None:
        """In an empty catalog any query is valid and has no results."""
        index.check_version()

        assert index.search("laser shot:1.. SweepSpeed:2") == result_pages.SearchPage((), None)
        assert index.count_facets().total == 0


class TestOrder:
    @pytest.mark.parametrize(
        "text", ["", "laser", "facility:omega", "health:missing", "diagnostic:sop,p510", "-date:2022-03"]
    )
    def test_dates(self, shots: SqlIndex, text: str) -> None:
        """The newest entries are first, those without a date last."""
        dates = [extract_column_facts(entry.facts)["date"] for entry in search_all(shots, text, 50)]
        known = [str(date) for date in dates if date is not None]

        assert known == sorted(known, reverse=True)
        assert dates == known + [None] * (len(dates) - len(known))

    @pytest.mark.parametrize("text", ["shot:62010..62050", "shot:>62010 diagnostic:sop,p510", "shot:62001,62070 laser"])
    def test_shots(self, shots: SqlIndex, text: str) -> None:
        """The results of a query for shots begin with the greatest."""
        numbers = [int(entry.facts["shot"]) for entry in search_all(shots, text, 10)]

        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) > 1


class TestPages:
    @pytest.mark.parametrize(
        "text", ["", "laser", "facility:omega,omega?ep diagnostic:p510*", "shot:62010..", "SweepSpeed:2"]
    )
    @pytest.mark.parametrize("limit", [1, 2, 13])
    def test_any_length(self, shots: SqlIndex, text: str, limit: int) -> None:
        """Pages of any length are parts of the whole, in its order."""
        whole = search_all(shots, text)

        assert search_all(shots, text, limit) == whole
        assert len(whole) > 30

    @pytest.mark.parametrize("apart", [0, 4])
    @pytest.mark.parametrize("text", QUERIES)
    def test_rare(self, shots: SqlIndex, text: str, apart: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """If matches are rare and pages end before they are full, no match is lost and the order stays."""
        whole = search_all(shots, text)
        monkeypatch.setattr(result_pages, "_MAX_CANDIDATES", 3)
        monkeypatch.setattr(result_pages, "_MAX_SCANNED", 40)
        monkeypatch.setattr(result_pages, "_MAX_GROUPS", 2)
        monkeypatch.setattr(result_pages, "_MAX_ID_SPREAD", apart)  # whether the word index is used

        assert search_all(shots, text, 20) == whole

    def test_bounded_scan(self, shots: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page of a query without matches ends after a number of entries, empty, and has a next page."""
        monkeypatch.setattr(result_pages, "_MAX_SCANNED", 40)
        page = shots.search("camera:>1000")

        assert page.entries == ()
        assert page.after is not None

    def test_many_ranges(self, shots: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        """Entries between the ranges of a query are not scanned, for any number of ranges."""
        monkeypatch.setattr(result_pages, "_MAX_SCANNED", 40)
        for text in (
            f"shot:{','.join(str(62_000 + 2 * number) for number in range(36))}",
            f"date:{','.join(f'2022-{1 + number // 14:02}-{1 + 2 * (number % 14):02}' for number in range(90))}",
        ):
            page, results = shots.search(text, limit=50), list[str]()
            while page.after is not None:
                assert len(page.entries) == 50
                results += [entry.path for entry in page.entries]
                page = shots.search(text, after=page.after, limit=50)

            assert sorted([*results, *(entry.path for entry in page.entries)]) == match_each(shots, parse_query(text))
            assert len(results) >= 50

    @pytest.mark.parametrize("text", ["", "laser", "shot:1..", "diagnostic:new*,p510"])
    def test_additions_between_pages(self, index: SqlIndex, text: str) -> None:
        """Entries that are added between two pages disturb nothing: all entries from before are found once."""
        rows = [
            make_row(n, name=f"laser{n}", shot=n, diagnostic="P510", date=f"2022-01-{1 + n % 28:02}") for n in range(60)
        ]
        build_catalog(Rows(rows), index, DEFAULT)
        before = {entry.path for entry in search_all(index, text)}
        page, results = index.search(text, limit=7), list[str]()
        for number in count(100):
            results += [entry.path for entry in page.entries]
            if page.after is None:
                break
            rows += [
                make_row(
                    number,
                    name=f"laser{number}",
                    shot=number % 60,
                    diagnostic="NEW",
                    date=f"2022-01-{number % 28 + 1:02}",
                )
            ]
            build_catalog(Rows(rows), index, DEFAULT, full=True)
            page = index.search(text, after=page.after, limit=7)

        assert before <= set(results)
        assert len(results) == len(set(results))

    @pytest.mark.parametrize(
        "after", ["", "x", "AAAA", "WzEsMl0", "null", "\0", "ß", "=" * 10_000, "W10", "eyJhIjoxfQ"]
    )
    def test_bad_tokens(self, shots: SqlIndex, after: str) -> None:
        """An invalid token is refused with a sentence."""
        with pytest.raises(BadToken, match=r"\.$"):
            shots.search("laser", after=after)

    def test_another_querys_token(self, shots: SqlIndex) -> None:
        """A token is valid for its own query in any spelling, and for no other."""
        after = shots.search("laser  diagnostic = p510", limit=1).after

        assert shots.search("laser diagnostic:p510", after=after).entries
        for other in ("plasma", "shot:1..", ""):
            with pytest.raises(BadToken, match=r"another query|of this query"):
                shots.search(other, after=after)

    @pytest.mark.parametrize("limit", [-5, 0, 10**9])
    def test_strange_limits(self, shots: SqlIndex, limit: int) -> None:
        """A page has at least one entry, if any exists, and at most a thousand."""
        assert 1 <= len(shots.search("", limit=limit).entries) <= result_pages.MAX_PAGE_SIZE


class TestFacets:
    @pytest.mark.parametrize(
        "text",
        ["", "facility:omega", "-facility:omega diagnostic:p510*", "date:2022", "-date:2022",
         "date:2021..2022 health:missing", "laser", "shot:62003..62010", "date:2022-03", "SweepSpeed:2 facility:omega"],
    )  # fmt: skip
    def test_counts(self, shots: SqlIndex, text: str) -> None:
        """The counts are those of the results."""
        results, facets = search_all(shots, text), shots.count_facets(text)
        own = [extract_column_facts(entry.facts) for entry in results]

        assert (facets.total, facets.is_complete) == (len(results), True)
        assert facets.counts["facility"] == Counter(each["facility"] or "" for each in own)
        assert facets.counts["diagnostic"] == Counter(each["diagnostic"] or "" for each in own)
        assert facets.counts["year"] == Counter(str(each["date"] or "")[:4] for each in own)
        assert facets.counts["health"] == Counter(entry.health.value for entry in results)

    def test_bounded(self, shots: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
        """If too many entries match to count each, the newest are counted, and the counts are marked as incomplete."""
        monkeypatch.setattr("shotdap.catalog.index.facets.MAX_PAGE_SIZE", 10)
        facets = shots.count_facets("laser")

        assert (facets.total, facets.is_complete) == (50, False)


@contextmanager
def record_statements(index: SqlIndex) -> Iterator[list[tuple[str, Any]]]:
    """Record the statements that are executed in the block."""
    engine, statements = index._database.engine, list[tuple[str, Any]]()  # noqa: SLF001

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        statements.append((statement, parameters))

    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    yield statements
    sqlalchemy.event.remove(engine, "before_cursor_execute", note)


def explain_scans(index: SqlIndex, text: str) -> list[str]:
    """Return the database's plan for each scan of a search."""
    after = index.search(text, limit=5).after
    with record_statements(index) as statements:
        index.search(text, after=after, limit=5)
    is_sqlite = index.url.startswith("sqlite")
    results = []
    with index._database.begin_read() as connection:  # noqa: SLF001
        if not is_sqlite:
            connection.exec_driver_sql(
                "SET enable_seqscan = off"
            )  # a small table is read whole, whatever indexes there are
            connection.exec_driver_sql("SET enable_sort = off")
            connection.exec_driver_sql("ANALYZE")
            connection.exec_driver_sql("SET enable_bitmapscan = off")
        for statement, parameters in statements:
            if "AS sort_value" in statement and "AS end0" not in statement:  # the ends of many ranges are sorted
                explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
                results.append(
                    "\n".join(str(line[-1]) for line in connection.exec_driver_sql(explain + statement, parameters))
                )
    return results


def test_a_page_of_one(shots: SqlIndex) -> None:
    """A page of one image that scans many fetches more of them each time, not two."""
    with record_statements(shots) as statements:
        shots.search("camera:>1000", limit=1)

    assert len(statements) < 50


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
        """A page is read from its index in the index's order; nothing is sorted, and no table is read completely."""
        monkeypatch.setattr(result_pages, "_MAX_CANDIDATES", 0)
        plans = [plan for plan in explain_scans(shots, text) if by in plan]

        assert plans
        for plan in plans:
            assert "TEMP B-TREE FOR ORDER BY" not in plan
            assert "Sort  (" not in plan  # a merge has a "Sort Key" as well
            assert "SCAN entries\n" not in f"{plan}\n"
            assert "Seq Scan on entries" not in plan

    @pytest.mark.parametrize("text", ["laser omega", "SweepSpeed != 2", "diagnostic:sop SweepSpeed != 2"])
    def test_conditions(self, shots: SqlIndex, text: str) -> None:
        """Conditions on other tables are tested for each scanned entry; no join reads such a table completely."""
        plans = explain_scans(shots, text)

        assert any("SubPlan" in plan or "SUBQUERY" in plan for plan in plans)
        assert not any("Join" in plan or "Nested Loop" in plan for plan in plans)

    def test_no_compiler(self, request: pytest.FixtureRequest) -> None:
        """PostgreSQL compiles no statement of a catalog: compiling takes 90 ms, a page some milliseconds."""
        index = SqlIndex(request.getfixturevalue("postgres").create())
        with index._database.begin_read() as connection:  # noqa: SLF001
            setting = connection.exec_driver_sql("SHOW jit").scalar()
        index.close()

        assert setting == "off"


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
        ("text", "results"),
        [
            ("", ["a/PCIS-_x5B_phosphor_x5D__x20_1.h5", "a.h5", "b/asbo1.h5", "b/asbo2.h5", "b/c/asbo1.h5"]),
            ("name:asbo*", ["b/asbo1.h5", "b/asbo2.h5", "b/c/asbo1.h5"]),
            ("phosphor", ["a/PCIS-_x5B_phosphor_x5D__x20_1.h5"]),
            ("path:b/* -path:b/c/*", ["b/asbo1.h5", "b/asbo2.h5"]),
            ("shot:1..", []),
        ],
    )
    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_found(self, folder: DirectoryArchive, text: str, results: list[str], limit: int) -> None:
        """Files are found by names and paths, page by page: no hidden file, none outside the tree, none twice."""
        assert sorted(entry.path for entry in search_all(folder, text, limit)) == sorted(results)
        assert all(folder.find_entry(entry.path) == entry for entry in search_all(folder, text, limit))

    def test_bounded_scan(self, folder: DirectoryArchive, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page scans a limited number of files, and has a next page."""
        monkeypatch.setattr("shotdap.catalog.archive.directory_search._MAX_SCANNED", 2)

        assert folder.search("name:asbo2.h5").entries == ()
        assert [entry.path for entry in search_all(folder, "name:asbo2.h5")] == ["b/asbo2.h5"]

    def test_unsupported_by_a_folder(self, folder: DirectoryArchive) -> None:
        """An operation that needs a catalog raises an error that says so."""
        catalog = Catalog(folder, folder.root)
        for ask in (catalog.count_facets, catalog.list_changes):
            with pytest.raises(Unsearchable, match="`shotdap catalog build`"):
                ask()

        assert len(catalog.search("asbo1*").entries) == 2
