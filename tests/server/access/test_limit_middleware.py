"""Limits of users, and of what occupies a server, kept by real servers of two workers."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pytest
from tests import samples
from tests.server.exports.campaign import QUERY, make_campaign
from tests.server.limited import PATIENCE, format_settings, send, serving_with, wait_until
from tests.serving import Server, serving

PER_MINUTE: Final = 100
MOST_PER_MINUTE: Final = 105
"""Requests in a minute that two workers may answer together."""
AT_ONCE: Final = 3
PACKAGES: Final = 3
PER_USER: Final = 2
BUNDLE: Final = "/api/docs/files/swagger-ui-bundle.js"
"""A file of more than a megabyte."""
SETTINGS: Final = {
    "server.workers": 2,
    "server.trusted_proxies": ["127.0.0.1"],
    "limits.concurrent_requests": AT_ONCE,
    "limits.packages": PACKAGES,
    "limits.packages_per_user": PER_USER,
    "limits.followers": PACKAGES,
    "limits.followers_per_user": PER_USER,
}
TARGET: Final = "/api/v1/formats"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that answers few requests at once, with an image that is too large for the buffers of a connection."""
    above = tmp_path_factory.mktemp("limited")
    with serving_with(above, SETTINGS) as server:
        (above / "images/large").mkdir()
        samples.write_image(above / "images/large/one.h5", np.zeros((2, 3000, 4000), "u2"))
        yield server


@pytest.fixture
def rate_server(tmp_path: Path) -> Iterator[Server]:
    """A server with limits of requests a minute, and of bytes a day."""
    settings = {
        "server.workers": 2,
        "server.trusted_proxies": ["127.0.0.1"],
        "access.database": "limits.db",
        "limits.requests_per_minute": PER_MINUTE,
        "limits.mib_per_day": 2,
    }
    with serving_with(tmp_path, settings) as server:
        yield server


def get(server: Server, user: str, path: str = TARGET) -> httpx.Response:
    """Send a request on a connection of its own, by a proxy, from an address."""
    return httpx.get(f"{server.url}{path}", headers={"X-Forwarded-For": user}, trust_env=False, timeout=PATIENCE)


def hold(server: Server, user: str, path: str, method: str = "GET") -> socket.socket:
    """Send a request from an address, and read nothing of its answer; a POST waits for its body."""
    size = b"Content-Length: 9\r\n" if method == "POST" else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nX-Forwarded-For: {user}\r\n".encode()
    return send(server.port, head + size + b"\r\n")


# Rates ----------------------------------------------------------------------------------------------------------------


def test_requests_per_minute(rate_server: Server) -> None:
    """Two workers together answer as many requests in a minute as the limit says, or a twentieth more; then 429."""
    begin = time.time()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(rate_server, "203.0.113.1"), range(4 * PER_MINUTE)))
    minutes = int(time.time() // 60) - int(begin // 60) + 1
    refused = [answer for answer in answers if answer.status_code == 429]

    assert {answer.status_code for answer in answers} == {200, 429}
    assert PER_MINUTE <= len(answers) - len(refused) <= minutes * MOST_PER_MINUTE
    assert all(answer.headers["ratelimit-limit"] == f"{PER_MINUTE}" for answer in answers)
    assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert "limits.requests_per_minute" in refused[0].json()["detail"]
    assert get(rate_server, "203.0.113.2").headers["ratelimit-remaining"] == f"{PER_MINUTE - 1}"
    assert get(rate_server, "203.0.113.1", "/health").status_code == 200


def test_bytes_per_day(rate_server: Server) -> None:
    """Whoever was sent too much is refused until the next day, by all workers."""
    for _ in range(2):
        assert get(rate_server, "203.0.113.3", BUNDLE).status_code == 200
    wait_until(lambda: all(get(rate_server, "203.0.113.3").status_code == 429 for _ in range(8)))
    refused = get(rate_server, "203.0.113.3")

    assert "limits.mib_per_day" in refused.json()["detail"]
    assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600
    assert get(rate_server, "203.0.113.4").status_code == 200


def test_this_machine(rate_server: Server) -> None:
    """Whoever asks on the machine itself is not limited, and creates no database."""
    with httpx.Client(base_url=rate_server.url, trust_env=False, timeout=PATIENCE) as client:
        answers = [client.get(TARGET) for _ in range(2 * PER_MINUTE)]

    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit-limit" not in answers[0].headers
    assert not (rate_server.log.parent / "limits.db").exists()


# At once --------------------------------------------------------------------------------------------------------------


def test_concurrent_requests(server: Server) -> None:
    """A user may have some requests answered at once, by all workers together; then others wait."""
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            stack.enter_context(hold(server, "203.0.113.5", "/api/v1/exports", "POST"))
        wait_until(lambda: get(server, "203.0.113.5").status_code == 429)
        refused = get(server, "203.0.113.5")

        assert "limits.concurrent_requests" in refused.json()["detail"]
        assert refused.headers["retry-after"] == "1"
        assert get(server, "203.0.113.6").status_code == 200
    wait_until(lambda: get(server, "203.0.113.5").status_code == 200)


def test_a_worker_that_is_killed(server: Server) -> None:
    """Requests of a worker that was killed are counted no more."""
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            stack.enter_context(hold(server, "203.0.113.7", "/api/v1/exports", "POST"))
        wait_until(lambda: get(server, "203.0.113.7").status_code == 429)
        for worker in server.find_children("shotdap worker"):
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: is_answered(server, "203.0.113.7"))


def is_answered(server: Server, user: str) -> bool:
    """Check that a request is answered now; a connection to a worker that is killed is lost."""
    try:
        return get(server, user).status_code == 200
    except httpx.TransportError:
        return False


def check_occupation(server: Server, paths: tuple[str, str], setting: str) -> None:
    """Check the limits of what occupies a server, of one user and of all; each of two users has a path."""
    first, second = "203.0.113.8", "203.0.113.9"
    with ExitStack() as stack:
        for _ in range(PER_USER):
            assert stack.enter_context(hold(server, first, paths[0])).recv(12) == b"HTTP/1.1 200"
        own = get(server, first, paths[0])
        assert stack.enter_context(hold(server, second, paths[1])).recv(12) == b"HTTP/1.1 200"
        others = get(server, second, paths[1])

        assert (own.status_code, others.status_code) == (429, 503)
        assert f"({setting}_per_user)" in own.json()["detail"]
        assert f"({setting})" in others.json()["detail"]
        assert int(own.headers["retry-after"]) > 0
        assert int(others.headers["retry-after"]) > 0
        assert get(server, first).status_code == 200
    wait_until(lambda: is_admitted(server, first, paths[0]))


def is_admitted(server: Server, user: str, path: str) -> bool:
    """Check that an answer begins."""
    with hold(server, user, path) as connection:
        return connection.recv(12) == b"HTTP/1.1 200"


def test_packages(server: Server) -> None:
    """A user may have some packages sent at once, and so may all users together; then 429 or 503."""
    path = "/api/v1/packages/large?raw=1"
    check_occupation(server, (path, path), "limits.packages")


def test_followers(tmp_path: Path) -> None:
    """A user may follow some events at once, and so may all users together; then 429 or 503."""
    campaign = make_campaign(tmp_path / "site", 1)
    campaign.add_settings('scheduler = "tcp://127.0.0.1:9"\n' + format_settings(SETTINGS))  # no export ever ends
    with serving(tmp_path / "server.log", "--config", campaign.config) as server:
        paths = [order_export(server, user) for user in ("203.0.113.8", "203.0.113.9")]
        check_occupation(server, (paths[0], paths[1]), "limits.followers")


def order_export(server: Server, user: str) -> str:
    """Order an export from an address; return the URL of its events."""
    response = httpx.post(
        f"{server.url}/api/v1/exports",
        json={"query": QUERY, "format": "nc4"},
        headers={"X-Forwarded-For": user},
        trust_env=False,
        timeout=PATIENCE,
    )
    assert response.status_code == 202, response.text
    return str(response.json()["links"]["events"])
