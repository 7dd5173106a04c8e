"""The table of workloads: complete, and right where a URL alone does not say it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from shotdap.config import Site, load_settings
from shotdap.server.answering.workload import WORKLOADS, Workload, find_workload, is_forwarded
from shotdap.server.app import create_app


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starlette:
    """Create the application of a folder, with exports."""
    monkeypatch.setenv("SHOTDAP_ARCHIVE__FOLDER", str(tmp_path))
    monkeypatch.setenv("SHOTDAP_EXPORTS__FOLDER", str(tmp_path / "exports"))
    settings = load_settings()
    return create_app(Site(settings).open_catalog(), settings)


def iter_get_routes(routes: list[BaseRoute]) -> Iterator[str]:
    """Yield the routes of GET, those of mounted applications under their whole paths."""
    for route in routes:
        if isinstance(route, Route):
            if "GET" in (route.methods or ()):
                yield route.path
        elif isinstance(route, Mount) and isinstance(route.app, FastAPI):
            yield f"{route.path}{route.app.openapi_url}"
            yield from (f"{route.path}{path}" for path, item in route.app.openapi()["paths"].items() if "get" in item)
        else:
            assert isinstance(route, Mount)
            is_legacy = route.path == "/api/image"  # an alias of the API, of whose routes it can reach one
            assert is_legacy or isinstance(route.app, StaticFiles)
            yield "/api/image/get/{kind}" if is_legacy else route.path


def test_complete(app: Starlette) -> None:
    """Each route of GET has a workload, and each workload belongs to a route."""
    routes = {route.replace(":path}", "}") for route in iter_get_routes(app.routes)}  # as in OpenAPI

    assert routes == {route.replace(":path}", "}") for route in WORKLOADS}


@pytest.mark.parametrize(
    ("target", "workload"),
    [
        ("/", Workload.LIGHT),
        ("/dap/", Workload.HEAVY),
        ("/dap/shot.h5", Workload.HEAVY),
        ("/dap/shot.h5.dds", Workload.MEMORY),
        ("/dap/shot.h5.dods", Workload.MEMORY),
        ("/dap/shot.h5.dmr.html", Workload.HEAVY),
        ("/dap/shot.h5.nc4", Workload.HEAVY),
        ("/dap/anything.ver", Workload.LIGHT),
        ("/zarr/shot.h5/zarr.json", Workload.MEMORY),
        ("/fileServer/shot.h5", Workload.STREAM),
        ("/thredds/catalog/omega/catalog.xml", Workload.LIGHT),
        ("/api/docs", Workload.LIGHT),
        ("/api/image/get/raw?shot=1", Workload.HEAVY),
        ("/api/v1/health", Workload.LIGHT),
        ("/api/v1/images", Workload.LIGHT),
        ("/api/v1/images/shot.h5", Workload.HEAVY),
        ("/api/v1/packages/omega/1", Workload.STREAM),
        ("/api/v1/packages/omega/1?format=zarr", Workload.STREAM),
        ("/api/v1/packages/omega/1?format=nc4", Workload.HEAVY),
        ("/api/v1/exports/1/events", Workload.LIGHT),
        ("/nowhere", Workload.LIGHT),
    ],
)
def test_workloads(target: str, workload: Workload) -> None:
    """A URL has the workload of what answers it."""
    path, _, query = target.partition("?")
    found = find_workload("GET", path, query.encode())

    assert is_forwarded("GET", path, query.encode()) == (workload is Workload.HEAVY)
    assert found == workload or {found, workload} == {Workload.LIGHT, Workload.STREAM}
    assert find_workload("OPTIONS", path) == Workload.LIGHT


def test_orders() -> None:
    """An order of an export opens images; its list does not."""
    assert all(is_forwarded("POST", path) for path in ("/api/v1/exports", "/exports", "/exports/again"))
    assert not is_forwarded("POST", "/exports/remove")
    assert not is_forwarded("GET", "/api/v1/exports")
    assert not is_forwarded("DELETE", "/api/v1/exports/1")
