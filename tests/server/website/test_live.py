"""The live page, and what arrives on the start page: seen in a real browser while an archive gets new images."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.server.website.browsing import DESKTOP, PHONE, find_axe_violations
from tests.server.website.busy_day import DIAGNOSTICS, NEW_SHOT, BusyDay, build_busy_day
from tests.serving import Server, find_free_port, serving, start_command

from shotdap.server.pages.formatting import format_clock, format_elapsed

SOON: Final = 60_000  # milliseconds until an image is on the page, on a busy machine; it takes one or two seconds
PAGE: Final = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> BusyDay:
    """An archive of nine shots, into which the tests deliver others; each takes a new shot number."""
    return build_busy_day(tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="module")
def server(day: BusyDay) -> Iterator[Server]:
    """A server that looks for new rows five times a second."""
    with serving(day.folder / "server.log", "--config", day.config) as started:
        yield started


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Page]:
    """A page of a fresh profile; in the end, its script has failed nowhere."""
    context = chromium.new_context(base_url=server.url, viewport=DESKTOP)
    opened, errors = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


def make_now() -> datetime:
    """Return the time in the laboratory."""
    return datetime.now().replace(microsecond=0)  # noqa: DTZ005 — as the archive's times are


def open_connected(page: Page, path: str) -> None:
    """Open a page, and wait until it follows the stream."""
    page.goto(path)
    expect(page.locator("[data-connection-text]")).to_contain_text("Connected", timeout=SOON)


def test_shot_arrives(page: Page, day: BusyDay) -> None:
    """A new shot replaces the last one; each image comes as it arrives, is announced once, and is expected before."""
    fired = make_now() - timedelta(minutes=3)
    open_connected(page, "/live")
    expect(page.locator("h1")).to_have_text(str(NEW_SHOT - 1))
    expect(page.locator(".over")).to_contain_text("Last shot")

    day.deliver(NEW_SHOT, "SOP", fired)
    expect(page.locator("h1")).to_have_text(str(NEW_SHOT), timeout=SOON)
    expect(page.locator(".over")).to_contain_text("Arriving now", timeout=SOON)
    expect(page.locator(".facts")).to_contain_text(f"1 of {len(DIAGNOSTICS)}")
    expect(page.locator("[data-announcement]")).to_have_text(f"{NEW_SHOT}: SOP has arrived, 1 of {len(DIAGNOSTICS)}.")
    expect(page.locator(".large figcaption b")).to_have_text("SOP")
    expect(page.locator(".arrivals .awaited, .arrivals .late")).to_have_count(len(DIAGNOSTICS) - 1)
    expect(page.locator(".arrivals li", has_text="PTD")).to_contain_text("usually + 5 min 5 s")

    day.deliver(NEW_SHOT, "ASBO1", fired)
    expect(page.locator(".large figcaption b")).to_have_text("ASBO1", timeout=SOON)
    expect(page.locator("[data-announcement]")).to_have_text(f"{NEW_SHOT}: ASBO1 has arrived, 2 of {len(DIAGNOSTICS)}.")
    expect(page.locator(".arrivals li", has_text="ASBO1")).to_contain_text("+ 3 min")
    expect(page.locator(".film li")).to_have_count(9)
    expect(page.locator(".film .chosen")).to_contain_text(str(NEW_SHOT))
    expect(page.locator(".large img")).to_have_js_property("complete", value=True, timeout=SOON)
    assert page.locator(".large img").evaluate("image => image.naturalWidth") > 200


def test_pinned(page: Page, day: BusyDay) -> None:
    """A pinned page stays at its shot while another one arrives: a bar offers it, and leads to it with the same pin."""
    open_connected(page, "/live?facility=omega&pin=asbo1")
    before = page.locator("h1").inner_text()
    shot = int(before) + 1
    expect(page.locator(".large figcaption b")).to_have_text("ASBO1")

    day.deliver(shot, "SOP", make_now())
    expect(page.locator(".offer")).to_contain_text(f"{shot} is arriving. Show it", timeout=SOON)
    expect(page.locator("h1")).to_have_text(before)

    page.get_by_role("link", name="Show it").click()
    expect(page.locator("h1")).to_have_text(str(shot))
    expect(page.locator(".large")).to_contain_text("not yet")
    assert page.url.endswith("/live?facility=omega&pin=asbo1")


def test_arriving_on_start_page(page: Page, day: BusyDay) -> None:
    """The start page has the arriving shot above the others from its first image on, until the last one is there."""
    open_connected(page, "/")
    shot, fired = int(page.locator("h3").first.inner_text()) + 10, make_now()
    for number, name in enumerate(DIAGNOSTICS[1:], 1):
        day.deliver(shot, name, fired)
        expect(page.locator(".arriving .end b")).to_have_text(f"{number} of {len(DIAGNOSTICS)}", timeout=SOON)
    expect(page.locator(".arriving h2")).to_have_text(str(shot))
    expect(page.locator(".arriving .not-yet")).to_have_count(1)
    expect(page.locator("[data-announcement]")).to_contain_text(f"{shot}: ")
    assert find_axe_violations(page) == []
    assert page.locator("h3").first.inner_text() != str(shot)
    assert page.get_by_role("link", name="Follow live").get_attribute("href") == "/live"

    day.deliver(shot, DIAGNOSTICS[0], fired)
    expect(page.locator(".arriving")).to_have_count(0, timeout=SOON)
    expect(page.locator("h3").first).to_have_text(str(shot))


@pytest.mark.parametrize("path", ["/live", "/live?facility=omega&pin=PTD&shot=103741&projector=1", "/"])
def test_accessible(page: Page, path: str) -> None:
    """Axe finds no violation, in both themes and on a phone, where nothing scrolls sideways."""
    open_connected(page, path)
    light = find_axe_violations(page)
    page.emulate_media(color_scheme="dark")
    dark = find_axe_violations(page)
    page.set_viewport_size(PHONE)

    assert (light, dark, find_axe_violations(page)) == ([], [], [])
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_without_javascript(chromium: Browser, server: Server) -> None:
    """Without JavaScript the page has all of it, and loads itself anew, with the shot that a pin holds."""
    context = chromium.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/live?facility=omega&pin=ASBO1&shot=103740")

    expect(page.locator("h1")).to_have_text("103740")
    expect(page.locator(".large figcaption")).to_contain_text("ASBO1")
    expect(page.locator("[data-connection]")).to_be_hidden()
    refresh = page.locator("meta[http-equiv=refresh]").get_attribute("content")
    assert refresh == "15; url=/live?facility=omega&pin=ASBO1&shot=103740"
    context.close()


def test_connection_lost(chromium: Browser, day: BusyDay, tmp_path: Path) -> None:
    """A server that is away is noticed, what was seen stays, and what arrived meanwhile is fetched in the end."""
    port = find_free_port()
    context = chromium.new_context(viewport=DESKTOP)
    page = context.new_page()
    command = ("serve", "--config", day.config)
    with start_command(tmp_path / "first.log", *command, port=port):
        open_connected(page, f"http://127.0.0.1:{port}/live")
        before = page.locator("h1").inner_text()
    expect(page.locator("[data-connection-text]")).to_contain_text(
        "Connection lost. What you see is from", timeout=SOON
    )
    expect(page.locator("h1")).to_have_text(before)
    day.deliver(int(before) + 1, "SOP", make_now())
    with start_command(tmp_path / "second.log", *command, port=port):
        expect(page.locator("h1")).to_have_text(str(int(before) + 1), timeout=SOON)
        expect(page.locator("[data-connection-text]")).to_contain_text("Connected")
    context.close()


def test_lag(page: Page, day: BusyDay) -> None:
    """A row that comes long after its file shows as the lag of the page; one in time does not."""
    open_connected(page, "/live")
    shot, words = int(page.locator("h1").inner_text()) + 1, page.locator("[data-connection-text]")
    day.deliver(shot, "SOP", make_now(), row_after=120)
    expect(page.locator("h1")).to_have_text(str(shot), timeout=SOON)
    expect(words).to_contain_text("The last image was here 2 min", timeout=SOON)

    day.deliver(shot, "ASBO1", make_now())
    expect(page.locator(".large figcaption b")).to_have_text("ASBO1", timeout=SOON)
    expect(words).not_to_contain_text("after its file", timeout=SOON)


@pytest.mark.parametrize(
    "query", ["facility=nowhere", "facility=omega&shot=1", "facility=omega&shot=x", f"facility=omega&shot={'9' * 40}"]
)
def test_nothing_there(server: Server, query: str) -> None:
    """A facility or a shot that does not exist is not found."""
    answer = httpx.get(f"{server.url}/live?{query}", headers=PAGE, trust_env=False)

    assert answer.status_code == 404


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (48.9, "48 s"), (151, "2 min 31 s"), (7500, "2 h 5 min")])
def test_elapsed(seconds: float, text: str) -> None:
    """A span of time has its two largest units."""
    assert format_elapsed(seconds) == text


def test_clock() -> None:
    """A shot of today has its time only, one of another day the date, too."""
    now = datetime.fromisoformat("2026-11-30T12:00:00")

    assert format_clock("2026-11-30T10:31:08", now) == "10:31:08"
    assert format_clock("2022-03-24T09:26:44", now) == "24 Mar 2022, 09:26:44"
