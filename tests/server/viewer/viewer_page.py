"""A page with the viewer, in a real browser: all but the page itself comes from the server that is tested."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Final, Self

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Playwright, Route
from tests.conftest import skip_absent
from tests.serving import Server

from shotdap.server.http.security_headers import PAGE_POLICY

__all__ = ["MANIFEST", "STATIC", "ViewerPage", "fetch_statistics", "fetch_values", "open_browser"]

STATIC: Final = Path(__file__).resolve().parents[3] / "server/static/viewer"
MANIFEST: Final = json.loads((STATIC / "manifest.json").read_text("utf-8"))

_WEBGL: Final = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_NO_WEBGL: Final = ("--disable-gpu", "--disable-3d-apis")
_WAIT: Final = 30_000  # milliseconds, on a busy machine


class ViewerPage:
    """A page that shows an image."""

    def __init__(self, page: Page, server: Server, path: str) -> None:
        self.page = page
        self.path = path
        self.variable = ""
        """The variable that the page itself shows."""
        self._server = server
        self.complaints: list[str] = []
        """What the browser says in its console: of scripts that fail, and of what the policy of the page forbids."""
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.route(f"{server.url}/images/**", self._answer)

    def _answer(self, route: Route) -> None:
        source, script = f"/api/v1/images/{self.path}", f"/static/viewer/{MANIFEST['script']}"
        path = escape(self.path)
        body = (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>An image</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1"></head><body><main><h1>An image</h1>'
            f'<shotdap-viewer data-src="{escape(source)}" data-path="{path}" data-variable="{self.variable}">'
            "<p>What the server drew.</p></shotdap-viewer></main>"
            f'<script type="module" src="{script}"></script></body></html>'
        )
        route.fulfill(body=body, content_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})

    def open(self, address: str = "") -> Self:
        """Open the page with what follows its path, ``/~image?low=3``, and wait for the whole image."""
        self.page.goto(f"{self._server.url}/images/{self.path}{address}")
        self.page.wait_for_selector("shotdap-viewer[data-ready]", timeout=_WAIT)
        return self

    def wait_for_pixels(self) -> Self:
        """Wait until the whole image has come, and its picture is drawn."""
        self.page.wait_for_selector('.sv-heat[data-layers="1"]', timeout=_WAIT)
        self.page.wait_for_selector(".sv-heat canvas", timeout=_WAIT)
        self.page.wait_for_function("() => document.querySelector('.sv-read-out output')?.dataset.value", timeout=_WAIT)
        return self

    @property
    def address(self) -> str:
        """The end of the page's address, from the image's path on."""
        return self.page.url.partition(self.path)[2]

    @property
    def view(self) -> dict[str, object]:
        """The detail of the last event to the page, without the cursor."""
        detail = json.loads(self.page.get_attribute("shotdap-viewer", "data-view") or "{}")
        assert isinstance(detail, dict)
        return detail

    def wait_for_address(self, part: str) -> None:
        """Wait until the address contains something."""
        self.page.wait_for_function("part => decodeURIComponent(location.href).includes(part)", arg=part, timeout=_WAIT)

    def wait_until_settled(self) -> None:
        """Wait until the address has not changed for a second."""
        before = ""
        while before != self.page.url:
            before = self.page.url
            self.page.wait_for_timeout(1000)

    def point_at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place on the screen for a place in the picture, both from 0 to 1."""
        box = self.page.locator(".sv-plot").bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag on the picture, and wait until the address has the end of it."""
        self.page.mouse.move(*self.point_at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.point_at((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
        self.page.mouse.move(*self.point_at(*end))
        self.page.mouse.up()
        self.wait_until_settled()

    def read_cursor(self) -> tuple[int, int, float]:
        """Return row, column and value at the cursor, in full."""
        output = self.page.locator(".sv-read-out output")
        row, column, value = (output.get_attribute(f"data-{name}") for name in ("row", "column", "value"))
        return int(row or -1), int(column or -1), float(value or "nan")

    def read_region(self) -> dict[str, float]:
        """Return the statistics of region A, in full, once they have come."""
        self.page.wait_for_selector("[data-region=A] dl[aria-busy=false]", timeout=_WAIT)
        rows = self.page.locator("[data-region=A] dl > div")
        return {
            each.locator("dt").inner_text(): float(each.get_attribute("data-value") or "nan") for each in rows.all()
        }

    def sample_picture(self) -> NDArray[np.uint8]:
        """Return the colours of the picture on the screen, without what is drawn on it."""
        hide = "document.querySelector('.sv-overlay').style.display = "
        self.page.evaluate(f"{hide}'none'")
        self.page.wait_for_timeout(300)  # the canvas is drawn in the next frame
        data = self.page.locator(".sv-heat").screenshot()
        self.page.evaluate(f"{hide}''")
        return decode_png(data)


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """Return the red, green and blue of a PNG."""
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


@contextmanager
def open_browser(playwright: Playwright, *, webgl: bool = True, **options: object) -> Iterator[BrowserContext]:
    """Run Debian's Chromium, with or without WebGL; `options` are those of a context."""
    program = shutil.which("chromium")
    if program is None:
        skip_absent("chromium is not installed")
    arguments = ["--no-sandbox", "--no-first-run", "--disable-background-networking", *(_WEBGL if webgl else _NO_WEBGL)]
    browser = playwright.chromium.launch(executable_path=program, args=arguments)
    settings: Mapping[str, object] = {"viewport": {"width": 1440, "height": 900}, **options}
    try:
        yield browser.new_context(**settings)  # type: ignore[arg-type]  # its options are many
    finally:
        browser.close()


def fetch_values(server: Server, path: str, **parameters: str) -> NDArray[np.float64]:
    """Return values of an image from the REST API."""
    answer = httpx.get(f"{server.url}/api/v1/images/{path}", params={"format": "npy", **parameters}, timeout=60)
    values: NDArray[np.float64] = np.load(BytesIO(answer.raise_for_status().content)).astype(np.float64)
    return values


def fetch_statistics(server: Server, path: str, **parameters: str) -> dict[str, float]:
    """Return statistics of an image from the REST API."""
    answer = httpx.get(f"{server.url}/api/v1/statistics/{path}", params=parameters, timeout=60)
    document = answer.raise_for_status().json()
    assert isinstance(document, dict)
    return document
