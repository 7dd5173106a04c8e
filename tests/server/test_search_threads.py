"""Searches have threads of their own: whatever they take, everything else is answered, and they end in time."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.rows import DEFAULT, Rows, make_row
from tests.serving import Server, serving

from shotdap.catalog import Catalog, Overloaded, SqlIndex, TooSlow, build_catalog
from shotdap.catalog.time_limit import check_time_limit
from shotdap.config import load_settings
from shotdap.server.app import create_app
from shotdap.server.search_threads import SearchThreads

ROWS: Final = 20_000
EXPENSIVE: Final = "name:" + ",".join(f"*{number}*z" for number in range(99))
"""A query that no row matches, so that each page tests 20,000 rows with 99 patterns."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog that is large enough for expensive searches."""
    folder = tmp_path_factory.mktemp("large")
    index = SqlIndex.open_sqlite(folder / "catalog.db")
    rows = [make_row(number, shot=number // 10, name=f"n{number}.hdf", date="2022-03-24") for number in range(ROWS)]
    build_catalog(Rows(rows), index, DEFAULT)
    index.close()
    (folder / "shotdap.toml").write_text('[archive]\nroot = "."\n[exports]\nfolder = ""\n')
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A server of that catalog."""
    with serving(folder / "server.log", "--config", folder / "shotdap.toml") as server:
        yield server


def test_lookups_beside_searches(server: Server) -> None:
    """While more expensive searches run than a server has threads, lookups are answered; each search has an answer."""

    async def measure() -> tuple[list[int], list[int], int]:
        limits, timeout = httpx.Limits(max_connections=100), httpx.Timeout(120)
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, limits=limits, timeout=timeout) as client:
            targets = [
                f"{path}?q={EXPENSIVE},{number}" for number in range(32) for path in ("/api/v1/facets", "/search")
            ]
            searches = [asyncio.ensure_future(client.get(target)) for target in targets]
            await asyncio.sleep(0.5)  # they are sent, and none that waits is refused before 5 s
            first = (await client.get("/dap/omega/0/")).status_code
            unfinished = sum(not search.done() for search in searches)
            lookups = [first] + [(await client.get(f"/dap/omega/{shot}/")).status_code for shot in range(1, 20)]
            return lookups, [(await search).status_code for search in searches], unfinished

    lookups, searches, unfinished = asyncio.run(measure())

    assert set(lookups) == {200}
    assert set(searches) <= {200, 503}
    assert unfinished > 0


def ask(folder: Path, target: str, **overrides: float) -> httpx.Response:
    """Ask an application in this process."""
    settings = load_settings(None, {f"catalog.{name}": value for name, value in overrides.items()})
    index = SqlIndex.open_sqlite(folder / "catalog.db")
    transport = httpx.ASGITransport(create_app(Catalog(index, folder), settings))

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(target)

    try:
        return asyncio.run(get())
    finally:
        index.close()


@pytest.mark.parametrize("path", ["/api/v1/images", "/api/v1/facets", "/search"])
def test_an_expensive_query(folder: Path, path: str) -> None:
    """A search over its time limit is refused with the limit, and what to do."""
    answer = ask(folder, f"{path}?q={EXPENSIVE}", search_seconds=0.001)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "the 0.001 seconds that one request has. Ask for less" in answer.text


def test_a_locked_catalog(folder: Path, tmp_path: Path) -> None:
    """While another process keeps an SQLite catalog locked, lookups and searches are answered by 503."""
    (tmp_path / "catalog.db").write_bytes((folder / "catalog.db").read_bytes())
    with closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE state SET counter = counter")
        targets = ("/dap/omega/1/", "/api/v1/images?q=omega")
        answers = [ask(tmp_path, target) for target in targets]
        other.execute("COMMIT")

    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "5")] * 2
    assert ask(tmp_path, targets[0]).status_code == 200


# The threads themselves ----------------------------------------------------------------------------------------------


async def stay() -> dict[str, Any]:
    """Receive nothing: the client waits for its answer."""
    await asyncio.sleep(3600)
    raise AssertionError


async def leave() -> dict[str, Any]:
    """Receive that the client has left."""
    return {"type": "http.disconnect"}


def make_slow(release: threading.Event) -> Callable[[], str]:
    """Return a search that goes on until it is released, or until its time is over."""

    def search() -> str:
        while not release.wait(0.001):
            check_time_limit()
        return "slow"

    return search


def test_quick_beside_slow() -> None:
    """A quick search ends while more slow ones run and wait than there are threads; then they end, too."""

    async def run() -> tuple[str, int, set[str]]:
        threads, release = SearchThreads(3600, 3600), threading.Event()
        slow = [asyncio.ensure_future(threads.run(stay, make_slow(release), str(number))) for number in range(6)]
        await asyncio.sleep(0)
        quick = await threads.run(stay, lambda: "quick")
        unfinished = sum(not each.done() for each in slow)
        release.set()
        return quick, unfinished, set(await asyncio.gather(*slow))

    assert asyncio.run(run()) == ("quick", 6, {"slow"})


def test_a_known_slow_query() -> None:
    """A query that was slow before takes no thread of the quick ones."""

    async def run() -> int:
        threads, release = SearchThreads(3600, 3600), threading.Event()
        starts, is_slow = list[str](), threading.Event()

        def search() -> str:
            starts.append(threading.current_thread().name)
            if len(starts) > 1:
                is_slow.set()
            return make_slow(release)()

        first = asyncio.ensure_future(threads.run(stay, search, "query"))
        await asyncio.to_thread(is_slow.wait)  # it starts again among the slow ones
        others = [asyncio.ensure_future(threads.run(stay, search, "query")) for _ in range(4)]
        await threads.run(stay, lambda: "quick")
        count = len(starts)
        release.set()
        await asyncio.gather(first, *others)
        return count

    assert asyncio.run(run()) == 2


def test_a_long_wait() -> None:
    """A search that waited too long for a thread is refused, and takes no place of later ones."""

    async def run() -> str:
        threads, release = SearchThreads(3600, 0.05), threading.Event()
        slow = [asyncio.ensure_future(threads.run(stay, make_slow(release))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="busy with other searches"):
            await threads.run(stay, lambda: "quick")
        release.set()
        await asyncio.gather(*slow)
        return await threads.run(stay, lambda: "quick")

    assert asyncio.run(run()) == "quick"


def test_a_client_that_leaves() -> None:
    """The search of a client that leaves ends."""

    def run() -> Awaitable[str]:
        return SearchThreads(3600).run(leave, make_slow(threading.Event()), "query")

    with pytest.raises(TooSlow):
        asyncio.run(asyncio.wait_for(run(), 60))
