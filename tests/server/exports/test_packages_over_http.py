"""Packages over HTTP: conditional requests, refusals, other containers, and bad connections."""

from __future__ import annotations

import io
import json
import os
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import httpx
import netCDF4
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from tests import direct, samples
from tests.serving import Server, serving
from zarr.storage import ZipStore

SHOT: Final = "/api/v1/packages/omega/62328"
MIB: Final = 1 << 20
MAX_GROWTH: Final = 160 * MIB
"""Bytes that a server may grow by packages of any size: some copies of one member, of 25 MiB here."""


@pytest.fixture(scope="module")
def client(demo: Server) -> Iterator[httpx.Client]:
    """A client of the server of the synthetic archive."""
    with httpx.Client(base_url=demo.url, trust_env=False, timeout=60) as client:
        yield client


def open_package(response: httpx.Response) -> zipfile.ZipFile:
    """Open the package in a response."""
    assert response.status_code == 200, response.text
    return zipfile.ZipFile(io.BytesIO(response.content))


# Responses ----------------------------------------------------------------------------------------------------------


def test_a_shot(client: httpx.Client, archive: Path) -> None:
    """The package of a shot is a ZIP file of all its images, with the numbers of their files."""
    response = client.get(SHOT, params={"variable": ["image", "background_subtracted"]})
    package = open_package(response)
    expected = direct.read_frames(direct.find_stored(archive, "OMEGA", "asbo1_s62328.hdf"))
    with netCDF4.Dataset("memory", memory=package.read("asbo1/asbo1_s62328.nc4")) as image:
        found = {name: np.asarray(image[name][:]) for name in ("image", "background_subtracted")}

    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"] == 'attachment; filename="omega_62328.zip"'
    assert package.testzip() is None
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])
    assert json.loads(package.read("manifest.json"))["request"] == str(response.url)


def test_diagnostics(client: httpx.Client) -> None:
    """A package can have the images of some diagnostics of a shot."""
    package = open_package(client.get(SHOT, params={"diagnostic": "asbo2", "raw": "1"}))

    assert package.namelist()[0] == "asbo2/asbo2_s62328.hdf"
    assert len(json.loads(package.read("manifest.json"))["images"]) == 1


def test_health(client: httpx.Client) -> None:
    """The manifest reports a missing file and a login page, with the result of the inspection."""
    package = open_package(client.get("/api/v1/packages/omega/112059", params={"variable": "image", "y": "0:10"}))
    lines = {line["facts"]["diagnostic"]: line for line in json.loads(package.read("manifest.json"))["images"]}

    assert [name for name, line in lines.items() if line["members"]] == ["EPW_CCD"]
    assert (lines["IAW_CCD"]["health"], lines["ATS_CCD"]["health"]) == ("missing", "unreadable")
    assert "missing" in lines["IAW_CCD"]["problems"][0]


def select_subtracted(name: str, item: object) -> list[NDArray[Any]]:
    """Return the values of a node of an HDF5 file if it is an image without background."""
    return [item[()]] if isinstance(item, h5py.Dataset) and name.endswith("/background_subtracted") else []


@pytest.mark.parametrize("ending", ["nc4", "h5"])
def test_tree(ending: str, client: httpx.Client, archive: Path) -> None:
    """As netCDF-4 or HDF5, a shot is one file with a group for each image."""
    response = client.get(SHOT, params={"format": ending, "variable": "background_subtracted", "x": "7:330"})
    expected = direct.read_frames(direct.find_stored(archive, "OMEGA", "asbo1_s62328.hdf"))["background_subtracted"]
    found: list[NDArray[Any]] = []
    with h5py.File(io.BytesIO(response.content)) as tree:
        tree.visititems(lambda name, item: found.extend(select_subtracted(name, item)))

    assert f"omega_62328.{ending}" in response.headers["content-disposition"]
    assert len(found) == 2
    assert any(np.array_equal(each, expected[:, 7:330]) for each in found)


def test_zarr(client: httpx.Client, archive: Path, tmp_path: Path) -> None:
    """As Zarr, a shot is one store in a ZIP file with a group for each image, which zarr-python opens directly."""
    response = client.get(SHOT, params={"format": "zarr", "variable": "background_subtracted"})
    expected = direct.read_frames(direct.find_stored(archive, "OMEGA", "asbo1_s62328.hdf"))["background_subtracted"]
    path = tmp_path / "shot.zarr.zip"
    path.write_bytes(response.content)
    with ZipStore(path, mode="r") as store:
        found = zarr.open_array(store, path="asbo1/asbo1_s62328/background_subtracted", mode="r")[:]

    assert "omega_62328.zarr.zip" in response.headers["content-disposition"]
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_a_shot_redirects_to_its_folder(client: httpx.Client) -> None:
    """The URL of a shot's package redirects to that of the folder, with the same parameters."""
    response = client.get("/api/v1/shots/omega/62328/package?raw=1&image=asbo1/asbo1_s62328")

    assert response.status_code == 308
    assert response.headers["location"] == f"{client.base_url}{SHOT}?raw=1&image=asbo1/asbo1_s62328"
    assert client.get("/api/v1/shots/omega/1/package").status_code == 404


def test_conditional_request(client: httpx.Client) -> None:
    """A package has a weak ETag, which gives 304; another request has another ETag."""
    head = client.head(SHOT, params={"raw": "1"})
    tag = head.headers["etag"]

    assert tag.startswith('W/"')
    assert (head.status_code, head.content) == (200, b"")
    assert client.get(SHOT, params={"raw": "1"}, headers={"If-None-Match": tag}).status_code == 304
    assert client.head(SHOT).headers["etag"] != tag
    assert "content-length" not in head.headers


@pytest.mark.parametrize(
    ("target", "status", "sentence"),
    [
        ("omega/nowhere", 404, "no folder"),
        ("omega/62328?variable=nope", 400, "There is no variable 'nope'"),
        ("omega/62328?raw=1&member=nc", 400, "as they are in the archive"),
        ("omega/62328?y=100-400", 400, "written 100:400"),
        ("omega/62328?y=5000:6000", 400, "outside 0 to 1099"),
        ("omega/62328?format=rar", 400, "zip, nc4, h5 or zarr"),
        ("omega/62328?y=1&y=2", 400, "given 2 times"),
        ("omega/62328?cmap=viridis", 400, "for pictures"),
        ("omega/62328?image=nope", 400, "no image 'nope'"),
    ],
)
def test_refusals(target: str, status: int, sentence: str, client: httpx.Client) -> None:
    """A bad request gives a problem document before anything is packed."""
    response = client.get(f"/api/v1/packages/{target}")

    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert sentence in response.json()["detail"]


# Large packages and bad connections ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Large:
    """A server of a shot of many images, all links to one file."""

    server: Server
    folder: Path

    @property
    def memory(self) -> int:
        """The worker's own memory now, in bytes; frames, which all processes share, are not counted."""
        return self._read_status("RssAnon")

    def _read_status(self, name: str) -> int:
        lines = Path(f"/proc/{self.server.worker}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))

    @property
    def cpu_time(self) -> int:
        """The CPU time of the server so far, in ticks."""
        fields = Path(f"/proc/{self.server.worker}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def request(self, query: str) -> socket.socket:
        """Request the shot on a connection with small buffers."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.connect(("127.0.0.1", self.server.port))
        connection.settimeout(60)
        connection.sendall(f"GET /api/v1/packages/shot?{query} HTTP/1.1\r\nHost: server\r\n\r\n".encode())
        return connection


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    """A shot of sixty images, each of two frames of 8 MiB."""
    above = tmp_path_factory.mktemp("large")
    folder = above / "images" / "shot"
    folder.mkdir(parents=True)
    first = folder / "image_0.h5"
    samples.write_image(first, np.random.default_rng(1).integers(0, 2**16, (2, 2048, 2048), "u2"))
    for number in range(1, 60):
        os.link(first, folder / f"image_{number}.h5")
    config = above / "shotdap.toml"
    config.write_text(
        f'[archive]\nfolder = "{folder.parent}"\n[catalog]\nisolate = false\n[packages]\nmax_mib = 2000\n'
    )
    with serving(above / "server.log", "--config", config) as server:
        yield Large(server, folder)


VALUES: Final = "variable=image&variable=background_subtracted"


def test_memory_is_flat(large: Large) -> None:
    """While packages of 1.5 GB and 1.0 GB are sent, the server needs only a few times the memory of one image."""
    sent = highest = 0
    with httpx.Client(base_url=f"{large.server.url}/api/v1/packages/", trust_env=False, timeout=60) as client:
        client.get(f"shot?image=image_0.h5&{VALUES}")
        before = large.memory
        for query in (VALUES, "raw=1"):
            with client.stream("GET", f"shot?{query}") as response:
                for block in response.iter_raw(MIB):
                    sent += len(block)
                    highest = max(highest, large.memory)

    assert sent > 2_500_000_000
    assert highest - before < MAX_GROWTH


def test_a_slow_client_costs_no_memory_and_no_work(large: Large) -> None:
    """While a client does not read, the server makes nothing for it."""
    before = large.memory
    with closing(large.request(VALUES)) as connection:
        connection.recv(1000)
        idle = _wait_until_idle(large)

        assert idle
        assert large.memory - before < MAX_GROWTH
        assert connection.recv(1000)


def test_a_client_that_disconnects(large: Large) -> None:
    """After a client disconnects, the server stops making its package, and serves the next client."""
    with closing(large.request(VALUES)) as connection:
        _receive(connection, 4 * MIB)

    assert _wait_until_idle(large)
    assert httpx.head(f"{large.server.url}/api/v1/packages/shot?raw=1", trust_env=False, timeout=60).status_code == 200


def _wait_until_idle(large: Large) -> bool:
    """Wait until the server is idle; return whether it is in less time than the package takes."""
    for _ in range(8):
        before = large.cpu_time
        time.sleep(0.25)
        if large.cpu_time - before <= 2:  # it checks its connections now and then
            return True
    return False


def test_an_interrupted_package_is_not_complete(large: Large) -> None:
    """If an archived file changes while it is sent, the connection ends before the body."""
    path = large.folder / "changing.h5"
    path.write_bytes(bytes(32 * MIB))
    with closing(large.request("raw=1&image=changing.h5")) as connection:
        received = _receive(connection, MIB)  # so it has been hashed, and is being sent
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"!")
        received += _receive(connection)
    path.unlink()
    got = b"".join(received)

    assert len(got) < 32 * MIB
    assert not got.endswith(b"0\r\n\r\n")
    assert b"PK\x05\x06" not in got


def _receive(connection: socket.socket, least: int | None = None) -> list[bytes]:
    """Receive some bytes at least, or all."""
    pieces: list[bytes] = []
    while (least is None or sum(map(len, pieces)) < least) and (piece := connection.recv(MIB)):
        pieces.append(piece)
    return pieces


def test_too_much_is_refused(large: Large) -> None:
    """A package that is too large is refused with an alternative, before anything is read."""
    before = large.cpu_time
    response = httpx.get(f"{large.server.url}/api/v1/packages/shot", trust_env=False, timeout=60)

    assert response.status_code == 413
    assert "POST /api/v1/exports" in response.json()["detail"]
    assert large.cpu_time - before < 1000
