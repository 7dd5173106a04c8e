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
from typing import Final

from distributed import Client
from sqlalchemy.exc import SQLAlchemyError

from shotdap.config import BadSettings, Settings, SettingsSource
from shotdap.server.child_process import is_parent_alive_after
from shotdap.server.exports.atomic import remove_path
from shotdap.server.exports.checksum import compute_checksum
from shotdap.server.exports.cluster import open_cluster
from shotdap.server.exports.items import read_items
from shotdap.server.exports.jobs.site import open_job_store
from shotdap.server.exports.jobs.store import LEASE_SECONDS, Job, JobStore, NoRoom
from shotdap.server.exports.manifest import read_records
from shotdap.server.exports.order import Order
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.run import ExportStopped, LostCluster, run_export
from shotdap.server.exports.worker import CannotWrite
from shotdap.server.http.errors import to_problem

__all__ = ["run_coordinator", "run_until_parent_ends"]

_LOG = logging.getLogger("shotdap.exports")
_POLL_SECONDS: Final = 0.5  # seconds between two looks for jobs
_SWEEP_SECONDS: Final = 30.0  # seconds between two looks for results that have been kept long enough
_SECONDS_PER_HOUR: Final = 3600.0
_RENEW_SECONDS: Final = LEASE_SECONDS / 5
_MAX_ATTEMPTS: Final = 5
_RETRY_SECONDS: Final = 4.0  # seconds before the second attempt; before each further one as many more
_TRANSIENT_ERRORS: Final = (BadSettings, CannotWrite, LostCluster)
"""What says in its own words what is in the way."""


@dataclass
class _OnDemandCluster:
    """A cluster that is there when it is needed."""

    settings: Settings
    source: SettingsSource
    _stack: ExitStack = field(default_factory=ExitStack)
    _client: Client | None = None
    _last_used: float = 0.0

    def get_client(self) -> Client:
        """A client of the cluster; see `open_cluster` for what is raised."""
        if self._client is not None and self._client.status != "running":
            self.close()
        if self._client is None:
            self._client = self._stack.enter_context(open_cluster(self.settings.exports, self.source))
        self._last_used = time.monotonic()
        return self._client

    def close_if_idle(self) -> None:
        """There is nothing to do: close a cluster that has had nothing to do for some time."""
        if self._client is not None and time.monotonic() - self._last_used > self.settings.exports.idle_seconds:
            self.close()

    def close(self) -> None:
        """Close the cluster."""
        self._client = None
        try:
            self._stack.close()
        except (OSError, TimeoutError):
            _LOG.warning("the cluster did not close well", exc_info=True)


@dataclass
class _JobLease:
    """A lease on a job, renewed while the block lasts by a thread of its own: putting files together takes its time."""

    jobs: JobStore
    job: Job
    holder: str
    progress: Progress
    lost_event: threading.Event = field(default_factory=threading.Event)
    _stop_event: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def keep_renewed(self) -> Iterator[None]:
        """Renew the lease while the block lasts."""
        thread = threading.Thread(target=self._renew_periodically, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop_event.set()
            thread.join()

    def _renew_periodically(self) -> None:
        while not self._stop_event.is_set():
            try:
                if not self.jobs.renew_lease(self.job, self.holder, self.progress):
                    self.lost_event.set()
                    return
            except SQLAlchemyError:
                _LOG.warning("the lease on %s could not be renewed", self.job.id, exc_info=True)
            self._stop_event.wait(_RENEW_SECONDS)


def run_coordinator(
    settings: Settings, source: SettingsSource, wait: Callable[[float], bool], is_ending: Callable[[], bool]
) -> None:
    """Run jobs, as they come.

    Args:
        settings: of the site.
        source: where workers load the settings from that have none of their own.
        wait: waits for some seconds; true if there is to be another turn.
        is_ending: whether to stop at once.
    """
    jobs = open_job_store(settings)
    if jobs is None:
        return
    coordinator = _Coordinator(settings, source, jobs, is_ending)
    try:
        while wait(_POLL_SECONDS):
            coordinator.run_next_job()
    finally:
        coordinator.cluster.close()
        jobs.close()


@dataclass
class _Coordinator:
    settings: Settings
    source: SettingsSource
    jobs: JobStore
    is_ending: Callable[[], bool]
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}")
    last_sweep: float = -_SWEEP_SECONDS

    def __post_init__(self) -> None:
        self.cluster = _OnDemandCluster(self.settings, self.source)

    def run_next_job(self) -> None:
        """Run the next job, if there is one."""
        if not self.jobs.has_database:
            return
        try:
            self._remove_expired_jobs()
            job = self.jobs.claim_next_job(self.holder)
            if job is None:
                self.cluster.close_if_idle()
            else:
                self._run_job(job)
        except SQLAlchemyError:
            _LOG.warning("the database of exports does not answer", exc_info=True)

    def _remove_expired_jobs(self) -> None:
        if time.monotonic() - self.last_sweep >= min(
            _SWEEP_SECONDS, self.settings.exports.keep_hours * _SECONDS_PER_HOUR
        ):
            self.last_sweep = time.monotonic()
            self.jobs.remove_expired_jobs(self.settings.exports.keep_hours * _SECONDS_PER_HOUR)

    def _run_job(self, job: Job) -> None:
        lease = _JobLease(self.jobs, job, self.holder, job.progress)
        with lease.keep_renewed():
            try:
                done = self._export_job(job, lease)
            except ExportStopped:
                self._release_stopped(job, lease)
            except NoRoom as error:
                self._fail_job(job, str(error))
            except Exception as error:  # noqa: BLE001 — whatever it is, it is tried again, and other jobs are run
                self._retry_later(job, error)
            else:
                self._end_job(job, done)

    def _export_job(self, job: Job, lease: _JobLease) -> Progress:
        order, place = Order.from_json(job.order), self.jobs.get_workspace(job)
        limit = min(self.settings.exports.user_mib, self.settings.exports.folder_mib) << 20

        def report_progress(progress: Progress) -> None:
            lease.progress = progress
            if 2 * progress.bytes > limit:
                raise NoRoom(
                    f"The export has grown to {progress.bytes >> 20:,} MiB, which is more than was expected and than"
                    " is allowed (exports.user_mib, exports.folder_mib). Order fewer images, or less of each."
                )

        if place.finished_marker.exists():
            return job.progress
        return run_export(
            order,
            place,
            read_items(place.items_path),
            self.cluster.get_client(),
            memory=self.settings.exports.max_image_bytes,
            site=self.source.file,
            tell=report_progress,
            stop=lambda: lease.lost_event.is_set() or self.is_ending(),
        )

    def _end_job(self, job: Job, progress: Progress) -> None:
        self.jobs.renew_lease(job, self.holder, progress)
        if not progress.done:
            reasons = (line.reason for line in read_records(self.jobs.get_workspace(job).manifest_path).values())
            message = f"No image could be exported; the manifest says why of each. The first: {next(reasons, '')}"
            self.jobs.end_job(job, self.holder, "failed", message)
            return
        result = compute_checksum([self.jobs.get_workspace(job).target])
        if not self.jobs.end_job(job, self.holder, "done", "", result):
            self._remove_cancelled(job)

    def _release_stopped(self, job: Job, lease: _JobLease) -> None:
        if lease.lost_event.is_set():
            self._remove_cancelled(job)
        else:
            self.jobs.release_job(job, self.holder)

    def _remove_cancelled(self, job: Job) -> None:
        """Remove what a cancelled job has left; a job that is another's by now is none of ours."""
        found = self.jobs.find_job(job.id)
        if found is None or found.state == "cancelled":
            remove_path(self.jobs.folder / job.id)

    def _fail_job(self, job: Job, message: str) -> None:
        self.jobs.end_job(job, self.holder, "failed", message)
        place = self.jobs.get_workspace(job)
        for path in (place.staging_folder, place.drafts_folder, place.target):
            remove_path(path)

    def _retry_later(self, job: Job, error: Exception) -> None:
        message = str(error) if isinstance(error, _TRANSIENT_ERRORS) else to_problem(error).message
        _LOG.warning("export %s cannot go on: %s", job.id, message, exc_info=not isinstance(error, _TRANSIENT_ERRORS))
        found = self.jobs.find_job(job.id)
        if found is not None and found.attempts >= _MAX_ATTEMPTS:
            self._fail_job(job, message)
        elif found is not None:
            self.jobs.release_job(job, self.holder, message, _RETRY_SECONDS * found.attempts)


def run_until_parent_ends(source: SettingsSource) -> None:
    """Run jobs until the parent ends, in whatever way, or this process is told to."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(name)s: %(message)s")

    def is_parent_alive(seconds: float) -> bool:
        return is_parent_alive_after(seconds) and not ending.is_set()

    run_coordinator(source.load(), source, is_parent_alive, lambda: not is_parent_alive(0))
