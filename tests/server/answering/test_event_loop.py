"""Where a worker answers a request, and what it opens for that."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import h5py
import httpx
import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests import samples

from shotdap.config import SettingsSource, Site
from shotdap.server.access.limits.shared_counts import SharedCounts
from shotdap.server.answering.forwarder import Forwarder
from shotdap.server.app import create_worker_app

FRAME: Final = np.arange(300 * 400, dtype="u2").reshape(300, 400)
_opened: list[str] = []
_is_listening: list[bool] = []


def _note_opened_file(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _is_listening:
        _opened.append(str(arguments[0]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files of several formats."""
    images = tmp_path / "images"
    images.mkdir()
    samples.write_hdf4(images / "every.hdf")
    samples.write_hdf5(images / "every.h5")
    with h5py.File(images / "shot.h5", "w") as file:
        file["image"] = FRAME
        packed = file.create_dataset("packed", data=np.resize(FRAME, (600, 400)))
        packed.attrs.update(scale_factor=np.float32(0.5), add_offset=np.float32(1))
    return images


@pytest.fixture
def forwarded_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests that were forwarded to an answer process."""
    paths: list[str] = []
    respond = Forwarder.respond

    async def record(self: Forwarder, request: Request) -> Response:
        paths.append(request.url.path)
        return await respond(self, request)

    monkeypatch.setattr(Forwarder, "respond", record)
    return paths


@pytest.fixture
def get(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Sequence[str]], list[httpx.Response]]]:
    """A function that requests URLs from a worker that serves the folder, each after the other."""
    monkeypatch.setenv("SHOTDAP_ARCHIVE__FOLDER", str(folder))
    monkeypatch.setenv("SHOTDAP_ACCESS__MODE", "open")
    monkeypatch.setenv("SHOTDAP_CATALOG__FRAMES", str(tmp_path / "frames"))
    interval = sys.getswitchinterval()

    async def run_worker(urls: Sequence[str]) -> list[httpx.Response]:
        source = SettingsSource.from_environment()
        app = create_worker_app(Site(source.load()), source, SharedCounts(1))
        async with app.router.lifespan_context(app) as state:

            async def add_state(scope: Scope, receive: Receive, send: Send) -> None:
                await app({**scope, "state": dict(state or {})}, receive, send)

            async with httpx.AsyncClient(transport=httpx.ASGITransport(add_state), base_url="http://shotdap") as client:
                return [await client.get(url) for url in urls]

    yield lambda urls: asyncio.run(run_worker(urls))
    sys.setswitchinterval(interval)


def test_where_requests_are_answered(
    get: Callable[[Sequence[str]], list[httpx.Response]], forwarded_paths: list[str]
) -> None:
    """Structure, stored values and small computed ones are answered in the event loop; all else in a process."""
    cheap = [
        "/dap/shot.h5.dds",
        "/dap/shot.h5.das",
        "/dap/shot.h5.dmr",
        f"/dap/shot.h5.dap?dap4.ce={quote('/image')}",
        f"/dap/shot.h5.dods?{quote('image[0:1:9][0:1:9]')}",
        f"/dap/shot.h5.dods?{quote('packed[0:1:9][0:1:9]')}",
        "/zarr/shot.h5/zarr.json",
        "/zarr/shot.h5/image/c/0/0",
    ]
    costly = [
        "/dap/shot.h5.nc",
        "/dap/shot.h5.ascii",
        f"/dap/shot.h5.dods?{quote('mean(image)')}",
        "/dap/shot.h5.dods?packed",
        "/api/v1/images/shot.h5",
    ]

    assert {response.status_code for response in get([*cheap, *costly])} == {200}
    assert forwarded_paths == [url.partition("?")[0] for url in costly]


def test_the_worker_opens_no_archive_file(get: Callable[[Sequence[str]], list[httpx.Response]], folder: Path) -> None:
    """The files of the archive are opened by other processes, for whatever request."""
    urls = [
        f"/dap/{name}{suffix}"
        for name in ("every.hdf", "every.h5", "shot.h5")
        for suffix in (".dds", ".das", ".dods", ".dmr", ".dap", ".ascii", ".html", ".nc4")
    ]
    sys.addaudithook(_note_opened_file)
    _is_listening.append(True)
    try:
        responses = get([*urls, "/zarr/shot.h5/zarr.json", "/api/v1/images/every.h5", "/dap/shot.h5.dods?image"])
    finally:
        _is_listening.clear()

    assert {response.status_code for response in responses} == {200}
    assert responses[-1].content.endswith(FRAME.astype(">u4").tobytes())
    assert [path for path in _opened if str(folder) in path] == []
    assert _opened
