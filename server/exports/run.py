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
from typing import Final, cast

from distributed import Client, Future, KilledWorker, wait

from shotdap.server.exports.containers import WRITERS
from shotdap.server.exports.items import Item
from shotdap.server.exports.manifest import Line, add_lines, read_lines, write_lines
from shotdap.server.exports.order import Order
from shotdap.server.exports.progress import Progress
from shotdap.server.exports.worker import Task, work
from shotdap.server.exports.workspace import Place

__all__ = ["LostCluster", "Stopped", "export"]

_MOST_OF_A_TASK: Final = 16  # images; a killed worker costs no more than these
_TASKS_OF_A_THREAD: Final = 2  # with the cluster at a time: one at work, one to go on with
_LEAST_TASKS: Final = 8  # of a thread in all, where there are so many images: or one would wait for the last task
_SECONDS: Final = 0.5  # between two looks whether to stop
_KILLED: Final = "The worker died each time that it was tried; it may take more memory than exports.memory_mib."


class Stopped(Exception):
    """The export was stopped; another run goes on where it was."""


class LostCluster(ConnectionError):
    """The cluster is gone; another run goes on where the export was."""


Tell = Callable[[Progress], None]
Stop = Callable[[], bool]


@dataclass
class _Run:
    """One run of an export."""

    order: Order
    place: Place
    items: tuple[Item, ...]
    client: Client
    memory: int
    site: str | None
    lines: dict[int, Line]
    """What became of those images that are over."""
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.before = self.done = len(self.lines)
        self.bytes = sum(line.bytes for line in self.lines.values())

    def progress(self) -> Progress:
        """How far it has come."""
        failed, seconds = len(self.lines) - self.done, time.monotonic() - self.begun
        return Progress(len(self.items), self.done, failed, self.bytes, self.before, seconds)

    def submit(self, items: tuple[Item, ...]) -> Future[list[Line]]:
        """Give a task to the cluster."""
        task = Task(self.order.as_json(), str(self.place.target.resolve()), items, self.memory, self.site)
        return self.client.submit(work, task, pure=False, retries=1)

    def keep(self, lines: Iterable[Line]) -> None:
        """Write down what became of some images."""
        lines = list(lines)
        add_lines(self.place.manifest, lines)
        self.lines |= {line.number: line for line in lines}
        self.done += sum(line.status == "done" for line in lines)
        self.bytes += sum(line.bytes for line in lines)


def export(  # noqa: PLR0913 — each by keyword
    order: Order,
    place: Place,
    items: tuple[Item, ...],
    client: Client,
    *,
    memory: int,
    site: str | None = None,
    tell: Tell = lambda _progress: None,
    stop: Stop = lambda: False,
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
    done = {number: line for number, line in read_lines(place.manifest).items() if line.status == "done"}
    place.drafts.mkdir(parents=True, exist_ok=True)
    write_lines(place.manifest, done)  # without a line that a killed run left short
    run = _Run(order, place, items, client, memory, site, done)
    tell(run.progress())
    for _ in _finished(run, tasks(_left(run), _threads(client))):
        tell(run.progress())
        if stop():
            raise Stopped
    _finish(run)
    return run.progress()


def _threads(client: Client) -> int:
    """How many tasks the cluster can be at."""
    return sum(cast("dict[str, int]", client.nthreads()).values())


def _left(run: _Run) -> list[Item]:
    return [item for item in run.items if item.number not in run.lines]


def tasks(items: list[Item], threads: int) -> deque[tuple[Item, ...]]:
    """The tasks that some images are cut into."""
    size = max(1, min(_MOST_OF_A_TASK, len(items) // (max(threads, 1) * _LEAST_TASKS)))
    return deque(tuple(items[start : start + size]) for start in range(0, len(items), size))


def _finished(run: _Run, waiting: deque[tuple[Item, ...]]) -> Iterator[None]:
    """Do all tasks; gives a turn now and then."""
    most = max(2, _TASKS_OF_A_THREAD * _threads(run.client))
    at_work: dict[Future[list[Line]], tuple[Item, ...]] = {}
    try:
        while waiting or at_work:
            while waiting and len(at_work) < most:
                items = waiting.popleft()
                at_work[run.submit(items)] = items
            for future in _ended(run, at_work):
                waiting.extendleft(_taken(run, future, at_work.pop(future)))
            yield
    finally:
        run.client.cancel(list(at_work))


def _ended(run: _Run, at_work: dict[Future[list[Line]], tuple[Item, ...]]) -> list[Future[list[Line]]]:
    """The futures that have ended, after a short wait."""
    try:
        with run.client.as_current():
            wait(list(at_work), timeout=_SECONDS, return_when="FIRST_COMPLETED")
    except TimeoutError:
        if run.client.status != "running":
            raise LostCluster("The cluster that exports run on does not answer any more.") from None
    return [future for future in at_work if future.done()]


def _taken(run: _Run, future: Future[list[Line]], items: tuple[Item, ...]) -> list[tuple[Item, ...]]:
    """Keep what a task has brought; the tasks that it leaves to do."""
    if future.status == "cancelled":
        raise LostCluster("The cluster that exports run on has lost what it was to do.")
    error = cast("BaseException | None", future.exception())  # without a loop of its own, the exception itself
    if error is None:
        run.keep(future.result())
        return []
    if not isinstance(error, KilledWorker):
        raise error
    if len(items) != 1:
        return [(item,) for item in items]
    run.keep([Line(items[0].number, items[0].path, "failed", _KILLED)])
    return []


def _finish(run: _Run) -> None:
    write_lines(run.place.manifest, run.lines)
    WRITERS[run.order.container].finish(run.place, run.order, run.lines)
    run.place.finish()
