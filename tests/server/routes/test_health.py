"""``/health`` always answers; ``/ready`` names the parts that do not, in a limited time and without holding threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config import load_settings
from shotdap.server.app import create_app
from shotdap.server.readiness import Readiness, ReadinessCheck, make_catalog_check
from shotdap.server.routes.health import create_health_routes


def ask(app: Starlette, *paths: str, method: str = "GET") -> list[httpx.Response]:
    """Send requests to an application side by side; return its responses."""

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await asyncio.gather(*(client.request(method, path) for path in paths))

    return anyio.run(send)


def create(seconds: float = 60, **checks: ReadinessCheck) -> Starlette:
    """Create an application with these routes only."""
    return Starlette(routes=create_health_routes(Readiness(checks, seconds)))


class HangingCatalog(Catalog):
    """A catalog whose database does not answer until it is released."""

    def __init__(self, folder: Path) -> None:
        super().__init__(DirectoryArchive(folder), folder)
        self.release = threading.Event()
        self.queries = 0

    def list_children(self, *_: object, **__: object) -> None:  # type: ignore[override]
        """Hang."""
        self.queries += 1
        self.release.wait(60)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[HangingCatalog]:
    catalog = HangingCatalog(tmp_path)
    yield catalog
    catalog.release.set()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_of_a_server(method: str, tmp_path: Path) -> None:
    """A server that is well says so, and caches keep neither answer."""
    app = create_app(Catalog(DirectoryArchive(tmp_path), tmp_path), load_settings())
    health, ready = ask(app, "/health", "/ready", method=method)

    assert (health.status_code, ready.status_code) == (200, 200)
    assert health.headers["cache-control"] == ready.headers["cache-control"] == "no-store"
    if method == "GET":
        assert health.json() == {"status": "ok"}
        assert ready.json() == {"status": "ok", "parts": {"catalog": "ok"}}


def test_lost_catalog(tmp_path: Path) -> None:
    """A server whose folder has gone is healthy and not ready; the sentence does not name the folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    app = create_app(Catalog(DirectoryArchive(folder), folder), load_settings())
    folder.rmdir()
    health, ready = ask(app, "/health", "/ready")

    assert (health.status_code, ready.status_code, ready.headers["retry-after"]) == (200, 503, "5")
    assert ready.json()["parts"]["catalog"] != "ok"
    assert str(tmp_path) not in ready.text


def test_hanging_catalog(hanging: HangingCatalog) -> None:
    """However often a catalog that hangs is asked whether it is ready, one query waits for it, in one thread."""
    app = create(0.05, catalog=make_catalog_check(hanging), other=make_check(lambda: None))
    before = {*threading.enumerate()}
    answers = ask(app, *["/ready"] * 30, *["/health"] * 3)

    assert [answer.status_code for answer in answers] == [503] * 30 + [200] * 3
    assert answers[0].json()["parts"] == {"catalog": "It does not answer within 0.05 s.", "other": "ok"}
    assert hanging.queries == 1
    assert len({*threading.enumerate()} - before) == 1


def test_recovery(hanging: HangingCatalog) -> None:
    """A catalog that answers again is ready again."""
    app = create(catalog=make_catalog_check(hanging))
    hanging.release.set()

    assert ask(app, "/ready")[0].status_code == 200


def make_check(respond: Callable[[], str | None]) -> ReadinessCheck:
    """Make a check that calls a function."""

    async def check() -> str | None:
        return respond()

    return check


def test_problems() -> None:
    """A part that says why it is not ready, and one whose check fails, are both named."""
    app = create(good=make_check(lambda: None), full=make_check(lambda: "All are busy."), bad=make_check(lambda: 1 / 0))  # type: ignore[arg-type,return-value]
    (answer,) = ask(app, "/ready")

    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()["parts"]["good"] == "ok"
    assert answer.json()["parts"]["full"] == "All are busy."
    assert "ZeroDivisionError" not in answer.text
