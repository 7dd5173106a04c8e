"""Pages in a real browser: accessible in both themes, on a phone, by keyboard, and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page
from tests.server.website.browsing import DESKTOP, PHONE, find_axe_violations
from tests.serving import Server

IMAGE: Final = "/images/omega/62328/asbo1/asbo1_s62328"
PAGES: Final = {
    "start": "/",
    "shot": "/shots/omega/103741",
    "shot with failures": "/shots/omega/112059",
    "shots": "/shots",
    "two facilities": "/25386",
    "search": "/search?q=facility:omega",
    "list": "/search?q=facility:omega&view=list",
    "mistake": "/search?q=date:2022-13",
    "image": f"{IMAGE}?region=330:520,110:310&row=416:432&column=290:311",
    "variant": f"{IMAGE}/~background_subtracted~median_filter-size-5",
    "curves": "/images/omega/103741/p510/P510-p510_data_103741",
    "missing": "/images/omega/112059/iaw_ccd/IAW_CCD-s112059",
    "live": "/live",
    "folders": "/thredds/catalog.html",
    "folder": "/thredds/catalog/omega/103741/p510_2/catalog.html",
    "request": "/dap/omega/62328/asbo1/asbo1_s62328.html",
    "calls": "/calls",
    "compare": "/compare?image=omega/62328/asbo1/asbo1_s62328&image=omega/62326/asbo1/asbo1_grid_s62326&row=416:432",
    "curve": "/images/omega/103741/p510/P510-p510_data_103741?curve=7&shape=numbers",
    "difference": f"/compare?image={IMAGE[8:]}&image=omega/62326/asbo1/asbo1_flat_s62326&show=difference",
    "exports": "/exports?q=ASBO1&variable=background_subtracted",
    "status": "/status",
    "diagnostics": "/diagnostics",
    "diagnostic": "/diagnostics/ASBO1?variable=image",
    "diagnostic that cannot be read": "/diagnostics/IAW_CCD",
    "nothing": "/shots/omega/1",
}


@pytest.fixture
def context(chromium: Browser, demo: Server) -> Iterator[BrowserContext]:
    """A fresh profile, which asks the demonstration only."""
    opened = chromium.new_context(base_url=demo.url, viewport=DESKTOP)
    yield opened
    opened.close()


def open_page(context: BrowserContext, path: str) -> Page:
    """Open a page, and check that it asks no other server for anything and that its policy stops nothing."""
    page = context.new_page()
    foreign: list[str] = []
    messages: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "status of 4" not in message.text:  # of the page itself
            messages.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: foreign.append(request.url) if "127.0.0.1" not in request.url else None)
    page.goto(path, wait_until="load")
    assert (foreign, messages) == ([], [])
    return page


@pytest.mark.parametrize("name", PAGES)
def test_accessible(context: BrowserContext, name: str) -> None:
    """Axe finds no violation, in both themes and on a phone, where nothing scrolls sideways."""
    page = open_page(context, PAGES[name])
    find_violations = partial(find_axe_violations, page)
    light = find_violations()
    page.emulate_media(color_scheme="dark")
    dark = find_violations()
    page.set_viewport_size(PHONE)

    assert (light, dark, find_violations()) == ([], [], [])
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_number_to_picture(context: BrowserContext) -> None:
    """From a shot number to a full picture it takes Enter and one click; with the diagnostic, Enter alone."""
    page = open_page(context, "/")
    page.get_by_role("combobox", name="Search").fill("62328")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="ASBO1").first.click()
    page.wait_for_url(f"**{IMAGE}")
    page.wait_for_selector("shotdap-viewer[data-ready]")
    shown = page.get_attribute("shotdap-viewer", "data-view") or "{}"

    assert page.url.endswith(IMAGE)
    assert '"variable":"background_subtracted"' in shown
    assert page.locator(".sv-plot").is_visible()

    page.keyboard.press("/")
    page.keyboard.type("62328 asbo2")
    page.keyboard.press("Enter")
    page.wait_for_url("**/asbo2_s62328")


def test_by_keyboard(context: BrowserContext) -> None:
    """The first stop of the keyboard skips the bar; keys lead to the search and to the next shot; menus close."""
    page = open_page(context, "/shots/omega/62328")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"

    page.keyboard.press("]")
    page.wait_for_url("**/shots/omega/103741")
    page.get_by_text("Menu").click()
    page.keyboard.press("Escape")

    assert page.locator("details.account").get_attribute("open") is None
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"


def test_theme(context: BrowserContext) -> None:
    """The reader's choice of theme holds on the next page, from its first paint on."""
    page = open_page(context, "/")
    page.get_by_text("Menu").click()
    page.get_by_role("button", name="Dark").click()
    page.goto("/shots")

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 16, 19)"


def test_recipe(context: BrowserContext) -> None:
    """A recipe is copied as it is shown, and the language is remembered."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = open_page(context, f"{IMAGE}?y=100:140&x=50:90")
    page.get_by_role("tab", name="curl").click()
    page.get_by_role("button", name="Copy", exact=True).click()
    copied = page.evaluate("navigator.clipboard.readText()")
    page.reload()

    assert copied.endswith("asbo1_s62328.nc4?background_subtracted[100:1:139][50:1:89]'")
    assert page.get_by_role("tab", name="curl").get_attribute("aria-selected") == "true"


def test_without_javascript(chromium: Browser, demo: Server) -> None:
    """Without JavaScript, search, shot, picture with a range, steps and recipes work by links and forms."""
    context = chromium.new_context(base_url=demo.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("searchbox", name="Search").fill("62328")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="ASBO1").first.click()
    page.get_by_text("Range, part, lineouts, region").click()
    page.get_by_label("Low").fill("0")
    page.get_by_label("Region, rows and columns").fill("330:520,110:310")
    page.get_by_role("button", name="Show").click()
    assert page.url.endswith(f"{IMAGE}?low=0&region=330:520,110:310")
    assert "38,000" in page.get_by_label("Measure and take away").inner_text()

    page.get_by_text("Add step").click()
    page.get_by_label("Transform").select_option("median_filter")
    page.get_by_label("Options").fill("size-5")
    page.get_by_role("button", name="Add", exact=True).click()
    assert "/~background_subtracted~median_filter-size-5" in page.url

    page.get_by_text("MATLAB", exact=True).click()
    assert "ncread(url, 'result'" in page.locator("#code-matlab").inner_text()
    context.close()
