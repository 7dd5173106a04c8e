"""The jobs of a server, as its processes share them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from shotdap.server.exports.checksum import Checksum
from shotdap.server.exports.export_plan import PlanItem, PlannedMember
from shotdap.server.exports.jobs import job_store as module
from shotdap.server.exports.jobs.job_store import Job, JobStore, NoRoom, OverQuota, Quotas
from shotdap.server.exports.order import Order, QuerySource
from shotdap.server.exports.progress import Progress

ORDER = Order(QuerySource("facility:omega"))
ITEMS = (PlanItem(0, "a/b", (PlannedMember("a/b.nc4"),)), PlanItem(1, "a/c", (PlannedMember("a/c.nc4"),)))
BOUNDS = Quotas(jobs_per_user=2, user_bytes=1000, folder_bytes=1500)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobStore]:
    """The jobs of a site."""
    jobs = JobStore(tmp_path / "exports", "site")
    yield jobs
    jobs.close()


@pytest.fixture
def others(jobs: JobStore) -> Iterator[JobStore]:
    """The same jobs, as another process has them."""
    others = replace(jobs)
    yield others
    others.close()


def test_nothing_ordered(jobs: JobStore) -> None:
    """Until somebody orders anything there is no database, and nothing to do."""
    assert (jobs.list_jobs(), jobs.find_job("x"), jobs.claim_next_job("me"), jobs.has_database) == (
        [],
        None,
        None,
        False,
    )
    assert not jobs.folder.exists()


def test_a_name_that_nobody_guesses(jobs: JobStore) -> None:
    """A job has a name of 128 random bits, and what was ordered."""
    one, two = (jobs.add_job(ORDER, ITEMS, 10, "ann") for _ in range(2))

    assert one.id != two.id
    assert len(one.id) == 22
    assert (one.state, one.total, Order.from_json(one.order)) == ("waiting", 2, ORDER)
    assert [job.id for job in jobs.list_jobs("ann")] == [two.id, one.id]
    assert jobs.list_jobs("bob") == []


def test_another_site(jobs: JobStore) -> None:
    """A site sees and takes its own jobs only, whoever shares the folder."""
    job, others = jobs.add_job(ORDER, ITEMS, 10, "ann"), JobStore(jobs.folder, "elsewhere")

    assert (others.find_job(job.id), others.list_jobs(), others.claim_next_job("me")) == (None, [], None)
    others.close()


def test_one_holder(jobs: JobStore, others: JobStore) -> None:
    """Of many who would run a job at once, one does."""
    job = jobs.add_job(ORDER, ITEMS, 10, "ann")
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda number: (jobs, others)[number % 2].claim_next_job(f"holder {number}"), range(16)))

    assert [each.id for each in taken if each is not None] == [job.id]


def test_in_their_order(jobs: JobStore) -> None:
    """Jobs are taken in the order in which they came."""
    first, second = (jobs.add_job(ORDER, ITEMS, 10, "ann") for _ in range(2))

    assert [taken.id for taken in (jobs.claim_next_job("a"), jobs.claim_next_job("b")) if taken] == [
        first.id,
        second.id,
    ]


def test_a_lease_that_runs_out(jobs: JobStore) -> None:
    """A job whose holder says nothing any more is another's; the first learns so, and changes nothing."""
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


def test_put_off(jobs: JobStore) -> None:
    """A job that is put off is taken after its pause, and says meanwhile what it waits for."""
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
    """Attempts are counted as long as nothing comes of them."""
    job = jobs.add_job(ORDER, ITEMS, 10, "ann")
    jobs.claim_next_job("me")
    jobs.renew_lease(job, "me", Progress(2, 1, 0, 5, done_before=0))
    found = jobs.find_job(job.id)

    assert found is not None
    assert found.attempts == 0


def test_the_same_key(jobs: JobStore) -> None:
    """The same key of the same user gives the same job, even where two ask at once; another's gives another."""
    with ThreadPoolExecutor(8) as pool:
        add = partial(jobs.add_job, ORDER, ITEMS, 10)
        made = list(pool.map(lambda _: add("ann", "key"), range(8)))

    assert len({job.id for job in made}) == 1
    assert add("bob", "key").id != made[0].id
    assert len([path for path in jobs.folder.iterdir() if path.is_dir()]) == 2


def test_cancel(jobs: JobStore) -> None:
    """A cancelled job is not taken; one that runs is its holder's no more, and its folder goes in time."""
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
    """What has been kept long enough is forgotten, and its files are removed; what runs stays."""
    old, running = (jobs.add_job(ORDER, ITEMS, 10, "ann") for _ in range(2))
    jobs.claim_next_job("me")
    jobs.end_job(old, "me", "done")
    swept = jobs.remove_expired_jobs(keep_seconds=0)

    assert [job.id for job in swept] == [old.id]
    assert [job.id for job in jobs.list_jobs()] == [running.id]
    assert not (jobs.folder / old.id).exists()


def finished(jobs: JobStore, owner: str, size: int) -> Job:
    """A job that is done, whose result has a size."""
    job = jobs.add_job(ORDER, ITEMS, 0, owner)
    jobs.claim_next_job("me")
    jobs.end_job(job, "me", "done", "", Checksum(size, ""))
    return job


def test_quotas(jobs: JobStore) -> None:
    """A user has only so many jobs at a time, and only so many bytes; the sentence says how many, and what to do."""
    jobs.check_quotas("ann", 500, BOUNDS)
    with pytest.raises(OverQuota, match=r"exports\.user_mib"):
        jobs.check_quotas("ann", 501, BOUNDS)
    jobs.add_job(ORDER, ITEMS, 10, "ann")
    jobs.add_job(ORDER, ITEMS, 10, "ann")

    with pytest.raises(OverQuota, match="2 exports that wait or run; 2 are allowed"):
        jobs.check_quotas("ann", 1, BOUNDS)
    jobs.check_quotas("bob", 1, BOUNDS)


def test_results_count(jobs: JobStore) -> None:
    """Results that are kept count, of a user and of all together."""
    finished(jobs, "ann", 900)

    with pytest.raises(OverQuota, match="Delete results"):
        jobs.check_quotas("ann", 100, BOUNDS)
    jobs.check_quotas("bob", 300, BOUNDS)
    with pytest.raises(NoRoom, match="no room"):
        jobs.check_quotas("bob", 301, BOUNDS)
