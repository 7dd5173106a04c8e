"""The audit of real servers: who read what, and never a secret."""

from __future__ import annotations

import base64
import json
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from tests.postgres import Postgres
from tests.server.exports.campaign import Campaign, make_campaign, wait_until
from tests.serving import Server, run_shotdap, serving

from shotdap.config import Site, load_settings

IMAGE: Final = "omega/50000/cam/cam_s50000"
SETTINGS: Final = """
[access]
path_links = true

[audit]
file = "audit.jsonl"
table = true
"""


@dataclass(frozen=True)
class AuditedSite:
    """A server that keeps an audit, and its users' tokens."""

    server: Server
    campaign: Campaign
    tokens: dict[str, str]

    def request(self, user: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:  # noqa: ANN401
        """Send a request of a user."""
        own = {"Authorization": f"Bearer {self.tokens[user]}", "Accept-Encoding": "identity"}
        headers = {**own, **more.pop("headers", {})}
        return httpx.request(method, f"{self.server.url}{path}", headers=headers, trust_env=False, timeout=60, **more)

    def find_records(self, number: int = 1, **facts: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """Wait for records with some facts, and return them."""
        assert wait_until(lambda: len(self._select_records(facts)) >= number), self.read_lines()
        return self._select_records(facts)

    def _select_records(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        return [line for line in self.read_lines() if facts.items() <= line.items()]

    def read_lines(self) -> list[dict[str, Any]]:
        """Return all lines of the file."""
        text = (self.campaign.folder / "audit.jsonl").read_text()
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]

    def report(self, *arguments: str) -> Any:  # noqa: ANN401 — JSON
        """Run a command of ``shotdap audit``."""
        done = run_shotdap("audit", *arguments, "--config", self.campaign.config, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def make_token(campaign: Campaign, *arguments: str) -> str:
    """Make a token by the command."""
    done = run_shotdap("token", "create", *arguments, "--config", campaign.config)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def run_site(campaign: Campaign, *choices: str) -> Iterator[AuditedSite]:
    """Run a server that keeps an audit, with a user of each kind."""
    tokens = {
        "ann": make_token(campaign, "ann", "--scope", "read", "--scope", "export"),
        "bob": make_token(campaign, "bob"),
        "link": make_token(campaign, "ann", "--link", "--path", IMAGE, "--days", "1"),
    }
    with serving(campaign.folder / "server.log", "--config", campaign.config, *choices, mode="token") as server:
        yield AuditedSite(server, campaign, tokens)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedSite]:
    """A server of two processes, which keeps an audit and prints an access log."""
    campaign = make_campaign(tmp_path_factory.mktemp("site") / "site", 3)
    settings = campaign.config.read_text() + SETTINGS + "\n[server]\naccess_log = true\n"
    campaign.config.write_text(settings)
    with run_site(campaign, "--workers", "2") as site:
        yield site


def test_record(site: AuditedSite) -> None:
    """A record says who, with which token, from where, what of which image, how much, and with which program."""
    headers = {"User-Agent": "netCDF-C/4.9.3"}
    response = site.request("ann", f"/dap/{IMAGE}.dods?image[0:3][2:2:6]", headers=headers)
    (record,) = site.find_records(request=response.headers["X-Request-Id"])

    assert response.status_code == 200
    assert (record["user"], record["address"], record["method"]) == ("ann", "127.0.0.1", "GET")
    assert (record["protocol"], record["path"], record["suffix"]) == ("dap2", IMAGE, ".dods")
    assert record["query"] == "image[0:3][2:2:6]"
    assert (record["status"], record["bytes"], record["complete"]) == (200, len(response.content), True)
    assert record["client"] == "netCDF-C/4.9.3"
    assert 0 < record["seconds"] < 60
    assert len(record["token"]) == 10
    assert record["token"] not in site.tokens["ann"]
    with closing(sqlite3.connect(site.campaign.folder / "access.db")) as database:
        statement = "SELECT user, path, bytes FROM access_audit WHERE request = ?"
        assert wait_until(lambda: database.execute(statement, (record["request"],)).fetchall())
        assert database.execute(statement, (record["request"],)).fetchall() == [("ann", IMAGE, record["bytes"])]


def test_refusals(site: AuditedSite) -> None:
    """Requests that are refused are recorded, with the user if the token is known."""
    headers = {"Authorization": "Bearer sd_0000000000000000000000000000000000000000000"}
    unknown = site.request("ann", f"/dap/{IMAGE}.dds", headers=headers)
    forbidden = site.request("bob", "/api/v1/exports")
    nothing = site.request("bob", "/dap/omega/1/nothing.dds")

    assert [each.status_code for each in (unknown, forbidden, nothing)] == [401, 403, 404]
    for response, user in ((unknown, ""), (forbidden, "bob"), (nothing, "bob")):
        (record,) = site.find_records(request=response.headers["X-Request-Id"])
        assert (record["status"], record["user"]) == (response.status_code, user)


def test_cut_off(site: AuditedSite) -> None:
    """A client that leaves is recorded."""
    with socket.create_connection(("127.0.0.1", site.server.port)) as connection:
        token = site.tokens["ann"]
        lines = (
            "GET /api/v1/packages/omega/50002 HTTP/1.1",
            "Host: x",
            "User-Agent: left",
            f"Authorization: Bearer {token}",
        )
        head = "\r\n".join([*lines, "", ""])
        connection.sendall(head.encode())
    (record,) = site.find_records(client="left")

    assert (record["user"], record["path"], record["protocol"]) == ("ann", "omega/50002", "api/packages")


def test_path_link(site: AuditedSite) -> None:
    """A request by a link is recorded with its owner and the image, without the link."""
    response = httpx.get(f"{site.server.url}/k/{site.tokens['link']}/dap/{IMAGE}.dds", trust_env=False)
    (record,) = site.find_records(request=response.headers["X-Request-Id"])

    assert response.status_code == 200
    assert (record["user"], record["path"]) == ("ann", IMAGE)


def plant_secrets(site: AuditedSite, secret: str) -> list[httpx.Request]:
    """Return requests with a secret in every place that a request can carry one."""
    url, basic = site.server.url, base64.b64encode(f"ann:{secret}".encode()).decode()
    image, known = f"{url}/dap/{IMAGE}.dds", {"Authorization": f"Bearer {site.tokens['ann']}"}
    order = {"query": f"name:{secret}", "password": secret}
    return [
        httpx.Request("GET", image, headers={"Authorization": f"Bearer {secret}"}),
        httpx.Request("GET", image, headers={"Authorization": f"Basic {basic}"}),
        httpx.Request("GET", image, headers={"Authorization": secret}),
        httpx.Request("GET", image, headers={"Proxy-Authorization": f"Bearer {secret}"}),
        httpx.Request("GET", image, headers={"Cookie": f"shotdap_session={secret}; other={secret}"}),
        httpx.Request("GET", image, headers={"X-Api-Key": secret, "User-Agent": f"curl {secret}"}),
        httpx.Request("GET", image, headers={**known, "X-Anything": secret, "Origin": f"https://{secret}"}),
        httpx.Request("GET", image, headers={**known, "Referer": f"https://ann:{secret}@example.org/"}),
        httpx.Request("GET", image, headers={**known, "Host": f"{secret}.example.org"}),
        httpx.Request("GET", image, headers={**known, "Range": secret, "If-None-Match": f'"{secret}"'}),
        httpx.Request("GET", f"{url}/k/{secret}/dap/{IMAGE}.dds"),
        httpx.Request("GET", f"{url}/k/{secret}/dap/{IMAGE}.dds", headers=known),
        httpx.Request("GET", f"{url}/k/{secret}/api/v1/nothing", headers=known),
        httpx.Request("GET", f"{url}/k%2F{secret}/dap/", headers=known),
        httpx.Request("GET", f"{image}?token={secret}", headers=known),
        httpx.Request("GET", f"{image}?image&access_token={secret}", headers=known),
        httpx.Request("GET", f"{url}/api/v1/images/{IMAGE}?password={secret}&format=png", headers=known),
        httpx.Request("GET", f"{image}?image", headers={"Authorization": f"Bearer {secret}", "User-Agent": secret}),
        httpx.Request("POST", f"{url}/api/v1/exports", headers=known, json=order),
        httpx.Request("POST", f"{url}/api/v1/exports", headers=known, content=f"{secret} is no JSON"),
    ]


@pytest.mark.parametrize("secret", ["sd_" + "Zq7Kx2Vb9Nm4Lp1Wd8Rt6Yh3", "correcthorsebatterystaple"])
def test_no_secret(site: AuditedSite, secret: str) -> None:
    """A secret that a request carries in any place is in no log, no audit and no table."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        answers = [client.send(request) for request in plant_secrets(site, secret)]
    for answer in answers:
        site.find_records(request=answer.headers["X-Request-Id"])
    files = [path for path in site.campaign.folder.rglob("*") if path.is_file() and "files" not in path.parts]

    assert {answer.status_code for answer in answers} >= {200, 401}
    assert {"server.log", "audit.jsonl", "access.db"} <= {path.name for path in files}
    found = {path.name: path.read_bytes().count(secret.encode()) for path in files if "exports" not in path.parts}
    assert {name: count for name, count in found.items() if count} == {}
    assert "/k/***/dap/" in site.server.log.read_text()


def test_reports(site: AuditedSite) -> None:
    """The commands say who read an image, what a user read, and how much; a report counts refusals, too."""
    path = "omega/50001/cam/cam_s50001"
    sizes = [len(site.request("ann", f"/dap/{path}.dods?image[0:{rows}][0:7]").content) for rows in (1, 2)]
    sizes.append(len(site.request("ann", f"/zarr/{path}/zarr.json").content))
    site.request("bob", f"/dap/{path}/raw.dds")
    site.request("bob", f"/dap/{path}/~crop-rows-0_4.dds")
    site.request("bob", f"/dap/{path}.dds", headers={"Authorization": ""})
    site.find_records(4, protocol="dap2", status=200)
    site.find_records(path=path, status=401)
    readers = {each["user"]: each for each in site.report("who-read", path)}
    summary = {each["user"]: each for each in site.report("summary", "--path", "omega/50001")}

    assert (readers["ann"]["reads"], readers["ann"]["bytes"]) == (3, sum(sizes))
    assert readers["bob"]["reads"] >= 1
    assert readers["127.0.0.1"]["refused"] == 1
    assert readers["ann"]["first"] <= readers["ann"]["last"]
    assert summary["ann"]["bytes"] == sum(sizes)
    assert path in {each["path"] for each in site.report("what-read", "ann")}
    assert site.report("what-read", "nobody") == []


@pytest.mark.parametrize("end", ["%0a", "%0d%0a", "%00", "%e2%80%a8", "%1b[2J"])
def test_line_feeds(end: str, site: AuditedSite) -> None:
    """Whatever a request contains, its record is one line, and forges none of another."""
    forged = '{"time":"2026","user":"forged by a client"}'
    target = f"/dap/omega{end}{quote(forged)}{end}.dds?{end}{quote(forged)}{end}"
    response = site.request("ann", target, headers={"User-Agent": f"x {forged}"})
    (record,) = site.find_records(request=response.headers["X-Request-Id"])
    log = site.server.log.read_text(errors="replace")

    assert response.status_code == 404
    assert record["user"] == "ann"
    assert not any(line["user"] == "forged by a client" for line in site.read_lines())
    assert not any(line.startswith(forged[:20]) for line in log.splitlines())
    assert "\x1b" not in log


SESSION: Final = (
    "/dap/",
    "/dap/omega/50002",
    "/dap/omega/50002/cam/cam_s50002.dds",
    "/dap/omega/50002/cam/cam_s50002.das",
    "/dap/omega/50002/cam/cam_s50002.dods?image[0:3][2:2:6]",
    "/dap/omega/50002/cam/cam_s50002.dods?image%5B0:3%5D%5B2:2:6%5D",
    "/dap/omega/50002/cam/cam_s50002.dap?dap4.ce=/image[0:1][]",
    "/dap/omega/50002/cam/cam_s50002/~median_filter-size-3.dods?result",
    "/dap/omega/50002/cam/cam_s50002/raw.dmr",
    "/dap/omega/50002/cam/cam_s50002.nc4?image",
    "/zarr/omega/50002/cam/cam_s50002/image/c/0/0",
    "/api/v1/images?q=shot:50002&limit=1",
    "/api/v1/images/omega/50002/cam/cam_s50002?variable=image&format=png",
    "/api/v1/statistics/omega/50002/cam/cam_s50002?variable=image&y=0:4",
    "/thredds/catalog/omega/50002/catalog.xml",
    "/fileServer/omega/50002/cam/cam_s50002",
    "/dap/omega/50002/cam/nothing.dds",
)


def rebuild_target(record: dict[str, Any]) -> str:
    """Return the target of a request from its record."""
    protocol, path = record["protocol"], record["path"]
    root = "dap" if protocol.startswith("dap") else protocol.replace("api/", "api/v1/")
    query = f"?{record['query']}" if record["query"] else ""
    return f"/{root}{f'/{path}' if path or root == 'dap' else ''}{record['suffix']}{query}"


def test_replay(site: AuditedSite) -> None:
    """From the records of a user's session one can repeat it: every request gets as many bytes, and the same values."""
    agent = {"User-Agent": "session to replay"}
    answers = [site.request("ann", target, headers=agent) for target in SESSION]
    records = site.find_records(len(SESSION), client=agent["User-Agent"])
    by_request = {record["request"]: record for record in records}
    trail = [by_request[answer.headers["X-Request-Id"]] for answer in answers]
    replayed = [site.request(record["user"], rebuild_target(record), record["method"]) for record in trail]

    assert {record["user"] for record in records} == {"ann"}
    assert [record["status"] for record in trail] == [answer.status_code for answer in answers]
    assert [record["bytes"] for record in trail] == [len(answer.content) for answer in answers]
    assert {answer.status_code for answer in answers} == {200, 308, 404}
    for first, again, target in zip(answers, replayed, SESSION, strict=True):
        assert (again.status_code, again.content) == (first.status_code, first.content), target


def test_job(site: AuditedSite) -> None:
    """Each image that an export takes is recorded as read by whoever ordered it."""
    order = {"query": "shot:50002", "variables": ["image"]}
    url = site.request("ann", "/api/v1/exports", "POST", json=order).headers["Location"]
    assert wait_until(lambda: site.request("ann", url).json()["ended"], 120)
    (record,) = site.find_records(method="EXPORT", path="omega/50002/cam/cam_s50002")

    assert (record["user"], record["query"], record["request"]) == ("ann", "shot:50002", url.rpartition("/")[2])
    assert record["bytes"] > 0


def test_campaign_in_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    """The audit may be only a table, in the catalog's PostgreSQL; a summary knows the images of a campaign."""
    campaign = make_campaign(tmp_path / "site", 4)
    with closing(sqlite3.connect(campaign.folder / "archive.db")) as database, database:
        database.execute("ALTER TABLE ARCHIVE_FILES ADD COLUMN CAMPAIGN TEXT")
        database.execute("UPDATE ARCHIVE_FILES SET CAMPAIGN = 'Draco' WHERE SHOT_NUMBER < 50002")
    columns = {
        "key": "IMAGE_ID", "file": "ARCHIVE_FILE", "version": "MODIFIED", "facility": "FACILITY",
        "shot": "SHOT_NUMBER", "date": "SHOT_DATE", "diagnostic": "DIAGNOSTIC", "name": "SOURCE_FILE",
        "campaign": "CAMPAIGN",
    }  # fmt: skip
    lines = "\n".join(f'{name} = "{column}"' for name, column in columns.items())
    settings = campaign.config.read_text().replace("[catalog]", f'[catalog]\nurl = "{postgres.create()}"')
    campaign.config.write_text(f"{settings}\n[archive.columns]\n{lines}\n\n[audit]\ntable = true\n")
    builder = Site(load_settings(campaign.config))
    builder.build_catalog()
    builder.close_connections()
    with run_site(campaign, "--workers", "2") as site, ThreadPoolExecutor(4) as pool:
        for number in (0, 1, 2, 3):
            list(pool.map(lambda n: site.request("ann", f"/dap/{campaign.get_path(n)}.dds"), [number] * (number + 1)))
        site.request("bob", f"/dap/{campaign.get_path(1)}.dds")
        assert wait_until(lambda: len(site.report("what-read", "bob")) == 1)
    rows = {each["user"]: each["reads"] for each in site.report("summary", "--campaign", "Draco")}

    assert rows == {"ann": 1 + 2, "bob": 1}
    assert not (campaign.folder / "audit.jsonl").exists()
