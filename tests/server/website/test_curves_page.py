"""The page of a file of curves: complete without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Final

import httpx
import numpy as np
import pytest
import xarray as xr
from tests.serving import Server

from shotdap.server.pages.formatting import format_number

PAGE: Final = {"Accept": "text/html,application/xhtml+xml"}
CURVES: Final = "omega/103741/p510/P510-p510_data_103741"
NAME: Final = "SUMMARY_DATA_UV"


@pytest.fixture(scope="module")
def browser(demo: Server) -> Iterator[httpx.Client]:
    """A client that accepts pages."""
    with httpx.Client(base_url=demo.url, headers=PAGE, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def values(demo: Server) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The curves, one in each row."""
    with xr.open_dataset(demo.dap(CURVES), engine="netcdf4") as dataset:
        curves = np.asarray(dataset[NAME].values, np.float64)
    return curves if curves.shape[0] < curves.shape[1] else curves.T


def test_all(browser: httpx.Client, values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    """All curves are drawn, their mean before them; a list has all arrays with their shapes, a table the mean."""
    page = unescape(browser.get(f"/images/{CURVES}").text)
    (svg,) = re.findall(r'<svg class="curves several".*?</svg>', page)
    rows = re.findall(r'<tr><th scope="row" class="number">([^<]*)</th><td class="number">([^<]*)</td></tr>', page)

    assert svg.count("<polyline") == len(values) + 1
    assert svg.count('class="mean"') == 1
    assert [mean for _, mean in rows] == [format_number(float(each)) for each in values.mean(0)[:200]]
    assert f"The first 200 of {values.shape[1]} rows." in page
    assert re.search(rf"<code translate=\"no\">{NAME}</code><span class=\"quiet\">\d+ . \d+</span>", page)
    assert "<shotdap-viewer" not in page


def test_one_of_them(browser: httpx.Client, values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    """A chosen curve is drawn before the others and is in the tables; the recipe opens only it."""
    link = unescape(re.findall(r'href="([^"]*curve=7)"', browser.get(f"/images/{CURVES}").text)[0])
    page = unescape(browser.get(link).text)
    (recipe,) = re.findall(r'id="code-python"[^>]*>(.*?)</pre>', page, re.DOTALL)

    assert page.count('class="chosen"') == 1
    assert f">{format_number(float(values[7].max()))}<" in page
    assert "Open curve 7" in page
    assert re.search(r"\[(7:8, :|:, 7:8)\]", recipe)
    assert re.search(rf'href="/images/{CURVES}" aria-current="true">7<', page)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("curve=1000", "there are the curves 0 to 59"),
        ("curve=x", "it is the index of a curve"),
        ("variable=SUMMARY_DATA_TIME&curve=0", "is one curve"),
    ],
)
def test_no_such_curve(browser: httpx.Client, query: str, sentence: str) -> None:
    """A curve that does not exist is refused with the reason."""
    answer = browser.get(f"/images/{CURVES}?{query}")

    assert (answer.status_code, sentence in unescape(answer.text)) == (400, True)
