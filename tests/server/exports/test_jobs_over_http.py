"""Exports as jobs of running servers, some of which are killed."""

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
from tests.server.exports.campaign import QUERY, Campaign, make_campaign, wait_until
from tests.serving import Server, find_processes, serving
from zarr.storage import ZipStore

EXPORTS: Final = "/api/v1/exports"
ORDER: Final[dict[str, Any]] = {"query": QUERY, "variables": ["background_subtracted"], "format": "nc"}
SECONDS: Final = 120  # on a busy machine


@dataclass(frozen=True)
class Site:
    """A server of a campaign."""

    server: Server
    campaign: Campaign
    client: httpx.Client

    def post(self, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:  # noqa: ANN401 — JSON
        """Send an order and return the response."""
        return self.client.post(EXPORTS, json={**ORDER, **more}, headers=headers)

    def create_export(self, **more: Any) -> str:  # noqa: ANN401 — JSON
        """Order an export and return its URL."""
        response = self.post(**more)
        assert response.status_code == 202, response.text
        return str(response.headers["Location"])

    def get_state(self, url: str) -> dict[str, Any]:
        """Return the state of an export."""
        found: dict[str, Any] = self.client.get(url).raise_for_status().json()
        return found

    def wait_until_ended(self, url: str) -> dict[str, Any]:
        """Return the state of an export after its end."""
        assert wait_until(lambda: self.get_state(url)["ended"], SECONDS), self.get_state(url)
        return self.get_state(url)

    def wait_until_begun(self, url: str, least: int = 20) -> dict[str, Any]:
        """Return the state of an export after it has done some images."""
        assert wait_until(lambda: self.get_state(url)["done"] >= least or self.get_state(url)["ended"], SECONDS), (
            self.get_state(url)
        )
        return self.get_state(url)


@contextmanager
def run_server(campaign: Campaign, *choices: str) -> Iterator[Site]:
    """Run a server of a campaign while the block lasts."""
    log = campaign.folder / f"server-{time.monotonic_ns()}.log"
    with (
        serving(log, "--config", campaign.config, *choices) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        yield Site(server, campaign, client)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of two processes and seven images, one of them unreadable."""
    campaign = make_campaign(tmp_path_factory.mktemp("site") / "site", 7)
    campaign.spoil(2)
    campaign.add_settings("images_per_job = 7\njobs_per_user = 3\nuser_mib = 1\n")
    with run_server(campaign, "--workers", "2") as site:
        yield site


@pytest.fixture(scope="module")
def finished_export(site: Site) -> dict[str, Any]:
    """The state of a finished export."""
    return site.wait_until_ended(site.create_export())


def test_an_export(site: Site, finished_export: dict[str, Any]) -> None:
    """An export runs in the background and has the right numbers; the manifest reports the missing image."""
    content = site.client.get(finished_export["links"]["result"]).content
    manifest = [json.loads(line) for line in site.client.get(finished_export["links"]["manifest"]).text.splitlines()]

    assert (finished_export["state"], finished_export["total"], finished_export["done"], finished_export["failed"]) == (
        "done",
        7,
        6,
        1,
    )
    assert (finished_export["order"]["query"], finished_export["seconds_left"], finished_export["message"]) == (
        QUERY,
        None,
        "",
    )
    assert [line["path"] for line in manifest if line["status"] == "failed"] == [site.campaign.get_path(2)]
    with ZipFile(io.BytesIO(content)) as archive:
        for number in {*range(7)} - {2}:
            file = io.BytesIO(archive.read(f"{site.campaign.get_path(number)}.nc"))
            with xr.open_dataset(file, engine="scipy") as found:
                expected = site.campaign.compute_subtracted(number)
                np.testing.assert_array_equal(found["background_subtracted"].values, expected)


def test_events(site: Site) -> None:
    """Server-sent events report the progress of an export until its end."""
    url = site.create_export(container="zarr-zip", format="")
    with connect_sse(site.client, "GET", f"{url}/events") as source:
        events = [(event.event, event.json()) for event in source.iter_sse()]

    assert [name for name, _ in events[-2:]] == ["progress", "end"]
    assert (events[-1][1]["state"], events[-1][1]["done"]) == ("done", 6)
    assert [name for name, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1][1] == site.get_state(url)


def test_a_zarr_store_to_take_home(site: Site, tmp_path: Path) -> None:
    """A Zarr store is downloaded as one file, which zarr-python opens directly."""
    state = site.wait_until_ended(site.create_export(container="zarr-zip", format=""))
    path = tmp_path / "export.zarr.zip"
    path.write_bytes(site.client.get(state["links"]["result"]).content)
    with ZipStore(path, mode="r") as store:
        found = xr.open_zarr(store, group=site.campaign.get_path(1), chunks=None)
        np.testing.assert_array_equal(found["background_subtracted"].values, site.campaign.compute_subtracted(1))


def test_a_result_in_parts(site: Site, finished_export: dict[str, Any]) -> None:
    """A result can be downloaded by ranges and conditionally; its ETag is its SHA-256."""
    url = finished_export["links"]["result"]
    whole = site.client.get(url)
    part = site.client.get(url, headers={"Range": "bytes=10-19"})
    kept = site.client.get(url, headers={"If-None-Match": whole.headers["ETag"]})

    assert whole.headers["ETag"] == f'"{finished_export["sha256"]}"'
    assert int(whole.headers["Content-Length"]) == finished_export["size"] == len(whole.content)
    assert whole.headers["Content-Disposition"] == 'attachment; filename="export.zip"'
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert (kept.status_code, kept.content) == (304, b"")
    assert site.client.get(url, headers={"Range": "bytes=999999999-"}).status_code == 416
    assert site.client.head(url).headers["Content-Length"] == str(finished_export["size"])


def test_a_list(site: Site, finished_export: dict[str, Any]) -> None:
    """A user's exports are listed."""
    listed = site.client.get(EXPORTS).json()["exports"]

    assert finished_export in listed


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
    """An order that cannot be right is refused at once with a problem document."""
    more, status, words = REFUSED[what]
    response = site.post(**more)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert words in response.json()["detail"]


def test_unknown(site: Site) -> None:
    """Every URL of an unknown export gives 404, also the stream of events."""
    url = f"{EXPORTS}/nobody-guesses-this"
    responses = [site.client.get(f"{url}{below}") for below in ("", "/events", "/manifest", "/result")]

    assert [response.status_code for response in (*responses, site.client.delete(url))] == [404] * 5
    assert all("is kept for 72 hours" in response.json()["detail"] for response in responses)


def test_the_same_key(site: Site) -> None:
    """An order that is sent twice with one key makes one export; another order with this key is refused."""
    key = {"Idempotency-Key": "once"}
    one, two, other = (site.post(key), site.post(key), site.post(key, variables=["image"]))
    site.wait_until_ended(one.headers["Location"])

    assert one.headers["Location"] == two.headers["Location"]
    assert (other.status_code, "another order" in other.json()["detail"]) == (409, True)
    site.client.delete(one.headers["Location"])


def test_removed(site: Site) -> None:
    """A finished export can be removed, with its files."""
    url = site.create_export()
    state = site.wait_until_ended(url)

    assert site.client.delete(url).status_code == 204
    assert site.client.get(url).status_code == 404
    assert not (site.campaign.exports / state["id"]).exists()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Enough images to kill a server during their export, each in its own file."""
    return make_campaign(tmp_path_factory.mktemp("many") / "site", 700)


def test_quota(tmp_path: Path) -> None:
    """Too many jobs, bytes or images are refused, with a sentence that gives the limit."""
    campaign = make_campaign(tmp_path / "site", 5, files=2)
    campaign.add_settings("jobs_per_user = 1\nimages_per_job = 4\nuser_mib = 1\nscheduler = 'tcp://127.0.0.1:9'\n")
    with run_server(campaign) as site:
        too_many = site.post()
        url = site.create_export(query=f"{QUERY} shot:50000..50002")
        over_quota = site.post(query=f"{QUERY} shot:50000")
        waits = wait_until(lambda: "does not answer" in site.get_state(url)["message"])
        site.client.delete(url)

        assert (too_many.status_code, "More than 4 images match" in too_many.json()["detail"]) == (413, True)
        assert over_quota.status_code == 429
        assert "1 exports that wait or run; 1 are allowed" in over_quota.json()["detail"]
        assert waits
        assert site.get_state(url)["state"] == "cancelled"


def test_a_killed_server(many: Campaign) -> None:
    """A server that is killed and started again resumes its job; finished images are not exported again."""
    with ExitStack() as stack:
        first = stack.enter_context(run_doomed_server(many))
        url = first.create_export()
        before = first.wait_until_begun(url)
        os.kill(first.server.process.pid, signal.SIGKILL)
        first.server.process.wait()
    place = many.exports / before["id"] / "export.zip.export"
    done = [json.loads(line) for line in (place / "manifest.jsonl").read_text().splitlines()]
    for line in done:
        many.spoil(int(line["path"].rpartition("_s")[2]) - 50_000)  # so that it cannot be exported again
    with run_server(many) as second:
        after = second.wait_until_ended(url)
        content = second.client.get(after["links"]["result"]).content

    assert 20 <= len(done) < 700
    assert (after["state"], after["done"], after["failed"]) == ("done", 700, 0)
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        for number in range(0, 700, 10):
            with xr.open_dataset(io.BytesIO(archive.read(f"{many.get_path(number)}.nc")), engine="scipy") as found:
                np.testing.assert_array_equal(found["background_subtracted"].values, many.compute_subtracted(number))


@contextmanager
def run_doomed_server(campaign: Campaign) -> Iterator[Site]:
    """Run a server that is killed before the block ends."""
    with ExitStack() as stack:
        site = stack.enter_context(run_server(campaign))
        yield site
        with pytest.raises(pytest.fail.Exception):  # the server ended before the block did
            stack.close()


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Many images in few files."""
    return make_campaign(tmp_path_factory.mktemp("more") / "site", 400, files=20)


def test_two_servers(more: Campaign) -> None:
    """Two servers on one folder run a job once, and both report it."""
    holders = set[str]()
    with run_server(more) as one, run_server(more) as two:
        url = one.create_export()
        database = more.exports / "jobs.db"
        with closing(sqlite3.connect(database)) as connection:
            while not two.get_state(url)["ended"]:
                holders |= {holder for (holder,) in connection.execute("SELECT holder FROM jobs") if holder}
                time.sleep(0.05)
        states = [each.get_state(url) for each in (one, two)]
        for each in (one, two):
            assert each.client.head(states[0]["links"]["result"]).status_code == 200
        one.client.delete(url)

    assert len(holders) == 1
    assert states[0] == states[1]
    assert (states[0]["state"], states[0]["done"]) == ("done", 400)


def test_cancel_and_events_at_the_end(tmp_path: Path) -> None:
    """A running job is cancelled, and its files are removed; a server with an open event stream ends on Ctrl-C."""
    more = make_campaign(tmp_path / "site", 4000, files=20)  # enough that it still runs when it is cancelled
    with run_server(more) as site:
        url = site.create_export()
        state = site.wait_until_begun(url, 1)
        not_yet = site.client.get(f"{url}/result")
        deleted = site.client.delete(url)

        assert (not_yet.status_code, "running" in not_yet.json()["detail"]) == (409, True)
        assert deleted.status_code == 204
        assert site.wait_until_ended(url)["state"] == "cancelled"
        assert wait_until(lambda: not (more.exports / state["id"]).exists())
        other = site.create_export()
        with connect_sse(site.client, "GET", f"{other}/events") as source:
            next(source.iter_sse())
            assert site.server.interrupt() == 0


def test_end_with_a_running_job(tmp_path: Path) -> None:
    """SIGTERM ends a server with its poller, and with its exports amid a job; no process is left behind."""
    campaign = make_campaign(tmp_path / "site", 4000, files=20)
    campaign.config.write_text(campaign.config.read_text().replace("[catalog]", "[catalog]\nwatch_seconds = 0.5"))
    with run_server(campaign) as site:
        site.wait_until_begun(site.create_export(), 1)
        process = site.server.process
        assert site.server.find_children("shotdap watch")
        assert site.server.find_children("shotdap exports")
        # A server that forks has one thread: beside another one, a process may find a lock held for ever.
        assert len(list(Path(f"/proc/{site.server.process.pid}/task").iterdir())) == 1
        process.send_signal(signal.SIGTERM)

        assert process.wait(SECONDS) == 0
        assert wait_until(lambda: not find_processes(process.pid)), find_processes(process.pid)


def test_expiry(tmp_path: Path) -> None:
    """An expired result is removed."""
    campaign = make_campaign(tmp_path / "site", 1)
    campaign.add_settings("keep_hours = 0.001\nidle_seconds = 0\n")
    with run_server(campaign) as site:
        url = site.create_export()
        state = site.wait_until_ended(url)

        assert state["state"] == "done"
        assert wait_until(lambda: site.client.get(url).status_code == 404)
        assert wait_until(lambda: not (campaign.exports / state["id"]).exists())


def test_no_exports(tmp_path: Path) -> None:
    """A server whose settings have no folder for exports has no route for them."""
    campaign = make_campaign(tmp_path / "site", 1)
    campaign.config.write_text(campaign.config.read_text().replace('folder = "exports"', 'folder = ""'))
    with run_server(campaign) as site:
        assert site.post().status_code == 404
