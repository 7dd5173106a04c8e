"""What the search box of the start page suggests while a reader types."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.server.website.browsing import find_axe_violations
from tests.serving import Server

from shotdap.server.pages.formatting import RANGE_DASH

IMAGE: Final = "/images/omega/62328/asbo1/asbo1_s62328"


@pytest.fixture(scope="module")
def client(demo: Server) -> Iterator[httpx.Client]:
    """A client of the demonstration."""
    with httpx.Client(base_url=demo.url, trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "ASBO1 62320..62330",
            ["diagnostic <b>ASBO1</b>", f"<b>62320 {RANGE_DASH} 62330</b>", "Show 3 images of 2 shots"],
        ),
        ("103741", ["shot <b>103741</b>", "Go to shot 103741 with 6 images"]),
        ("62328 asb", ["words <b>asb</b>", 'href="/search?q=62328+ASBO1"']),
        ("date:2022-13", ["is no date"]),
        ("zzz", ["Nothing matches."]),
        ("<script>", ["&lt;script&gt;"]),
        ("", []),
    ],
)
def test_fragment(client: httpx.Client, text: str, sentences: list[str]) -> None:
    """The suggestions say what a text means and how much it finds; text stays text."""
    answer = client.get("/search/suggestions", params={"q": text})

    assert answer.status_code == 200
    assert [each for each in sentences if each not in answer.text and each not in unescape(answer.text)] == []
    assert "<script" not in answer.text


@pytest.fixture
def page(chromium: Browser, demo: Server) -> Iterator[Page]:
    """The start page in a browser."""
    context = chromium.new_context(base_url=demo.url)
    opened = context.new_page()
    opened.goto("/")
    yield opened
    context.close()


def test_keyboard(page: Page) -> None:
    """Suggestions appear while typing; arrows choose one, Enter follows it, Escape closes them, and axe agrees."""
    box = page.get_by_role("combobox", name="Search")
    box.press_sequentially("62328 ASBO1")
    option = page.get_by_role("option", name="62328 ASBO1")
    expect(option).to_be_visible()
    assert box.get_attribute("aria-expanded") == "true"
    assert find_axe_violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert find_axe_violations(page) == []

    page.keyboard.press("Escape")
    expect(page.get_by_role("option").first).to_be_hidden()
    page.keyboard.type(" ")
    expect(option).to_be_visible()
    page.keyboard.press("ArrowUp")
    assert box.get_attribute("aria-activedescendant") == option.get_attribute("id")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{IMAGE}")


def test_pointer(page: Page) -> None:
    """A click on a suggestion follows it; Enter without a choice searches for the text."""
    box = page.get_by_role("combobox", name="Search")
    box.press_sequentially("asb")
    page.get_by_role("option", name="ASBO2").first.click()
    page.wait_for_url("**/search?q=ASBO2")

    page.goto("/")
    box.press_sequentially("ASBO1")
    expect(page.get_by_role("option", name="Show 3 images")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=ASBO1")
