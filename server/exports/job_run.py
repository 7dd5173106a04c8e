"""Run a job on a Dask cluster, from its list of images to its result.

The list is split into tasks of a few images. The cluster gets as many tasks as keep it busy. Outcomes go into the
manifest at once, so that if the run is killed, the next one knows what is done. If a worker dies, Dask gives its task
to another. A task that has killed several workers is split into single images, and an image that still kills a worker
is reported in the manifest.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, cast

from distributed import Client, Future, KilledWorker, wait

from shotdap.catalog import EVERYTHING, Visibility
from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.export_plan import PlanItem
from shotdap.server.exports.manifest import ManifestRecord, add_records, read_records, write_records
from shotdap.server.exports.order import JobOrder
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.worker import ExportTask, run_task
from shotdap.server.exports.workspace import Workspace

_MAX_TASK_IMAGES: Final = 16  # a killed worker costs no more than these
_QUEUED_TASKS_PER_THREAD: Final = 2  # one that runs, and one that follows it
_MIN_TASKS_PER_THREAD: Final = 8  # in the whole run, so that threads do not wait long for the last task
_POLL_SECONDS: Final = 0.5  # between two checks whether to stop
_KILLED_MESSAGE: Final = "The worker died each time that it was tried; it may take more memory than exports.memory_mib."

_Items: TypeAlias = tuple[PlanItem, ...]
_TaskFuture: TypeAlias = Future[list[ManifestRecord]]


class ExportStopped(Exception):
    """The run was stopped; another run can resume the job."""


class LostCluster(ConnectionError):
    """The cluster is gone; another run can resume the job."""


@dataclass
class _ExportRun:
    """One run of a job."""

    order: JobOrder
    workspace: Workspace
    items: _Items
    client: Client
    memory_limit: int
    settings_file: Path | None
    visibility: Visibility
    records: dict[int, ManifestRecord]
    """The outcomes known so far."""
    started_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.done_before = self.done = len(self.records)
        self.bytes = sum(record.size for record in self.records.values())

    def current_progress(self) -> Progress:
        """Return the progress of the job."""
        failed, seconds = len(self.records) - self.done, time.monotonic() - self.started_at
        return Progress(len(self.items), self.done, failed, self.bytes, self.done_before, seconds)

    def run_tasks(self) -> Iterator[None]:
        """Run all tasks; yield after each wait for results."""
        order_json, target = self.order.to_json(), str(self.workspace.target.resolve())
        threads = sum(cast("dict[str, int]", self.client.nthreads()).values())
        items = [item for item in self.items if item.number not in self.records]
        size = max(1, min(_MAX_TASK_IMAGES, len(items) // (max(threads, 1) * _MIN_TASKS_PER_THREAD)))
        waiting = deque(tuple(items[start : start + size]) for start in range(0, len(items), size))
        running: dict[_TaskFuture, _Items] = {}
        try:
            while waiting or running:
                while waiting and len(running) < max(2, _QUEUED_TASKS_PER_THREAD * threads):
                    task_items = waiting.popleft()
                    task = ExportTask(
                        order_json, target, task_items, self.memory_limit, self.settings_file, self.visibility
                    )
                    running[self.client.submit(run_task, task, pure=False, retries=1)] = task_items
                try:
                    with self.client.as_current():
                        wait(list(running), timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
                except TimeoutError:
                    if self.client.status != "running":
                        raise LostCluster("The cluster that exports run on does not answer any more.") from None
                for future in [future for future in running if future.done()]:
                    waiting.extendleft(self._collect_result(future, running.pop(future)))
                yield
        finally:
            self.client.cancel(list(running))

    def _collect_result(self, future: _TaskFuture, items: _Items) -> list[_Items]:
        """Store the outcomes of a task; return the tasks that replace it if it killed its workers."""
        if future.status == "cancelled":
            raise LostCluster("The cluster that exports run on has lost what it was to do.")
        error = cast("BaseException | None", future.exception())  # a client without an event loop returns no coroutine
        if error is None:
            self._save_records(future.result())
            return []
        if not isinstance(error, KilledWorker):
            raise error
        if len(items) > 1:
            return [(item,) for item in items]
        self._save_records(ManifestRecord(item.number, item.path, problems=(_KILLED_MESSAGE,)) for item in items)
        return []

    def _save_records(self, records: Iterable[ManifestRecord]) -> None:
        records = list(records)
        add_records(self.workspace.manifest_path, records)
        self.records |= {record.number: record for record in records}
        self.done += sum(record.is_done for record in records)
        self.bytes += sum(record.size for record in records)


def run_export(  # noqa: PLR0913 — each by keyword
    order: JobOrder,
    workspace: Workspace,
    items: tuple[PlanItem, ...],
    client: Client,
    *,
    memory_limit: int,
    settings_file: Path | None = None,
    visibility: Visibility = EVERYTHING,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Export images; skip those that earlier runs have done, and try again those that failed.

    Args:
        order: what to export; the workspace has been prepared for it.
        workspace: the files of the job.
        items: the images.
        client: a client of the cluster.
        memory_limit: bytes that one image may take.
        settings_file: the settings' file, for workers without ``SHOTDAP_CONFIG``.
        visibility: the images that may be used, related ones too; no other image exists for the export.
        on_progress: called now and then with the progress.
        should_stop: called now and then; true stops the run.

    Raises:
        ExportStopped: `should_stop` returned true.
        LostCluster: the cluster is gone.
        CannotWrite: the export cannot be written.
        BadSettings: a worker has no settings that lead to a catalog.
    """
    done = {number: record for number, record in read_records(workspace.manifest_path).items() if record.is_done}
    workspace.drafts_folder.mkdir(parents=True, exist_ok=True)
    write_records(workspace.manifest_path, done)  # drop failures, and a line that a killed run left incomplete
    run = _ExportRun(order, workspace, items, client, memory_limit, settings_file, visibility, done)
    on_progress(run.current_progress())
    for _ in run.run_tasks():
        on_progress(run.current_progress())
        if should_stop():
            raise ExportStopped
    write_records(workspace.manifest_path, run.records)
    WRITERS[order.container].finish(workspace, order, run.records)
    workspace.finish_export()
    return run.current_progress()
