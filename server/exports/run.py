"""An export, from its list of images to what was ordered.

Strategy: the list is cut into tasks of a few images, of which as many are with the cluster as it takes to keep it busy.
What comes back goes into the manifest at once, so that whoever is killed, the next run knows what is done. A task whose
worker dies goes to another; one that has brought several workers down is cut into single images, and an image that
still does so is a line of the manifest.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from distributed import Client, Future, KilledWorker, wait

from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.items import PlanItem
from shotdap.server.exports.manifest import ManifestRecord, add_records, read_records, write_records
from shotdap.server.exports.order import Order
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.worker import ExportTask, run_task
from shotdap.server.exports.workspace import Workspace

__all__ = ["ExportStopped", "LostCluster", "run_export"]

_MAX_TASK_IMAGES: Final = 16  # images; a killed worker costs no more than these
_QUEUED_TASKS_PER_THREAD: Final = 2  # with the cluster at a time: one at work, one to go on with
_MIN_TASKS_PER_THREAD: Final = (
    8  # of a thread in all, where there are so many images: or one would wait for the last task
)
_POLL_SECONDS: Final = 0.5  # between two looks whether to stop
_KILLED_MESSAGE: Final = "The worker died each time that it was tried; it may take more memory than exports.memory_mib."


class ExportStopped(Exception):
    """The export was stopped; another run goes on where it was."""


class LostCluster(ConnectionError):
    """The cluster is gone; another run goes on where the export was."""


ProgressCallback = Callable[[Progress], None]
StopCallback = Callable[[], bool]


@dataclass
class _ExportRun:
    """One run of an export."""

    order: Order
    workspace: Workspace
    items: tuple[PlanItem, ...]
    client: Client
    memory_limit: int
    settings_file: Path | None
    records: dict[int, ManifestRecord]
    """What became of those images that are over."""
    started_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.done_before = self.done = len(self.records)
        self.bytes = sum(line.bytes for line in self.records.values())

    def current_progress(self) -> Progress:
        """How far it has come."""
        failed, seconds = len(self.records) - self.done, time.monotonic() - self.started_at
        return Progress(len(self.items), self.done, failed, self.bytes, self.done_before, seconds)

    def submit_task(self, items: tuple[PlanItem, ...]) -> Future[list[ManifestRecord]]:
        """Give a task to the cluster."""
        task = ExportTask(
            self.order.to_json(), str(self.workspace.target.resolve()), items, self.memory_limit, self.settings_file
        )
        return self.client.submit(run_task, task, pure=False, retries=1)

    def save_records(self, lines: Iterable[ManifestRecord]) -> None:
        """Write down what became of some images."""
        lines = list(lines)
        add_records(self.workspace.manifest_path, lines)
        self.records |= {line.number: line for line in lines}
        self.done += sum(line.status == "done" for line in lines)
        self.bytes += sum(line.bytes for line in lines)


def run_export(  # noqa: PLR0913 — each by keyword
    order: Order,
    place: Workspace,
    items: tuple[PlanItem, ...],
    client: Client,
    *,
    memory: int,
    site: Path | None = None,
    tell: ProgressCallback = lambda _progress: None,
    stop: StopCallback = lambda: False,
) -> Progress:
    """Export images; those that earlier runs have done are not done again, those that failed are tried again.

    Args:
        order: what is wanted; the place has been claimed for it.
        place: where to.
        items: the images.
        client: of the cluster.
        memory: bytes that one image may take.
        site: the settings' file, for workers that have no ``SHOTDAP_CONFIG``.
        tell: told now and then how far it has come.
        stop: asked now and then whether to stop.

    Raises:
        Stopped: `stop` said so.
        LostCluster: the cluster is gone.
        CannotWrite: the place cannot be written to.
        BadSettings: a worker has no settings that lead to a catalog.
    """
    done = {number: line for number, line in read_records(place.manifest_path).items() if line.status == "done"}
    place.drafts_folder.mkdir(parents=True, exist_ok=True)
    write_records(place.manifest_path, done)  # without a line that a killed run left short
    run = _ExportRun(order, place, items, client, memory, site, done)
    tell(run.current_progress())
    for _ in _run_tasks(run, split_tasks(_left(run), _count_threads(client))):
        tell(run.current_progress())
        if stop():
            raise ExportStopped
    _finish(run)
    return run.current_progress()


def _count_threads(client: Client) -> int:
    """How many tasks the cluster can be at."""
    return sum(cast("dict[str, int]", client.nthreads()).values())


def _left(run: _ExportRun) -> list[PlanItem]:
    return [item for item in run.items if item.number not in run.records]


def split_tasks(items: list[PlanItem], threads: int) -> deque[tuple[PlanItem, ...]]:
    """The tasks that some images are cut into."""
    size = max(1, min(_MAX_TASK_IMAGES, len(items) // (max(threads, 1) * _MIN_TASKS_PER_THREAD)))
    return deque(tuple(items[start : start + size]) for start in range(0, len(items), size))


def _run_tasks(run: _ExportRun, waiting: deque[tuple[PlanItem, ...]]) -> Iterator[None]:
    """Do all tasks; gives a turn now and then."""
    most = max(2, _QUEUED_TASKS_PER_THREAD * _count_threads(run.client))
    at_work: dict[Future[list[ManifestRecord]], tuple[PlanItem, ...]] = {}
    try:
        while waiting or at_work:
            while waiting and len(at_work) < most:
                items = waiting.popleft()
                at_work[run.submit_task(items)] = items
            for future in _poll_futures(run, at_work):
                waiting.extendleft(_collect_result(run, future, at_work.pop(future)))
            yield
    finally:
        run.client.cancel(list(at_work))


def _poll_futures(
    run: _ExportRun, at_work: dict[Future[list[ManifestRecord]], tuple[PlanItem, ...]]
) -> list[Future[list[ManifestRecord]]]:
    """The futures that have ended, after a short wait."""
    try:
        with run.client.as_current():
            wait(list(at_work), timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
    except TimeoutError:
        if run.client.status != "running":
            raise LostCluster("The cluster that exports run on does not answer any more.") from None
    return [future for future in at_work if future.done()]


def _collect_result(
    run: _ExportRun, future: Future[list[ManifestRecord]], items: tuple[PlanItem, ...]
) -> list[tuple[PlanItem, ...]]:
    """Keep what a task has brought; the tasks that it leaves to do."""
    if future.status == "cancelled":
        raise LostCluster("The cluster that exports run on has lost what it was to do.")
    error = cast("BaseException | None", future.exception())  # without a loop of its own, the exception itself
    if error is None:
        run.save_records(future.result())
        return []
    if not isinstance(error, KilledWorker):
        raise error
    if len(items) != 1:
        return [(item,) for item in items]
    run.save_records([ManifestRecord(items[0].number, items[0].path, "failed", _KILLED_MESSAGE)])
    return []


def _finish(run: _ExportRun) -> None:
    write_records(run.workspace.manifest_path, run.records)
    WRITERS[run.order.container].finish(run.workspace, run.order, run.records)
    run.workspace.finish_export()
