"""The page that compares images: one range, differences and ratios to the last bit, and what differs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from typing import Final

import h5py
import httpx
import numpy as np
import pytest
import xarray as xr
from PIL import Image
from playwright.sync_api import Browser
from tests.serving import Server, serving

from shotdap.server.pages.formatting import format_number
from shotdap.server.website.comparison.compared_images import match_places

PAGE: Final = {"Accept": "text/html,application/xhtml+xml"}
SHOT: Final = "omega/62328/asbo1/asbo1_s62328"
FLAT: Final = "omega/62326/asbo1/asbo1_flat_s62326"
GRID: Final = "omega/62326/asbo1/asbo1_grid_s62326"
BOTH: Final = f"/compare?image={SHOT}&image={FLAT}&variable=image"


@pytest.fixture(scope="module")
def browser(demo: Server) -> Iterator[httpx.Client]:
    """A client that accepts pages."""
    with httpx.Client(base_url=demo.url, headers=PAGE, trust_env=False, timeout=60) as client:
        yield client


def read_image(demo: Server, path: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Read the values of an image."""
    with xr.open_dataset(f"{demo.url}/dap/{path}", engine="netcdf4") as dataset:
        return np.asarray(dataset["image"].values, np.float64)


def test_side_by_side(browser: httpx.Client, demo: Server) -> None:
    """All pictures have one range, which the page says; numbers are those of the values, and attributes differ."""
    page = unescape(browser.get(BOTH).text)
    pictures = re.findall(r'<img src="(/api/v1/images/[^"]+)"', page)
    ranges = {tuple(re.findall(r"(?:low|high)=([^&]+)", each)) for each in pictures}

    assert len(pictures) == 2
    assert len(ranges) == 1
    assert all(browser.get(each).headers["content-type"] == "image/webp" for each in pictures)
    assert f"The same range: {format_number(float(ranges.pop()[0]))}" in page
    for path in (SHOT, FLAT):
        assert f">{format_number(float(read_image(demo, path).mean()))}<" in page
    assert '<th scope="row" translate="no">source_file</th>' in page
    assert re.search(r"\d+ attributes are equal", page)


@pytest.mark.parametrize("way", ["difference", "ratio"])
def test_computed(browser: httpx.Client, demo: Server, way: str) -> None:
    """The numbers of a difference and of a ratio are those of NumPy; its picture has the size of the images."""
    ours, theirs = read_image(demo, SHOT), read_image(demo, FLAT)
    expected = ours / theirs if way == "ratio" else ours - theirs
    page = unescape(browser.get(f"{BOTH}&show={way}").text)
    (url,) = re.findall(r'<img src="(/compare/picture[^"]+)"', page)
    picture = browser.get(url)

    assert f">{format_number(float(expected.mean()))}<" in page
    assert f">{format_number(float(expected.min()))}<" in page
    assert picture.headers["content-type"] == "image/webp"
    assert max(Image.open(BytesIO(picture.content)).size) == 1024
    assert f"symmetric about {1 if way == 'ratio' else 0}" in page


@pytest.mark.parametrize("way", ["difference", "ratio"])
def test_computed_region(browser: httpx.Client, demo: Server, way: str) -> None:
    """With a region, all numbers are those of the region, also where the images have different sizes."""
    ours, theirs = (read_image(demo, path)[330:350, 110:125] for path in (SHOT, FLAT))
    expected = ours / theirs if way == "ratio" else ours - theirs
    page = unescape(browser.get(f"{BOTH}&show={way}&region=330:350,110:125").text)
    images = f"image={SHOT}/~image~crop-rows-0_1099&image={FLAT}/~image~crop-rows-0_499"
    cut = f"/compare?{images}&show={way}&region=330:350,110:125"

    for text in (page, unescape(browser.get(cut).text)):
        for value in (ours.mean(), theirs.mean(), expected.mean(), expected.max(), np.median(expected)):
            assert f">{format_number(float(value))}<" in text


def test_nothing_differs(browser: httpx.Client) -> None:
    """The difference of an image and its own variant without any change is nothing."""
    page = browser.get(f"/compare?image={SHOT}&image={SHOT}/~image&variable=image&show=difference").text

    assert "none differs" in page
    assert "mean 0, \u03c3 0" in page


@pytest.mark.parametrize(
    ("target", "status", "sentence"),
    [
        (f"/compare?image={SHOT}", 400, "Two to 4 images are compared"),
        ("/compare?" + "&".join(f"image={SHOT}/~crop-rows-0_{n}" for n in range(10, 15)), 400, "Two to 4 images"),
        (f"/compare?image={SHOT}&image=omega/1/nothing", 404, "No such image, or not yours to see"),
        (f"{BOTH}&show=upside_down", 400, "it is one of side, difference, ratio, blink"),
        (f"{BOTH}&row=9:3", 400, "it is a range that goes up"),
        (f"/compare?image={SHOT}&image=omega/103741/p510/P510-p510_data_103741", 400, "is a curve"),
        (f"/compare/picture?image={SHOT}&image={FLAT}", 400, "show=difference or show=ratio"),
    ],
)
def test_refused(browser: httpx.Client, target: str, status: int, sentence: str) -> None:
    """A comparison that makes no sense is refused with the reason."""
    answer = browser.get(target)

    assert (answer.status_code, sentence in unescape(answer.text)) == (status, True)


def test_unreadable(browser: httpx.Client) -> None:
    """An image that cannot be read has its reason in the place of its picture; the other is shown."""
    page = browser.get(f"/compare?image={SHOT}&image=omega/112059/iaw_ccd/IAW_CCD-s112059&show=difference").text

    assert "File missing" in page
    assert "/api/v1/images/omega/62328" in page


@pytest.mark.parametrize(
    ("part", "alignment"),
    [
        ("crop-columns-0_800", "compared from the first pixel on"),  # the part has no times
        ("crop-rows-0_500", "aligned at time, and else from the first pixel on"),
    ],
)
def test_sizes_differ(browser: httpx.Client, part: str, alignment: str) -> None:
    """Images of different sizes are compared where their coordinates are the same, and the page says so."""
    whole = f"{SHOT}/~image~crop-rows-0_1099"
    page = browser.get(f"/compare?image={whole}&image={SHOT}/~image~{part}&show=difference").text

    assert f"sizes differ: {alignment}" in page
    assert "mean 0, \u03c3 0" in page


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([0, 1, 2, 3], [2, 3, 4], ([2, 3], [0, 1])),
        ([3, 2, 1, 0], [0, 1], ([2, 3], [1, 0])),
        ([0.1, 1.1, 9], [0, 1, 2], ([0, 1], [0, 1])),
        ([5.0], [5.0], ([0], [0])),
        ([0, 1], [7, 8], ([], [])),
    ],
)
def test_places(ours: list[float], theirs: list[float], expected: tuple[list[int], list[int]]) -> None:
    """Each pixel is compared with the one that is nearest in the other image, within half a pixel."""
    found = match_places(np.array(ours, float), np.array(theirs, float))

    assert ([*found[0]], [*found[1]]) == expected


def test_turned(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A difference is turned as its images are; of different sizes without coordinates, first pixels are together."""
    folder = tmp_path_factory.mktemp("images")
    for name, columns in (("one.h5", 60), ("other.h5", 50)):
        with h5py.File(folder / name, "w") as file:
            pixels = np.arange(40 * 60, dtype=np.float32).reshape(40, 60)[:, :columns] + 100 * (name == "one.h5")
            pixels[0] = 1000 if name == "one.h5" else 0
            file["image"] = pixels
            file.attrs["display_rotation"] = 90
    with serving(tmp_path_factory.mktemp("log") / "server.log", "--folder", folder) as server:
        target = f"{server.url}/compare?image=one.h5&image=other.h5&show=difference"
        page = httpx.get(target, headers=PAGE, trust_env=False).text
        url = unescape(re.findall(r'<img src="(/compare/picture[^"]+)"', page)[0])
        picture = Image.open(BytesIO(httpx.get(f"{server.url}{url}", trust_env=False).content)).convert("RGB")
    red = np.asarray(picture, int)[..., 0] - np.asarray(picture, int)[..., 2]

    assert "sizes differ: compared from the first pixel on" in page
    assert picture.size == (40, 50)
    assert red[:, -1].mean() > red[:, :-1].mean() + 20  # the first row is at the right
    assert f">{format_number(100.0)}<" in page


def test_ways_there(browser: httpx.Client) -> None:
    """The page of an image leads to the comparison with the shot before, in the same view; that of a shot to any."""
    image = unescape(browser.get(f"/images/{SHOT}?cmap=gray").text)
    shot = browser.get("/shots/omega/62326").text
    page = browser.get("/shots/omega/62328").text
    (link,) = re.findall(r'href="(/compare\?[^"]+)" data-key="c"', image)

    assert browser.get(link).status_code == 200
    assert "cmap=gray" in link
    assert f'type="checkbox" name="image" value="{GRID}"' in shot
    assert re.search(
        rf'href="/compare\?image={SHOT}&amp;image=omega/62326/[^"]*" data-key="c">Compare with 62326', page
    )


@pytest.mark.parametrize("has_javascript", [True, False])
def test_in_a_browser(chromium: Browser, demo: Server, has_javascript: bool) -> None:  # noqa: FBT001
    """Images of a shot are chosen and compared; of three, which no viewer shows, a script switches the pictures."""
    context = chromium.new_context(base_url=demo.url, java_script_enabled=has_javascript)
    page = context.new_page()
    page.goto("/shots/omega/62326")
    for box in page.locator("input[name=image]").all()[:2]:
        box.check(force=True)
    page.get_by_role("button", name="Compare the chosen").click()
    page.wait_for_url("**/compare?**")
    page.goto(f"/compare?image={SHOT}&image={FLAT}&image={GRID}")
    page.get_by_role("link", name="Blink").click()
    page.wait_for_url("**show=blink**")
    before = page.locator("#blink img:visible").get_attribute("alt")
    if has_javascript:
        page.keyboard.press("b")
    after = page.locator("#blink img:visible").get_attribute("alt")
    context.close()

    assert (before != after) == has_javascript
