"""Packages over HTTP: what a client has already, refusals, other forms, and what becomes of bad connections."""

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
BOUND: Final = 160 * MIB
"""By how much a server of packages may grow, whatever they hold: some copies of one member, of 25 MiB here."""


@pytest.fixture(scope="module")
def client(demo: Server) -> Iterator[httpx.Client]:
    """Asks the server of the synthetic archive."""
    with httpx.Client(base_url=demo.url, trust_env=False, timeout=60) as asking:
        yield asking


def unzipped(answer: httpx.Response) -> zipfile.ZipFile:
    """The package in an answer."""
    assert answer.status_code == 200, answer.text
    return zipfile.ZipFile(io.BytesIO(answer.content))


# Answers ------------------------------------------------------------------------------------------------------------


def test_a_shot(client: httpx.Client, archive: Path) -> None:
    """The package of a shot is a ZIP file of all its images, with the numbers of their files."""
    answer = client.get(SHOT, params={"variable": ["image", "background_subtracted"]})
    package = unzipped(answer)
    expected = direct.frames(direct.stored(archive, "OMEGA", "asbo1_s62328.hdf"))
    with netCDF4.Dataset("memory", memory=package.read("asbo1/asbo1_s62328.nc4")) as image:
        found = {name: np.asarray(image[name][:]) for name in ("image", "background_subtracted")}

    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="omega_62328.zip"'
    assert package.testzip() is None
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])
    assert json.loads(package.read("manifest.json"))["request"] == str(answer.url)


def test_diagnostics(client: httpx.Client) -> None:
    """Of a shot, the images of some diagnostics can be had."""
    package = unzipped(client.get(SHOT, params={"diagnostic": "asbo2", "raw": "1"}))

    assert package.namelist()[0] == "asbo2/asbo2_s62328.hdf"
    assert len(json.loads(package.read("manifest.json"))["images"]) == 1


def test_health(client: httpx.Client) -> None:
    """A missing file and a login page are lines with their reasons, and with what an inspection found."""
    package = unzipped(client.get("/api/v1/packages/omega/112059", params={"variable": "image", "y": "0:10"}))
    lines = {line["facts"]["diagnostic"]: line for line in json.loads(package.read("manifest.json"))["images"]}

    assert [name for name, line in lines.items() if line["members"]] == ["EPW_CCD"]
    assert (lines["IAW_CCD"]["health"], lines["ATS_CCD"]["health"]) == ("missing", "unreadable")
    assert "missing" in lines["IAW_CCD"]["problems"][0]


def subtracted(name: str, item: object) -> list[NDArray[Any]]:
    """What a node of an HDF5 file holds, if it is the image with its background subtracted."""
    return [item[()]] if isinstance(item, h5py.Dataset) and name.endswith("/background_subtracted") else []


@pytest.mark.parametrize("ending", ["nc4", "h5"])
def test_tree(ending: str, client: httpx.Client, archive: Path) -> None:
    """As netCDF-4 or HDF5, a shot is one file with a group for each image."""
    answer = client.get(SHOT, params={"format": ending, "variable": "background_subtracted", "x": "7:330"})
    expected = direct.frames(direct.stored(archive, "OMEGA", "asbo1_s62328.hdf"))["background_subtracted"]
    found: list[NDArray[Any]] = []
    with h5py.File(io.BytesIO(answer.content)) as tree:
        tree.visititems(lambda name, item: found.extend(subtracted(name, item)))

    assert f"omega_62328.{ending}" in answer.headers["content-disposition"]
    assert len(found) == 2
    assert any(np.array_equal(each, expected[:, 7:330]) for each in found)


def test_zarr(client: httpx.Client, archive: Path, tmp_path: Path) -> None:
    """As Zarr, a shot is one store in a ZIP file with a group for each image, which zarr-python opens as it is."""
    answer = client.get(SHOT, params={"format": "zarr", "variable": "background_subtracted"})
    expected = direct.frames(direct.stored(archive, "OMEGA", "asbo1_s62328.hdf"))["background_subtracted"]
    path = tmp_path / "shot.zarr.zip"
    path.write_bytes(answer.content)
    with ZipStore(path, mode="r") as store:
        found = zarr.open_array(store, path="asbo1/asbo1_s62328/background_subtracted", mode="r")[:]

    assert "omega_62328.zarr.zip" in answer.headers["content-disposition"]
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_a_shot_leads_to_its_folder(client: httpx.Client) -> None:
    """The package of a shot, asked for as such, is where that of the folder is, with the same parameters."""
    answer = client.get("/api/v1/shots/omega/62328/package?raw=1&image=asbo1/asbo1_s62328")

    assert answer.status_code == 308
    assert answer.headers["location"] == f"{client.base_url}{SHOT}?raw=1&image=asbo1/asbo1_s62328"
    assert client.get("/api/v1/shots/omega/1/package").status_code == 404


def test_what_a_client_has_is_not_made_again(client: httpx.Client) -> None:
    """A package has a weak tag; a client that shows it gets 304, with another question another tag."""
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
    """What does not fit is a problem document, before anything is packed."""
    answer = client.get(f"/api/v1/packages/{target}")

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert sentence in answer.json()["detail"]


# Large packages and bad connections ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Large:
    """A server of a shot of many images, which are one file on the disk."""

    server: Server
    folder: Path

    @property
    def memory(self) -> int:
        """The most memory that the server has had so far, in bytes."""
        return self._said("VmHWM")

    def _said(self, name: str) -> int:
        lines = Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))

    @property
    def work(self) -> int:
        """How long the server has worked so far, in ticks."""
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def request(self, query: str) -> socket.socket:
        """A connection on which the shot is asked for, and of which little is buffered."""
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
    """While packages of 1.5 GB and 1.0 GB go out, the server needs a few times the memory of one image, and no more."""
    sent = 0
    with httpx.Client(base_url=f"{large.server.url}/api/v1/packages/", trust_env=False, timeout=60) as client:
        client.get(f"shot?image=image_0.h5&{VALUES}")
        before = large.memory
        for query in (VALUES, "raw=1"):
            with client.stream("GET", f"shot?{query}") as answer:
                sent += sum(map(len, answer.iter_raw(MIB)))

    assert sent > 2_500_000_000
    assert large.memory - before < BOUND


def test_a_slow_client_costs_no_memory_and_no_work(large: Large) -> None:
    """While a client reads nothing, nothing is made for it."""
    before = large.memory
    with closing(large.request(VALUES)) as connection:
        connection.recv(1000)
        idle = _until_idle(large)

        assert idle
        assert large.memory - before < BOUND
        assert connection.recv(1000)


def test_a_client_that_goes_away_ends_the_work(large: Large) -> None:
    """When a client goes away in the middle, the server stops making its package, and serves the next."""
    with closing(large.request(VALUES)) as connection:
        _receive(connection, 4 * MIB)

    assert _until_idle(large)
    assert httpx.head(f"{large.server.url}/api/v1/packages/shot?raw=1", trust_env=False, timeout=60).status_code == 200


def _until_idle(large: Large) -> bool:
    """Whether the server comes to rest within a time in which it could not have made the package."""
    for _ in range(8):
        before = large.work
        time.sleep(0.25)
        if large.work - before <= 2:  # it looks for its clients now and then
            return True
    return False


def test_a_package_that_breaks_off_cannot_be_taken_for_whole(large: Large) -> None:
    """If a file of the archive changes under way, the connection ends before the body does."""
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
    """What arrives, until it is enough, or all."""
    pieces: list[bytes] = []
    while (least is None or sum(map(len, pieces)) < least) and (piece := connection.recv(MIB)):
        pieces.append(piece)
    return pieces


def test_too_much_is_refused(large: Large) -> None:
    """What is more than a package may hold is refused with the way round, before anything is read."""
    before = large.work
    answer = httpx.get(f"{large.server.url}/api/v1/packages/shot", trust_env=False, timeout=60)

    assert answer.status_code == 413
    assert "POST /api/v1/exports" in answer.json()["detail"]
    assert large.work - before < 1000
