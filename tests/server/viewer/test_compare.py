"""The viewer on the page that compares two images: one zoom, range and cursor for both, and what they differ by."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright
from tests.server.viewer.viewer_page import fetch_values, open_browser
from tests.server.website.browsing import find_axe_violations
from tests.serving import Server

FIRST = "omega/62328/asbo1/asbo1_s62328"
SECOND = "omega/62326/asbo1/asbo1_grid_s62326"
WAIT = 60_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright, open_browser(playwright) as context:
        yield context.new_page()


def open_comparison(page: Page, demo: Server, rest: str) -> None:
    """Open the page of both images, and wait for their full resolution."""
    page.goto(f"{demo.url}/compare?image={FIRST}&image={SECOND}&variable=image{rest}")
    page.wait_for_selector("shotdap-viewer[data-ready]", timeout=WAIT)
    page.wait_for_selector('.sv-heat[data-layers="1"]', timeout=WAIT)


def read_cursor(page: Page) -> tuple[int, int, float]:
    """Return row, column and value at the cursor."""
    output = page.locator(".sv-read-out output")
    row, column, value = (output.get_attribute(f"data-{name}") or "nan" for name in ("row", "column", "value"))
    return int(row), int(column), float(value)


def test_side_by_side(page: Page, demo: Server) -> None:
    """A zoom in one picture is one in both and is in the address; lineouts lie over one another, the second dashed."""
    open_comparison(page, demo, "&row=416:432")
    page.wait_for_selector(".sv-second .sv-plot", timeout=WAIT)
    names = page.locator(".sv-name").all_inner_texts()
    page.wait_for_selector(".sv-lineout .sv-kept", timeout=WAIT)
    dashes = page.locator(".sv-lineout .sv-kept").first.evaluate("each => getComputedStyle(each).strokeDasharray")
    page.locator(".sv-second .sv-plot").focus()
    page.keyboard.press("+")
    page.wait_for_url(re.compile(r"[?&]x=\d+:\d+"), timeout=WAIT)

    assert names == ["62328", "62326"]
    assert find_axe_violations(page) == []
    assert dashes not in {"", "none"}
    assert page.url.count("image=omega") == 2
    page.wait_for_function(
        "() => document.querySelector('[data-follows=actions] a:not([aria-current])').href.includes('x=')", timeout=WAIT
    )


@pytest.mark.parametrize("way", ["difference", "ratio"])
def test_computed(page: Page, demo: Server, way: str) -> None:
    """The value at the cursor is that of the difference or the ratio, in colours symmetric about no difference."""
    open_comparison(page, demo, f"&show={way}")
    first, second = (fetch_values(demo, path, variable="image") for path in (FIRST, SECOND))
    page.wait_for_function("() => document.querySelector('.sv-read-out output')?.dataset.value", timeout=WAIT)
    page.wait_for_selector("text=RdBu_r", timeout=WAIT)
    row, column, value = read_cursor(page)
    expected = first / second if way == "ratio" else first - second

    assert value == expected[row, column]
    assert page.locator(".sv-name").inner_text() == f"62328 {'÷' if way == 'ratio' else '−'} 62326"  # noqa: RUF001


def test_blink(page: Page, demo: Server) -> None:
    """The key B shows the other image, at most once in a second; elsewhere it leads there, and C to the comparison."""
    open_comparison(page, demo, "")
    page.keyboard.press("b")
    page.wait_for_url(re.compile("show=blink"), timeout=WAIT)
    page.wait_for_selector("shotdap-viewer[data-ready]", timeout=WAIT)
    page.wait_for_selector("button:enabled:has-text('Switch')", timeout=WAIT)
    page.wait_for_selector('.sv-heat[data-layers="1"]', timeout=WAIT)
    name = page.locator(".sv-name")
    before = name.inner_text()
    page.keyboard.press("b")
    page.keyboard.press("b")
    page.wait_for_timeout(200)
    after = name.inner_text()
    row, column, value = read_cursor(page)

    assert (before, after) == ("62328", "62326")
    assert value == fetch_values(demo, SECOND, variable="image")[row, column]

    page.goto(f"{demo.url}/images/{FIRST}")
    page.wait_for_selector("shotdap-viewer[data-ready]", timeout=WAIT)
    page.locator(".sv-plot").focus()
    page.keyboard.press("c")
    page.wait_for_url(re.compile(r"/compare\?image="), timeout=WAIT)
