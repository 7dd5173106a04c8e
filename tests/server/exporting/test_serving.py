"""Exports as jobs of running servers, which may be killed."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
import xarray as xr
from httpx_sse import connect_sse
from tests.server.exporting.campaign import QUERY, Campaign, made, within
from tests.serving import Server, serving
from zarr.storage import ZipStore

EXPORTS: Final = "/api/v1/exports"
ORDER: Final[dict[str, Any]] = {"query": QUERY, "variables": ["background_subtracted"], "format": "nc"}
SECONDS: Final = 120  # on a machine that does other things too


@dataclass(frozen=True)
class Site:
    """A server of a campaign."""

    server: Server
    campaign: Campaign
    client: httpx.Client

    def post(self, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:  # noqa: ANN401 — JSON
        """The answer to an order."""
        return self.client.post(EXPORTS, json={**ORDER, **more}, headers=headers)

    def ordered(self, **more: Any) -> str:  # noqa: ANN401 — JSON
        """The URL of a new export."""
        answer = self.post(**more)
        assert answer.status_code == 202, answer.text
        return str(answer.headers["Location"])

    def state(self, url: str) -> dict[str, Any]:
        """An export as it stands."""
        found: dict[str, Any] = self.client.get(url).raise_for_status().json()
        return found

    def over(self, url: str) -> dict[str, Any]:
        """An export once it is over."""
        assert within(lambda: self.state(url)["ended"], SECONDS), self.state(url)
        return self.state(url)

    def begun(self, url: str, least: int = 20) -> dict[str, Any]:
        """An export once it has done some images."""
        assert within(lambda: self.state(url)["done"] >= least or self.state(url)["ended"], SECONDS), self.state(url)
        return self.state(url)


@contextmanager
def served(campaign: Campaign, *choices: str) -> Iterator[Site]:
    """A server of a campaign, for as long as the block lasts."""
    log = campaign.folder / f"server-{time.monotonic_ns()}.log"
    with (
        serving(log, "--config", campaign.config, *choices) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        yield Site(server, campaign, client)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server, in two processes, of seven images of which one cannot be read."""
    campaign = made(tmp_path_factory.mktemp("site") / "site", 7)
    campaign.spoil(2)
    campaign.add("images_per_job = 7\njobs_per_user = 3\nuser_mib = 1\n")
    with served(campaign, "--workers", "2") as site:
        yield site


@pytest.fixture(scope="module")
def finished(site: Site) -> dict[str, Any]:
    """An export that is over."""
    return site.over(site.ordered())


def test_an_export(site: Site, finished: dict[str, Any]) -> None:
    """What was ordered is made in the background, and holds the right numbers; the manifest says what is missing."""
    content = site.client.get(finished["links"]["result"]).content
    manifest = [json.loads(line) for line in site.client.get(finished["links"]["manifest"]).text.splitlines()]

    assert (finished["state"], finished["total"], finished["done"], finished["failed"]) == ("done", 7, 6, 1)
    assert (finished["order"]["query"], finished["seconds_left"], finished["message"]) == (QUERY, None, "")
    assert [line["path"] for line in manifest if line["status"] == "failed"] == [site.campaign.path(2)]
    with ZipFile(io.BytesIO(content)) as archive:
        for number in {*range(7)} - {2}:
            file = io.BytesIO(archive.read(f"{site.campaign.path(number)}.nc"))
            with xr.open_dataset(file, engine="scipy") as found:
                expected = site.campaign.subtracted(number)
                np.testing.assert_array_equal(found["background_subtracted"].values, expected)


def test_events(site: Site) -> None:
    """Server-sent events tell how far an export is, until its end."""
    url = site.ordered(container="zarr-zip", format="")
    with connect_sse(site.client, "GET", f"{url}/events") as source:
        events = [(event.event, event.json()) for event in source.iter_sse()]

    assert [name for name, _ in events[-2:]] == ["progress", "end"]
    assert (events[-1][1]["state"], events[-1][1]["done"]) == ("done", 6)
    assert [name for name, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1][1] == site.state(url)


def test_a_zarr_store_to_take_home(site: Site, tmp_path: Path) -> None:
    """A Zarr store comes as one file, which zarr-python opens as it is."""
    state = site.over(site.ordered(container="zarr-zip", format=""))
    path = tmp_path / "export.zarr.zip"
    path.write_bytes(site.client.get(state["links"]["result"]).content)
    with ZipStore(path, mode="r") as store:
        found = xr.open_zarr(store, group=site.campaign.path(1), chunks=None)
        np.testing.assert_array_equal(found["background_subtracted"].values, site.campaign.subtracted(1))


def test_a_result_in_parts(site: Site, finished: dict[str, Any]) -> None:
    """A result goes out by ranges, and not again to who has it; its tag is its SHA-256."""
    url = finished["links"]["result"]
    whole = site.client.get(url)
    part = site.client.get(url, headers={"Range": "bytes=10-19"})
    kept = site.client.get(url, headers={"If-None-Match": whole.headers["ETag"]})

    assert whole.headers["ETag"] == f'"{finished["sha256"]}"'
    assert int(whole.headers["Content-Length"]) == finished["size"] == len(whole.content)
    assert whole.headers["Content-Disposition"] == 'attachment; filename="export.zip"'
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert (kept.status_code, kept.content) == (304, b"")
    assert site.client.get(url, headers={"Range": "bytes=999999999-"}).status_code == 416
    assert site.client.head(url).headers["Content-Length"] == str(finished["size"])


def test_a_list(site: Site, finished: dict[str, Any]) -> None:
    """A user's exports are listed."""
    listed = site.client.get(EXPORTS).json()["exports"]

    assert finished in listed


REFUSED: Final[dict[str, tuple[dict[str, Any], int, str]]] = {
    "no query": ({"query": ""}, 400, "say which images"),
    "a bad query": ({"query": "date:2022-13"}, 400, "is no date"),
    "nothing matches": ({"query": "facility:nif"}, 400, "No image matches"),
    "no such variable": ({"variables": ["ilumination"]}, 400, "no variable 'ilumination'"),
    "no such format": ({"format": "gif"}, 400, "no format 'gif'"),
    "a bad part": ({"part": {"y": "a"}}, 400, "y=100:400"),
    "beyond the end": ({"part": {"y": "0:4000"}}, 400, "outside"),
    "unknown": ({"quality": "best"}, 400, "quality"),
    "unknown display": ({"display": {"colour": "red"}}, 400, "colour"),
    "no folder of the server's": ({"container": "folder"}, 400, "zip"),
    "a long query": ({"query": "x" * 2001}, 400, "2000"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str, site: Site) -> None:
    """What cannot be right is refused at once, as a problem document that says what it is."""
    more, status, words = REFUSED[what]
    answer = site.post(**more)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_unknown(site: Site) -> None:
    """An export that is not there is a 404 on every one of its URLs, the stream of events too."""
    url = f"{EXPORTS}/nobody-guesses-this"
    answers = [site.client.get(f"{url}{below}") for below in ("", "/events", "/manifest", "/result")]

    assert [answer.status_code for answer in (*answers, site.client.delete(url))] == [404] * 5
    assert all("is kept for 72 hours" in answer.json()["detail"] for answer in answers)


def test_the_same_key(site: Site) -> None:
    """An order that is sent twice with one key is one export; another order with that key is refused."""
    key = {"Idempotency-Key": "once"}
    one, two, other = (site.post(key), site.post(key), site.post(key, variables=["image"]))
    site.over(one.headers["Location"])

    assert one.headers["Location"] == two.headers["Location"]
    assert (other.status_code, "another order" in other.json()["detail"]) == (409, True)
    site.client.delete(one.headers["Location"])


def test_removed(site: Site) -> None:
    """An export that is over can be taken away, and its files are."""
    url = site.ordered()
    state = site.over(url)

    assert site.client.delete(url).status_code == 204
    assert site.client.get(url).status_code == 404
    assert not (site.campaign.exports / state["id"]).exists()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """So many images that a server can be killed over them, each in a file of its own."""
    return made(tmp_path_factory.mktemp("many") / "site", 700)


def test_quota(tmp_path: Path) -> None:
    """One job, or one byte, too many is refused with a sentence that says how many there may be; so are images."""
    campaign = made(tmp_path / "site", 5, files=2)
    campaign.add("jobs_per_user = 1\nimages_per_job = 4\nuser_mib = 1\nscheduler = 'tcp://127.0.0.1:9'\n")
    with served(campaign) as site:
        too_many = site.post()
        url = site.ordered(query=f"{QUERY} shot:50000..50002")
        over_quota = site.post(query=f"{QUERY} shot:50000")
        waits = within(lambda: "does not answer" in site.state(url)["message"])
        site.client.delete(url)

        assert (too_many.status_code, "More than 4 images match" in too_many.json()["detail"]) == (413, True)
        assert over_quota.status_code == 429
        assert "1 exports that wait or run; 1 are allowed" in over_quota.json()["detail"]
        assert waits
        assert site.state(url)["state"] == "cancelled"


def test_a_killed_server(many: Campaign) -> None:
    """A server that is killed and started again goes on with its job; what was done is not done again."""
    with ExitStack() as stack:
        first = stack.enter_context(dying(many))
        url = first.ordered()
        before = first.begun(url)
        os.kill(first.server.process.pid, signal.SIGKILL)
        first.server.process.wait()
    place = many.exports / before["id"] / "export.zip.export"
    done = [json.loads(line) for line in (place / "manifest.jsonl").read_text().splitlines()]
    for line in done:
        many.spoil(int(line["path"].rpartition("_s")[2]) - 50_000)  # whoever does it again cannot
    with served(many) as second:
        after = second.over(url)
        content = second.client.get(after["links"]["result"]).content

    assert 20 <= len(done) < 700
    assert (after["state"], after["done"], after["failed"]) == ("done", 700, 0)
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        for number in range(0, 700, 10):
            with xr.open_dataset(io.BytesIO(archive.read(f"{many.path(number)}.nc")), engine="scipy") as found:
                np.testing.assert_array_equal(found["background_subtracted"].values, many.subtracted(number))


@contextmanager
def dying(campaign: Campaign) -> Iterator[Site]:
    """A server that is killed before the block is over."""
    with ExitStack() as stack:
        site = stack.enter_context(served(campaign))
        yield site
        with pytest.raises(pytest.fail.Exception):  # the server ended before the block did
            stack.close()


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Many images in few files."""
    return made(tmp_path_factory.mktemp("more") / "site", 400, files=20)


def test_two_servers(more: Campaign) -> None:
    """Two servers on one folder run a job once, and both tell of it."""
    holders = set[str]()
    with served(more) as one, served(more) as two:
        url = one.ordered()
        database = more.exports / "jobs.db"
        with closing(sqlite3.connect(database)) as connection:
            while not two.state(url)["ended"]:
                holders |= {holder for (holder,) in connection.execute("SELECT holder FROM jobs") if holder}
                time.sleep(0.05)
        states = [each.state(url) for each in (one, two)]
        for each in (one, two):
            assert each.client.head(states[0]["links"]["result"]).status_code == 200
        one.client.delete(url)

    assert len(holders) == 1
    assert states[0] == states[1]
    assert (states[0]["state"], states[0]["done"]) == ("done", 400)


def test_cancel_and_events_at_the_end(tmp_path: Path) -> None:
    """A job that runs is cancelled, and its files go; a server with a stream of events open ends on Ctrl-C."""
    more = made(tmp_path / "site", 4000, files=20)  # so many that it is still running when it is cancelled
    with served(more) as site:
        url = site.ordered()
        state = site.begun(url, 1)
        not_yet = site.client.get(f"{url}/result")
        deleted = site.client.delete(url)

        assert (not_yet.status_code, "running" in not_yet.json()["detail"]) == (409, True)
        assert deleted.status_code == 204
        assert site.over(url)["state"] == "cancelled"
        assert within(lambda: not (more.exports / state["id"]).exists())
        other = site.ordered()
        with connect_sse(site.client, "GET", f"{other}/events") as source:
            next(source.iter_sse())
            assert site.server.interrupt() == 0


def test_expiry(tmp_path: Path) -> None:
    """A result that has been kept long enough is taken away."""
    campaign = made(tmp_path / "site", 1)
    campaign.add("keep_hours = 0.001\nidle_seconds = 0\n")
    with served(campaign) as site:
        url = site.ordered()
        state = site.over(url)

        assert state["state"] == "done"
        assert within(lambda: site.client.get(url).status_code == 404)
        assert within(lambda: not (campaign.exports / state["id"]).exists())


def test_no_exports(tmp_path: Path) -> None:
    """A server whose settings have no folder for exports has none."""
    campaign = made(tmp_path / "site", 1)
    campaign.config.write_text(campaign.config.read_text().replace('folder = "exports"', 'folder = ""'))
    with served(campaign) as site:
        assert site.post().status_code == 404
