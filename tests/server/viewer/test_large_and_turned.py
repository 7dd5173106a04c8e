"""Images that are too large to load at once, and images that a camera displays turned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import httpx
import numpy as np
import pytest
from playwright.sync_api import BrowserContext, sync_playwright
from tests.server.viewer.viewer_page import ViewerPage, fetch_statistics, fetch_values, open_browser
from tests.serving import Server, serving

_SIDE = 4352  # above 4096


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a large image, and of a small one that is displayed turned and mirrored."""
    folder: Path = tmp_path_factory.mktemp("images")
    rows, columns = np.ogrid[:_SIDE, :_SIDE]
    with h5py.File(folder / "large.h5", "w") as file:
        file["image"] = (rows * 3 + columns * 2 + (rows * columns) % 17).astype(np.uint16)
    with h5py.File(folder / "turned.h5", "w") as file:
        file["image"] = np.arange(40 * 60, dtype=np.float32).reshape(40, 60)
        file.attrs["display_rotation"] = 90
        file.attrs["display_flip"] = "Y"
    with serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", folder) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with sync_playwright() as playwright, open_browser(playwright) as context:
        yield context


def find_dimensions(server: Server, path: str) -> tuple[str, str]:
    """Return the names of an image's rows and columns."""
    document = httpx.get(f"{server.url}/api/v1/images/{path}").raise_for_status().json()
    (image,) = (each for each in document["variables"] if each["name"] == "image")
    rows, columns = (each["name"] for each in image["dimensions"])
    return rows, columns


def test_tiles(archive: Server, browser: BrowserContext) -> None:
    """Of a large image come means first, then tiles as fine as the screen; numbers are of the full resolution."""
    y, x = find_dimensions(archive, "large.h5")
    viewer = ViewerPage(browser.new_page(), archive, "large.h5").open("?row=100:103&region=10:20,30:50")
    expected = fetch_statistics(archive, "large.h5", variable="image", **{y: "10:20", x: "30:50"})
    assert viewer.read_region()["Mean"] == expected["mean"]

    viewer.open(f"?{x}=1000:1400&{y}=2000:2400&row=100:103")
    viewer.page.wait_for_function("() => document.querySelector('.sv-heat')?.dataset.layers.split(' ').includes('1')")
    viewer.page.mouse.move(*viewer.point_at(0.5, 0.5))
    viewer.page.wait_for_function("() => document.querySelector('.sv-read-out output')?.dataset.value")
    row, column, value = viewer.read_cursor()
    assert abs(row - 2200) < 3
    assert value == fetch_values(archive, "large.h5", variable="image", **{y: str(row), x: str(column)})

    mean = fetch_values(archive, "large.h5", variable="image", **{y: "100:103"}).mean(0)
    viewer.page.locator(".sv-readings").get_by_text(f"{mean.max():.0f}").wait_for()
    assert viewer.complaints == []
    viewer.page.close()


def test_turned(archive: Server, browser: BrowserContext) -> None:
    """An image is shown as the camera displays it, or as stored; rows and columns stay those of the file."""
    y, x = find_dimensions(archive, "turned.h5")
    viewer = ViewerPage(browser.new_page(), archive, "turned.h5").open().wait_for_pixels()
    values = fetch_values(archive, "turned.h5", variable="image")
    displayed = fetch_values(archive, "turned.h5", variable="image", transform="rotate_flip-rotation-90-flip-y")
    for right, down in ((0.11, 0.11), (0.91, 0.21), (0.31, 0.81)):
        viewer.page.mouse.move(*viewer.point_at(right, down))
        row, column, value = viewer.read_cursor()
        assert value == values[row, column]
        assert value == displayed[int(down * displayed.shape[0]), int(right * displayed.shape[1])]

    viewer.page.locator("label[title=Region]").click()
    viewer.drag((0.2, 0.2), (0.6, 0.7))
    rows, columns = viewer.address.partition("region=")[2].split(",")
    part = fetch_values(archive, "turned.h5", variable="image", **{y: rows, x: columns})
    assert viewer.read_region()["Mean"] == pytest.approx(part.mean())

    viewer.page.get_by_role("button", name="inferno").click()
    viewer.page.get_by_label("As stored").check()
    viewer.wait_for_address("orientation=stored")
    viewer.page.mouse.move(*viewer.point_at(0.91, 0.21))
    assert viewer.read_cursor()[2] == values[int(0.21 * 40), int(0.91 * 60)]
    assert viewer.complaints == []
    viewer.page.close()
