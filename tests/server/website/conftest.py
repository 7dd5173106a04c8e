"""The real browser of the pages' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.conftest import skip_absent
from tests.server.website.browsing import CHROMIUM, launch_browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a network of its own."""
    if CHROMIUM is None:
        skip_absent("chromium is not installed")
    with sync_playwright() as playwright:
        launched = launch_browser(playwright)
        yield launched
        launched.close()
