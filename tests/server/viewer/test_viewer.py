"""The viewer in a real browser: what it shows is what the server has, and all of it is in the address."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Playwright, sync_playwright
from tests.server.viewer.viewer_page import ViewerPage, fetch_statistics, fetch_values, open_browser
from tests.serving import Server

from shotdap.server.pictures.colour_maps import sample_colour_map

ASBO = "omega/62328/asbo1/asbo1_s62328"
P510 = "omega/103741/p510/P510-p510_data_103741"
SUBTRACTED = "background_subtracted"


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[BrowserContext]:
    with open_browser(playwright) as context:
        yield context


@pytest.fixture
def viewer(browser: BrowserContext, demo: Server) -> Iterator[ViewerPage]:
    """A page of an image, without a complaint of the browser in the end."""
    page = browser.new_page()
    opened = ViewerPage(page, demo, ASBO)
    yield opened
    assert opened.complaints == []
    page.close()


def test_picture_has_the_colours_of_the_server(viewer: ViewerPage, demo: Server) -> None:
    """A magnified pixel has the very colour that the server's map and scale give its value."""
    viewer.open("?low=0&high=800&scaling=sqrt&cmap=magma&x=300:308&y=420:428&row=0:1&column=0:1").wait_for_pixels()
    picture = viewer.sample_picture()
    values = fetch_values(demo, ASBO, variable=SUBTRACTED, y="420:428", x="300:308")

    height, width = (np.array(picture.shape[:2]) // 8).tolist()
    shown = picture[height // 2 :: height, width // 2 :: width][:8, :8]
    brightness = np.sqrt(np.clip(values / 800, 0, 1))
    expected = sample_colour_map("magma")[np.rint(brightness * 255).astype(int)]

    assert np.abs(shown.astype(int) - expected).max() <= 2


def test_cursor_reads_the_value_of_its_pixel(viewer: ViewerPage, demo: Server) -> None:
    """The read-out is the array's value at this row and column, with the coordinate that the server has."""
    viewer.open().wait_for_pixels()
    viewer.page.mouse.move(*viewer.point_at(0.31, 0.47))
    row, column, value = viewer.read_cursor()

    assert abs(row - 0.47 * 1100) < 2
    assert value == fetch_values(demo, ASBO, variable=SUBTRACTED)[row, column]
    time = fetch_values(demo, ASBO, variable="time")[column] / 1000
    assert f"{time:.3f}\u202fns" in viewer.page.locator(".sv-read-out").inner_text()


def test_contrast(viewer: ViewerPage, demo: Server) -> None:
    """The range begins with the server's percentiles; presets, numbers and handles set it, and the address has it."""
    viewer.open().wait_for_pixels()
    sample = fetch_values(demo, ASBO, variable=SUBTRACTED, y="::8", x="::8")
    assert viewer.view["range"] == pytest.approx(
        dict(zip(("low", "high"), np.percentile(sample, (0.5, 99.5)), strict=True))
    )

    viewer.page.get_by_role("button", name="all", exact=True).click()
    viewer.wait_for_address("percentiles=0,100")
    whole = fetch_statistics(demo, ASBO, variable=SUBTRACTED)
    assert viewer.view["range"] == {"low": whole["minimum"], "high": whole["maximum"]}

    number = viewer.page.get_by_role("textbox", name="Upper end")
    number.fill("500")
    number.press("Enter")
    viewer.wait_for_address("high=500")
    viewer.page.get_by_role("slider", name="Upper end of the range").press("ArrowDown")
    viewer.wait_for_address("high=3")  # by a hundredth of the bar
    viewer.page.get_by_role("radio", name="Logarithmic").check()
    viewer.wait_for_address("scaling=log")
    viewer.page.get_by_role("button", name="Invert").click()
    viewer.wait_for_address("cmap=inferno_r")


def test_lineout_is_the_mean_of_its_band(viewer: ViewerPage, demo: Server) -> None:
    """The lineout tool draws bands through the pointer; the readings are those of the mean over the rows."""
    viewer.open("?row=416:432").wait_for_pixels()
    readings = viewer.page.locator(".sv-readings").inner_text().replace("\u202f", " ")
    mean = fetch_values(demo, ASBO, variable=SUBTRACTED)[416:432].mean(0)
    time = fetch_values(demo, ASBO, variable="time")[mean.argmax()] / 1000
    assert f"Peak {mean.max():.1f} count at {time:.2f} ns" in readings

    viewer.page.locator("label[title=Lineout]").click()
    viewer.page.mouse.click(*viewer.point_at(0.5, 0.25))
    viewer.wait_for_address("row=267:283")  # as wide as before, and around the pointer
    lineout = viewer.view["lineout"]
    assert isinstance(lineout, dict)
    assert lineout["rows"] == [267, 283]


def test_region_statistics_are_those_of_the_server(viewer: ViewerPage, demo: Server) -> None:
    """A region is drawn by a drag; its numbers are of the values in full resolution."""
    viewer.open().wait_for_pixels()
    viewer.page.locator("label[title=Region]").click()
    viewer.drag((0.1, 0.3), (0.3, 0.5))
    viewer.wait_for_address("region=")
    rows, columns = viewer.address.partition("region=")[2].split("&")[0].split(",")
    statistics = viewer.read_region()
    expected = fetch_statistics(demo, ASBO, variable=SUBTRACTED, y=rows, x=columns)
    values = fetch_values(demo, ASBO, variable=SUBTRACTED, y=rows, x=columns)

    assert statistics["Mean"] == expected["mean"]
    assert statistics["\N{GREEK SMALL LETTER SIGMA}"] == expected["standard_deviation"]
    assert (statistics["Minimum"], statistics["Maximum"]) == (values.min(), values.max())
    assert statistics["Median"] == np.median(values)
    assert statistics["Sum"] == pytest.approx(values.sum())
    assert statistics["Pixels"] == values.size
    assert statistics["Saturated"] == 0


def test_steps(viewer: ViewerPage, demo: Server) -> None:
    """A step is chosen, its option changed and wrong ones explained; values, address and history follow."""
    viewer.open("?x=200:400&y=300:500").wait_for_pixels()
    viewer.page.get_by_role("button", name="Add step").click()
    viewer.page.get_by_label("Search steps").fill("median filter")
    viewer.page.keyboard.press("Enter")
    viewer.wait_for_address(f"/~{SUBTRACTED}~median_filter?x=200:400")
    size = viewer.page.get_by_role("textbox", name="size")
    size.fill("99")
    size.press("Enter")
    assert "size is a whole number from 3 to 31." in viewer.page.get_by_role("alert").inner_text()
    size.fill("5")
    size.press("Enter")
    viewer.wait_for_address("~median_filter-size-5?")
    viewer.page.wait_for_function(
        "() => JSON.parse(document.querySelector('shotdap-viewer').dataset.view).url.includes('size-5')"
    )
    viewer.wait_for_pixels()

    viewer.page.mouse.move(*viewer.point_at(0.4, 0.6))
    row, column, value = viewer.read_cursor()
    filtered = fetch_values(demo, ASBO, variable=SUBTRACTED, transform="median_filter-size-5")
    assert value == filtered[row, column]

    viewer.page.go_back()
    viewer.page.go_back()
    viewer.page.wait_for_selector(".sv-step", state="detached")
    assert "~" not in viewer.address


def test_failing_step_keeps_the_picture(viewer: ViewerPage) -> None:
    """A step that cannot be computed is explained in the server's words; the last picture stays."""
    viewer.open().wait_for_pixels()
    viewer.page.get_by_role("button", name="Add step").click()
    viewer.page.get_by_label("Search steps").fill("crop")
    viewer.page.keyboard.press("Enter")
    rows = viewer.page.get_by_role("textbox", name="rows")
    rows.fill("5000 6000")
    rows.press("Enter")
    sentence = viewer.page.locator(".sv-choices [role=alert]")
    sentence.wait_for()

    assert "rows" in sentence.inner_text()
    assert viewer.page.locator(".sv-dimmed canvas").count() == 1
    viewer.complaints = [each for each in viewer.complaints if "400" not in each]  # of the answer that was a refusal


def test_keyboard(viewer: ViewerPage, demo: Server) -> None:
    """Everything on the picture works from the keyboard."""
    viewer.open().wait_for_pixels()
    press = viewer.page.keyboard.press
    viewer.page.locator(".sv-plot").focus()
    row, column, _ = viewer.read_cursor()
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowUp"):
        press(key)
    values = fetch_values(demo, ASBO, variable=SUBTRACTED)
    assert viewer.read_cursor() == (row - 1, column + 11, values[row - 1, column + 11])

    for key, part in (
        ("h", "row="),
        ("v", "column="),
        ("r", "region="),
        ("s", "scaling=log"),
        ("m", "cmap=viridis"),
        ("+", "x="),
    ):
        press(key)
        viewer.wait_for_address(part)
    press("f")
    viewer.page.wait_for_function("() => !location.href.includes('x=')")
    press("Escape")
    viewer.page.wait_for_function("() => !location.href.includes('region=')")
    press("1")
    viewer.wait_for_address("variable=image")
    assert viewer.page.get_by_role("radio", name="image", exact=True).is_checked()


def test_keys_do_nothing_while_text_is_typed(viewer: ViewerPage) -> None:
    """A letter that is typed into a field is text."""
    viewer.open().wait_for_pixels()
    viewer.page.get_by_role("button", name="Add step").click()
    viewer.page.get_by_label("Search steps").press_sequentially("smrhv1")

    assert viewer.address == ""


def test_zoom_keeps_the_place_under_the_pointer(viewer: ViewerPage) -> None:
    """The wheel zooms about the pointer, a drag moves, a double click fits."""
    viewer.open().wait_for_pixels()
    viewer.page.mouse.move(*viewer.point_at(0.25, 0.75))
    before = viewer.read_cursor()
    for _ in range(5):
        viewer.page.mouse.wheel(0, -200)
    viewer.wait_until_settled()
    viewer.page.mouse.move(*viewer.point_at(0.2501, 0.75))
    after = viewer.read_cursor()
    assert np.abs(np.subtract(before[:2], after[:2])).max() <= 2

    viewer.drag((0.5, 0.5), (0.6, 0.5))
    viewer.page.mouse.dblclick(*viewer.point_at(0.5, 0.5))
    viewer.page.wait_for_function("() => !location.href.includes('x=')")


def test_an_address_is_the_view(viewer: ViewerPage, browser: BrowserContext, demo: Server) -> None:
    """An address that was copied shows the same picture, pixel by pixel, and the same numbers."""
    viewer.open("?low=-3&high=500&region=330:520,110:310&row=416:432").wait_for_pixels()
    viewer.page.mouse.move(*viewer.point_at(0.3, 0.4))
    for _ in range(3):
        viewer.page.mouse.wheel(0, -150)
    viewer.wait_until_settled()
    other = ViewerPage(browser.new_page(), demo, ASBO).open(viewer.address).wait_for_pixels()

    assert other.view == viewer.view
    assert np.array_equal(other.sample_picture(), viewer.sample_picture())
    assert other.read_region() == viewer.read_region()
    other.page.close()


def test_page_of_another_variable(viewer: ViewerPage) -> None:
    """A page that opens with another variable keeps it in its address."""
    viewer.variable = "image"
    viewer.open("/~image?low=0").wait_for_pixels()
    viewer.page.keyboard.press("s")
    viewer.wait_for_address("?variable=image&scaling=log&low=0")


def test_one_dimension_is_a_curve(viewer: ViewerPage, demo: Server) -> None:
    """A variable of one dimension, and a stack of long ones, are curves; their values are read along them."""
    viewer.open("/~time")
    viewer.page.locator(".sv-curve-plot").focus()
    viewer.page.keyboard.press("ArrowRight")
    output = viewer.page.locator(".sv-read-out output")
    assert float(output.get_attribute("data-value") or "nan") == fetch_values(demo, ASBO, variable="time")[1]


def test_stack_of_curves(browser: BrowserContext, demo: Server) -> None:
    """Sixty beams are sixty curves and their mean; they can be shown as a picture, too."""
    opened = ViewerPage(browser.new_page(), demo, P510).open()
    opened.page.wait_for_selector(".sv-faint")
    assert opened.page.locator(".sv-faint").count() == 60
    opened.page.get_by_role("radio", name="Picture").check()
    opened.wait_for_pixels()
    assert opened.complaints == []
    opened.page.close()


def test_save(viewer: ViewerPage) -> None:
    """The view is saved as SVG with axes and colour bar, and as PNG."""
    viewer.open("?x=100:300&y=300:500").wait_for_pixels()
    sizes = {}
    for kind in ("SVG", "PNG"):
        viewer.page.get_by_role("button", name="Save picture").click()
        with viewer.page.expect_download() as saved:
            viewer.page.get_by_role("button", name=f"Save picture as {kind}").click()
        sizes[saved.value.suggested_filename] = saved.value.path().read_bytes()

    assert list(sizes) == [f"asbo1_s62328_{SUBTRACTED}.svg", f"asbo1_s62328_{SUBTRACTED}.png"]
    svg, png = sizes.values()
    assert b"time / ns" in svg
    assert b"data:image/png;base64" in svg
    assert png.startswith(b"\x89PNG")


def test_without_webgl(playwright: Playwright, demo: Server) -> None:
    """Without WebGL the server draws the picture; cursor, lineout and region work as ever."""
    with open_browser(playwright, webgl=False) as context:
        opened = ViewerPage(context.new_page(), demo, ASBO).open("?low=0&high=600").wait_for_pixels()
        opened.page.wait_for_selector("canvas[data-url]")
        assert "low=0&high=600" in (opened.page.get_attribute("canvas", "data-url") or "")
        assert opened.page.get_by_text("Plain picture: this browser has no WebGL.").is_visible()

        opened.page.mouse.move(*opened.point_at(0.3, 0.4))
        row, column, value = opened.read_cursor()
        assert value == fetch_values(demo, ASBO, variable=SUBTRACTED)[row, column]
        opened.page.locator("label[title=Region]").click()
        opened.drag((0.1, 0.3), (0.3, 0.5))
        opened.wait_for_address("region=")
        rows, columns = opened.address.partition("region=")[2].split("&")[0].split(",")
        assert (
            opened.read_region()["Mean"] == fetch_statistics(demo, ASBO, variable=SUBTRACTED, y=rows, x=columns)["mean"]
        )
        assert opened.complaints == []


def test_phone(playwright: Playwright, demo: Server) -> None:
    """On a phone nothing needs to be scrolled sideways, and the picture has most of the width."""
    options: dict[str, Any] = {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    }
    with open_browser(playwright, **options) as context:
        opened = ViewerPage(context.new_page(), demo, ASBO).open().wait_for_pixels()
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
        (left, _), (right, _) = opened.point_at(0, 0), opened.point_at(1, 0)
        assert right - left >= 0.75 * 390
        opened.page.touchscreen.tap(*opened.point_at(0.5, 0.5))
        row, column, _ = opened.read_cursor()
        assert max(abs(row - 550), abs(column - 550)) < 6


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible(playwright: Playwright, demo: Server, theme: str) -> None:
    """Axe finds nothing, with a region, steps and an open menu."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415

    with open_browser(playwright, color_scheme=theme) as context:
        opened = ViewerPage(context.new_page(), demo, ASBO).open("/~image~median_filter-size-5?region=330:520,110:310")
        opened.wait_for_pixels()
        opened.page.get_by_role("button", name="inferno").click()
        found = Axe().run(opened.page)
        assert found.violations_count == 0, found.generate_report()


def test_overview_first(viewer: ViewerPage) -> None:
    """A small picture comes before the whole one, and its range stays."""
    layers = "() => document.querySelector('.sv-heat')?.dataset.layers"
    viewer.page.add_init_script(
        "window.seen = []; setInterval(() => { const now = ("
        + layers
        + ")(); if (now && seen.at(-1) !== now) seen.push(now); }, 1)"
    )
    viewer.open().wait_for_pixels()
    seen = viewer.page.evaluate("seen")

    assert seen[-1] == "1"
    assert all(float(one) > float(other) for one, other in pairwise(seen))
