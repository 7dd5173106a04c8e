"""Runs the jobs of a server, one after the other: one coordinator for each server, in a process of its own.

It has a cluster, or is connected to one, only while there is work. A job that cannot go on now, for want of a cluster
or of space, is tried again after a while; one that comes no further in several attempts has failed, with what was in
the way as its reason. Where the server ends, the job waits for the next.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from distributed import Client
from sqlalchemy.exc import SQLAlchemyError

from shotdap.config import BadSettings, Settings, load
from shotdap.server.child_process import parent_lives
from shotdap.server.exports.atomic import removed
from shotdap.server.exports.checksum import summed
from shotdap.server.exports.cluster import cluster
from shotdap.server.exports.items import read_items
from shotdap.server.exports.jobs.site import jobs_of
from shotdap.server.exports.jobs.store import LEASE, Job, Jobs, NoRoom
from shotdap.server.exports.manifest import read_lines
from shotdap.server.exports.order import Order
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.run import LostCluster, Stopped, export
from shotdap.server.exports.worker import CannotWrite
from shotdap.server.http.errors import problem

__all__ = ["coordinate", "coordinate_for_parent"]

_LOG = logging.getLogger("shotdap.exports")
_TURN: Final = 0.5  # seconds between two looks for jobs
_SWEEP: Final = 30.0  # seconds between two looks for results that have been kept long enough
_HOUR: Final = 3600.0
_BEAT: Final = LEASE / 5
_ATTEMPTS: Final = 5
_PAUSE: Final = 4.0  # seconds before the second attempt; before each further one as many more
_PASSING: Final = (BadSettings, CannotWrite, LostCluster)
"""What says in its own words what is in the way."""


@dataclass
class _Workforce:
    """A cluster that is there when it is needed."""

    settings: Settings
    _stack: ExitStack = field(default_factory=ExitStack)
    _client: Client | None = None
    _used: float = 0.0

    def client(self) -> Client:
        """A client of the cluster; see `cluster` for what is raised."""
        if self._client is not None and self._client.status != "running":
            self.close()
        if self._client is None:
            self._client = self._stack.enter_context(cluster(self.settings.exports))
        self._used = time.monotonic()
        return self._client

    def rest(self) -> None:
        """There is nothing to do: close a cluster that has had nothing to do for some time."""
        if self._client is not None and time.monotonic() - self._used > self.settings.exports.idle_seconds:
            self.close()

    def close(self) -> None:
        """Close the cluster."""
        self._client = None
        try:
            self._stack.close()
        except (OSError, TimeoutError):
            _LOG.warning("the cluster did not close well", exc_info=True)


@dataclass
class _Lease:
    """A lease on a job, renewed while the block lasts by a thread of its own: putting files together takes its time."""

    jobs: Jobs
    job: Job
    holder: str
    progress: Progress
    lost: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Renew the lease while the block lasts."""
        thread = threading.Thread(target=self._renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _renew(self) -> None:
        while not self._over.is_set():
            try:
                if not self.jobs.renew(self.job, self.holder, self.progress):
                    self.lost.set()
                    return
            except SQLAlchemyError:
                _LOG.warning("the lease on %s could not be renewed", self.job.id, exc_info=True)
            self._over.wait(_BEAT)


def coordinate(
    settings: Settings, site: str | None, wait: Callable[[float], bool], is_ending: Callable[[], bool]
) -> None:
    """Run jobs, as they come.

    Args:
        settings: of the site.
        site: their file, for workers that have none of their own.
        wait: waits for some seconds; true if there is to be another turn.
        is_ending: whether to stop at once.
    """
    jobs = jobs_of(settings)
    if jobs is None:
        return
    coordinator = _Coordinator(settings, site, jobs, is_ending)
    try:
        while wait(_TURN):
            coordinator.turn()
    finally:
        coordinator.workforce.close()
        jobs.close()


@dataclass
class _Coordinator:
    settings: Settings
    site: str | None
    jobs: Jobs
    is_ending: Callable[[], bool]
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}")
    swept: float = -_SWEEP

    def __post_init__(self) -> None:
        self.workforce = _Workforce(self.settings)

    def turn(self) -> None:
        """Run the next job, if there is one."""
        if not self.jobs.is_there:
            return
        try:
            self._sweep()
            job = self.jobs.take(self.holder)
            if job is None:
                self.workforce.rest()
            else:
                self._run(job)
        except SQLAlchemyError:
            _LOG.warning("the database of exports does not answer", exc_info=True)

    def _sweep(self) -> None:
        if time.monotonic() - self.swept >= min(_SWEEP, self.settings.exports.keep_hours * _HOUR):
            self.swept = time.monotonic()
            self.jobs.sweep(self.settings.exports.keep_hours * _HOUR)

    def _run(self, job: Job) -> None:
        lease = _Lease(self.jobs, job, self.holder, job.progress)
        with lease.held():
            try:
                done = self._exported(job, lease)
            except Stopped:
                self._stopped(job, lease)
            except NoRoom as error:
                self._failed(job, str(error))
            except Exception as error:  # noqa: BLE001 — whatever it is, it is tried again, and other jobs are run
                self._put_off(job, error)
            else:
                self._ended(job, done)

    def _exported(self, job: Job, lease: _Lease) -> Progress:
        order, place = Order.from_json(job.order), self.jobs.place(job)
        limit = min(self.settings.exports.user_mib, self.settings.exports.folder_mib) << 20

        def tell(progress: Progress) -> None:
            lease.progress = progress
            if 2 * progress.bytes > limit:
                raise NoRoom(
                    f"The export has grown to {progress.bytes >> 20:,} MiB, which is more than was expected and than"
                    " is allowed (exports.user_mib, exports.folder_mib). Order fewer images, or less of each."
                )

        if place.finished.exists():
            return job.progress
        return export(
            order,
            place,
            read_items(place.items),
            self.workforce.client(),
            memory=self.settings.exports.image_bytes,
            site=self.site,
            tell=tell,
            stop=lambda: lease.lost.is_set() or self.is_ending(),
        )

    def _ended(self, job: Job, progress: Progress) -> None:
        self.jobs.renew(job, self.holder, progress)
        if not progress.done:
            reasons = (line.reason for line in read_lines(self.jobs.place(job).manifest).values())
            message = f"No image could be exported; the manifest says why of each. The first: {next(reasons, '')}"
            self.jobs.end(job, self.holder, "failed", message)
            return
        result = summed([self.jobs.place(job).target])
        if not self.jobs.end(job, self.holder, "done", "", result):
            self._cancelled(job)

    def _stopped(self, job: Job, lease: _Lease) -> None:
        if lease.lost.is_set():
            self._cancelled(job)
        else:
            self.jobs.release(job, self.holder)

    def _cancelled(self, job: Job) -> None:
        """Remove what a cancelled job has left; a job that is another's by now is none of ours."""
        found = self.jobs.find(job.id)
        if found is None or found.state == "cancelled":
            removed(self.jobs.folder / job.id)

    def _failed(self, job: Job, message: str) -> None:
        self.jobs.end(job, self.holder, "failed", message)
        place = self.jobs.place(job)
        for path in (place.parts, place.drafts, place.target):
            removed(path)

    def _put_off(self, job: Job, error: Exception) -> None:
        message = str(error) if isinstance(error, _PASSING) else problem(error).message
        _LOG.warning("export %s cannot go on: %s", job.id, message, exc_info=not isinstance(error, _PASSING))
        found = self.jobs.find(job.id)
        if found is not None and found.attempts >= _ATTEMPTS:
            self._failed(job, message)
        elif found is not None:
            self.jobs.release(job, self.holder, message, _PAUSE * found.attempts)


def coordinate_for_parent(site: str | None) -> None:
    """Run jobs until the parent ends, in whatever way, or this process is told to."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(name)s: %(message)s")

    def lives(seconds: float) -> bool:
        return parent_lives(seconds) and not ending.is_set()

    coordinate(load(Path(site) if site else None), site, lives, lambda: not lives(0))
