"""Calls in a process of their own: what crashes, hangs or takes too much memory there costs that process, no more.

The C libraries below the readers were written for files that mean well. One that does not may crash the process that
reads it, keep it busy for ever, or fill its memory; none of these is an exception that could be caught.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooLong
from dataclasses import dataclass
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from shotdap.catalog.entry import Unreadable

__all__ = ["Isolation"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Limits:
    seconds: float
    memory: int


class Isolation:
    """Worker processes with limits, started when they are first needed and replaced when they die.

    Args:
        seconds: what one call may take.
        memory: bytes of address space that one process may have.
        workers: how many processes.
    """

    def __init__(self, seconds: float = 60, memory: int = 4 << 30, workers: int = 1) -> None:
        self._limits = _Limits(seconds, memory)
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None

    def start(self, function: Callable[..., Result], *arguments: object) -> ProcessFuture[Result]:
        """Begin a call; `outcome` waits for it. The function and its arguments must be such that pickle carries."""
        with self._lock:
            if self._pool is None or not self._pool.active:
                self._pool = ProcessPool(
                    max_workers=self._workers,
                    context=multiprocessing.get_context("spawn"),  # a fork would copy the locks of other threads
                    initializer=_limit,
                    initargs=(self._limits.memory,),
                )
        return self._pool.schedule(function, args=list(arguments), timeout=self._limits.seconds)

    def outcome(self, call: ProcessFuture[Result]) -> Result:
        """Wait for a call that was begun.

        Raises:
            Unreadable: it crashed, took too long or wanted too much memory; or what the function raised.
        """
        try:
            return call.result()
        except ProcessExpired as error:
            raise Unreadable("Reading the file crashed the isolated process that tried it.") from error
        except TooLong as error:
            raise Unreadable(f"Reading the file took longer than {self._limits.seconds:g} s.") from error
        except MemoryError as error:
            raise Unreadable(
                f"Reading the file takes more than {self._limits.memory >> 20:,} MiB of memory."
            ) from error

    def __call__(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call a function in a worker, and wait; see `start` and `outcome`."""
        return self.outcome(self.start(function, *arguments))

    def close(self) -> None:
        """End the workers."""
        with self._lock:
            if self._pool is not None:
                self._pool.stop()  # type: ignore[no-untyped-call]  # pebble types its calls, not their results
                self._pool.join()
                self._pool = None


def _limit(memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def warm(*_arguments: Any) -> None:  # noqa: ANN401 — anything
    """Do nothing: the first call to a worker waits for its imports."""
