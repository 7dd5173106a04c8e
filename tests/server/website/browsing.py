"""The browser of the tests: Debian's Chromium, by Playwright."""

from __future__ import annotations

import shutil
from typing import Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, ViewportSize

__all__ = ["CHROMIUM", "DESKTOP", "PHONE", "find_axe_violations", "launch_browser"]

CHROMIUM: Final = shutil.which("chromium")
"""The program; `None` if it is not installed."""

DESKTOP: Final[ViewportSize] = {"width": 1440, "height": 900}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
_ARGUMENTS: Final = (
    "--no-sandbox",  # in a container there is no user namespace for one
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)


def launch_browser(playwright: Playwright) -> Browser:
    """Launch the browser, which asks nobody by itself."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*_ARGUMENTS])


def find_axe_violations(page: Page) -> list[tuple[str, list[str]]]:
    """Return the rules of accessibility that a page violates, with the elements that do."""
    violations = Axe().run(page).response["violations"]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in violations]
