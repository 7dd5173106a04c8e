"""The cost of a request: an image is found once, and each of its files is looked at once."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from tests.catalog.diagnostics.test_derive import catalog, index, root

from shotdap.catalog import Catalog, SqlIndex
from shotdap.config import load_settings
from shotdap.server.app import create_app
from shotdap.server.protocols import dap2

__all__ = ["catalog", "index", "root"]  # fixtures

VIEWS = (None, dap2.adapt_dataset)
URL = "/dap/omega/3/cam/image.dap?dap4.ce=/flattened[2:3][]"


def test_a_warm_slice(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DAP4 slice of an image with a flat field takes one nearest, three SQL statements and one stat of each file."""
    transport = httpx.ASGITransport(create_app(catalog, load_settings()))

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(URL)

    first = anyio.run(get)
    counts: Counter[str] = Counter()
    stat, find_nearest = os.stat, SqlIndex.find_nearest

    def count_stat(path: Any, **options: Any) -> os.stat_result:  # noqa: ANN401 — as `os.stat`
        if str(path).endswith(".h5"):
            counts[Path(path).name] += 1
        return stat(path, **options)

    def count_search(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 — as `find_nearest`
        counts["nearest"] += 1
        return find_nearest(*arguments, **options)

    def count_statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        counts["SQL"] += statement != "BEGIN"

    monkeypatch.setattr(os, "stat", count_stat)
    monkeypatch.setattr(SqlIndex, "find_nearest", count_search)
    event.listen(sa.Engine, "before_cursor_execute", count_statement)
    try:
        second = anyio.run(get)
    finally:
        event.remove(sa.Engine, "before_cursor_execute", count_statement)

    assert first.status_code == second.status_code == 200
    assert second.content == first.content
    assert counts.pop("SQL") <= 3
    assert counts == {"nearest": 1, "1.h5": 1, "2.h5": 1}


@pytest.mark.parametrize("query", [".dods", ".dods?flattened,mean(image,y)&y%3E2", ".das?mean(image)", ".dap", ".dmr"])
def test_opened_image_stays_as_it_is(query: str, catalog: Catalog) -> None:
    """Requests share an opened image: none leaves values in it, or changes its attributes."""
    shared = [image.open_shared(view=view) for image in [catalog.image("omega/3/cam/image")] for view in VIEWS]
    before = [dataset.copy(deep=False) for dataset in shared]
    lazy = [variable._data for dataset in shared for variable in dataset.variables.values()]  # noqa: SLF001 — unread
    transport = httpx.ASGITransport(create_app(catalog, load_settings()))

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get(f"/dap/omega/3/cam/image{query}")

    assert anyio.run(get).status_code == 200
    again = [image.open_shared(view=view) for image in [catalog.image("omega/3/cam/image")] for view in VIEWS]
    assert all(one is other for one, other in zip(again, shared, strict=True))
    assert all(one.identical(other) for one, other in zip(again, before, strict=True))
    held = [variable._data for dataset in again for variable in dataset.variables.values()]  # noqa: SLF001 — as above
    assert all(one is other for one, other in zip(held, lazy, strict=True))
