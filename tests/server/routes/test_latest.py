"""``latest`` in a path: the newest image, for whoever asks once; not for clients that ask for a dataset in pieces."""

from __future__ import annotations

import httpx
import netCDF4
import pytest
from tests.serving import Server


@pytest.fixture
def newest(demo: Server) -> str:
    """The path of the newest image of a diagnostic."""
    found = httpx.get(f"{demo.url}/api/v1/images", params={"q": "path:omega/* diagnostic:ASBO*", "limit": 1})
    path: str = found.json()["images"][0]["path"]
    return path


def test_redirect(demo: Server, newest: str) -> None:
    """The folder of the newest shot, its folder, or its only image, with what was asked of it."""
    facility, shot, diagnostic, _ = newest.split("/")
    folder = httpx.get(demo.dap("omega/latest"), trust_env=False)
    image = httpx.get(demo.dap(f"omega/latest/{diagnostic}"), trust_env=False)
    file = httpx.get(demo.dap(f"{facility}/latest/{diagnostic}.nc?image[0:1][0:1]"), trust_env=False)

    assert folder.status_code == image.status_code == file.status_code == 307
    assert folder.headers["Location"].rpartition("/")[0] == demo.dap("omega")
    assert image.headers["Location"] in {demo.dap(newest), demo.dap(f"omega/{shot}/{diagnostic}")}
    assert file.headers["Location"].endswith(".nc?image[0:1][0:1]")
    assert image.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("suffix", [".dds", ".das", ".dods", ".dmr", ".dap"])
def test_pieces(demo: Server, newest: str, suffix: str) -> None:
    """The structure of one image and the values of another are never mixed: the client is told what to open."""
    diagnostic = newest.split("/")[2]
    answer = httpx.get(demo.dap(f"omega/latest/{diagnostic}{suffix}"), trust_env=False)

    assert answer.status_code == 404
    assert demo.dap("omega/") in answer.text
    with pytest.raises(OSError, match="NetCDF"):
        netCDF4.Dataset(demo.dap(f"omega/latest/{diagnostic}"))


def test_nothing(demo: Server) -> None:
    """There is nothing if no shot has it, or if the word is there twice."""
    for path in ("omega/latest/nothing", "omega/latest/latest", "nowhere/latest"):
        answer = httpx.get(demo.dap(path), trust_env=False)

        assert answer.status_code == 404
