"""Heavy requests, forwarded to answer processes of a real server, and failures of these processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import httpx
import numpy as np
import pytest
from tests import samples
from tests.server.conftest import Site
from tests.server.wire import parse_dap2_error
from tests.serving import Server, serving

from shotdap.config import Site as Deployment
from shotdap.config import load_settings
from shotdap.server.app import create_app
from shotdap.server.http.errors import PROBLEM_HEADER

PATIENCE: Final = 60  # seconds until something must have happened, on a busy machine
LONG: Final = (
    "/dap/frames.h5/~image~median_filter-size-31.dods?result"  # takes three seconds of the processor, or thirty
)
SHORTER: Final = f"{LONG}[0:1:99][]"  # takes a second or two
BUSY: Final = 0.3  # seconds of the processor, which only a process that answers has used
CLIENTS: Final = 200


# Equal answers -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ask_directly(site: Site) -> Callable[..., httpx.Response]:
    """Return a function that sends a request to an application in this process, which forwards nothing."""
    settings = load_settings(None, {"archive.folder": site.folder})
    transport = httpx.ASGITransport(create_app(Deployment(settings).open_catalog(), settings))

    async def ask(method: str, target: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url=site.server.url) as client:
            return await client.request(method, target, headers=headers)

    return lambda *arguments: anyio.run(ask, *arguments)


def list_headers(answer: httpx.Response) -> list[tuple[str, str]]:
    """List the headers of a response without those that uvicorn adds, and the one that a worker keeps for itself."""
    others = {"date", "transfer-encoding", PROBLEM_HEADER.lower()}
    return [item for item in answer.headers.multi_items() if item[0] not in others]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "target",
    [
        "/dap/",
        "/dap/frames.h5",
        "/dap/frames.h5.dds",
        "/dap/frames.h5.das",
        "/dap/frames.h5.dods?image[0:1:9][0:1:9]",
        "/dap/frames.h5.dods?image,background",
        "/dap/frames.h5.ascii?image[0:1:9][0:1:9]",
        "/dap/frames.h5.dmr",
        "/dap/frames.h5.dap",
        "/dap/frames.h5.dsr",
        "/dap/frames.h5.nc",
        "/dap/frames.h5.html",
        "/dap/frames.h5.dmr.html",
        "/dap/frames.h5.prov",
        "/dap/deeper/PCIS-%5Bphosphor%5D%201.h5.dods",
        "/dap/frames.h5.dods?nothing",
        "/dap/frames.h5.dap?dap4.ce=/nothing",
        "/dap/nowhere.dds",
        "/dap/nowhere.html",
        "/dap/short.h5.dods",
        "/dap/short.h5.dap",
        "/dap/frames.h5/~median_filter-size-3.dds?result",
        "/zarr/frames.h5/zarr.json",
        "/zarr/frames.h5/image/c/0/0",
        "/zarr/frames.h5/image/c/77/0",
        "/zarr/frames.h5/nothing",
        "/api/v1/images/frames.h5",
        "/api/v1/images/frames.h5?format=png",
        "/api/v1/images/frames.h5?format=npy&variable=image",
        "/api/v1/images/frames.h5?format=nothing",
        "/api/v1/images/short.h5",
        "/api/v1/statistics/frames.h5?variable=image",
        "/api/v1/thumbnails/frames.h5",
        "/api/v1/attributes/frames.h5",
        "/api/v1/packages/nowhere?format=nc4",
        "/api/image/get/subtracted?shot=none",
    ],
)
def test_the_same_answer(target: str, method: str, site: Site, ask_directly: Callable[..., httpx.Response]) -> None:
    """A forwarded answer has the status, the headers and the bytes of one that is not forwarded."""
    forwarded, direct = site.client.request(method, target), ask_directly(method, target, {})

    assert forwarded.status_code == direct.status_code
    assert list_headers(forwarded) == list_headers(direct)
    assert forwarded.content == (direct.content if method == "GET" else b"")


def test_conditions_and_ranges(site: Site, ask_directly: Callable[..., httpx.Response]) -> None:
    """A client that has the answer gets a 304, and one that wants a part gets that."""
    for target in ("/dap/frames.h5.dods?y", "/zarr/frames.h5/image/c/0/0", "/api/v1/images/frames.h5?format=npy"):
        known = {"If-None-Match": site.client.get(target).headers["etag"]}
        forwarded, direct = site.client.get(target, headers=known), ask_directly("GET", target, known)

        assert (forwarded.status_code, forwarded.content) == (304, b"")
        assert list_headers(forwarded) == list_headers(direct)
    part = {"Range": "bytes=100-400000"}
    forwarded, direct = site.client.get(target, headers=part), ask_directly("GET", target, part)

    assert forwarded.status_code == direct.status_code == 206
    assert list_headers(forwarded) == list_headers(direct)
    assert forwarded.content == direct.content


def test_orders(site: Site) -> None:
    """The order of an export is forwarded with its body; one of a megabyte is refused."""
    refusal = site.client.post("/api/v1/exports", json={"query": "shot:1", "variables": [1]})
    too_long = site.client.post("/api/v1/exports", json={"query": "x" * (2 << 20)})

    assert (refusal.status_code, too_long.status_code) == (400, 413)
    assert "variables.0" in refusal.json()["detail"]
    assert too_long.headers["content-type"] == "application/problem+json"


# Failures of processes ----------------------------------------------------------------------------------------------


@contextmanager
def serving_with(folder: Path, site: Site, **settings: float) -> Iterator[Server]:
    """Serve the site's folder with other settings; wait until heavy requests are answered."""
    config = folder / "shotdap.toml"
    lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
    config.write_text(
        f'[archive]\nfolder = "{site.folder}"\n[catalog]\nframes = "{folder / "frames"}"\n'
        f'[server]\nanswer_processes = 2\n{lines}\n[exports]\nfolder = ""\n'
    )
    with serving(folder / "server.log", "--config", config) as server:
        assert ask(server, "/dap/frames.h5.dds").status_code == 200
        yield server


@pytest.fixture(scope="module")
def patient(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server whose requests may take their time."""
    with serving_with(tmp_path_factory.mktemp("patient"), site, cpu_seconds=300) as server:
        yield server


@pytest.fixture(scope="module")
def strict(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server whose requests may take seconds and little memory, and of which few may wait."""
    samples.write_image(site.folder / "large.h5", np.zeros((2, 4000, 4000), "u2"))
    limits = {"cpu_seconds": 4, "memory_mib": 256, "max_waiting": 8}
    with serving_with(tmp_path_factory.mktemp("strict"), site, **limits) as server:
        yield server


def ask(server: Server, target: str) -> httpx.Response:
    """Send a request to a server."""
    return httpx.get(f"{server.url}{target}", timeout=PATIENCE, trust_env=False)


def list_forked_processes(server: Server) -> dict[int, float]:
    """List the readers and answer processes of a server, each with its processor time in seconds."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents, seconds, names = dict[int, int](), dict[int, float](), dict[int, str]()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                name = (folder / "comm").read_text("utf-8", "replace").strip()
            except OSError:
                continue
            pid = int(folder.name)
            parents[pid], seconds[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / ticks
            names[pid] = name
    fork_servers = {pid for pid, parent in parents.items() if parents.get(parent) == server.process.pid}
    forked = (pid for pid, name in names.items() if name in ("shotdap reader", "shotdap answer"))
    return {pid: seconds[pid] for pid in forked if parents[pid] in fork_servers}


def wait_for_busy_process(server: Server, before: dict[int, float]) -> int:
    """Wait until an answer process computes; return the one that has used the processor since `before`."""

    def find_busy() -> int | None:
        now = list_forked_processes(server).items()
        return next((pid for pid, seconds in now if seconds - before.get(pid, 0) > BUSY), None)

    return wait_until(find_busy)


def wait_until(look: Callable[[], int | None]) -> int:
    """Wait until a function returns something."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_a_client_that_leaves(patient: Server) -> None:
    """A client that leaves ends the work for it, and leaves as many processes as there were."""
    before = list_forked_processes(patient)
    with socket.create_connection(("127.0.0.1", patient.port)) as client:
        client.sendall(f"GET {LONG} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        busy = wait_for_busy_process(patient, before)
    wait_until(lambda: None if busy in list_forked_processes(patient) else busy)

    assert ask(patient, "/dap/frames.h5.dods?image[0:1:9][]").status_code == 200
    wait_until(lambda: 1 if len(list_forked_processes(patient)) == len(before) else None)


def test_a_process_that_is_killed(patient: Server, ask_directly: Callable[..., httpx.Response]) -> None:
    """If an answer process is killed, another one answers."""

    async def ask_and_kill() -> httpx.Response:
        before = list_forked_processes(patient)
        async with httpx.AsyncClient(base_url=patient.url, timeout=PATIENCE, trust_env=False) as client:
            answer = asyncio.create_task(client.get(SHORTER))
            os.kill(await asyncio.to_thread(wait_for_busy_process, patient, before), signal.SIGKILL)
            return await answer

    answer = asyncio.run(ask_and_kill())

    assert answer.status_code == 200
    assert answer.content == ask_directly("GET", SHORTER, {}).content


def test_the_processor_time_of_a_request(strict: Server) -> None:
    """A request that takes too long is refused with the limit and the way round it; others are answered meanwhile."""

    async def ask_both() -> tuple[httpx.Response, set[int]]:
        async with httpx.AsyncClient(base_url=strict.url, timeout=PATIENCE, trust_env=False) as client:
            answer, others = asyncio.create_task(client.get(another)), set[int]()
            while not answer.done():
                others.add((await client.get("/dap/frames.h5.dods?image[0:1:9][]")).status_code)
            return await answer, others

    # Thrice as long as the usual one, which takes less than the limit on some machines.
    another = LONG.replace("size-31", "size-31~median_filter-size-29~median_filter-size-27")
    refusal, others = asyncio.run(ask_both())
    code, sentence = parse_dap2_error(refusal.text)

    assert (refusal.status_code, code) == (413, 413)
    assert "4 s of processor time" in sentence
    assert "server.cpu_seconds" in sentence
    assert "POST /api/v1/exports" in sentence
    assert others == {200}


def test_the_memory_of_a_request(strict: Server) -> None:
    """A request that takes too much memory is refused with the limit; the next one is answered."""
    over_dap2 = ask(strict, "/dap/large.h5.nc4?image,background,background_subtracted")
    over_rest = ask(strict, "/api/v1/images/large.h5?format=nc4")

    assert (over_dap2.status_code, over_rest.status_code) == (413, 413)
    for sentence in (parse_dap2_error(over_dap2.text)[1], over_rest.json()["detail"]):
        assert "256 MiB of working memory" in sentence
        assert "server.memory_mib" in sentence
    assert ask(strict, "/dap/frames.h5.dods?image[0:1:9][]").status_code == 200


def test_many_clients(strict: Server, ask_directly: Callable[..., httpx.Response]) -> None:
    """Of two hundred requests at once, each is answered right, or sent away for a while."""
    target = "/dap/frames.h5.ascii?image[0:1:9][]"

    async def ask_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=strict.url, timeout=PATIENCE, trust_env=False, limits=limits) as client:
            return await asyncio.gather(*(client.get(target) for _ in range(CLIENTS)))

    answers, right = asyncio.run(ask_all()), ask_directly("GET", target, {}).content

    assert Counter(answer.status_code for answer in answers).keys() == {200, 503}
    for answer in answers:
        if answer.status_code == 200:
            assert answer.content == right
        else:
            assert answer.headers["retry-after"] == "5"
            assert parse_dap2_error(answer.text)[0] == 503
