"""Calls in a process of their own: what crashes, hangs or takes too much memory there costs that process, no more.

The C libraries below the readers were written for files that mean well. One that does not may crash the process that
reads it, keep it busy for ever, or fill its memory; none of these is an exception that could be caught.

Rule 1: whatever is raised in a worker comes back as `Unreadable` with a sentence. A decoder's own exception may be one
        that pickle cannot carry, and it is the file that made it.
Rule 2: limits count the work. The limit on seconds is one on the processor's, which a busy machine does not use up; by
        the clock a call has several times as long, for what waits for a disk that never answers.
Rule 3: a call whose worker died is tried a second time, in a new one.
Rule 4: only what is the file's doing is a verdict on the file. A worker that was killed from outside, or ran out of
        time, decides nothing: `Undecided`.
"""

from __future__ import annotations

import math
import multiprocessing
import pickle
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as TooLong
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from shotdap.catalog.entry import Changed, Missing, Unreadable

Result = TypeVar("Result")

_WALL_TIME_FACTOR = 5  # times the seconds of work that a call may have by the clock
# What a library does to its own process. Any other signal came from outside: from the system short of memory, from an
# administrator, from a server that is shut down.
_CRASH_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS})


class Undecided(Unreadable):
    """Whether a file can be read was not found out: the next attempt may succeed.

    Args:
        message: what happened.
        seconds: how long it is not worth trying again.
    """

    def __init__(self, message: str, seconds: float = 0) -> None:
        super().__init__(message)
        self.retry_seconds = seconds


@dataclass(frozen=True)
class _Limits:
    cpu_seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class _WorkerResult:
    """What a worker sends back; pickle carries it in any case."""

    pickled_result: bytes
    """The result, pickled."""
    error: type[Exception] | None = None
    message: str = ""


@dataclass(frozen=True)
class SandboxCall(Generic[Result]):
    """A call that was begun."""

    future: ProcessFuture[_WorkerResult]
    function: Callable[..., Result]
    arguments: tuple[object, ...]


class Sandbox:
    """Worker processes with limits, started when they are first needed and replaced when they die.

    Args:
        seconds: the processor's time that one call may take; by the clock it may take five times as long.
        memory: bytes of address space that one process may have.
        workers: how many processes.
    """

    def __init__(self, seconds: float = 60, memory: int = 4 << 30, workers: int = 1) -> None:
        self._limits = _Limits(seconds, memory)
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None

    def start_call(self, function: Callable[..., Result], *arguments: object) -> SandboxCall[Result]:
        """Begin a call; `wait_for_result` waits for it. The function and its arguments must be such that pickle carries."""
        with self._lock:
            if self._pool is None or not self._pool.active:
                self._pool = ProcessPool(
                    max_workers=self._workers,
                    context=multiprocessing.get_context("spawn"),  # a fork would copy the locks of other threads
                    initializer=_limit_worker,
                    initargs=(self._limits.memory_bytes,),
                )
            future = self._pool.schedule(
                _run_call,
                args=[self._limits.cpu_seconds, function, arguments],
                timeout=_WALL_TIME_FACTOR * self._limits.cpu_seconds,
            )
        return SandboxCall(future, function, arguments)

    def wait_for_result(self, call: SandboxCall[Result]) -> Result:
        """Wait for a call that was begun, and for another attempt where its process dies.

        Raises:
            Missing: the function raised it.
            Undecided: it took too long, or its process was killed, twice.
            Unreadable: it crashed, twice, or wanted too much memory, or raised anything.
        """
        try:
            answer = self._wait_for_worker(call)
        except (_WorkerLost, ProcessExpired):
            answer = self._retry_call(call)
        if answer.error is MemoryError:
            raise Unreadable(f"Reading the file takes more than {self._limits.memory_bytes >> 20:,} MiB of memory.")
        if answer.error is not None:
            raise answer.error(answer.message)
        result: Result = pickle.loads(answer.pickled_result)  # noqa: S301 — made by this program's own worker
        return result

    def _retry_call(self, call: SandboxCall[Result]) -> _WorkerResult:
        try:
            return self._wait_for_worker(self.start_call(call.function, *call.arguments))
        except _WorkerLost as error:
            raise Undecided("The isolated process that read the file was killed; ask again.") from error
        except ProcessExpired as error:
            raise Unreadable("Reading the file crashed the isolated process that tried it.") from error

    def _wait_for_worker(self, call: SandboxCall[Result]) -> _WorkerResult:
        """Wait for an answer.

        Raises:
            Undecided: it takes too long.
            ProcessExpired: the process crashed.
            _Lost: the process, or all of them, ended for another reason.
        """
        seconds = self._limits.cpu_seconds
        try:
            return call.future.result()
        except ProcessExpired as error:
            if -error.exitcode == signal.SIGXCPU:
                message = f"Reading the file takes longer than {seconds:g} s of the processor's time."
                raise Undecided(message, seconds) from error
            if error.exitcode < 0 and -error.exitcode not in _CRASH_SIGNALS:
                raise _WorkerLost from error
            raise
        except TooLong as error:
            message = f"Reading the file takes longer than {seconds:g} s, and did not end in {_WALL_TIME_FACTOR * seconds:g} s."
            raise Undecided(message, seconds) from error
        except (CancelledError, BrokenProcessPool, OSError, RuntimeError) as error:  # all workers were ended
            raise _WorkerLost from error

    def __call__(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call a function in a worker, and wait; see `start_call` and `wait_for_result`."""
        return self.wait_for_result(self.start_call(function, *arguments))

    def close(self) -> None:
        """End the workers."""
        with self._lock:
            if self._pool is not None:
                self._pool.stop()  # type: ignore[no-untyped-call]  # pebble types its calls, not their results
                self._pool.join()
                self._pool = None


class _WorkerLost(Exception):
    """The process ended, and not by the file's doing."""


def _limit_worker(memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # so that the exit code says that it was killed
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run_call(seconds: float, function: Callable[..., Any], arguments: tuple[object, ...]) -> _WorkerResult:
    """Call a function in the worker, which may use so many more seconds of the processor's time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with suppress(ValueError):  # more than the system allows: then that is the limit
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + seconds), hard))
    try:
        return _WorkerResult(pickle.dumps(function(*arguments)))
    except MemoryError:
        return _WorkerResult(b"", MemoryError)
    except Unreadable as error:
        kind = next((each for each in (Missing, Changed) if isinstance(error, each)), Unreadable)
        return _WorkerResult(b"", kind, str(error))
    except BaseException as error:  # noqa: BLE001 — a decoder may raise anything, SystemExit included
        message = f"The file cannot be read: decoding it failed ({type(error).__name__}); it may be damaged."
        return _WorkerResult(b"", Unreadable, message)
