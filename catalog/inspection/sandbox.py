"""Calls in separate processes: a crash, a hang or a lack of memory there ends that process only.

The C libraries below the readers were written for well-formed files. A malicious or damaged file may crash the process
that reads it, block it forever, or fill its memory; none of these is an exception that could be caught.

Rule 1: every exception in a worker comes back as `Unreadable` with a sentence. Pickle may not carry a decoder's own
        exception, and the file caused it.
Rule 2: the time limit counts processor time, so that waiting on a busy machine does not count. A call also ends after
        several times its limit by the clock, for example on a disk that never answers.
Rule 3: a call whose worker died is repeated once, in a new worker.
Rule 4: a failure counts against the file only if the file caused it. A worker that was killed from outside, or ran out
        of time, decides nothing: `Undecided`.
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

_Result = TypeVar("_Result")

_WALL_TIME_FACTOR = 5  # by the clock, a call may take this many times its limit
# Signals that a library's fault causes. Any other signal came from outside: from a system without memory, from an
# administrator, or from a server that shuts down.
_CRASH_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS})


class Undecided(Unreadable):
    """It is not known whether the file can be read: the next attempt may succeed.

    Args:
        message: what happened.
        seconds: the time before another attempt is worthwhile.
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
    """The message of a worker; it can always be pickled."""

    pickled_result: bytes
    """The pickled result."""
    error: type[Exception] | None = None
    message: str = ""


@dataclass(frozen=True)
class SandboxCall(Generic[_Result]):
    """A started call."""

    future: ProcessFuture[_WorkerResult]
    function: Callable[..., _Result]
    arguments: tuple[object, ...]


class Sandbox:
    """Worker processes with limits, started when they are first needed and replaced when they die.

    Args:
        seconds: the processor time that one call may take; by the clock, it may take five times as long.
        memory: bytes of address space that one process may have.
        workers: the number of processes.
    """

    def __init__(self, seconds: float = 60, memory: int = 4 << 30, workers: int = 1) -> None:
        self._limits = _Limits(seconds, memory)
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None

    def start_call(self, function: Callable[..., _Result], *arguments: object) -> SandboxCall[_Result]:
        """Start a call, for `wait_for_result`. Pickle has to carry the function and its arguments."""
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

    def wait_for_result(self, call: SandboxCall[_Result]) -> _Result:
        """Wait for a started call, and for a second attempt if its process dies.

        Raises:
            Missing: the function raised it.
            Undecided: the call took too long, or its process was killed twice.
            Unreadable: the call crashed twice, or needed too much memory, or raised an exception.
        """
        try:
            response = self._wait_for_worker(call)
        except (_WorkerLost, ProcessExpired):
            try:
                response = self._wait_for_worker(self.start_call(call.function, *call.arguments))
            except _WorkerLost as error:
                raise Undecided("The isolated process that read the file was killed; ask again.") from error
            except ProcessExpired as error:
                raise Unreadable("Reading the file crashed the isolated process that tried it.") from error
        if response.error is MemoryError:
            raise Unreadable(f"Reading the file takes more than {self._limits.memory_bytes >> 20:,} MiB of memory.")
        if response.error is not None:
            raise response.error(response.message)
        result: _Result = pickle.loads(response.pickled_result)  # noqa: S301 — made by this program's own worker
        return result

    def _wait_for_worker(self, call: SandboxCall[_Result]) -> _WorkerResult:
        """Wait for the message of a worker.

        Raises:
            Undecided: the call takes too long.
            ProcessExpired: the process crashed.
            _WorkerLost: the process, or all processes, ended for another reason.
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
            limit = f"{_WALL_TIME_FACTOR * seconds:g} s"
            message = f"Reading the file takes longer than {seconds:g} s, and did not end in {limit}."
            raise Undecided(message, seconds) from error
        except (CancelledError, BrokenProcessPool, OSError, RuntimeError) as error:  # all workers were stopped
            raise _WorkerLost from error

    def __call__(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Call a function in a worker, and wait for its result; see `start_call` and `wait_for_result`."""
        return self.wait_for_result(self.start_call(function, *arguments))

    def close(self) -> None:
        """Stop the workers."""
        with self._lock:
            if self._pool is not None:
                self._pool.stop()  # type: ignore[no-untyped-call]  # pebble types its calls, not their results
                self._pool.join()
                self._pool = None


class _WorkerLost(Exception):
    """The process ended, but not because of the file."""


def _limit_worker(memory: int) -> None:
    """Set a worker's signals and its limit of memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # so that the exit code shows the signal
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run_call(seconds: float, function: Callable[..., Any], arguments: tuple[object, ...]) -> _WorkerResult:
    """Call a function in the worker, with a limit of processor time from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with suppress(ValueError):  # more than the system's limit, which then applies
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
