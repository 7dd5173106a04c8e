"""The feed of changes of a reader who sees some entries: by it, a copy stays what they may see."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.catalog.index.test_visibility import make_rows, visibilities
from tests.rows import DEFAULT, Rows, make_row

from shotdap.catalog import (
    EVERYTHING,
    FIRST_TOKEN,
    BadToken,
    Grant,
    OutdatedToken,
    Row,
    SqlIndex,
    Visibility,
    build_catalog,
)

DRACO: Final = Visibility(((Grant((("campaign", ("DRACO",)),)),),))
RELEASED: Final = Visibility(((Grant(embargo_fact="release"),),))
OLD: Final = Visibility(((Grant(embargo_days=5),),))


@pytest.fixture(params=["sqlite", "postgresql"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlIndex]:
    """An empty catalog."""
    if request.param == "sqlite":
        opened = SqlIndex.open_sqlite(tmp_path / "catalog.db")
    else:
        opened = SqlIndex(request.getfixturevalue("postgres").create())
    yield opened
    opened.close()


class Harvester:
    """A program that keeps a copy of the paths that it may see, by the feed of changes."""

    def __init__(self, index: SqlIndex, visibility: Visibility, limit: int = 1000) -> None:
        self._index = index.restrict(visibility)
        self._limit = limit
        self.token = FIRST_TOKEN
        self.copy: set[str] = set()

    def ask(self) -> list[str]:
        """Ask for all changes since the last time, and apply them; return them as the command shows them."""
        shown, has_more = [], True
        while has_more:
            page = self._index.list_changes(self.token, limit=self._limit)
            for change in page.changes:
                shown.append(f"{'-' if change.entry is None else '+'} {change.path.rpartition('/')[2]}")
                (self.copy.discard if change.entry is None else self.copy.add)(change.path)
            assert len(page.changes) <= self._limit
            self.token, has_more = page.token, page.has_more
        return shown

    def set_back(self, moment: datetime) -> None:
        """Make the last question one of an earlier moment."""
        number, _, fingerprint = self.token.split(".")
        self.token = f"{number}.{moment:%Y%m%dT%H%M%S}.{fingerprint}"


def build(index: SqlIndex, *rows: Row) -> None:
    """Have the catalog consist of these rows."""
    build_catalog(Rows(rows), index, DEFAULT, full=True)


def test_removals(index: SqlIndex) -> None:
    """A reader learns that an image was removed if they could see it, and of no other one."""
    seen = [make_row(name, name=name, campaign="DRACO") for name in ("one", "two")]
    secret = [make_row(name, name=name, campaign="SECRET") for name in ("three", "four")]
    build(index, *seen, *secret)
    harvester = Harvester(index, DRACO)
    assert harvester.ask() == ["+ one", "+ two"]
    build(index, seen[0], secret[0])

    assert harvester.ask() == ["- two"]
    assert harvester.ask() == []
    build(index, *seen, *secret)
    assert harvester.ask() == ["+ two"]


def test_new_facts(index: SqlIndex) -> None:
    """An image that gets facts with which the reader may not see it is removed for them; with others it is back."""
    row = make_row(1, name="one", campaign="DRACO")
    build(index, row)
    harvester, other = Harvester(index, DRACO), Harvester(index, EVERYTHING)
    for reader in (harvester, other):
        assert reader.ask() == ["+ one"]
    build(index, make_row(1, 2, name="one", campaign="SECRET"))
    assert (harvester.ask(), other.ask()) == (["- one"], ["+ one"])
    build(index, make_row(1, 3, name="one", campaign="SECRET", note="x"))
    assert (harvester.ask(), other.ask()) == ([], ["+ one"])
    build(index, make_row(1, 4, name="one", campaign="DRACO"))
    assert (harvester.ask(), other.ask()) == (["+ one"], ["+ one"])


def test_an_embargo_that_ends(index: SqlIndex) -> None:
    """An image whose embargo has ended is new, although nothing was written."""
    today = datetime.now()  # noqa: DTZ005 — as the catalog's dates are
    dates = {f"d{days}": (today - timedelta(days=days)).isoformat() for days in (1, 7, 9, 100)}
    build(index, *(make_row(name, name=name, date=date) for name, date in dates.items()))
    harvester = Harvester(index, OLD, limit=1)
    assert harvester.ask() == ["+ d7", "+ d9", "+ d100"]
    harvester.set_back(today - timedelta(days=10))

    assert harvester.ask() == ["+ d7", "+ d9"]
    assert harvester.ask() == []


def test_removed_under_embargo(index: SqlIndex) -> None:
    """The removal of an image that nobody could see yet is told to nobody, neither then nor later."""
    tomorrow = datetime.now() + timedelta(days=1)  # noqa: DTZ005 — likewise
    build(index, make_row(1, name="one", release=f"{tomorrow:%Y-%m-%d}"), make_row(2, name="two", release="2020-01-01"))
    harvester = Harvester(index, RELEASED)
    assert harvester.ask() == ["+ two"]
    build(index)

    assert harvester.ask() == ["- two"]
    assert Harvester(index, RELEASED).ask() == ["- two"]


def test_other_rules(index: SqlIndex) -> None:
    """A token of somebody who saw other images is refused with what to do; a text that is no token, too."""
    build(index, make_row(1, name="one", campaign="DRACO"))
    restricted = index.restrict(DRACO)
    everything, some = index.list_changes().token, restricted.list_changes().token

    for reader, token in ((restricted, everything), (index, some), (index.restrict(OLD), some)):
        with pytest.raises(OutdatedToken, match="since=0"):
            reader.list_changes(token)
    for wrong in ("", "x", "-1", "1.2", "99999999999999999999", some.replace(".2", ".x"), f"{some}.20269999T000000.1"):
        with pytest.raises(BadToken):
            restricted.list_changes(wrong)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visibility=visibilities, days=st.integers(0, 4100), limit=st.sampled_from([1, 7, 1000]), seed=st.randoms())
def test_a_copy(
    visibility: Visibility, days: int, limit: int, seed: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a reader may see, and whenever they asked last, the feed makes their copy what they may see now."""
    index = SqlIndex.open_sqlite(tmp_path_factory.mktemp("copy") / "catalog.db")
    rows = [*make_rows()][::3]
    build(index, *rows)
    entries = index.list_entries(1000)
    harvester = Harvester(index, visibility, limit)
    harvester.ask()
    assert harvester.copy == {entry.path for entry in entries if visibility.allows(entry)}
    if visibility.levels:
        then = datetime.now() - timedelta(days=days)  # noqa: DTZ005 — likewise
        harvester.set_back(then)
        harvester.copy = {entry.path for entry in entries if visibility.allows(entry, then)}
    changed = seed.sample(rows, 10)
    others = [Row(row.key, row.file, 2, {**row.facts, "campaign": seed.choice(["DRACO", "x"])}) for row in changed]
    build(index, *seed.sample([row for row in rows if row not in changed], 20), *others)
    harvester.ask()

    assert harvester.copy == {entry.path for entry in index.list_entries(1000) if visibility.allows(entry)}
    index.close()
