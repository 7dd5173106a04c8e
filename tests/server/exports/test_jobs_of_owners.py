"""Jobs of several users: each sees their own, and a job uses only what its owner may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Final

import httpx
import pytest
from dask.distributed import Client, LocalCluster
from tests.in_process import serve_app
from tests.server.exports.campaign import QUERY, Campaign, make_campaign

from shotdap.catalog import EVERYTHING, Grant, Visibility
from shotdap.config import Site, load_settings
from shotdap.server.access.access_middleware import AccessMiddleware
from shotdap.server.access.authentication import Credentials
from shotdap.server.access.principal import Principal, Scope
from shotdap.server.app import create_app
from shotdap.server.exports.export_plan import plan_export
from shotdap.server.exports.job_run import run_export
from shotdap.server.exports.jobs.job_store import open_job_store
from shotdap.server.exports.manifest import read_records
from shotdap.server.exports.order import Order, QuerySource
from shotdap.server.exports.workspace import Workspace
from shotdap.server.extraction import Extraction

EXPORTS: Final = "/api/v1/exports"
ORDER: Final = {"query": QUERY, "variables": ["image"], "format": "nc"}
CAMERA: Final = """\
name = "camera"
extends = "two_frames"
title = "Camera with a flat field"

[match]
clues = [{ diagnostic = "CAM" }]

[related.neighbour]
match = { name = "*s50000*" }

[[recipes]]
name = "over_neighbour"
transform = "flat_field"
inputs = ["background_subtracted", "neighbour.background_subtracted"]
"""
USE: Final = frozenset({Scope.READ, Scope.EXPORT})
FIRST_SHOTS: Final = Visibility(((Grant(shots=(50_000, 50_001)),),))
PRINCIPALS: Final[Mapping[str, Principal]] = MappingProxyType(
    {
        "ann": Principal("ann", scopes=USE, visibility=EVERYTHING),
        "ann restricted": Principal("ann", scopes=USE, visibility=FIRST_SHOTS),
        "bob": Principal("bob", scopes=USE, visibility=EVERYTHING),
        "root": Principal("root", scopes=frozenset(Scope), visibility=EVERYTHING),
    }
)


class KnownTokens:
    """An authenticator of fixed tokens: the keys of `PRINCIPALS`."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Return the principal of a token."""
        return PRINCIPALS.get(credentials.bearer)


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """Four images of four shots."""
    campaign = make_campaign(tmp_path / "site", 4)
    campaign.add_settings("jobs_per_user = 2\n")
    return campaign


@pytest.fixture
def clients(campaign: Campaign) -> Iterator[dict[str, httpx.Client]]:
    """A client of each principal; nothing runs jobs."""
    settings = load_settings(campaign.config)
    app = AccessMiddleware(create_app(Site(settings).open_catalog(), settings), [KnownTokens()])
    with serve_app(app) as url, ExitStack() as stack:
        yield {
            name: stack.enter_context(
                httpx.Client(base_url=url, headers={"Authorization": f"Bearer {name}"}, trust_env=False, timeout=60)
            )
            for name in PRINCIPALS
        }


def order_export(client: httpx.Client) -> str:
    """Order an export; return its URL."""
    response = client.post(EXPORTS, json=ORDER)
    assert response.status_code == 202, response.text
    return str(response.headers["Location"])


def list_exports(client: httpx.Client) -> list[str]:
    """Return the URLs of the exports in the list."""
    return [each["links"]["self"] for each in client.get(EXPORTS).json()["exports"]]


@pytest.mark.parametrize("suffix", ["", "/events", "/manifest", "/result"])
def test_jobs_of_others(clients: dict[str, httpx.Client], suffix: str) -> None:
    """For others than its owner and administrators, a job does not exist, whatever of it they ask for."""
    url = order_export(clients["ann"])
    there = clients["bob"].get(f"{url}{suffix}")
    nowhere = clients["bob"].get(f"{EXPORTS}/{'x' * 22}{suffix}")

    assert (there.status_code, nowhere.status_code) == (404, 404)
    assert there.text.replace(url.rpartition("/")[2], "") == nowhere.text.replace("x" * 22, "")
    assert clients["bob"].delete(url).status_code == 404
    assert list_exports(clients["bob"]) == []
    assert list_exports(clients["ann"]) == [url]
    if suffix != "/events":  # it has no end while nobody runs the job
        assert {clients[name].get(f"{url}{suffix}").status_code for name in ("ann", "root")} <= {200, 409}
    assert clients["root"].delete(url).status_code == 204
    assert clients["ann"].get(url).json()["state"] == "cancelled"


def test_restricted_token_of_the_owner(clients: dict[str, httpx.Client]) -> None:
    """A token that is restricted does not reach a job that its owner ordered with more; theirs reaches both."""
    large, small = order_export(clients["ann"]), order_export(clients["ann restricted"])

    assert clients["ann"].get(large).json()["total"] == 4
    assert clients["ann"].get(small).json()["total"] == 2
    assert clients["ann restricted"].get(large).status_code == 404
    assert list_exports(clients["ann restricted"]) == [small]
    assert set(list_exports(clients["ann"])) == {large, small}


def test_restricted_token_and_key(clients: dict[str, httpx.Client]) -> None:
    """An Idempotency-Key leads a restricted token to no job that may see more."""
    key = {"Idempotency-Key": "once"}
    first = clients["ann"].post(EXPORTS, json=ORDER, headers=key)

    assert first.status_code == 202
    assert clients["ann"].post(EXPORTS, json=ORDER, headers=key).json() == first.json()
    assert clients["ann restricted"].post(EXPORTS, json=ORDER, headers=key).status_code == 409
    assert clients["bob"].post(EXPORTS, json=ORDER, headers=key).json()["id"] != first.json()["id"]


def test_quota_under_races(clients: dict[str, httpx.Client]) -> None:
    """Of twenty orders at once, a user gets as many as are allowed; another user is not hindered."""
    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda _: clients["ann"].post(EXPORTS, json=ORDER).status_code, range(20)))

    assert sorted(responses) == [202] * 2 + [429] * 18
    assert clients["bob"].post(EXPORTS, json=ORDER).status_code == 202


def test_job_has_the_visibility_of_its_order(clients: dict[str, httpx.Client], campaign: Campaign) -> None:
    """The job stores what its owner could see."""
    order_export(clients["ann restricted"])
    store = open_job_store(load_settings(campaign.config))

    assert store is not None
    (job,) = store.list_jobs("ann")
    assert Visibility.from_json(job.visibility) == FIRST_SHOTS
    store.close()


def test_related_image(campaign: Campaign, tmp_path: Path) -> None:
    """A worker uses no related image that the owner must not see: the variable that needs it is missing."""
    diagnostics = campaign.folder / "diagnostics"
    diagnostics.mkdir()
    (diagnostics / "camera.toml").write_text(CAMERA)
    campaign.config.write_text(
        campaign.config.read_text().replace("[catalog]", '[catalog]\ndiagnostics = "diagnostics"')
    )
    settings = load_settings(campaign.config)
    catalog = Site(settings).open_catalog()
    order = Order(QuerySource("shot:50001"), Extraction(("over_neighbour",)))
    own_shot = Visibility(((Grant(shots=(50_001, 50_001)),),))
    items = plan_export(catalog, order, memory_limit=1 << 30).items
    outcomes = []
    with (
        LocalCluster(
            n_workers=1, processes=False, dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        for name, visibility in (("all", EVERYTHING), ("own", own_shot)):
            workspace = Workspace(tmp_path / f"{name}.zip")
            workspace.begin_export(order, items)
            run_export(
                order,
                workspace,
                items,
                client,
                memory_limit=1 << 30,
                settings_file=campaign.config,
                visibility=visibility,
            )
            (record,) = read_records(workspace.manifest_path).values()
            outcomes.append((record.is_done, "".join(record.problems)))

    assert outcomes[0] == (True, "")
    assert not outcomes[1][0]
    assert "over_neighbour" in outcomes[1][1]
    assert "50000" not in outcomes[1][1]
