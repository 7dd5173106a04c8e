"""The processes in which new files are inspected: a pool for threads, whose calls wait as long as they must."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from shotdap.catalog.reading.process_pool import CallLimits, ProcessPool

_Result = TypeVar("_Result")

_WALL_TIME_FACTOR = 5  # by the clock, a call may take this many times its limit


@dataclass(frozen=True)
class SandboxCall(Generic[_Result]):
    """A started call."""

    future: Future[_Result]


class Sandbox:
    """Worker processes with limits, started when they are first needed and replaced when they die.

    Args:
        seconds: the processor time that one call may take; by the clock, it may take five times as long.
        memory: bytes of address space that one call may take.
        workers: the number of processes.
    """

    def __init__(self, seconds: float = 60, memory: int = 4 << 30, workers: int = 1) -> None:
        self._limits = CallLimits(seconds, _WALL_TIME_FACTOR * seconds, memory)
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None

    def start_call(self, function: Callable[..., _Result], *arguments: object) -> SandboxCall[_Result]:
        """Start a call, for `wait_for_result`. Pickle has to carry the function and its arguments."""
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPool(
                    self._workers, self._limits, max_waiting=sys.maxsize, wait_seconds=math.inf, extra=0
                )
            return SandboxCall(self._pool.submit(function, *arguments))

    def wait_for_result(self, call: SandboxCall[_Result]) -> _Result:
        """Wait for a started call, and for a second attempt if its process dies.

        Raises:
            Missing: the function raised it.
            Undecided: the call took too long, or its process was killed twice.
            Unreadable: the call crashed twice, or needed too much memory, or raised an exception.
        """
        return call.future.result()

    def __call__(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Call a function in a worker, and wait for its result; see `start_call` and `wait_for_result`."""
        return self.wait_for_result(self.start_call(function, *arguments))

    def close(self) -> None:
        """Stop the workers."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
