"""The viewer on the page of an image: recipes follow what is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright
from tests.server.viewer.viewer_page import open_browser
from tests.serving import Server

PATH = "omega/62328/asbo1/asbo1_s62328"
WAIT = 60_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright, open_browser(playwright) as context:
        yield context.new_page()


def open_image(page: Page, demo: Server, rest: str = "") -> None:
    """Open the page of an image, and wait for the viewer."""
    page.goto(f"{demo.url}/images/{PATH}{rest}")
    page.wait_for_selector("shotdap-viewer[data-ready]", timeout=WAIT)


def wait_for_recipe(page: Page, text: str) -> None:
    """Wait until the recipe for Python contains a text."""
    page.wait_for_function(
        "text => document.querySelector('#code-python')?.textContent.includes(text)", arg=text, timeout=WAIT
    )


def test_recipes_follow(page: Page, demo: Server) -> None:
    """Another variable, a region and a step: the recipe opens just that."""
    open_image(page, demo)
    wait_for_recipe(page, '"background_subtracted"')
    page.get_by_role("radio", name="image", exact=True).check(force=True)
    wait_for_recipe(page, '["image"]')
    assert page.url.endswith(f"{PATH}?variable=image")

    open_image(page, demo, "?region=330:520,110:310&region=0:10,0:10&percentiles=0,100&mark=saturated")
    wait_for_recipe(page, '["background_subtracted"][330:520, 110:310]')
    page.locator(".sv-plot").focus()
    page.keyboard.press("s")
    page.wait_for_url(re.compile("scaling=log"), timeout=WAIT)
    assert page.locator("[data-follows=recipes]").is_visible()

    open_image(page, demo, "/~image~median_filter-size-5")
    wait_for_recipe(page, "~image~median_filter-size-5")


def test_address_of_the_server(page: Page, demo: Server) -> None:
    """The page's own links have a variable in the query: the viewer shows it."""
    open_image(page, demo, "?variable=reference")
    page.wait_for_function(
        "() => JSON.parse(document.querySelector('shotdap-viewer').dataset.view ?? '{}').variable === 'reference'",
        timeout=WAIT,
    )
