"""A server of one folder with good files, bad files, and paths out of it that must not work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tests import direct, samples
from tests.serving import Server, serving

FRAMES = (2, 1200, 1400)  # a frame is 6.7 MB on the wire: more than sockets buffer
LOGIN_PAGE = "<!DOCTYPE html>\n<html><body><form action='/login'></form></body></html>\n"


@dataclass(frozen=True)
class Site:
    """A server of a folder, and the folder's content."""

    server: Server
    folder: Path
    client: httpx.Client
    """A client of the server only."""
    frames: dict[str, NDArray[Any]]
    """The content of ``frames.h5``."""

    def get(self, target: str) -> httpx.Response:
        """Request a target below ``/dap/``."""
        return self.client.get(f"/dap/{target}")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that the tests of a server share; a test that changes the folder adds its own files."""
    above = tmp_path_factory.mktemp("site")
    folder = above / "images"
    _write_files(folder)
    with (
        serving(above / "server.log", "--folder", folder) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        yield Site(server, folder, client, direct.read_frames(folder / "frames.h5"))


def _write_files(folder: Path) -> None:
    (folder / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    samples.write_image(folder / "frames.h5", rng.integers(0, 2**16, FRAMES, "u2"))
    samples.write_image(folder / "deeper/PCIS-[phosphor] 1.h5", rng.integers(0, 2**16, (2, 30, 40), "u2"))
    samples.write_image(folder / ".hidden.h5", np.zeros((2, 3, 4), "u2"))
    samples.write_image(folder.parent / "secret.h5", np.zeros((2, 3, 4), "u2"))
    (folder / "login.hdf").write_text(LOGIN_PAGE)
    (folder / "short.h5").write_bytes((folder / "frames.h5").read_bytes()[:5000])
    (folder / "out.h5").symlink_to(folder.parent / "secret.h5")
    (folder / "out").symlink_to(folder.parent)
    (folder / "ring.h5").symlink_to(folder / "ring.h5")
