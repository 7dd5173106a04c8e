"""My exports as a page: ordered by a form, followed in a browser, downloaded and read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import Browser
from tests.server.exports.campaign import wait_until
from tests.serving import Server

PAGE: Final = {"Accept": "text/html,application/xhtml+xml"}
PATH: Final = "/exports"
RESULT: Final = re.compile(r'href="(/api/v1/exports/[\w-]+/result)"')
PYTHON: Final = re.compile(r'data-copy-text="([^"]+)"')
IMAGE: Final = "omega/62328/asbo1/asbo1_s62328"
QUERY: Final = "ASBO1 62328"


@pytest.fixture(scope="module")
def client(demo: Server) -> Iterator[httpx.Client]:
    """A client that accepts pages, and sends forms as a browser does."""
    headers = {**PAGE, "Origin": demo.url}
    with httpx.Client(base_url=demo.url, headers=headers, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
def no_exports_left(client: httpx.Client) -> Iterator[None]:
    """Remove what a test has ordered."""
    yield
    for each in client.get("/api/v1/exports").json()["exports"]:
        client.delete(each["links"]["self"])  # cancels it, if it is not over
        client.delete(each["links"]["self"])


def order(client: httpx.Client, **fields: str) -> httpx.Response:
    """Send the form of an order."""
    return client.post(PATH, data={"q": QUERY, "variable": "background_subtracted", **fields})


def wait_for_state(client: httpx.Client, state: str) -> str:
    """Wait until the page shows an export in a state; return the page."""
    assert wait_until(lambda: f">{state}<" in client.get(PATH).text), client.get(PATH).text
    return client.get(PATH).text


def test_preview(client: httpx.Client) -> None:
    """The number of images, their size and their variables are said before the order, which the search leads to."""
    search = client.get("/search", params={"q": "ASBO1"}).text
    (link,) = re.findall(r'href="(/exports\?q=[^"]+)"', search)
    page = client.get(unescape(link)).text

    assert "Export 3 images" in search
    assert "Export 3 images" in page
    assert "MB of values" in page
    assert "<option>background_subtracted</option>" in page
    assert client.get("/api/v1/exports").json()["exports"] == []


@pytest.mark.parametrize("form", ["nc4", "one", "zarr"])
def test_download(client: httpx.Client, demo: Server, tmp_path: Path, monkeypatch: Any, form: str) -> None:  # noqa: ANN401
    """An order leads back to the list; the result is read by the line that the page offers, with the right values."""
    answer = order(client, **{"as": form})
    page = wait_for_state(client, "done")
    result = client.get(RESULT.findall(page)[0])
    name = re.findall(r'filename="([^"]+)"', result.headers["content-disposition"])[0]
    (tmp_path / name).write_bytes(result.content)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(unescape(PYTHON.findall(page)[0]), names)  # noqa: S102 — the line that a user would run
    if form == "nc4":
        images = xr.open_dataset(next((tmp_path / "export").rglob(f"{IMAGE}.nc*")))
    else:
        images = names["images"][IMAGE].to_dataset()
    with xr.open_dataset(f"{demo.url}/dap/{IMAGE}", engine="netcdf4") as expected, images:
        np.testing.assert_array_equal(images["background_subtracted"], expected["background_subtracted"])

    assert (answer.status_code, answer.headers["location"]) == (303, PATH)
    assert "1 of 1 images" in page


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"q": "date:2022-13"}, "is no date"),
        ({"q": "diagnostic:NOTHING"}, "No image matches"),
        ({"variable": "nonsense"}, "There is no variable 'nonsense'"),
        ({"as": "floppy"}, "as is one of nc4"),
    ],
)
def test_refused(client: httpx.Client, fields: dict[str, str], sentence: str) -> None:
    """An order that cannot be right is refused with the sentence, and the form keeps what was typed."""
    answer = order(client, **fields)

    assert answer.status_code == 400
    assert sentence in unescape(answer.text)
    assert f'value="{next(iter(fields.values()))}"' in answer.text or "as" in fields
    assert client.get("/api/v1/exports").json()["exports"] == []


def test_cancel_and_again(client: httpx.Client) -> None:
    """A cancelled export is ordered again, and a finished one removed."""
    order(client, q="facility:omega", variable="")  # so many that it is not done before it is cancelled
    (export,) = client.get("/api/v1/exports").json()["exports"]
    client.post(f"{PATH}/remove", data={"id": export["id"]})
    state = client.get(export["links"]["self"]).json()["state"]
    again = client.post(f"{PATH}/again", data={"id": export["id"]})

    assert state == "cancelled"
    assert again.status_code == 303
    assert len(client.get("/api/v1/exports").json()["exports"]) == 2
    assert client.post(f"{PATH}/remove", data={"id": "nobody-guesses-this"}).status_code == 404


def test_foreign_page(client: httpx.Client) -> None:
    """A page of another site orders and removes nothing."""
    answer = client.post(PATH, data={"q": QUERY}, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert client.get("/api/v1/exports").json()["exports"] == []


@pytest.mark.parametrize("has_javascript", [True, False])
def test_in_a_browser(chromium: Browser, demo: Server, has_javascript: bool) -> None:  # noqa: FBT001
    """From a search to a finished export: the page follows by itself, or by reloading itself."""
    context = chromium.new_context(base_url=demo.url, java_script_enabled=has_javascript)
    page = context.new_page()
    page.goto(f"/search?q={QUERY.replace('62328', '62326..62328')}")
    page.get_by_role("link", name="Export").last.click()
    page.get_by_role("button", name="Export").click()
    page.wait_for_url(f"**{PATH}")
    if not has_javascript:
        assert '<meta http-equiv="refresh"' in page.content() or "Download" in page.content()
    page.get_by_role("link", name="Download").wait_for(timeout=60_000)
    title = page.title()
    context.close()

    assert title == "My exports · shotdap"
