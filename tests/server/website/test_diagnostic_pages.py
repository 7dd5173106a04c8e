"""The pages of diagnostics: all of them, and one along the shots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import xarray as xr
from tests.rows import DEFAULT, Rows
from tests.serving import Server

from shotdap.catalog import Catalog, Row, SqlIndex, build_catalog
from shotdap.server.website.overview.film_strip import StripParams, read_strip
from shotdap.transforms import BadSelection

PAGE: Final = {"Accept": "text/html"}
PICTURE: Final = re.compile(r'src="(/api/v1/thumbnails/[^"]+)"')
LINE: Final = re.compile(r'id="stack-line">([^<]+)<')


@pytest.fixture(scope="module")
def browser(demo: Server) -> Iterator[httpx.Client]:
    """A client that accepts pages."""
    with httpx.Client(base_url=demo.url, headers=PAGE, trust_env=False, timeout=60) as client:
        yield client


def test_list(browser: httpx.Client) -> None:
    """All diagnostics are listed with their numbers of images, and the start page leads to them."""
    page, start = browser.get("/diagnostics").text, browser.get("/").text
    counts = browser.get("/api/v1/diagnostics").json()["diagnostics"]

    assert f"<h1>{len(counts)} diagnostics</h1>" in page
    assert all(f'href="/diagnostics/{each["name"]}"' in page for each in counts)
    assert 'href="/diagnostics/ASBO1"' in start
    assert 'href="/diagnostics/ASBO1"' in browser.get("/search?q=asbo1").text


def test_same_range(browser: httpx.Client) -> None:
    """All pictures of a strip have the same variable and range, which the page says; each is a picture."""
    page = unescape(browser.get("/diagnostics/asbo1", params={"variable": "image"}).text)
    pictures = PICTURE.findall(page)
    ranges = {tuple(re.findall(r"(?:variable|low|high)=[^&]+", each)) for each in pictures}

    assert len(pictures) == 2
    assert len(ranges) == 1
    assert "variable=image" in next(iter(ranges))
    assert "All pictures have the same range" in page
    assert {browser.get(each).headers["content-type"] for each in pictures} == {"image/webp"}


def test_chosen_range(browser: httpx.Client) -> None:
    """The range and the shots of a URL hold."""
    page = unescape(browser.get("/diagnostics/ASBO1?shot=62328&low=10&high=500").text)
    (picture,) = PICTURE.findall(page)

    assert "low=10&high=500" in picture
    assert "shown: <b>62328</b>" in page
    assert 'href="/diagnostics/ASBO1?shot=..62327&low=10&high=500"' in page


@pytest.mark.parametrize(("name", "facility", "count"), [("ASBO1", "omega", 3), ("SOP", "omega-ep", 2)])
def test_stack_line(browser: httpx.Client, name: str, facility: str, count: int) -> None:
    """The line for the stack runs, and opens all images of the shots."""
    page = browser.get(f"/diagnostics/{name}?facility={facility}").text
    names: dict[str, Any] = {}
    exec(unescape(LINE.findall(page)[0]), names)  # noqa: S102 — the line that a user would run
    stack: xr.Dataset = names["stack"]
    found = browser.get("/api/v1/images", params={"q": f"diagnostic:{name}"}).json()["images"]

    assert stack.sizes["shot"] == count
    assert {*map(str, stack["path"].values)} == {
        each["path"] for each in found if each["path"].startswith(f"{facility}/")
    }
    stack.close()


@pytest.mark.parametrize(
    ("target", "status", "sentence"),
    [
        ("/diagnostics/NOTHING", 404, "No such diagnostic, or not yours to see"),
        ("/diagnostics/ASBO1?shot=now", 400, "it is a number, or a range"),
        ("/diagnostics/ASBO1?date=now", 400, "it is a year, a month or a day"),
        ("/diagnostics/ASBO1?variable=nothing", 400, "There is no variable 'nothing'"),
        ("/diagnostics/ASBO1?shot=1..2", 200, "There is no image of ASBO1 here."),
        ("/diagnostics/IAW_CCD", 200, "The newest image cannot be read: "),
    ],
)
def test_nothing_to_show(browser: httpx.Client, target: str, status: int, sentence: str) -> None:
    """A page that shows no picture says why."""
    answer = browser.get(target)

    assert answer.status_code == status
    assert sentence in unescape(answer.text)


# Strips of a longer archive -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Forty shots of SOP, some numbers apart, the even ones with two images; and a few of another facility."""
    folder = tmp_path_factory.mktemp("shots")
    rows = []
    for number in range(40):
        date = f"{2000 + number // 20}-01-{number % 20 + 1:02}T10:00:00"
        facts: dict[str, Any] = {"facility": "OMEGA", "shot": 1000 + 7 * number, "diagnostic": "SOP", "date": date}
        rows += [Row(f"{number}.{copy}", f"{number}.{copy}.h5", 1, facts) for copy in range(2 - number % 2)]
    late: dict[str, Any] = {"facility": "OMEGA EP", "shot": 5, "diagnostic": "SOP", "date": "1999-01-01T10:00:00"}
    index = SqlIndex.open_sqlite(folder / "catalog.db")
    build_catalog(Rows([*rows, Row("ep", "ep.h5", 1, late)]), index, DEFAULT)
    yield Catalog(index, folder)
    index.close()


def list_shots(catalog: Catalog, shot: str = "", date: str = "", facility: str = "") -> list[int]:
    """List the shots of a strip."""
    strip = read_strip(catalog, "SOP", StripParams.parse(shot, date, facility))
    return [int(each.facts["shot"]) for each in strip.images]


def test_walk(catalog: Catalog) -> None:
    """The links to earlier shots show every shot once, and those to later ones lead back."""
    strip = read_strip(catalog, "SOP", StripParams.parse("", "", ""))
    shots = [int(each.facts["shot"]) for each in strip.images]
    seen = [*shots]
    while strip.earlier_last is not None:
        strip = read_strip(catalog, "SOP", StripParams.parse(f"..{strip.earlier_last}", "", "omega"))
        seen += [int(each.facts["shot"]) for each in strip.images]
    assert sorted(seen) == [1000 + 7 * number for number in range(40)]

    while strip.later_last is not None:
        strip = read_strip(catalog, "SOP", StripParams.parse(f"..{strip.later_last}", "", "omega"))
    assert [int(each.facts["shot"]) for each in strip.images] == shots


def test_choices(catalog: Catalog) -> None:
    """A range shows its last shots, a year its newest, a facility its own."""
    assert list_shots(catalog, "1000..1020") == [1000, 1007, 1014]
    assert list_shots(catalog, "1007") == [1007]
    assert list_shots(catalog, "1000..1200")[-1] == 1196
    assert list_shots(catalog, date="2000") == [1000 + 7 * number for number in range(11, 20)]
    assert list_shots(catalog, facility="omega-ep") == [5]
    assert list_shots(catalog, "2000..") == []


@pytest.mark.parametrize("shot", ["..", "1-2", "1..2..3", "shot:1", "1" * 19])
def test_bad_range(shot: str) -> None:
    """A text that is no range of shots is refused."""
    with pytest.raises(BadSelection):
        StripParams.parse(shot, "", "")


def test_stack_of_an_odd_name(catalog: Catalog, tmp_path: Path) -> None:
    """A diagnostic whose name no path can say has no line for the stack."""
    index = SqlIndex.open_sqlite(tmp_path / "catalog.db")
    facts: dict[str, Any] = {"facility": "OMEGA", "shot": 1, "diagnostic": "two words", "date": "2000-01-01T10:00:00"}
    build_catalog(Rows([Row("1", "1.h5", 1, facts)]), index, DEFAULT)
    strip = read_strip(Catalog(index, tmp_path), "two words", StripParams.parse("", "", ""))

    assert strip.shots == (1, 1)
    assert strip.stack_path == ""
    assert read_strip(catalog, "SOP", StripParams.parse("1000", "", "")).stack_path.endswith("SOP-shot-1000_1000")
    index.close()
