"""The browser of the tests: Debian's Chromium, by Playwright."""

from __future__ import annotations

import shutil
from typing import Final

from playwright.sync_api import Browser, Playwright

__all__ = ["CHROMIUM", "launch_browser"]

CHROMIUM: Final = shutil.which("chromium")
"""The program; `None` if it is not installed."""

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
