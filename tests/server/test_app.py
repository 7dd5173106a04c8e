"""The application in this process: its description of itself, of folders and of images, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from starlette.types import ASGIApp
from tests import samples
from tests.server.wire import parse_dap2_error, parse_dap2_values, parse_dap4_error

from shotdap import __version__
from shotdap.config import Site, load_settings
from shotdap.server.app import create_app
from shotdap.server.protocols import dap2


@dataclass(frozen=True)
class Client:
    """Sends requests to an application in this process."""

    app: ASGIApp

    def get(self, url: str) -> httpx.Response:
        """Return the response after all redirects."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.get(url, follow_redirects=True)

        return anyio.run(send)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples.write_image(tmp_path / "shot.h5", np.arange(24, dtype="u2").reshape(2, 3, 4))
    (tmp_path / "below").mkdir()
    return tmp_path


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of the application, with the lowest possible limits."""
    monkeypatch.setenv("SHOTDAP_ARCHIVE__FOLDER", str(folder))
    monkeypatch.setenv("SHOTDAP_SERVER__MAX_ANSWER_MIB", "1")
    monkeypatch.setenv("SHOTDAP_SERVER__MAX_QUERY_KIB", "1")
    settings = load_settings()
    return Client(create_app(Site(settings).open_catalog(), settings))


def get_names(document: dict[str, Any]) -> list[str]:
    return [child["name"] for child in document["children"]]


def test_root(client: Client) -> None:
    """The root gives the name, the version, and the URL of the images."""
    document = client.get("/").json()

    assert (document["name"], document["version"]) == ("shotdap", __version__)
    assert client.get(document["catalog"]).json()["path"] == ""
    assert ".dods" in document["protocols"]["DAP2"]


def test_folder(client: Client) -> None:
    """A folder lists its content, each item with its kind and a working URL, with or without a slash."""
    document = client.get("/dap/").json()
    kinds = {child["name"]: (child["kind"], child["url"]) for child in document["children"]}

    assert kinds == {"below": ("folder", "/dap/below"), "shot.h5": ("image", "/dap/shot.h5")}
    assert client.get("/dap/below").json() == client.get("/dap/below/").json() == {"path": "below", "children": []}


def test_image(client: Client) -> None:
    """The description of an image lists its variables and the URLs of its responses, all of which work."""
    document = client.get("/dap/shot.h5").json()

    assert document["variables"]["image"] == {"type": "uint16", "dimensions": {"y": 3, "x": 4}}
    assert document["variables"]["background_subtracted"]["type"] == "float32"
    for url in (*document["dap2"].values(), *document["dap4"].values(), f"{document['zarr']}/zarr.json"):
        assert client.get(url).status_code == 200


def test_pages(client: Client, folder: Path) -> None:
    """A folder with very many files is listed in pages, without gaps or duplicates."""
    for number in range(1500):
        (folder / f"below/{number}.h5").touch()
    first = client.get("/dap/below").json()
    second = client.get(first["next"]).json()

    assert len(get_names(first)) == 1000
    assert "next" not in second
    assert sorted([*get_names(first), *get_names(second)]) == sorted(f"{number}.h5" for number in range(1500))


def test_new_and_removed_files(client: Client, folder: Path) -> None:
    """A file is served as soon as it exists, and no longer."""
    assert client.get("/dap/new.h5.dds").status_code == 404

    samples.write_image(folder / "new.h5", np.ones((2, 3, 4), "u2"))

    assert parse_dap2_values(client.get("/dap/new.h5.dods?image").content)["image"].tolist() == [[1] * 4] * 3

    (folder / "new.h5").unlink()

    assert client.get("/dap/new.h5.dds").status_code == 404


def test_too_large(client: Client, folder: Path) -> None:
    """A response larger than the limit is refused before it is computed, with a request that would fit."""
    samples.write_image(folder / "large.h5", np.zeros((2, 600, 600), "u2"))
    over_dap2 = client.get("/dap/large.h5.dods?background_subtracted")
    over_dap4 = client.get("/dap/large.h5.dap?dap4.ce=/background_subtracted")

    assert (over_dap2.status_code, over_dap4.status_code) == (413, 413)
    assert "1.4 MiB" in parse_dap2_error(over_dap2.text)[1]
    assert "1.4 MiB" in parse_dap4_error(over_dap4.text)[1]
    assert client.get("/dap/large.h5.dods?background_subtracted[0:1:99][0:1:99]").status_code == 200


@pytest.mark.parametrize(("target", "read"), [("dods?y", parse_dap2_error), ("dap?dap4.ce=/y", parse_dap4_error)])
def test_too_long_a_query(target: str, read: Any, client: Client) -> None:  # noqa: ANN401
    """A query longer than the limit is refused in the protocol's words."""
    answer = client.get(f"/dap/shot.h5.{target}{',y' * 600}")

    assert answer.status_code == 414
    assert "1,024" in read(answer.text)[1]


@pytest.mark.parametrize("path", ["/nowhere", "/dap", "/favicon.ico"])
def test_unknown_path(path: str, client: Client) -> None:
    """For an unknown path, JSON gives the URL of the catalog; /dap redirects to it."""
    answer = client.get(path)

    assert answer.status_code == (200 if path == "/dap" else 404)
    assert answer.headers["content-type"] == "application/json"


def test_an_unexpected_fault(client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is reported without details, which are logged."""
    monkeypatch.setattr(dap2, "render_dds", _fail)
    code, sentence = parse_dap2_error(client.get("/dap/shot.h5.dds").text)

    assert code == 500
    assert "by a fault of its own" in sentence
    assert "the particulars" not in sentence
    assert "the particulars" in caplog.text


def _fail(*_arguments: object, **_options: object) -> None:
    raise ZeroDivisionError("the particulars")


def test_an_archive(archive: Path) -> None:
    """The listing of a catalog leads from facilities to images, and says which are unreadable, and why."""
    settings = load_settings(archive / "shotdap.toml")
    client = Client(create_app(Site(settings).open_catalog(), settings))

    assert get_names(client.get("/dap/").json()) == ["omega", "omega-ep"]
    (child,) = client.get("/dap/omega/112059/iaw_ccd").json()["children"]
    assert (child["name"], child["kind"]) == ("IAW_CCD-s112059", "image")
    assert "missing" in child["problem"]
