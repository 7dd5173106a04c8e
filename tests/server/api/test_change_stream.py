"""The stream of changes: new images within seconds, for each listener what they may see, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent, connect_sse
from tests.server.test_catalog_poller import insert_withheld, site
from tests.serving import Server, run_shotdap, serving

__all__ = ["site"]

RULES: Final = """
[[access.rules]]
groups = ["staff"]
[[access.rules]]
users = ["*"]
paths = ["omega-ep"]
"""
STREAM: Final = "/api/v1/changes/stream"


@contextmanager
def listen(url: str, token: str = "", **headers: str) -> Iterator[EventSource]:
    """Follow the stream of a server."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with (
        httpx.Client(timeout=60, trust_env=False) as client,
        connect_sse(client, "GET", f"{url}{STREAM}", headers=headers) as source,
    ):
        yield source


def read_until(events: Iterator[ServerSentEvent], path: str) -> list[Any]:
    """Read changes until one of a path arrives; return all of them."""
    changes: list[Any] = []
    for event in events:
        if event.event == "changes":
            changes += event.json()["changes"]
        if any(each["path"] == path for each in changes):
            return changes
    pytest.fail("the stream has ended")


def test_new_images(site: Path, tmp_path: Path) -> None:
    """A stream begins now, and tells of each new image, with the links that a page needs."""
    image = "omega-ep/25386/sop/sop_s25386"
    with serving(tmp_path / "log", "--config", site, "--workers", "2") as server, listen(server.url) as source:
        events = source.iter_sse()
        start = next(events)
        insert_withheld(tmp_path)
        changes = read_until(events, image)
        now = httpx.get(f"{server.url}/api/v1/changes", params={"since": start.id}, trust_env=False).json()

    (found,) = [each for each in changes if each["path"] == image and each["image"]]
    assert (start.event, start.json()) == ("start", {"token": start.id})
    assert found["image"]["links"]["thumbnail"] == f"{server.url}/api/v1/thumbnails/{image}"
    assert {each["path"] for each in changes} <= {each["path"] for each in now["changes"]}


def test_who_comes_again(site: Path, tmp_path: Path) -> None:
    """A client that comes again with the id of its last event misses nothing; a bad one is refused at once."""
    image = "omega-ep/25386/sop/sop_s25386"
    with serving(tmp_path / "log", "--config", site) as server:
        with listen(server.url) as source:
            start = next(source.iter_sse()).id
        insert_withheld(tmp_path)
        with listen(server.url, **{"Last-Event-ID": start}) as source:
            changes = read_until(source.iter_sse(), image)
        with listen(server.url, **{"Last-Event-ID": "nonsense"}) as source:
            refused = source.response.status_code

    assert any(each["path"] == image for each in changes)
    assert refused == 400


def test_who_may_see_them(site: Path, tmp_path: Path) -> None:
    """Each listener is told of the images that exist for them; without a token nobody listens."""
    site.write_text(site.read_text() + RULES)
    guest, staff = (
        run_shotdap("token", "create", name, "--group", name, "--config", site).stdout.strip()
        for name in ("guest", "staff")
    )
    last = "omega-ep/25386/sop/sop_s25386"
    with serving(tmp_path / "log", "--config", site, mode="token") as server:
        with listen(server.url, guest) as source:
            events = source.iter_sse()
            next(events)
            insert_withheld(tmp_path)
            seen = {each["path"].split("/")[0] for each in read_until(events, last)}
            everything = httpx.get(
                f"{server.url}/api/v1/changes", headers={"Authorization": f"Bearer {staff}"}, trust_env=False
            ).json()["changes"]
        with listen(server.url) as source:
            refused = source.response.status_code

    assert seen == {"omega-ep"}
    assert seen < {each["path"].split("/")[0] for each in everything}
    assert refused == 401


def test_a_directory_tree(every: Server) -> None:
    """A directory tree keeps no record of changes, and says so."""
    answer = httpx.get(f"{every.url}{STREAM}", trust_env=False)

    assert answer.status_code == 404
    assert "keeps no record of changes" in answer.json()["detail"]
