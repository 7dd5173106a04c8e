"""Pictures of an image that its camera displays turned: on pages, as thumbnails, and by the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from typing import Any, Final

import h5py
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.serving import serving

PAGE: Final = {"Accept": "text/html,application/xhtml+xml"}
SHAPE: Final = (40, 60)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of an archive with one image: turned by 90 degrees, then mirrored; its first row is bright."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.zeros(SHAPE, np.float32)
    pixels[0] = np.linspace(500, 1000, SHAPE[1])
    with h5py.File(folder / "turned.h5", "w") as file:
        file["image"] = pixels
        file.attrs["display_rotation"] = 90
        file.attrs["display_flip"] = "Y"
    with (
        serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", folder) as server,
        httpx.Client(base_url=server.url, headers=PAGE, trust_env=False, timeout=60) as client,
    ):
        yield client


def fetch_picture(browser: httpx.Client, url: str) -> NDArray[Any]:
    """Return the brightness of the pixels of a picture."""
    return np.asarray(Image.open(BytesIO(browser.get(url).raise_for_status().content)).convert("L"), np.float64)


def find_bright_side(pixels: NDArray[Any]) -> str:
    """Return the side of a picture at which the first row of the image lies."""
    sides = {"top": pixels[0], "bottom": pixels[-1], "left": pixels[:, 0], "right": pixels[:, -1]}
    return max(sides, key=lambda side: sides[side].mean())


def test_page(browser: httpx.Client) -> None:
    """The picture of the page is turned, with its axes and marks; rows and columns stay those of the file."""
    page = browser.get("/images/turned.h5?row=0:4&region=10:20,0:15").text
    url = unescape(re.findall(r'<img src="(/api/v1/images/[^"]*)"', page)[0])
    picture = fetch_picture(browser, url)

    assert picture.shape == SHAPE[::-1]
    assert find_bright_side(picture) == "right"
    assert picture[0, -1] > picture[-1, -1]  # the last column is on top
    assert re.findall(r'<span class="axis-title (.)">([^<]*)<', page) == [("y", "image_1"), ("x", "image_0")]
    assert re.findall(r'<rect class="band" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', page) == [
        ("36", "0", "4", "60")
    ]
    assert re.findall(r'<rect class="region" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', page) == [
        ("20", "45", "10", "15")
    ]
    assert "brightest near image_0 0, image_1 59" in page
    assert "mean of columns" in page
    assert "Mean of rows" in page


def test_as_stored(browser: httpx.Client) -> None:
    """The page shows the image as it is stored where its URL says so, and links to both."""
    displayed, stored = (browser.get(f"/images/turned.h5{query}").text for query in ("", "?orientation=stored"))
    url = unescape(re.findall(r'<img src="(/api/v1/images/[^"]*)"', stored)[0])
    wrong = browser.get("/images/turned.h5?orientation=left")

    assert 'href="/images/turned.h5?orientation=stored"' in displayed
    assert 'href="/images/turned.h5"' in stored.partition('aria-label="Orientation"')[2]
    assert find_bright_side(fetch_picture(browser, url)) == "top"
    assert wrong.status_code == 400
    assert "stored or displayed" in wrong.text


def test_thumbnails(browser: httpx.Client) -> None:
    """A thumbnail is turned, unless its URL says that it is as stored; other pictures are turned if theirs says so."""
    thumbnail, picture = "/api/v1/thumbnails/turned.h5?format=webp", "/api/v1/images/turned.h5?format=png&scaling=sqrt"

    assert find_bright_side(fetch_picture(browser, thumbnail)) == "right"
    assert find_bright_side(fetch_picture(browser, f"{thumbnail}&orientation=stored")) == "top"
    assert find_bright_side(fetch_picture(browser, picture)) == "top"
    assert find_bright_side(fetch_picture(browser, f"{picture}&orientation=displayed")) == "right"
