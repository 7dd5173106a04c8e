"""The status of the server as a page: whether everything runs, for administrators."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests import samples
from tests.server.exports.campaign import wait_until
from tests.serving import Server

from shotdap.config import Site, load_settings
from shotdap.server.app import WorkerParts, create_app

PAGE: Final = {"Accept": "text/html"}
MISSING: Final = "/api/v1/images/omega/112059/iaw_ccd/IAW_CCD-s112059"


@pytest.fixture(scope="module")
def browser(demo: Server) -> Iterator[httpx.Client]:
    """A client that accepts pages."""
    with httpx.Client(base_url=demo.url, headers=PAGE, trust_env=False, timeout=60) as client:
        yield client


def test_everything_runs(browser: httpx.Client) -> None:
    """One sentence comes first; then the catalog, the newest day with its diagnostics, and the room."""
    page = browser.get("/status").text

    assert "Everything runs. 2 images of 14 Feb 2024 cannot be read." in page
    assert "<dt>Images in the catalog</dt><dd>17</dd>" in page
    assert '<a href="/search?q=health%3Amissing">1 missing</a>' in page
    assert "2 of 2 ready" in page
    assert page.count('<th scope="row">') == 3
    assert "Decoded frames" in page


def test_faults(browser: httpx.Client) -> None:
    """A fault of the server is listed with its sentence; a mistake of a client is none."""
    browser.get("/api/v1/images/omega/nothing")
    browser.get(MISSING, headers={"Accept": "*/*"})
    fault = f"<code>GET {MISSING}</code>: The file is missing from the archive."

    assert wait_until(lambda: fault in browser.get("/status").text)  # it is kept after the answer
    assert "omega/nothing" not in browser.get("/status").text


async def check_stuck() -> str:
    """Return the reason why a part is not ready."""
    return "3 calls run and 9 wait, the oldest for 61 s."


@pytest.mark.parametrize(("client", "status"), [("127.0.0.1", 200), ("10.1.2.3", 403)])
def test_not_ready(tmp_path: Path, client: str, status: int) -> None:
    """The page begins with what does not run; a server that is open to everybody says it to its own machine only."""
    samples.write_hdf5(tmp_path / "image.h5")
    database = str(tmp_path / "access.db")
    settings = load_settings(
        overrides={"archive.folder": str(tmp_path), "archive.url": "", "access.database": database}
    )
    app = create_app(Site(settings).open_catalog(), settings, WorkerParts(checks={"readers": check_stuck}))

    async def get_status() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=PAGE) as browser:
            return await browser.get("/status")

    answer = asyncio.run(get_status())

    assert answer.status_code == status
    assert ("<b>Readers:</b> 3 calls run and 9 wait" in answer.text) is (status == 200)
    assert "Everything runs." not in answer.text
