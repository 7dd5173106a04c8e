"""The supervisor of workers: starts them, replaces those that are dead or stuck, and ends them.

uvicorn's own asks a thread of each worker whether it is alive, waits for the answers one after the other, gives a
worker that starts no more time than one that serves, and supervises no single worker. Here each worker's event loop
sends heartbeats, so that a loop that is blocked is noticed, too.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Final

from shotdap.server.child_process import kill_with_children, start_child_process
from shotdap.server.worker_process import HEARTBEAT_SECONDS, WorkerOptions, run_worker

_LOG: Final = logging.getLogger("uvicorn.error")  # the logger that uvicorn configures
_START_SECONDS: Final = 120.0  # until the first heartbeat; on a busy machine imports alone may take 10
_STUCK_SECONDS: Final = 8.0  # without a heartbeat
_RETRY_SECONDS: Final = 2.0  # between attempts, where a worker ended before it served
_END_SECONDS: Final = 1.0  # after the grace, until what has not ended is killed; then until it must have ended
_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class WorkersFailed(RuntimeError):
    """No worker could start; the log has the reason."""


@dataclass
class _Worker:
    """A worker as its supervisor sees it."""

    process: BaseProcess
    heartbeats: Connection
    number: int
    """From zero; a worker that replaces this one gets the same."""
    last_sign: float = field(default_factory=time.monotonic)
    """The time of its start, or of its last heartbeat."""
    has_served: bool = False

    def read_heartbeats(self) -> None:
        """Read all heartbeats that have arrived; at the end of the pipe, close it."""
        if os.read(self.heartbeats.fileno(), 1 << 16):
            self.last_sign = time.monotonic()
            self.has_served = True
        else:
            self.heartbeats.close()

    def is_stuck(self) -> bool:
        """Check whether it has sent no heartbeat for too long."""
        return time.monotonic() - self.last_sign > (_STUCK_SECONDS if self.has_served else _START_SECONDS)


def supervise_workers(
    options: WorkerOptions, count: int, listener: socket.socket, announce: Callable[[], None] = lambda: None
) -> None:
    """Run workers until Ctrl-C, SIGTERM or SIGHUP; then end all child processes of this process.

    They have the grace of the options to end, and are killed then, or at a second signal.

    Args:
        options: of the workers.
        count: the number of workers.
        listener: the bound socket; it is closed in the end.
        announce: called when the first worker serves.

    Raises:
        WorkersFailed: the first worker ended before it served.
    """
    _Supervisor(options, count, listener, announce).run()


class _Supervisor:
    def __init__(
        self, options: WorkerOptions, count: int, listener: socket.socket, announce: Callable[[], None]
    ) -> None:
        self._options = options
        self._count = count
        self._listener = listener
        self._announce = announce
        self._workers: list[_Worker] = []
        self._has_served = False
        self._retry_time = 0.0

    def run(self) -> None:
        with _catch_signals() as signals:
            try:
                while not signals.count:
                    self._start_missing_workers()
                    self._wait_for_events(signals.wakeup)
                    self._replace_lost_workers()
            finally:
                self._listener.close()
                _end_children(signals, self._options.grace_seconds)

    def _start_missing_workers(self) -> None:
        if time.monotonic() < self._retry_time:
            return
        for number in sorted({*range(self._count)} - {worker.number for worker in self._workers}):
            receiver, sender = multiprocessing.Pipe(duplex=False)
            kept = {self._listener.fileno(), sender.fileno()}
            arguments = (self._options, self._listener, sender, number)
            process = start_child_process(run_worker, arguments, "shotdap worker", kept, signal.SIGKILL)
            sender.close()
            self._workers.append(_Worker(process, receiver, number))

    def _wait_for_events(self, wakeup: socket.socket) -> None:
        """Wait for a signal, a heartbeat or the end of a worker; a second at most."""
        by_pipe = {worker.heartbeats: worker for worker in self._workers if not worker.heartbeats.closed}
        sentinels = [worker.process.sentinel for worker in self._workers]
        for each in wait([wakeup, *by_pipe, *sentinels], HEARTBEAT_SECONDS):
            if isinstance(each, Connection):
                by_pipe[each].read_heartbeats()
        if not self._has_served and any(worker.has_served for worker in self._workers):
            self._has_served = True
            self._announce()

    def _replace_lost_workers(self) -> None:
        """Remove the workers that are dead or stuck, so that others are started.

        Raises:
            WorkersFailed: one ended before any has served.
        """
        for worker in list(self._workers):
            if worker.process.is_alive() and not worker.is_stuck():
                continue
            reason = "is stuck" if worker.process.is_alive() else f"ended with {worker.process.exitcode}"
            kill_with_children(worker.process)
            worker.heartbeats.close()
            self._workers.remove(worker)
            if not self._has_served:
                raise WorkersFailed(f"The worker process {worker.process.pid} {reason} before it served.")
            _LOG.error("Worker process %s %s; another one replaces it.", worker.process.pid, reason)
            if not worker.has_served:
                self._retry_time = time.monotonic() + _RETRY_SECONDS


@dataclass
class _Signals:
    """The signals so far that ask this process to end."""

    wakeup: socket.socket
    """A socket that becomes readable at a signal."""
    count: int = 0

    def add(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


@contextmanager
def _catch_signals() -> Iterator[_Signals]:
    """Count signals while the block lasts, instead of their default actions."""
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.settimeout(0)  # a handler cannot wait
        signals = _Signals(reader)
        is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # by nohup
        ending = [number for number in _ENDING_SIGNALS if number != signal.SIGHUP or not is_ignored]
        handlers = {number: signal.signal(number, signals.add) for number in ending}
        previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield signals
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _end_children(signals: _Signals, grace_seconds: float) -> None:
    """End all child processes: with SIGTERM, and with SIGKILL after the grace or at a second signal."""
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    _wait_for_end(children, grace_seconds + _END_SECONDS, signals)
    for child in children:
        kill_with_children(child)
    for child in children:
        child.join(_END_SECONDS)
    if any(child.is_alive() for child in children):
        _LOG.error("A child process waits for a disk that does not answer; it ends when the disk answers.")
        os._exit(1)  # otherwise multiprocessing waits for it at the end of this process


def _wait_for_end(children: Sequence[BaseProcess], seconds: float, signals: _Signals) -> None:
    """Wait until all processes have ended, or the time is over, or a second signal has come."""
    deadline = time.monotonic() + seconds
    while alive := [child.sentinel for child in children if child.is_alive()]:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or signals.count > 1:
            return
        if signals.wakeup in wait([signals.wakeup, *alive], remaining):
            signals.wakeup.recv(64)
