"""The failed requests of a user, explained, with the URL that works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.postgres import Postgres
from tests.server.access.test_audit import IMAGE, AuditedSite, run_site
from tests.server.exports.campaign import Campaign, make_campaign, wait_until
from tests.serving import Server, serving

from shotdap.config import Site, load_settings

FAILURES: Final = "/api/v1/failures"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Three images of 12 rows and 16 columns, in shots 50000 to 50002."""
    return make_campaign(tmp_path_factory.mktemp("site") / "site", 3)


@pytest.fixture(scope="module")
def server(campaign: Campaign) -> Iterator[Server]:
    """A server of two processes that is open to everybody."""
    with serving(campaign.folder / "open.log", "--config", campaign.config, "--workers", "2") as server:
        yield server


def list_failures(url: str, **headers: str) -> list[dict[str, Any]]:
    """Return the failures of whoever asks."""
    response = httpx.get(f"{url}{FAILURES}?limit=50", headers=headers, trust_env=False, timeout=60)
    assert response.status_code == 200, response.text
    failures: list[dict[str, Any]] = response.json()["failures"]
    return failures


def fail(url: str, target: str, status: int) -> dict[str, Any]:
    """Send a request that fails; return what its user is told."""
    response = httpx.get(f"{url}{target}", trust_env=False, timeout=60)
    assert response.status_code == status, response.text
    assert "shotdap-problem" not in response.headers
    path = str(response.url).removeprefix(url)

    def find() -> list[dict[str, Any]]:
        return [each for each in list_failures(url) if each["url"].removeprefix(url) == path]

    assert wait_until(find)
    return find()[0]


@pytest.mark.parametrize(
    ("target", "status", "suggestion", "explanation"),
    [
        (f"/dap/{IMAGE}.dods?imag[0:3][0:7]", 400, f"/dap/{IMAGE}.dods?image[0:3][0:7]", "'image'"),
        (f"/dap/{IMAGE}.dods?Image", 400, f"/dap/{IMAGE}.dods?image", "'image'"),
        (f"/dap/{IMAGE}.dods?image[0:3][8:99]", 400, f"/dap/{IMAGE}.dods?image[0:3][8:15]", "last index is 15"),
        (f"/dap/{IMAGE}.dods?image[0:2:99][0:7]", 400, f"/dap/{IMAGE}.dods?image[0:2:11][0:7]", "last index is 11"),
        (f"/dap/{IMAGE}.dods?image[4:10:2][0:7]", 400, f"/dap/{IMAGE}.dods?image[4:2:9][0:7]", "start:stride:stop"),
        (f"/dap/{IMAGE}.dods?image[0:3]", 400, f"/dap/{IMAGE}.dods?image[0:3][0:15]", "2 dimensions"),
        (f"/dap/{IMAGE}.dods?image,backgrund[0][0:99]", 400, f"/dap/{IMAGE}.dods?image,background[0][0:15]", "15"),
        (f"/dap/{IMAGE}.dap?dap4.ce=/imge[0:3][0:99]", 400, f"/dap/{IMAGE}.dap?dap4.ce=/image[0:3][0:15]", "'image'"),
        (f"/dap/{IMAGE}.hdf", 404, f"/dap/{IMAGE}.nc4", "'.nc4'"),
        (f"/dap/{IMAGE}.thing", 404, f"/dap/{IMAGE}.html", "'.html'"),
        ("/dap/omega/50007/cam/cam_s50007.dds", 404, "/dap/omega/50002/cam/cam_s50002.dds", "'50002'"),
        ("/dap/Omega/50001/CAM/cam-s50001.dds", 404, "/dap/omega/50001/cam/cam_s50001.dds", "'cam_s50001'"),
        (
            f"/api/v1/images/{IMAGE}?variable=imgae&format=npy&y=2:900",
            400,
            f"/api/v1/images/{IMAGE}?variable=image&format=npy&y=2:12",
            "'image'",
        ),
    ],
)
def test_suggestions(server: Server, target: str, status: int, suggestion: str, explanation: str) -> None:
    """A request that fails is explained, and the suggested URL works."""
    failure = fail(server.url, target, status)

    assert (failure["status"], failure["method"]) == (status, "GET")
    assert failure["message"]
    assert failure["suggestion"] == f"{server.url}{suggestion}"
    assert explanation in failure["explanation"]
    assert httpx.get(failure["suggestion"], trust_env=False, timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"/dap/{IMAGE}.dods?nothing_like_it", 400),
        ("/dap/nothing/like/it.dds", 404),
        (f"/dap/{IMAGE}.dods?image[90:99][0:7]", 400),
        (f"/dap/{IMAGE}.dods?image[", 400),
        (f"/dap/{IMAGE}/~nothing.dds", 400),
        ("/nowhere", 404),
        (f"/api/v1/statistics/{IMAGE}?variable=imag", 400),
    ],
)
def test_no_suggestion(server: Server, target: str, status: int) -> None:
    """Only the sentence of the error is shown if nothing is near enough."""
    failure = fail(server.url, target, status)

    assert failure["message"]
    assert failure["suggestion"] is None


def test_open_server(server: Server, campaign: Campaign) -> None:
    """A server that is open to everybody leaves no file beside its settings, and knows users by their address."""
    fail(server.url, "/dap/omega/x.dds", 404)

    assert not (campaign.folder / "access.db").exists()
    assert list_failures(server.url)
    assert not Path("access.db").exists()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_own_failures(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A user sees their own failures, on each worker, and no others; a restricted token sees those of its own."""
    campaign = make_campaign(tmp_path / "site", 2)
    settings = campaign.config.read_text()
    if kind == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        settings = settings.replace("[catalog]", f'[catalog]\nurl = "{postgres.create()}"')
    rules = '\n[[access.rules]]\nusers = ["ann"]\n\n[[access.rules]]\nusers = ["bob"]\nshots = { to = 50000 }\n'
    campaign.config.write_text(f"{settings}\n[access]\npath_links = true\n{rules}\n[audit]\nfailures = 5\n")
    builder = Site(load_settings(campaign.config))
    builder.build_catalog()
    builder.close_connections()
    with run_site(campaign, "--workers", "2") as site:
        hidden = site.request("bob", "/dap/omega/50001/cam/cam_s50001.dds?token=correct-horse")
        assert hidden.status_code == 404
        site.request("bob", f"/zarr/{IMAGE}/.zgroup/none")
        for number in range(9):
            site.request("ann", f"/dap/{IMAGE}.dods?imag[{number}][0:7]")
        site.request("ann", f"/dap/{IMAGE}.dods", headers={"Authorization": "Bearer sd_unknown"})
        of_ann = wait_for_failures(site, "ann", 5)
        (of_bob,) = wait_for_failures(site, "bob", 1)
        link = httpx.get(f"{site.server.url}/k/{site.tokens['link']}{FAILURES}", trust_env=False, timeout=60)

    assert [each["url"].partition("?imag")[2] for each in of_ann] == [f"[{n}][0:7]" for n in (8, 7, 6, 5, 4)]
    assert of_ann[0]["suggestion"].endswith(f"/dap/{IMAGE}.dods?image[8][0:7]")
    assert of_bob["url"].endswith("/dap/omega/50001/cam/cam_s50001.dds?token=***")
    assert "50001" not in (of_bob["suggestion"] or "")
    assert link.status_code == 200
    assert link.json()["failures"] == []


def wait_for_failures(site: AuditedSite, user: str, number: int) -> list[dict[str, Any]]:
    """Return the failures of a user when there are as many as expected."""

    def find() -> list[dict[str, Any]]:
        failures: list[dict[str, Any]] = site.request(user, FAILURES).json()["failures"]
        return failures

    assert wait_until(lambda: len(find()) == number, 20), find()
    return find()
