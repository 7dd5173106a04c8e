"""Sign-ins that fail too often: whom the limit stops, and whom it leaves alone."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from tests.server.access.test_origin_middleware import create_token
from tests.server.access.test_rate_limiter import load
from tests.server.limited import PATIENCE, serving_with, wait_until
from tests.server.wire import parse_dap2_error

from shotdap.catalog import Catalog, DirectoryArchive
from shotdap.config import Settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.gate import create_access_middleware
from shotdap.server.access.limits.rate_counters import RateCounters
from shotdap.server.access.limits.sign_in_limiter import SignInLimiter
from shotdap.server.access.principal import Scope
from shotdap.server.access.token_store import TokenStore, User
from shotdap.server.app import WorkerParts, create_app

ROUTER: Final = "203.0.113.1"
"""The address of a laboratory, from which all of its users ask."""
ELSEWHERE: Final = "198.51.100.7"
LIMIT: Final = 5
WORKERS: Final = 2
PAGE: Final = "/dap/"


class Workers:
    """Two workers of a server, in this process, whose clock stands still until a test sets it."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_900_000_010.0
        self.database = AccessDatabase(f"sqlite:///{folder / 'access.db'}")
        self.store = TokenStore(self.database)
        self.store.put_user(User("alice"))
        settings, images = load(failed_sign_ins=LIMIT), folder / "images"
        images.mkdir()
        self.apps = [self._make_app(settings, images) for _ in range(WORKERS)]

    def _make_app(self, settings: Settings, folder: Path) -> Starlette:
        counters = RateCounters(self.database, WORKERS, lambda: self.now)
        sign_ins = SignInLimiter(settings.limits, counters, b"the key of all workers")
        guards = create_access_middleware(settings, self.database, None, sign_ins)
        return create_app(Catalog(DirectoryArchive(folder), folder), settings, WorkerParts(guards=guards))

    def ask(self, token: str, address: str = ROUTER, target: str = PAGE, worker: int = 0) -> httpx.Response:
        """Send a request to a worker."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.apps[worker], client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.get(target, auth=("any", token))

        return asyncio.run(send())

    def ask_all(self, tokens: Sequence[str], address: str = ROUTER) -> list[int]:
        """Send a request with each token to one worker after the other; return the statuses."""
        return [self.ask(token, address, worker=number % WORKERS).status_code for number, token in enumerate(tokens)]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Two workers that share the database of a folder."""
    made = Workers(tmp_path)
    yield made
    made.database.close()


def make_wrong_tokens(count: int) -> list[str]:
    """Return tokens that are not valid."""
    return [f"sd_{number:043}" for number in range(count)]


def test_one_wrong_token(workers: Workers) -> None:
    """A wrong token is refused without a look after some failures, by all workers; others from there are not."""
    wrong, other = make_wrong_tokens(2)
    good, _ = workers.store.create_token("alice", "good", [Scope.READ])
    statuses = workers.ask_all([wrong] * 20)

    assert LIMIT <= statuses.count(401) < LIMIT + WORKERS
    assert set(statuses[LIMIT + WORKERS :]) == {429}
    assert workers.ask(wrong, ELSEWHERE).status_code == 429
    assert workers.ask(other).status_code == 401
    assert workers.ask(good).status_code == 200


def test_many_wrong_tokens(workers: Workers) -> None:
    """From an address with many wrong tokens, unknown ones wait; those that were good go on, and other addresses do."""
    good, late = (workers.store.create_token("alice", name, [Scope.READ])[0] for name in ("good", "late"))
    assert workers.ask_all([good] * WORKERS) == [200] * WORKERS
    statuses = workers.ask_all(make_wrong_tokens(20))

    assert LIMIT <= statuses.count(401) < LIMIT + WORKERS
    assert set(statuses[LIMIT + WORKERS :]) == {429}
    assert workers.ask_all([good] * WORKERS) == [200] * WORKERS
    assert workers.ask_all([late] * WORKERS) == [429] * WORKERS
    assert workers.ask_all([late] * WORKERS, ELSEWHERE) == [200] * WORKERS
    assert workers.ask_all([late] * WORKERS) == [200] * WORKERS  # now each worker knows it


def test_the_wait(workers: Workers) -> None:
    """The answer says how long to wait, in the words of the protocol; then the next attempts are looked at."""
    wrong = make_wrong_tokens(9)
    workers.ask_all(wrong)
    refused = workers.ask("sd_new", target="/dap/shot/one.h5.dds")
    code, sentence = parse_dap2_error(refused.text)
    wait = int(refused.headers["retry-after"])

    assert (refused.status_code, code) == (429, 429)
    assert f"Wait {wait} s" in sentence
    assert "limits.failed_sign_ins" in sentence
    assert 0 < wait <= 30
    assert workers.ask("sd_new", target="/api/v1/images").headers["content-type"] == "application/problem+json"
    workers.now += wait
    assert workers.ask("sd_new").status_code == 401


def test_a_token_that_was_good(workers: Workers) -> None:
    """A token that was revoked is a wrong one from then on."""
    secret, token = workers.store.create_token("alice", "good", [Scope.READ])
    assert workers.ask(secret).status_code == 200
    workers.store.revoke_token(token.id)
    wait_until(lambda: workers.ask(secret).status_code == 401)

    assert 429 in workers.ask_all([secret] * (LIMIT + WORKERS))


def test_who_is_not_counted(workers: Workers) -> None:
    """Requests without a token are no attempts, nor are those with a session that has ended; nor is anybody local."""
    assert workers.ask_all(make_wrong_tokens(20), "127.0.0.1") == [401] * 20
    assert workers.ask_all([""] * 20) == [401] * 20
    assert workers.ask("sd_wrong", target="/health").status_code == 200
    assert workers.ask("sd_wrong").status_code == 401


def test_nothing_to_guess_from(workers: Workers) -> None:
    """No wrong password is in the database, not even as a hash that somebody could look for."""
    password = "my password elsewhere"  # noqa: S105 — a wrong one
    assert workers.ask(password).status_code == 401
    with workers.database.begin_read() as connection:
        keys = " ".join(connection.execute(sa.text("SELECT key FROM access_counters")).scalars())

    assert "credential:" in keys
    assert password not in keys
    for name in ("sha256", "blake2b", "md5"):
        digest = hashlib.new(name, password.encode()).hexdigest()
        assert digest[:32] not in keys


def test_real_workers(tmp_path: Path) -> None:
    """The processes of a server share the limit, and a good token works from the same address."""
    settings = {
        "server.workers": WORKERS,
        "server.trusted_proxies": ["127.0.0.1"],
        "access.database": "access.db",
        "limits.failed_sign_ins": LIMIT,
    }
    with serving_with(tmp_path, settings, mode="token") as server:
        good = create_token(tmp_path / "shotdap.toml")

        def ask(token: str) -> int:
            headers = {"X-Forwarded-For": ROUTER, "Authorization": f"Bearer {token}"}
            return httpx.get(f"{server.url}{PAGE}", headers=headers, trust_env=False, timeout=PATIENCE).status_code

        wait_until(lambda: all(ask(good) == 200 for _ in range(10)))
        begin = time.time()
        statuses = [ask(token) for token in make_wrong_tokens(40)]
        windows = int(time.time() // 30) - int(begin // 30) + 1

        assert LIMIT <= statuses.count(401) <= windows * (LIMIT + WORKERS - 1)
        assert set(statuses) == {401, 429}
        assert {ask(good) for _ in range(10)} == {200}
