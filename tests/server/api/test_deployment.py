"""The API at real sites: with their own limits, below a path, for folders with odd names, without the catalog."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

import anyio
import httpx
import numpy as np
import pytest
from tests import samples
from tests.server.conftest import Site

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config import load_settings
from shotdap.config.descriptions import load_diagnostics
from shotdap.server.app import create_app
from shotdap.server.pages.assets import build_asset_url

FRAMES: Final = np.zeros((2, 600, 600), "u2")  # background_subtracted has 1.4 MB


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images."""
    images = tmp_path / "images"
    images.mkdir()
    samples.write_image(images / "shot.h5", FRAMES)
    return images


def ask(folder: Path, target: str, root: str = "", **headers: str) -> httpx.Response:
    """Send a request to an application in this process that serves a folder."""
    app = create_app(Catalog(DirectoryArchive(folder), folder, load_diagnostics(None)), load_settings())

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, root_path=root)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(f"{root}/api/{target}", headers=headers)

    return anyio.run(send)


class TestLimits:
    @pytest.fixture(autouse=True)
    def limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A site whose responses are limited to one MiB, and that reads at most one for results of whole images."""
        monkeypatch.setenv("SHOTDAP_SERVER__MAX_ANSWER_MIB", "1")
        monkeypatch.setenv("SHOTDAP_SERVER__MAX_READ_MIB", "1")

    def test_too_large(self, folder: Path) -> None:
        """A response that is too large is refused with the size, the limit, its setting, and alternatives."""
        answer = ask(folder, "v1/images/shot.h5?variable=background_subtracted&format=nc4")
        sentence = answer.json()["detail"]

        assert answer.status_code == 413
        assert "This asks for 1.4 MiB; one answer holds 1.0 MiB at most (server.max_answer_mib)" in sentence
        assert "y=0:75" in sentence
        assert "POST /api/v1/exports" in sentence

    def test_suggested_part(self, folder: Path) -> None:
        """The part that a refusal suggests can be requested."""
        asked = "v1/images/shot.h5?variable=background_subtracted&format=nc4&y=0:75"

        assert ask(folder, asked).status_code == 200

    def test_too_much_to_read(self, folder: Path) -> None:
        """A result that needs more of the image than may be read is refused, however small it is."""
        answer = ask(folder, "v1/images/shot.h5?transform=minimum&variable=background_subtracted&format=nc4")

        assert answer.status_code == 413
        assert "would be read; for one answer 1.0 MiB are at most (server.max_read_mib)" in answer.json()["detail"]

    def test_too_much_memory(self, folder: Path) -> None:
        """A result that needs too much working memory is refused before anything is read."""
        asked = "v1/images/shot.h5?variable=image&y=0:1&x=0:1&format=nc4&transform"
        answer = ask(folder, f"{asked}=pseudo_flat_field")
        sentence = answer.json()["detail"]

        assert answer.status_code == 413
        assert re.search(r"takes \d+\.\d MiB of working memory, and 0\.7 MiB would be read", sentence)
        assert "for one answer 1.0 MiB are at most (server.max_read_mib), together." in sentence
        assert ask(folder, f"{asked}=median_filter-size-31").status_code == 200

    def test_statistics(self, folder: Path) -> None:
        """Statistics are limited by the memory that they take."""
        assert ask(folder, "v1/statistics/shot.h5?variable=image").status_code == 413
        assert ask(folder, "v1/statistics/shot.h5?variable=image&y=0:20").status_code == 200

    def test_descriptions(self, folder: Path) -> None:
        """A description reads no values, and so has no limit."""
        assert ask(folder, "v1/images/shot.h5").status_code == 200


def test_below_a_path(folder: Path) -> None:
    """Behind a proxy's path, all links, the document's servers and the page's files are below that path."""
    links = ask(folder, "v1/images/shot.h5", "/lab").json()["links"]
    document = ask(folder, "v1/openapi.json", "/lab").json()

    assert all(url.startswith("http://server/lab/") for url in links.values())
    assert document["servers"] == [{"url": "/lab/api/v1"}]
    assert document["paths"]["/image/get/{kind}"]["get"]["servers"] == [{"url": "/lab/api"}]
    assert f'src="/lab{build_asset_url("api.js")}"' in ask(folder, "docs", "/lab").text
    assert ask(folder, "image/get/subtracted", "/lab").status_code == 400


def test_not_ready(folder: Path) -> None:
    """A server whose catalog does not respond is alive, and reports that it is not ready."""
    shutil.rmtree(folder)
    answer = ask(folder, "v1/health/ready")

    assert ask(folder, "v1/health").status_code == 200
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_odd_names(site: Site) -> None:
    """The links of every image of a folder lead to it, whatever its name; a bad file gives the reason."""
    images = site.client.get("/api/v1/images").json()["images"]
    answers = {each["path"]: site.client.get(each["links"]["self"]) for each in images}
    refused = {path for path, answer in answers.items() if answer.status_code != 200}

    assert any("phosphor" in path for path in answers)
    assert refused == {path for path in answers if path.startswith(("login", "short", "ring", "out"))}
    assert all(str(site.folder) not in answer.text for answer in answers.values())
