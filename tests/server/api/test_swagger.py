"""Swagger UI: shown in a browser, from this server alone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import requests
from tests.serving import Server, make_environment

SECONDS: Final = 120  # a browser's start, on a busy machine
CHROMIUM: Final = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=10000"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def test_from_here_alone(demo: Server) -> None:
    """All parts of the page come from this server, and its policy allows no others."""
    with httpx.Client(base_url=demo.url, trust_env=False, timeout=60) as client:
        page = client.get("/api/docs")
        urls = re.findall(r'(?:src|href|data-document)="([^"]+)"', page.text)
        statuses = {url: client.get(url).status_code for url in urls}

    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "script-src" not in page.headers["content-security-policy"]  # default-src applies: no script in the page
    assert len(urls) >= 5
    assert all(url.startswith("/") for url in urls)
    assert set(statuses.values()) == {200}, statuses


def test_shown(demo: Server, require: Callable[[str], None], tmp_path: Path) -> None:
    """A browser without access to other hosts shows every operation."""
    require("chromium")
    done = subprocess.run(
        [*CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"{demo.url}/api/docs"],
        check=True,
        capture_output=True,
        text=True,
        env=make_environment(),
        timeout=SECONDS,
    )
    paths = set(re.findall(r'data-path="([^"]+)"', done.stdout))

    assert {"/images/{path}", "/shots/{facility}/{shot}", "/image/get/{kind}"} <= paths


def test_requests(demo: Server) -> None:
    """The request that a PI embeds in a program works with a session's usual headers."""
    image = f"{demo.url}/api/v1/images/omega/103741/p510_2/p510_2_s103741"
    asked = {"variable": "background_subtracted", "format": "nc4", "y": "100:400"}
    with requests.Session() as session:
        session.trust_env = False
        values, description = session.get(image, params=asked), session.get(image)

    assert values.content.startswith(b"\x89HDF")
    assert description.json()["path"] == "omega/103741/p510_2/p510_2_s103741"
