"""The store of jobs, which the processes of a server share."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import pytest

from shotdap.catalog import EVERYTHING, Grant, Visibility
from shotdap.server.exports.checksum import Checksum
from shotdap.server.exports.export_plan import PlanItem, PlannedMember
from shotdap.server.exports.jobs import job_store as module
from shotdap.server.exports.jobs.job_store import Job, JobStore, NoRoom, OverQuota, Quotas
from shotdap.server.exports.order import Order, QuerySource
from shotdap.server.exports.progress import Progress

ORDER = Order(QuerySource("facility:omega"))
ITEMS = (PlanItem(0, "a/b", (PlannedMember("a/b.nc4"),)), PlanItem(1, "a/c", (PlannedMember("a/c.nc4"),)))
QUOTAS = Quotas(jobs_per_user=2, user_bytes=1000, folder_bytes=1500)


@pytest.fixture(params=["sqlite", "postgresql"])
def jobs(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[JobStore]:
    """The jobs of a site, in each database."""
    url = request.getfixturevalue("postgres").create() if request.param == "postgresql" else ""
    jobs = JobStore(tmp_path / "exports", "site", url)
    yield jobs
    jobs.close()


@pytest.fixture
def other_store(jobs: JobStore) -> Iterator[JobStore]:
    """The same jobs, opened like in another process."""
    other_store = replace(jobs)
    yield other_store
    other_store.close()


def test_no_orders(tmp_path: Path) -> None:
    """Before the first order there is no database, and nothing to do."""
    jobs = JobStore(tmp_path / "exports", "site")
    assert (jobs.list_jobs(), jobs.find_job("x"), jobs.claim_next_job("me"), jobs.has_database) == (
        [],
        None,
        None,
        False,
    )
    assert not jobs.folder.exists()


def test_random_names(jobs: JobStore) -> None:
    """A job has a name of 128 random bits, and its order."""
    one, two = (jobs.add_job(ORDER, ITEMS, 10, "ann") for _ in range(2))

    assert one.id != two.id
    assert len(one.id) == 22
    assert (one.state, one.total, Order.from_json(one.order)) == ("waiting", 2, ORDER)
    assert [job.id for job in jobs.list_jobs("ann")] == [two.id, one.id]
    assert jobs.list_jobs("bob") == []


def test_another_site(jobs: JobStore) -> None:
    """A site sees and takes only its own jobs, also in a shared folder."""
    job, other_store = jobs.add_job(ORDER, ITEMS, 10, "ann"), JobStore(jobs.folder, "elsewhere", jobs.url)

    assert (other_store.find_job(job.id), other_store.list_jobs(), other_store.claim_next_job("me")) == (None, [], None)
    other_store.close()


def test_one_holder(jobs: JobStore, other_store: JobStore) -> None:
    """If many claim a job at the same time, one gets it."""
    job = jobs.add_job(ORDER, ITEMS, 10, "ann")
    with ThreadPoolExecutor(16) as pool:
        taken = list(
            pool.map(lambda number: (jobs, other_store)[number % 2].claim_next_job(f"holder {number}"), range(16))
        )

    assert [each.id for each in taken if each is not None] == [job.id]


def test_in_their_order(jobs: JobStore) -> None:
    """The oldest job is taken first."""
    first, second = (jobs.add_job(ORDER, ITEMS, 10, "ann") for _ in range(2))

    assert [taken.id for taken in (jobs.claim_next_job("a"), jobs.claim_next_job("b")) if taken] == [
        first.id,
        second.id,
    ]


def test_an_expired_lease(jobs: JobStore) -> None:
    """Another process takes a job whose lease has expired; the first holder learns it, and changes nothing."""
    with patch.object(module, "LEASE_SECONDS", 0.05):
        job = jobs.add_job(ORDER, ITEMS, 10, "ann")
        jobs.claim_next_job("dead")
        time.sleep(0.1)
    again = jobs.claim_next_job("alive")
    progress = Progress(2, 1, 0, 5)

    assert again is not None
    assert not jobs.renew_lease(job, "dead", progress)
    assert not jobs.end_job(job, "dead", "failed")
    assert jobs.renew_lease(job, "alive", progress)
    assert jobs.end_job(job, "alive", "done", "", Checksum(7, "abc"))
    found = jobs.find_job(job.id)
    assert found is not None
    assert (found.state, found.done, found.bytes, found.size, found.sha256) == ("done", 1, 5, 7, "abc")
    assert jobs.claim_next_job("other") is None


def test_released_job(jobs: JobStore) -> None:
    """A released job is taken after its pause, and has the reason as its message until then."""
    job = jobs.add_job(ORDER, ITEMS, 10, "ann")
    jobs.claim_next_job("me")
    jobs.release_job(job, "me", "The cluster is away.", pause=0.2)
    waiting = jobs.find_job(job.id)

    assert waiting is not None
    assert waiting.message == "The cluster is away."
    assert jobs.claim_next_job("me") is None
    time.sleep(0.25)
    again = jobs.claim_next_job("me")
    assert again is not None
    assert again.attempts == 2


def test_attempts(jobs: JobStore) -> None:
    """Attempts are counted until the job makes progress."""
    job = jobs.add_job(ORDER, ITEMS, 10, "ann")
    jobs.claim_next_job("me")
    jobs.renew_lease(job, "me", Progress(2, 1, 0, 5, done_before=0))
    found = jobs.find_job(job.id)

    assert found is not None
    assert found.attempts == 0


def test_the_same_key(jobs: JobStore) -> None:
    """The same key of one user gives the same job, also at the same time; of another user, another job."""
    with ThreadPoolExecutor(8) as pool:
        add = partial(jobs.add_job, ORDER, ITEMS, 10)
        made = list(pool.map(lambda _: add("ann", "key"), range(8)))

    assert len({job.id for job in made}) == 1
    assert add("bob", "key").id != made[0].id
    assert len([path for path in jobs.folder.iterdir() if path.is_dir()]) == 2


def test_cancel(jobs: JobStore) -> None:
    """A cancelled job is not taken; if it runs, its holder loses it, and its folder is removed later."""
    waiting, running = (jobs.add_job(ORDER, ITEMS, 10, "ann") for _ in range(2))
    jobs.cancel_job(waiting)
    with patch.object(module, "LEASE_SECONDS", 0.0):
        taken = jobs.claim_next_job("me")
    jobs.cancel_job(running)

    assert taken is not None
    assert taken.id == running.id
    assert not jobs.renew_lease(running, "me", Progress(2, 1, 0, 5))
    assert not jobs.cancel_job(running)
    assert [job.state for job in jobs.list_jobs()] == ["cancelled", "cancelled"]
    jobs.remove_expired_jobs(keep_seconds=1000)
    assert [path for path in jobs.folder.iterdir() if path.is_dir()] == []
    assert len(jobs.list_jobs()) == 2


def test_sweep(jobs: JobStore) -> None:
    """Expired jobs are removed with their files; a running job stays."""
    old, running = (jobs.add_job(ORDER, ITEMS, 10, "ann") for _ in range(2))
    jobs.claim_next_job("me")
    jobs.end_job(old, "me", "done")
    swept = jobs.remove_expired_jobs(keep_seconds=0)

    assert [job.id for job in swept] == [old.id]
    assert [job.id for job in jobs.list_jobs()] == [running.id]
    assert not (jobs.folder / old.id).exists()


def add_finished_job(jobs: JobStore, owner: str, size: int) -> Job:
    """Add a job that is done, with a result of some size."""
    job = jobs.add_job(ORDER, ITEMS, 0, owner)
    jobs.claim_next_job("me")
    jobs.end_job(job, "me", "done", "", Checksum(size, ""))
    return job


def test_quotas(jobs: JobStore) -> None:
    """Jobs and bytes of a user are limited; the sentence gives the limit, and says what to do."""
    jobs.check_quotas("ann", 500, QUOTAS)
    with pytest.raises(OverQuota, match=r"exports\.user_mib"):
        jobs.check_quotas("ann", 501, QUOTAS)
    jobs.add_job(ORDER, ITEMS, 10, "ann")
    jobs.add_job(ORDER, ITEMS, 10, "ann")

    with pytest.raises(OverQuota, match="2 exports that wait or run; 2 are allowed"):
        jobs.check_quotas("ann", 1, QUOTAS)
    jobs.check_quotas("bob", 1, QUOTAS)


def order_repeatedly(folder: Path, url: str, number: int) -> int:
    """Order some jobs from another process; return how many were taken."""
    jobs, count = JobStore(folder, "site", url), 0
    for _ in range(number):
        with suppress(OverQuota):
            jobs.add_job(ORDER, ITEMS, 10, "ann", quotas=QUOTAS)
            count += 1
    jobs.close()
    return count


def test_race_of_threads(jobs: JobStore) -> None:
    """Of twenty orders at the same time, as many are taken as are allowed; nothing is left of the others."""

    def order(_: int) -> bool:
        try:
            jobs.add_job(ORDER, ITEMS, 10, "ann", quotas=QUOTAS)
        except OverQuota:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        taken = sum(pool.map(order, range(20)))

    assert (taken, len(jobs.list_jobs("ann"))) == (2, 2)
    assert {path.name for path in jobs.folder.iterdir() if path.is_dir()} == {job.id for job in jobs.list_jobs()}


def test_race_of_processes(jobs: JobStore) -> None:
    """The quotas hold for orders that several processes take, also for those that begin with no database."""
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:
        counts = pool.map(order_repeatedly, [jobs.folder] * 4, [jobs.url] * 4, [5] * 4)

        assert sum(counts) == 2
    assert len(jobs.list_jobs("ann")) == 2


def test_files_elsewhere(jobs: JobStore, tmp_path: Path) -> None:
    """A server takes no job whose files are in the folder of another server of the same database."""
    job = jobs.add_job(ORDER, ITEMS, 10, "ann")
    elsewhere = replace(jobs, folder=tmp_path / "elsewhere")

    assert elsewhere.claim_next_job("far") is None
    elsewhere.close()
    taken = jobs.claim_next_job("near")
    assert taken is not None
    assert taken.id == job.id


def test_odd_texts_and_large_sizes(jobs: JobStore) -> None:
    """A reason may name a file whose name is no text, and a result may be larger than 4 GB."""
    job = jobs.add_job(ORDER, ITEMS, 1 << 40, "ann")
    jobs.claim_next_job("me")
    jobs.end_job(job, "me", "failed", "\udcff\x00 cannot be read", Checksum(1 << 41, "abc"))
    found = jobs.find_job(job.id)

    assert found is not None
    assert (found.message, found.estimate, found.size) == ("\udcff\x00 cannot be read", 1 << 40, 1 << 41)


def test_visibility(jobs: JobStore) -> None:
    """A job has what its owner could see when it was ordered."""
    visibility = Visibility(
        ((Grant((("campaign", ("DRACO", "B*")),), ("omega",), (1, None), ("2020", None), 7, "d"),),)
    )
    restricted = jobs.add_job(ORDER, ITEMS, 10, "ann", visibility=visibility)
    unrestricted = jobs.add_job(ORDER, ITEMS, 10, "ann")

    assert Visibility.from_json(restricted.visibility) == visibility
    assert Visibility.from_json(unrestricted.visibility) == EVERYTHING


def test_earlier_file(tmp_path: Path) -> None:
    """A file of jobs that an earlier version made is kept."""
    jobs = JobStore(tmp_path / "exports", "site")
    job = jobs.add_job(ORDER, ITEMS, 10, "ann")
    jobs.close()
    with closing(sqlite3.connect(jobs.folder / "jobs.db")) as connection:
        connection.execute("ALTER TABLE jobs DROP COLUMN visibility")
    reopened = JobStore(jobs.folder, "site")

    assert reopened.find_job(job.id) == job
    reopened.close()


def test_results_count(jobs: JobStore) -> None:
    """The results of finished jobs count, those of the user and those of all."""
    add_finished_job(jobs, "ann", 900)

    with pytest.raises(OverQuota, match="Delete results"):
        jobs.check_quotas("ann", 100, QUOTAS)
    jobs.check_quotas("bob", 300, QUOTAS)
    with pytest.raises(NoRoom, match="no room"):
        jobs.check_quotas("bob", 301, QUOTAS)
