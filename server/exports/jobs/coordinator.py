"""Run the jobs of a server one after the other: each server has one coordinator, in a process of its own.

The coordinator has a cluster only while there is work. A job that cannot continue, because the cluster or disk space is
missing, is tried again after a pause. A job that makes no progress in several attempts fails, with the last obstacle as
its reason. When the server ends, the job waits for the next server.
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
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from distributed import Client
from sqlalchemy.exc import SQLAlchemyError

from shotdap.catalog import Visibility
from shotdap.config import BadSettings, Settings, SettingsSource
from shotdap.server.access.audit.audit_log import AuditLog, AuditRecord
from shotdap.server.access.audit.redaction import redact_secrets
from shotdap.server.child_process import is_parent_alive_after
from shotdap.server.exports.atomic import remove_path
from shotdap.server.exports.checksum import compute_checksum
from shotdap.server.exports.cluster import open_cluster
from shotdap.server.exports.export_plan import read_items
from shotdap.server.exports.job_run import ExportStopped, LostCluster, run_export
from shotdap.server.exports.jobs.job_store import LEASE_SECONDS, Job, JobStore, NoRoom, open_job_store
from shotdap.server.exports.manifest import read_records
from shotdap.server.exports.order import Order
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.worker import CannotWrite
from shotdap.server.http.errors import to_problem

_LOG = logging.getLogger("shotdap.exports")
_POLL_SECONDS: Final = 0.5  # between two polls for jobs
_SWEEP_SECONDS: Final = 30.0  # between two searches for expired results
_SECONDS_PER_HOUR: Final = 3600.0
_RENEW_SECONDS: Final = LEASE_SECONDS / 5
_MAX_ATTEMPTS: Final = 5
_RETRY_SECONDS: Final = 4.0  # before the second attempt; each further one waits so much longer
_SELF_EXPLAINING_ERRORS: Final = (BadSettings, CannotWrite, LostCluster)
"""Errors whose own message describes the obstacle."""


@dataclass
class _OnDemandCluster:
    """A cluster that is opened when it is needed."""

    settings: Settings
    source: SettingsSource
    _stack: ExitStack = field(default_factory=ExitStack)
    _client: Client | None = None
    _last_used: float = 0.0

    def get_client(self) -> Client:
        """Return a client of the cluster; see `open_cluster` for errors."""
        if self._client is not None and self._client.status != "running":
            self.close()
        if self._client is None:
            self._client = self._stack.enter_context(open_cluster(self.settings.exports, self.source))
        self._last_used = time.monotonic()
        return self._client

    def close_if_idle(self) -> None:
        """Close the cluster if it was not used for some time."""
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
    """A lease on a job, renewed by a thread of its own, because joining files into a container takes long."""

    store: JobStore
    job: Job
    holder: str
    progress: Progress
    lost_event: threading.Event = field(default_factory=threading.Event)
    """Set when the job was cancelled, or has another holder."""

    @contextmanager
    def keep_renewed(self) -> Iterator[None]:
        """Renew the lease while the block lasts."""
        end_event = threading.Event()

        def renew_periodically() -> None:
            while not end_event.is_set():
                try:
                    if not self.store.renew_lease(self.job, self.holder, self.progress):
                        self.lost_event.set()
                        return
                except SQLAlchemyError:
                    _LOG.warning("the lease on %s could not be renewed", self.job.id, exc_info=True)
                end_event.wait(_RENEW_SECONDS)

        thread = threading.Thread(target=renew_periodically, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end_event.set()
            thread.join()


@dataclass
class _Coordinator:
    settings: Settings
    source: SettingsSource
    store: JobStore
    should_stop: Callable[[], bool]
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}")
    last_sweep: float = -_SWEEP_SECONDS

    def __post_init__(self) -> None:
        self.cluster = _OnDemandCluster(self.settings, self.source)
        self.audit = AuditLog.from_settings(self.settings)

    def run_next_job(self) -> None:
        """Remove expired jobs, and run the next job, if there is one."""
        if not self.store.has_database:
            return
        keep_seconds = self.settings.exports.keep_hours * _SECONDS_PER_HOUR
        try:
            if time.monotonic() - self.last_sweep >= min(_SWEEP_SECONDS, keep_seconds):
                self.last_sweep = time.monotonic()
                self.store.remove_expired_jobs(keep_seconds)
            job = self.store.claim_next_job(self.holder)
            if job is None:
                self.cluster.close_if_idle()
            else:
                self._run_job(job)
        except SQLAlchemyError:
            _LOG.warning("the database of exports does not answer", exc_info=True)

    def _run_job(self, job: Job) -> None:
        lease = _JobLease(self.store, job, self.holder, job.progress)
        with lease.keep_renewed():
            try:
                progress = self._export_job(job, lease)
            except ExportStopped:
                if lease.lost_event.is_set():
                    self._remove_cancelled(job)
                else:
                    self.store.release_job(job, self.holder)
            except NoRoom as error:
                self._fail_job(job, str(error))
            except Exception as error:  # noqa: BLE001 — retry after any failure, and run the other jobs
                self._retry_later(job, error)
            else:
                self.store.renew_lease(job, self.holder, progress)
                workspace = self.store.get_workspace(job)
                if not progress.done:
                    reasons = (record.problems[0] for record in read_records(workspace.manifest_path).values())
                    message = (
                        f"No image could be exported; the manifest says why of each. The first: {next(reasons, '')}"
                    )
                    self.store.end_job(job, self.holder, "failed", message)
                elif self.store.end_job(job, self.holder, "done", "", compute_checksum([workspace.target])):
                    self._record_accesses(job)
                else:
                    self._remove_cancelled(job)

    def _export_job(self, job: Job, lease: _JobLease) -> Progress:
        order, workspace = Order.from_json(job.order), self.store.get_workspace(job)
        max_bytes = min(self.settings.exports.user_mib, self.settings.exports.folder_mib) << 20

        def report_progress(progress: Progress) -> None:
            lease.progress = progress
            if 2 * progress.bytes > max_bytes:
                raise NoRoom(
                    f"The export has grown to {progress.bytes >> 20:,} MiB, which is more than was expected and than"
                    " is allowed (exports.user_mib, exports.folder_mib). Order fewer images, or less of each."
                )

        if workspace.finished_marker.exists():
            return job.progress
        return run_export(
            order,
            workspace,
            read_items(workspace.items_path),
            self.cluster.get_client(),
            memory_limit=self.settings.exports.max_image_bytes,
            settings_file=self.source.file,
            visibility=Visibility.from_json(job.visibility),
            on_progress=report_progress,
            should_stop=lambda: lease.lost_event.is_set() or self.should_stop(),
        )

    def _record_accesses(self, job: Job) -> None:
        """Record in the audit that the owner of a job gets its images."""
        if self.audit is None:
            return
        done = [each for each in read_records(self.store.get_workspace(job).manifest_path).values() if each.is_done]
        for each in done:
            self.audit.record(
                AuditRecord(
                    time=datetime.now(UTC).isoformat(timespec="milliseconds"),
                    request=job.id,
                    user=job.owner,
                    token="",
                    address="",
                    method="EXPORT",
                    protocol="export",
                    path=each.path,
                    suffix="",
                    query=redact_secrets(Order.from_json(job.order).source.query),
                    status=HTTPStatus.OK,
                    bytes=each.size,
                    seconds=0.0,
                    client="",
                )
            )

    def _remove_cancelled(self, job: Job) -> None:
        """Remove the files of a job if it was cancelled; another process may hold it by now."""
        current = self.store.find_job(job.id)
        if current is None or current.state == "cancelled":
            remove_path(self.store.folder / job.id)

    def _fail_job(self, job: Job, message: str) -> None:
        self.store.end_job(job, self.holder, "failed", message)
        workspace = self.store.get_workspace(job)
        for path in (workspace.staging_folder, workspace.drafts_folder, workspace.target):
            remove_path(path)

    def _retry_later(self, job: Job, error: Exception) -> None:
        is_self_explaining = isinstance(error, _SELF_EXPLAINING_ERRORS)
        message = str(error) if is_self_explaining else to_problem(error).message
        _LOG.warning("export %s cannot go on: %s", job.id, message, exc_info=not is_self_explaining)
        current = self.store.find_job(job.id)
        if current is not None and current.attempts >= _MAX_ATTEMPTS:
            self._fail_job(job, message)
        elif current is not None:
            self.store.release_job(job, self.holder, message, _RETRY_SECONDS * current.attempts)


def run_until_parent_ends(source: SettingsSource) -> None:
    """Run jobs until the parent process ends in any way, or this process gets SIGTERM."""
    end_event = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end_event.set())
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(name)s: %(message)s")

    def is_parent_alive(seconds: float) -> bool:
        return is_parent_alive_after(seconds) and not end_event.is_set()

    settings = source.load()
    store = open_job_store(settings)
    if store is None:
        return
    coordinator = _Coordinator(settings, source, store, should_stop=lambda: not is_parent_alive(0))
    try:
        while is_parent_alive(_POLL_SECONDS):
            coordinator.run_next_job()
    finally:
        coordinator.cluster.close()
        if coordinator.audit is not None:
            coordinator.audit.close()
        store.close()
