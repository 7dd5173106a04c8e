"""The notebook that an image's page offers: Jupyter runs it, and its values are those of the server."""

from __future__ import annotations

import json
import re
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx
import nbclient
import nbformat
import numpy as np
import pytest
from tests.serving import Server

PAGE: Final = {"Accept": "text/html"}
IMAGE: Final = "omega/62328/asbo1/asbo1_s62328"
VIEWS: Final = {
    "part": (f"{IMAGE}?scaling=log&low=1&high=700&y=100:140&x=50:90", {"y": "100:140", "x": "50:90"}),
    "region": (f"{IMAGE}?variable=image&cmap=RdBu_r&region=330:350,110:125", {"y": "330:350", "x": "110:125"}),
    "variant": (f"{IMAGE}/~background_subtracted~median_filter-size-5?scaling=linear&y=400:420", {"y": "400:420"}),
    "curve": (f"{IMAGE}?variable=time", {}),
}
"""Pages, their parameters in the usual order, and the part that each of them shows."""
SECONDS: Final = 180
SAVE: Final = '\nimport numpy\nnumpy.save("values.npy", values)'


def fetch_notebook(server: Server, page: str) -> Any:  # noqa: ANN401 — nbformat has no types
    """Return the notebook of a page, checked by the schema of its format."""
    url = f"{server.url}/notebooks/{page}"
    answer = httpx.get(url, headers=PAGE, trust_env=False, timeout=SECONDS).raise_for_status()
    assert answer.headers["content-type"] == "application/x-ipynb+json"
    assert re.fullmatch(r'attachment; filename="\w+\.ipynb"', answer.headers["content-disposition"])
    notebook = nbformat.reads(answer.text, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return notebook


@pytest.mark.parametrize("view", VIEWS)
def test_run(view: str, demo: Server, tmp_path: Path) -> None:
    """All cells run, the values are those of the server to the last bit, and there is a picture of them."""
    page, part = VIEWS[view]
    notebook = fetch_notebook(demo, page)
    _, opening, drawing = notebook.cells
    variable = re.search(r'ds\["(\w+)"\]', opening.source)
    assert variable is not None
    path, _, step = page.partition("?")[0].partition("/~")
    query = {"format": "npy", "variable": variable[1], **part}
    expected = httpx.get(
        f"{demo.url}/api/v1/images/{path}{f'/~{step}' if step else ''}", params=query, trust_env=False, timeout=SECONDS
    )
    opening.source += SAVE
    nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()

    np.testing.assert_array_equal(np.load(tmp_path / "values.npy"), np.load(BytesIO(expected.content)))
    assert [each.output_type for each in drawing.outputs if "image/png" in each.get("data", {})] == ["display_data"]


@pytest.mark.parametrize("view", VIEWS)
def test_same_as_the_page(view: str, demo: Server) -> None:
    """The page leads to the notebook of what it shows: it names the image, and has the recipe for Python as it is."""
    page, _ = VIEWS[view]
    text = httpx.get(f"{demo.url}/images/{page}", headers=PAGE, trust_env=False, timeout=SECONDS).text
    (link,) = re.findall(r'href="/notebooks/([^"]*)" download', text)
    (recipe,) = re.findall(r'<pre[^>]* id="code-python"[^>]*>(.*?)</pre>', text, re.DOTALL)
    heading, opening, _ = fetch_notebook(demo, unescape(link)).cells

    assert opening.source == unescape(recipe)
    assert heading.source.startswith("# ASBO1, shot 62328\n")
    assert f"{demo.url}/images/{page}" in heading.source
    assert "sd_" not in json.dumps([each.source for each in (heading, opening)])


def test_problems(demo: Server) -> None:
    """An image that does not exist has no notebook, and a wrong parameter is explained."""
    with httpx.Client(base_url=demo.url, headers=PAGE, trust_env=False, timeout=SECONDS) as client:
        nothing = client.get("/notebooks/omega/nothing")
        wrong = client.get(f"/notebooks/{IMAGE}?variable=nothing")

    assert (nothing.status_code, wrong.status_code) == (404, 400)
    assert "not yours to see" in nothing.text
    assert "no variable" in wrong.text
