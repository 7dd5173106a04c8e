"""Make the pictures of pages in docs/screenshots anew, from the demonstration: ``make screenshots``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from playwright.sync_api import sync_playwright
from tests.server.website.browsing import launch_browser
from tests.serving import run_shotdap, serving

from shotdap.server.demo.instructions import prepare_demo

_FOLDER: Final = Path(__file__).resolve().parents[1] / "screenshots"
_PAGES: Final = {
    "start": "/",
    "shot": "/shots/omega/103741",
    "image": "/images/omega/62328/asbo1/asbo1_s62328?row=416:432&column=290:311&region=330:520,110:310",
    "compare": "/compare?image=omega/62328/asbo1/asbo1_s62328&image=omega/62326/asbo1/asbo1_flat_s62326&variable=image",
    "diagnostic": "/diagnostics/SOP",
    "live": "/live",
    "exports": "/exports?q=ASBO1&variable=background_subtracted",
}
_SETTLED_MILLISECONDS: Final = 2000  # until the viewer has drawn; a page that follows the server is never idle
_QUALITY: Final = 82


def main() -> None:
    """Take a picture of each page, as a browser with a window of 1440 by 900 shows it."""
    _FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        config = prepare_demo(Path(folder))
        run_shotdap("catalog", "build", "--config", config)
        with serving(Path(folder) / "server.log", "--config", config) as server:
            browser = launch_browser(playwright)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            for name, path in _PAGES.items():
                page.goto(f"{server.url}{path}", wait_until="load")
                page.wait_for_timeout(_SETTLED_MILLISECONDS)
                page.screenshot(path=_FOLDER / f"{name}.jpg", type="jpeg", quality=_QUALITY)
                print(f"docs/screenshots/{name}.jpg")
            browser.close()


if __name__ == "__main__":
    main()
