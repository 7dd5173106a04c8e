"""Changes that a page of another site makes a browser ask for, in every mode of access."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.server.conftest import Site
from tests.server.limited import serving_with
from tests.serving import Server, run_shotdap

NOTEBOOKS: Final = "https://notebooks.example.org"
FOREIGN: Final = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},  # another port is another server
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://[", "Sec-Fetch-Site": "cross-site"},
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with tokens and a site whose pages may read answers."""
    settings = {"server.cors_origins": [NOTEBOOKS], "access.database": "access.db"}
    with serving_with(tmp_path_factory.mktemp("origins"), settings, mode="token") as server:
        yield server


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    """A token."""
    return create_token(server.log.with_name("shotdap.toml"))


def create_token(config: Path) -> str:
    """Make a token on the command line."""
    made = run_shotdap("token", "create", "alice", "--config", config)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def post_token(server: Server, headers: dict[str, str], password: str = "") -> int:
    """Ask for a further token, with the password of Basic or without; return the status."""
    auth = ("any", password) if password else None
    url = f"{server.url}/api/v1/tokens"
    return httpx.post(url, json={"name": "x"}, auth=auth, headers=headers, trust_env=False, timeout=60).status_code


@pytest.mark.parametrize("headers", FOREIGN)
def test_password(headers: dict[str, str], server: Server, token: str) -> None:
    """With a password that a browser remembers, a page of another site changes nothing; with a Bearer token it may."""
    assert post_token(server, headers, token) == 403
    assert post_token(server, {**headers, "Authorization": f"Bearer {token}"}) == 201
    answer = httpx.get(f"{server.url}/api/v1/tokens", auth=("any", token), headers=headers, trust_env=False)
    assert answer.status_code == 200


def test_own_pages(server: Server, token: str) -> None:
    """Programs, pages of this server and of listed sites may use a password, also behind a proxy that speaks https."""
    proxied = {"Host": "shots.example.org", "Origin": "https://shots.example.org", "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, {"Origin": server.url}, {"Origin": NOTEBOOKS, "Sec-Fetch-Site": "cross-site"}, proxied):
        assert post_token(server, headers, token) == 201


@pytest.mark.parametrize("headers", FOREIGN)
def test_open_server(headers: dict[str, str], site: Site) -> None:
    """A page of another site makes the browser of a visitor order nothing of a server that asks for no credentials."""
    target = "/api/v1/exports"

    assert site.client.post(target, headers=headers, json={}).status_code == 403
    assert site.client.post(target, headers={"Origin": site.server.url}, json={}).status_code == 400
    assert site.client.post(target, json={}).status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_content_type(kind: str, site: Site) -> None:
    """A form of any page can send no order: a body is JSON, and says so."""
    body = b'{"query": "shot:1"}'
    answer = site.client.post("/api/v1/exports", content=body, headers={"Content-Type": kind} if kind else {})

    assert 400 <= answer.status_code < 500
    assert "query is" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
