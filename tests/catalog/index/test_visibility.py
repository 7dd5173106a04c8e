"""What a reader may see: the same entries by every question, in SQLite, in PostgreSQL and in a directory tree."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contracts.index import walk_index
from tests.rows import DEFAULT, Rows

from shotdap.catalog import (
    EVERYTHING,
    DirectoryArchive,
    Entry,
    Grant,
    NotFound,
    Row,
    SqlIndex,
    Visibility,
    build_catalog,
)

NUMBERS: Final = count()
TODAY: Final = date.today()  # noqa: DTZ011 — as the catalog's dates are
STRANGE: Final = ('DRACO", "x": "', "a, ", "größe", "a\\", "{", "\u0130k", "%_*", "DRACO-1\udcff")
CAMPAIGNS: Final = ("DRACO", "DRACO-1", "draco", "Omega*", *STRANGE)
RELEASES: Final = ("2020-01-01", "2999-01-01T00:00", "soon", "----------", "20-01-2020", str(TODAY), "é020-01-01")
FACILITIES: Final = ("OMEGA", "OMEGA EP", "", 7)


def make_rows() -> Iterator[Row]:
    """Make 120 rows, with facts of all kinds, and some without."""
    rng = random.Random(7)  # noqa: S311 — the same at each run
    for number in range(120):
        facts: dict[str, Any] = {
            "facility": rng.choice(FACILITIES),
            "shot": 62_000 + number // 6,
            "diagnostic": rng.choice(["P510", "P510_2", "SOP"]),
            "name": f"image_{number}",
            "date": (TODAY - timedelta(days=rng.choice([0, 5, 400, 4000]))).isoformat() + "T10:00:00",
            "campaign": rng.choice(CAMPAIGNS),
            "release": rng.choice(RELEASES),
            "number": rng.choice([1, 2.5]),
        }
        for name in rng.sample(["facility", "shot", "date", "campaign", "release"], rng.choice([0, 0, 0, 1, 2])):
            del facts[name]
        yield Row(str(number), "file", 1, facts)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlIndex]:
    """A catalog of these rows."""
    if request.param == "sqlite":
        opened = SqlIndex.open_sqlite(tmp_path_factory.mktemp("visibility") / "catalog.db")
    else:
        opened = SqlIndex(request.getfixturevalue("postgres").create())
    build_catalog(Rows([*make_rows()]), opened, DEFAULT)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def entries(index: SqlIndex) -> list[Entry]:
    """All entries, by their paths."""
    return index.list_entries(1000)


texts = st.sampled_from(["DRACO*", "*", "nothing", *CAMPAIGNS])
shots = st.none() | st.integers(61_995, 62_035)
days = st.none() | st.integers(-1, 4001).map(lambda age: (TODAY - timedelta(days=age)).isoformat())
grants = st.builds(
    Grant,
    st.lists(
        st.tuples(st.just("campaign"), st.lists(texts, min_size=1, max_size=3).map(tuple))
        | st.tuples(st.just("facility"), st.sampled_from([("OMEGA",), ("OMEGA*",), ("",), ("7",), ("OMEGA EP", "no")]))
        | st.tuples(st.just("number"), st.just(("1",))),
        max_size=2,
    ).map(tuple),
    st.lists(
        st.sampled_from(["omega", "omega/62001", "omega-ep/62011/sop", "omega/6200", "omega/62003/p510"]), max_size=2
    ).map(tuple),
    st.tuples(shots, shots),
    st.tuples(days, days),
    st.none() | st.sampled_from([0, 5, 6, 1000]),
    st.sampled_from(["", "", "", "release", "campaign"]),
)
visibilities = st.lists(st.lists(grants, max_size=3).map(tuple), max_size=2).map(lambda levels: Visibility((*levels,)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visibility=visibilities)
def test_every_question_agrees(index: SqlIndex, entries: list[Entry], visibility: Visibility) -> None:
    """Listings, searches, counts, changes and lookups have exactly the entries that the test of an entry allows."""
    restricted = index.restrict(visibility)
    visible = [entry.path for entry in entries if visibility.allows(entry)]

    assert [child.path for child in walk_index(restricted) if not child.is_folder] == [
        child.path for child in walk_index(index) if not child.is_folder and child.path in visible
    ]
    assert find_by_search(restricted) == [path for path in find_by_search(index) if path in visible]
    assert find_by_search(restricted, "shot:62000..62010") == [
        path for path in find_by_search(index, "shot:62000..62010") if path in visible
    ]
    assert sorted(change.path for change in restricted.list_changes().changes) == sorted(visible)
    facets = restricted.count_facets()
    assert facets.total == len(visible)
    by_diagnostic = Counter(str(entry.facts["diagnostic"]) for entry in entries if entry.path in visible)
    assert facets.counts["diagnostic"] == dict(by_diagnostic)
    for entry in entries[::11]:
        if entry.path in visible:
            assert restricted.find_entry(entry.path) == entry
        else:
            with pytest.raises(NotFound) as absent:
                restricted.find_entry(entry.path)
            with pytest.raises(NotFound) as unknown:
                index.find_entry(f"{entry.path}x")
            assert str(absent.value) == str(unknown.value).replace(f"{entry.path}x", entry.path)


def find_by_search(index: SqlIndex, query: str = "") -> list[str]:
    """Return the paths of all matches, page by page; no page is empty but the last."""
    page = index.search(query, limit=50)
    paths = [entry.path for entry in page.entries]
    while page.after is not None:
        page = index.search(query, after=page.after, limit=50)
        paths += [entry.path for entry in page.entries]
    return paths


def test_the_nearest_is_hidden(index: SqlIndex, entries: list[Entry]) -> None:
    """The nearest of all images is found, or none: never another one, which would give other values without a word."""
    found = {entry.path: index.find_nearest(entry, {"diagnostic": "*"}, when="nearest") for entry in entries}
    hidden = next(nearest for nearest in found.values() if nearest is not None)
    campaign = str(hidden.facts.get("campaign", ""))
    others = tuple(each for each in CAMPAIGNS if each != campaign and "*" not in each)
    restricted = index.restrict(Visibility(((Grant((("campaign", others),)),),)))

    for entry in entries:
        nearest, expected = restricted.find_nearest(entry, {"diagnostic": "*"}, when="nearest"), found[entry.path]
        if expected is None or expected.facts.get("campaign") not in others:
            assert nearest is None
        else:
            assert nearest == expected


def test_a_directory_tree(tmp_path: Path) -> None:
    """In a directory tree, paths decide: of files, folders and searches."""
    for name in ("a/b/one", "a/b/two", "a/c/three", "ab/four", "five"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    restricted = DirectoryArchive(tmp_path).restrict(Visibility(((Grant(paths=("a/b", "five")),),)))

    assert [child.path for child in walk_index(restricted)] == ["a", "a/b", "a/b/one", "a/b/two", "five"]
    assert [entry.path for entry in restricted.search("").entries] == ["a/b/one", "a/b/two", "five"]
    for path in ("ab/four", "a/c/three"):
        with pytest.raises(NotFound):
            restricted.find_entry(path)
    with pytest.raises(NotFound):
        restricted.list_children("ab")


def test_a_restriction_adds_nothing() -> None:
    """A further level leaves a part of what may be seen, whatever it grants."""
    entry = Entry("omega/1/a", "file", {"campaign": "DRACO"})
    own = Visibility(((Grant((("campaign", ("OTHER",)),)),),))

    assert not own.restrict((Grant(),)).allows(entry)
    assert not own.restrict((Grant(paths=("omega",)),)).allows(entry)
    assert EVERYTHING.restrict((Grant(paths=("omega",)),)).allows(entry)
    assert not EVERYTHING.restrict((Grant(paths=("omeg",)),)).allows(entry)
