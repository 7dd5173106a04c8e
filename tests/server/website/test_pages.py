"""Pages for people, as any client gets them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.serving import Server

from shotdap.server.pages.assets import build_asset_url

PAGE: Final = {"Accept": "text/html,application/xhtml+xml"}
IMAGE: Final = "/images/omega/62328/asbo1/asbo1_s62328"
STYLE_SHEET: Final = Path(__file__).resolve().parents[3] / "server/static/shotdap.css"
MANIFEST: Final = STYLE_SHEET.parent / "viewer/manifest.json"
MAX_STYLE_SHEET: Final = 12_000  # bytes, compressed
MAX_PAGE: Final = 60_000  # bytes of a page and all that it loads beside pictures, compressed
MAX_WITH_VIEWER: Final = 500_000
MAX_THUMBNAIL: Final = 8_000


@pytest.fixture(scope="module")
def browser(demo: Server) -> Iterator[httpx.Client]:
    """A client that accepts pages."""
    with httpx.Client(base_url=demo.url, headers=PAGE, trust_env=False, timeout=60) as client:
        yield client


# Addresses -----------------------------------------------------------------------------------------------------------


def test_root(browser: httpx.Client) -> None:
    """The root is a page for a browser and the description of the server for a program."""
    page, document = browser.get("/"), browser.get("/", headers={"Accept": "*/*"})

    assert page.headers["content-type"].startswith("text/html")
    assert document.json()["name"] == "shotdap"
    assert "Accept" in page.headers["vary"]
    assert "Accept" in document.headers["vary"]


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/103741", "/shots/omega/103741"),
        ("/search?q=103741", "/shots/omega/103741"),
        ("/search?q=62328+ASBO1", IMAGE),
        ("/latest", "/shots/omega/112059"),
        ("/latest?facility=omega-ep", "/shots/omega-ep/25386"),
        ("/thredds/search.html?q=P510", "/search?q=P510"),
        (f"{IMAGE}?low=&high=&region=", IMAGE),
        (f"{IMAGE}?add=median_filter&options=size-5", f"{IMAGE}/~background_subtracted~median_filter-size-5"),
        (f"{IMAGE}?add=row_mean&variable=image&cmap=gray", f"{IMAGE}/~image~row_mean?cmap=gray"),
    ],
)
def test_redirects(browser: httpx.Client, path: str, location: str) -> None:
    """Short links, old links and forms lead to the usual URL of a page."""
    answer = browser.get(path)

    assert answer.is_redirect
    assert answer.headers["location"] == location


def test_two_facilities(browser: httpx.Client) -> None:
    """The number of a shot that two facilities have leads to a page with both."""
    page = browser.get("/25386").text

    assert 'href="/shots/omega/25386"' in page
    assert 'href="/shots/omega-ep/25386"' in page


@pytest.mark.parametrize(
    "path", ["/1", "/shots/omega/1", "/shots/nowhere/62328", "/images/omega/nothing", "/nothing/at/all"]
)
def test_nothing_there(browser: httpx.Client, path: str) -> None:
    """A path with nothing behind it gives a page with status 404, and JSON to a program."""
    page = browser.get(path)
    program = browser.get(path, headers={"Accept": "*/*"})

    assert (page.status_code, program.status_code) == (404, 404)
    assert "Latest shots" in page.text


# Search --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found", "left_out"),
    [
        ("103741..103955", {"PCIS", "PTD"}, {"asbo1_s62328"}),
        ("P510_2 103700..103800", {"p510_2_s103741"}, {"PTD_s103741", "PCIS"}),
        ("2022-03-24", {"p510_2_s103741"}, {"PCIS-s103955"}),
        ("sop", {"omega-ep/25386", "omega/25386"}, {"asbo1"}),
        ("ASBO1,SOP", {"asbo1_s62328", "sop_s25386"}, {"asbo2"}),
        ("facility:omega-nothing", {"Nothing matches"}, set()),
    ],
)
def test_search(browser: httpx.Client, text: str, found: set[str], left_out: set[str]) -> None:
    """The box understands numbers, ranges, dates and names of diagnostics beside the query language."""
    page = browser.get("/search", params={"q": text}).text

    assert {each for each in found if each not in page} == set()
    assert {each for each in left_out if f"/{each}" in page} == set()


def test_facets(browser: httpx.Client) -> None:
    """Each facet is a link that adds a condition or removes it; each condition has a link without it."""
    page = browser.get("/search", params={"q": "facility:omega"}).text
    links = [unescape(each) for each in re.findall(r'href="(/search\?q=[^"]*)"', page)]

    assert "/search?q=facility%3Aomega+diagnostic%3A%22ASBO1%22" in links
    assert "/search" in re.findall(r'href="(/search)" aria-label="Remove', page)


def test_search_pages(browser: httpx.Client) -> None:
    """A cursor that is none is explained."""
    answer = browser.get("/search", params={"q": "sop", "cursor": "x"})

    assert answer.status_code == 400
    assert "not a page token" in answer.text


# Shots and images ----------------------------------------------------------------------------------------------------


def test_shot(browser: httpx.Client) -> None:
    """A shot has a card for each image, neighbours and a package; what cannot be read comes last, with its reason."""
    page = browser.get("/shots/omega/112059").text
    cards = re.findall(r'class="image-card" href="([^"]*)"', page)

    assert cards[0].endswith("EPW_CCD-s112059")
    assert len(cards) == 3
    assert "The file is missing from the archive." in page
    assert re.search(r'rel="prev" href="/shots/omega/103955"', page)
    assert 'href="/api/v1/packages/omega/112059?member=nc4"' in page


def test_thumbnails(browser: httpx.Client) -> None:
    """Thumbnails are small WebP files, which a browser keeps for good; those of another version it does not."""
    page = browser.get("/shots/omega/103741").text
    urls = {unescape(each) for each in re.findall(r'src="(/api/v1/thumbnails/[^"]*)"', page)}
    answers = [browser.get(url) for url in sorted(urls)]
    other = browser.get(re.sub(r"fingerprint=\w+", "fingerprint=0", min(urls)))

    assert len(urls) == 6
    assert {each.headers["content-type"] for each in answers} == {"image/webp"}
    assert all("immutable" in each.headers["cache-control"] for each in answers)
    assert max(len(each.content) for each in answers) < MAX_THUMBNAIL
    assert other.status_code == 200
    assert "immutable" not in other.headers["cache-control"]


def test_broken_image(browser: httpx.Client) -> None:
    """The page of an image that cannot be read says why, and what the archive says of it."""
    missing = browser.get("/images/omega/112059/iaw_ccd/IAW_CCD-s112059")
    unreadable = browser.get("/images/omega/112059/ats_ccd/ATS_CCD-s112059")

    assert (missing.status_code, unreadable.status_code) == (200, 200)
    assert "File missing." in missing.text
    assert "it may be a login page" in unreadable.text
    assert "/fileServer/omega/112059/ats_ccd/ATS_CCD-s112059" in unreadable.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("variable=nothing", "There is no variable 'nothing' here."),
        ("y=5000:6000", "y has 1,100 values"),
        ("z=1:2", "has no dimension 'z'"),
        ("region=1", "it is rows and columns"),
        ("region=2000:2010,0:5", "y has 1,100 values"),
        ("row=5:5", "a range that goes up"),
        ("low=high", "it is a number"),
        ("cmap=nothing", "no colour map"),
    ],
)
def test_bad_view(browser: httpx.Client, query: str, sentence: str) -> None:
    """A view that does not fit the image is a page with the reason."""
    answer = browser.get(f"{IMAGE}?{query}")

    assert answer.status_code == 400
    assert sentence in unescape(answer.text)


def test_failing_step(browser: httpx.Client) -> None:
    """A step that cannot be applied leaves the picture, and says why."""
    answer = browser.get(f"{IMAGE}?add=median_filter&options=size-4")

    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert "background_subtracted" in answer.text


def test_neighbours_keep_the_view(browser: httpx.Client) -> None:
    """The links to the same diagnostic of other shots keep variable, range and region."""
    page = browser.get(f"{IMAGE}?scaling=log&low=-3&high=635&region=330:520,110:310").text
    (url,) = re.findall(r'rel="prev" href="([^"]*)"', page)

    assert unescape(url) == (
        "/images/omega/62326/asbo1/asbo1_grid_s62326?scaling=log&low=-3&high=635&region=330:520,110:310"
    )


def test_names_are_text(browser: httpx.Client) -> None:
    """No text of a request becomes markup."""
    for path in ("/search?q=<b>x</b>", "/images/<b>x</b>", "/shots/<b>x</b>/1", f"{IMAGE}?variable=<b>x</b>"):
        assert "<b>x</b>" not in browser.get(path).text


# Weight --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/shots/omega/103741", "/search?q=facility:omega", IMAGE])
def test_weight(browser: httpx.Client, path: str) -> None:
    """A page is small with all that it loads beside pictures."""
    page = browser.get(path)
    files = {unescape(each) for each in re.findall(r'(?:src|href)="(/static/[^"#]*)', page.text)}
    has_viewer = "<shotdap-viewer" in page.text
    if has_viewer:
        files |= {build_asset_url(f"viewer/{each}") for each in json.loads(MANIFEST.read_text())["files"]}
    answers = [browser.get(each, headers={"Accept-Encoding": "gzip"}) for each in files]
    size = len(gzip.compress(page.content)) + sum(int(each.headers["content-length"]) for each in answers)

    assert all("immutable" in each.headers["cache-control"] for each in answers)
    assert size < (MAX_WITH_VIEWER if has_viewer else MAX_PAGE)
    assert len(gzip.compress(STYLE_SHEET.read_bytes())) < MAX_STYLE_SHEET


def test_assets(browser: httpx.Client) -> None:
    """A file without the hash in its URL is validated with each use; what does not exist is a 404."""
    url = build_asset_url("shotdap.css")
    plain = browser.get("/static/shotdap.css")
    again = browser.get("/static/shotdap.css", headers={"If-None-Match": plain.headers["etag"]})

    assert browser.get(url).text == plain.text
    assert plain.headers["cache-control"] == "no-cache"
    assert again.status_code == 304
    assert {browser.get(path).status_code for path in ("/static/nothing.css", "/static/../app.py", "/static/")} == {404}


# Colours -------------------------------------------------------------------------------------------------------------


def read_colours() -> dict[str, tuple[str, str]]:
    """Return the colours of the style sheet by name: the light one and the dark one."""
    pattern = r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)"
    return {name: (light, dark) for name, light, dark in re.findall(pattern, STYLE_SHEET.read_text())}


def compute_contrast(first: str, second: str) -> float:
    """Compute the contrast of two colours, as WCAG defines it."""

    def compute_luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lower, upper = sorted((compute_luminance(first), compute_luminance(second)))
    return (upper + 0.05) / (lower + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast(theme: int) -> None:
    """Text is legible on each ground that it may have, and borders of controls are visible."""
    colours = {name: pair[theme] for name, pair in read_colours().items()}
    grounds = ("ground", "surface", "sunken", "code")
    pairs = [(text, ground, 4.5) for text in ("text", "text-2", "text-3") for ground in grounds]
    pairs += [("accent", ground, 4.5) for ground in ("ground", "surface", "accent-ground", "sunken")]
    pairs += [("on-accent", "accent", 4.5), ("warn", "warn-ground", 4.5), ("bad", "bad-ground", 4.5)]
    pairs += [
        ("bad", "surface", 4.5),
        ("line-strong", "surface", 3),
        ("line-strong", "ground", 3),
        ("second", "surface", 3),
    ]

    assert [pair for pair in pairs if compute_contrast(colours[pair[0]], colours[pair[1]]) < pair[2]] == []
