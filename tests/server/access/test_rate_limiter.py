"""Rates of users: exact to the stated share, whatever the number of workers, and without their database, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from tests import postgres as postgresql

from shotdap.config import Settings, load_settings
from shotdap.server.access.access_database import AccessDatabase
from shotdap.server.access.limits.counter_storage import CounterStorage, Increment
from shotdap.server.access.limits.rate_counters import RateCounters
from shotdap.server.access.limits.rate_limiter import LimitExceeded, RateLimiter
from shotdap.server.access.limits.shared_counts import SharedCounts
from shotdap.server.access.principal import Principal

ADDRESS: Final = "203.0.113.1"
ANNE: Final = Principal("anne")
NOBODY: Final = Principal("")
MIB: Final = 1 << 20
MINUTE: Final = 60
WORKERS: Final = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AccessDatabase]:
    """An empty database of access."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'access.db'}"
    else:
        server: postgresql.Postgres = request.getfixturevalue("postgres")
        url = server.create()
    database = AccessDatabase(url)
    yield database
    database.close()


def load(**limits: int) -> Settings:
    """Load settings with limits, all others being off, for `WORKERS` workers."""
    off = dict.fromkeys(("requests_per_minute", "concurrent_requests", "mib_per_day"), 0)
    overrides = {f"limits.{name}": value for name, value in {**off, **limits}.items()}
    return load_settings(overrides={"server.workers": WORKERS, **overrides})


@dataclass(frozen=True)
class Worker:
    """The limiter of a worker, and its counters."""

    limiter: RateLimiter
    counters: RateCounters


def make_workers(settings: Settings, database: AccessDatabase) -> list[Worker]:
    """Return the limiters of `WORKERS` workers, as if each had a process of its own.

    Their clock stands still, so that no test is across the edge of two windows.
    """
    counts = SharedCounts(1)
    all_counters = [RateCounters(database, WORKERS, lambda: 1_900_000_010.0) for _ in range(WORKERS)]
    return [Worker(RateLimiter(settings.limits, counters, counts), counters) for counters in all_counters]


async def count_admitted(workers: list[Worker], requests: int, principal: Principal = ANNE) -> int:
    """Make requests to workers side by side; return how many were admitted."""

    async def make_one(number: int) -> bool:
        try:
            (await workers[number % len(workers)].limiter.admit(principal, ADDRESS)).close()
        except LimitExceeded:
            return False
        return True

    admitted = sum(await asyncio.gather(*map(make_one, range(requests))))
    for worker in workers:
        await worker.counters.close()
    return admitted


@pytest.mark.parametrize(("limit", "most"), [(1, 1 + WORKERS), (40, 40 + WORKERS), (400, 420), (1000, 1050)])
def test_overshoot(limit: int, most: int, database: AccessDatabase) -> None:
    """All workers together, however requests fall to them, admit the limit, a twentieth or one each more at most."""
    workers = make_workers(load(requests_per_minute=limit), database)
    admitted = asyncio.run(count_admitted(workers, 3 * limit + 20))

    assert limit <= admitted <= most


def test_one_limit_after_another(database: AccessDatabase) -> None:
    """Requests that one worker has admitted, and written at its end, count for the next."""
    settings = load(requests_per_minute=100)
    first, second, *_ = make_workers(settings, database)

    assert asyncio.run(count_admitted([first], 60)) == 60
    assert 40 <= asyncio.run(count_admitted([second], 100)) <= 41
    assert asyncio.run(count_admitted([make_workers(settings, database)[0]], 100, NOBODY)) == 100


def test_bytes(database: AccessDatabase) -> None:
    """Bytes that one worker sent count for the others; the refusal tells when the day ends."""

    async def send_and_ask() -> LimitExceeded:
        first, second, *_ = make_workers(load(mib_per_day=1), database)
        admission = await first.limiter.admit(ANNE, ADDRESS)
        admission.count(2 * MIB)
        admission.close()
        await first.counters.close()
        late = await second.limiter.admit(ANNE, ADDRESS)  # it has not asked the database yet
        late.count(1)
        await second.counters.close()
        with pytest.raises(LimitExceeded) as caught:
            await second.limiter.admit(ANNE, ADDRESS)
        await second.limiter.admit(NOBODY, ADDRESS)
        return caught.value

    problem = asyncio.run(send_and_ask()).problem

    assert problem.status == 429
    assert 0 < int(problem.headers["Retry-After"]) <= 24 * 60 * MINUTE


def test_users_and_addresses(tmp_path: Path) -> None:
    """Limits are those of whoever signed in, from anywhere, else of the address; on the machine itself of nobody."""
    database = AccessDatabase(f"sqlite:///{tmp_path / 'access.db'}")
    settings = load(concurrent_requests=1)

    async def try_admit(limiter: RateLimiter, principal: Principal, address: str) -> bool:
        try:
            await limiter.admit(principal, address)
        except LimitExceeded:
            return False
        return True

    async def ask() -> list[bool]:
        limiter = RateLimiter(settings.limits, RateCounters(database, 1), SharedCounts(1))
        cases = [
            (ANNE, ADDRESS), (ANNE, "203.0.113.2"), (NOBODY, ADDRESS), (NOBODY, ADDRESS), (NOBODY, "203.0.113.2"),
            (NOBODY, "2001:db8::1"), (NOBODY, "2001:db8::2"), (NOBODY, "127.0.0.1"), (NOBODY, "127.0.0.1"),
            (ANNE, "127.0.0.1"),
        ]  # fmt: skip
        return [await try_admit(limiter, *case) for case in cases]

    assert asyncio.run(ask()) == [True, False, True, False, True, True, False, True, True, False]


def test_a_user_named_like_an_address() -> None:
    """A name that looks like an address is not counted as one."""

    async def ask() -> None:
        counters = RateCounters(AccessDatabase("sqlite://"), 1)
        limiter = RateLimiter(load(concurrent_requests=1).limits, counters, SharedCounts(1))
        await limiter.admit(Principal(ADDRESS), ADDRESS)
        await limiter.admit(NOBODY, ADDRESS)

    asyncio.run(ask())


def test_without_the_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the database cannot be used, each worker keeps the limit by itself, and says so."""
    (tmp_path / "file").touch()
    database = AccessDatabase(f"sqlite:///{tmp_path / 'file' / 'access.db'}")  # no folder can be made there
    workers = make_workers(load(requests_per_minute=100), database)

    assert asyncio.run(count_admitted(workers[:1], 300)) == 100
    assert "not shared between workers" in caplog.text


class TestStorage:
    @pytest.fixture
    def now(self) -> list[float]:
        """The time, which a test may change."""
        return [1000.0]

    @pytest.fixture
    def make_storage(self, database: AccessDatabase, now: list[float]) -> Callable[[], CounterStorage]:
        """A function that makes the storage of a process."""
        return lambda: CounterStorage(database, lambda: now[0])

    def test_sums(self, make_storage: Callable[[], CounterStorage]) -> None:
        """Two processes learn what the other has counted when they write."""
        first, second = make_storage(), make_storage()
        assert (first.incr("a", MINUTE, 5), second.incr("a", MINUTE, 7)) == (5, 7)
        for storage in (first, second, first):
            increments = storage.collect_increments()
            storage.apply_sums(increments, storage.write(increments))

        assert (first.get("a"), second.get("a")) == (5, 12)
        assert first.incr("a", MINUTE) == 6
        assert first.count_unwritten("a") == 1

    def test_counted_while_written(self, make_storage: Callable[[], CounterStorage]) -> None:
        """Counts that arrive while a process writes are not lost."""
        storage = make_storage()
        storage.incr("a", MINUTE, 5)
        increments = storage.collect_increments()
        sums = storage.write(increments)
        storage.incr("a", MINUTE, 2)
        storage.apply_sums(increments, sums)

        assert (storage.get("a"), storage.count_unwritten("a")) == (7, 2)

    def test_windows(
        self, make_storage: Callable[[], CounterStorage], now: list[float], database: AccessDatabase
    ) -> None:
        """A window begins at a multiple of its length; counters of past ones are removed."""
        storage = make_storage()
        storage.incr("a", MINUTE, 5)
        assert storage.get_expiry("a") == 1020
        storage.write(storage.collect_increments())
        now[0] = 1020.0

        assert (storage.get("a"), storage.get_expiry("a")) == (0, 1020)
        assert storage.incr("a", MINUTE) == 1
        assert storage.write([Increment("b", 1080, 1)]) == [1]
        with database.begin_read() as connection:
            assert connection.execute(sa.text("SELECT key FROM access_counters")).scalars().all() == ["b"]

    def test_removal(self, make_storage: Callable[[], CounterStorage]) -> None:
        """Counters can be removed, one or all."""
        storage = make_storage()
        storage.write([Increment("a", 1020, 1), Increment("b", 1020, 1)])
        storage.clear("a")

        assert storage.check()
        assert storage.reset() == 1
