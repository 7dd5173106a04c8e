"""Calls in separate processes: a crash, a hang or a lack of memory there ends that process only.

Rule 1: every exception in a process comes back as `Unreadable` with a sentence, unless the pool lets it pass. Pickle
        may not carry a decoder's own exception, and the file caused it.
Rule 2: the limit of processor time excludes waiting on a busy machine. A call also ends after its limit by the clock,
        for example on a disk that never answers. It is not repeated.
Rule 3: a call whose process died is repeated once, in a new process.
Rule 4: a failure counts against the file only if the file caused it. A process that was killed from outside, or ran out
        of time, decides nothing: `Undecided`.

A pool lives in one event loop, and needs no thread for a call. Without a loop, as on the command line, it starts one in
a thread. Calls name a subject, usually a file. The subjects take turns, and one subject never holds all processes. When
all processes have been busy for a while, as with files on a disk that hangs, further ones are started for the others.
"""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from shotdap.catalog.entry import Overloaded, Undecided, Unreadable
from shotdap.catalog.reading.call_queue import CallQueue
from shotdap.catalog.reading.pool_process import PoolProcess, Reply
from shotdap.catalog.reading.process_loop import CALL_HEADER, Outcome, ProcessLoop, restore_error
from shotdap.catalog.reading.process_starter import ForkServer, StartedProcess

_LOG = logging.getLogger("shotdap.processes")
_Result = TypeVar("_Result")

# Signals that a library's fault causes. Any other signal came from outside: from a system without memory, from an
# administrator, or from a server that shuts down.
_CRASH_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS})
_BUSY_SECONDS: Final = 0.3  # all processes have been busy for so long: further ones may start
_MAX_ENDING: Final = 32  # processes that were killed and have not ended, perhaps because their disk hangs
_READY_SECONDS: Final = 60  # for a process to initialize
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts to start a process that does not start
_MAX_ATTEMPTS: Final = 2  # rule 3
_MAX_ATTEMPTS_WITHOUT_SERVER: Final = 4  # when the fork server dies, new processes die as well


@dataclass(frozen=True)
class CallLimits:
    """Limits of one call."""

    cpu_seconds: float
    """Processor time; the system counts it in whole seconds."""
    wall_seconds: float
    """Time by the clock."""
    memory_bytes: int
    """Address space beyond what the process has when the call begins; maps of files count."""


class ProcessFailed(Unreadable):
    """The call crashed its processes, or needs more memory than its limit: it would do so again."""


@dataclass(frozen=True)
class PoolState:
    """The load of a pool."""

    processes: int
    busy: int
    """The number of running calls."""
    waiting: int
    """The number of calls that wait for a process."""
    oldest_seconds: float
    """The age of the oldest call, running or waiting."""


@dataclass(eq=False)
class _Call:
    """A call on its way."""

    message: bytes
    limits: CallLimits
    subject: str
    answer: asyncio.Future[Any]
    entered: float
    attempts: int = 0
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)
    process: PoolProcess[_Call] | None = None

    def set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        """Replace the timer, which limits first the waiting and then the running."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = timer


class ProcessPool:
    """Processes that run calls within limits; they start when they are needed, and are replaced when they die.

    The pool belongs to the event loop that uses it first, and is closed before that ends.

    Args:
        processes: the number of processes.
        limits: the limits of a call that has none of its own.
        fork_server: forks the processes; it is stopped after the pool is closed. Without it, the pool has its own.
        initialize: called once in each process; pickle has to carry it.
        max_waiting: the number of calls that may wait for a process.
        wait_seconds: the time that a call may wait for a process; `math.inf` for no limit.
        extra: the number of further processes while all others are busy.
        max_growth_bytes: a process that holds so much more memory than at its start is replaced, after a call.
        passes: exceptions that reach the caller as they are, if pickle can carry them.
        activity: what a call does, as the beginning of a sentence for clients.
        name: of the processes, in the system's lists; Linux shows 15 characters.
    """

    def __init__(  # noqa: PLR0913 — options with defaults
        self,
        processes: int,
        limits: CallLimits,
        *,
        fork_server: ForkServer | None = None,
        initialize: Callable[[], None] | None = None,
        max_waiting: int = 256,
        wait_seconds: float = 20,
        extra: int = 4,
        max_growth_bytes: int = 512 << 20,
        passes: tuple[type[Exception], ...] = (),
        activity: str = "Reading the file",
        name: str = "shotdap reader",
    ) -> None:
        self._size = processes
        self._extra = extra
        self._limits = limits
        self._max_waiting = max_waiting
        self._wait_seconds = wait_seconds
        self._activity = activity
        self._fork_server = fork_server or ForkServer()
        self._owns_fork_server = fork_server is None
        self._process_loop = ProcessLoop(name, pickle.dumps(initialize), activity, passes, max_growth_bytes)
        self._start_executor = ThreadPoolExecutor(1, "process-start")
        self._binding = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own_thread: threading.Thread | None = None
        self._is_closed = False
        # All of the following is used by the loop's thread only.
        self._queue: CallQueue[_Call] = CallQueue(max(1, processes - 1))
        self._retries: list[_Call] = []
        self._calls: dict[_Call, None] = {}  # in the order of their beginning
        self._processes: set[PoolProcess[_Call]] = set()
        self._idle: list[PoolProcess[_Call]] = []
        self._starting: dict[PoolProcess[_Call], asyncio.Future[None]] = {}
        self._start_tasks: set[asyncio.Task[None]] = set()
        self._ending: set[PoolProcess[_Call]] = set()
        self._wanted = 0  # processes to keep: as many as were needed at once so far
        self._failed_starts = 0
        self._next_start = 0.0  # by the monotonic clock
        self._growth_timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> PoolState:
        """The load at this moment; any thread may ask."""
        calls = list(self._calls)
        oldest = time.monotonic() - calls[0].entered if calls else 0.0
        busy = sum(call.process is not None for call in calls)
        return PoolState(len(self._processes), busy, len(calls) - busy, oldest)

    async def start(self) -> None:
        """Start all processes, and wait until they are ready.

        Raises:
            OSError: one cannot be started.
        """
        if self._bind_to(asyncio.get_running_loop()) is not asyncio.get_running_loop():
            raise RuntimeError("The pool belongs to another event loop.")
        self._wanted, self._next_start = self._size, 0.0
        self._grow()
        await asyncio.gather(*self._start_tasks)

    async def call(
        self,
        function: Callable[..., _Result],
        *arguments: Any,  # noqa: ANN401 — checked by the function's own types in the process
        subject: str = "",
        limits: CallLimits | None = None,
    ) -> _Result:
        """Call a function in a process. Cancelling the task that waits kills the process, if the call has begun.

        Args:
            function: the function; pickle has to carry it, its arguments and its result.
            arguments: its arguments.
            subject: what the call is about, such as a file; calls without a subject share one queue.
            limits: its limits, if they differ from those of the pool.

        Raises:
            Missing: the function raised it.
            Changed: the function raised it.
            Undecided: the call took too long, or its process was killed twice.
            Unreadable: the call crashed twice, or needed too much memory, or raised an exception.
            Overloaded: too many calls wait, or this one waited too long.
        """
        loop = asyncio.get_running_loop()
        limits = limits or self._limits
        message = _pack_call(function, arguments, limits)
        bound = self._bind_to(loop)
        result: _Result
        if bound is loop:
            result = await self._run_message(message, subject, limits)
        else:
            future = asyncio.run_coroutine_threadsafe(self._run_message(message, subject, limits), bound)
            result = await asyncio.wrap_future(future)
        return result

    def submit(
        self,
        function: Callable[..., _Result],
        *arguments: Any,  # noqa: ANN401 — checked by the function's own types in the process
        subject: str = "",
        limits: CallLimits | None = None,
    ) -> Future[_Result]:
        """Start a call from any thread; the future has its result, or an exception of `call`. It can be cancelled."""
        limits = limits or self._limits
        message = _pack_call(function, arguments, limits)
        loop = self._bind_to(None)
        return asyncio.run_coroutine_threadsafe(self._run_message(message, subject, limits), loop)

    def call_from_thread(
        self,
        function: Callable[..., _Result],
        *arguments: Any,  # noqa: ANN401 — checked by the function's own types in the process
        subject: str = "",
        limits: CallLimits | None = None,
    ) -> _Result:
        """Call a function in a process, and block this thread until its result; see `call`.

        Raises:
            RuntimeError: this is the thread of the pool's event loop.
        """
        if self._loop is not None and _get_running_loop() is self._loop:
            raise RuntimeError("The thread of the pool's event loop must not wait for a call.")
        future = self.submit(function, *arguments, subject=subject, limits=limits)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # after Ctrl-C
            raise

    def close(self) -> None:
        """Kill the processes, without waiting for those that cannot end; calls on their way are `Undecided`."""
        with self._binding:
            self._is_closed = True
            loop = self._loop
        if self._owns_fork_server:
            self._fork_server.stop()
        if loop is not None and not loop.is_closed():
            if loop.is_running() and _get_running_loop() is not loop:
                asyncio.run_coroutine_threadsafe(self._close_in_loop(), loop).result()
            else:
                self._end_all()
        if loop is not None and self._own_thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._own_thread.join()
            loop.close()
            self._own_thread = None
        self._start_executor.shutdown(wait=False, cancel_futures=True)

    def _bind_to(self, loop: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
        """Return the pool's loop, which is the first that asks, or one in a thread of its own.

        Raises:
            RuntimeError: the pool is closed, or its loop has ended.
        """
        if loop is not None and loop is self._loop and not self._is_closed:
            return loop
        with self._binding:
            if self._is_closed:
                raise RuntimeError("The pool of processes is closed.")
            if self._loop is None:
                self._loop = loop or asyncio.new_event_loop()
                if loop is None:
                    self._own_thread = threading.Thread(target=self._loop.run_forever, name="process-pool", daemon=True)
                    self._own_thread.start()
            elif self._loop is not loop and self._own_thread is None and not self._loop.is_running():
                raise RuntimeError("The event loop of the pool of processes has ended.")
            return self._loop

    async def _run_message(self, message: bytes, subject: str, limits: CallLimits) -> Any:  # noqa: ANN401 — any result
        """Run a call in the pool's loop."""
        loop = asyncio.get_running_loop()
        call = _Call(message, limits, subject, loop.create_future(), time.monotonic())
        self._calls[call] = None
        self._queue.append(call)
        self._dispatch()
        try:
            if call.process is None and not call.answer.done():
                if len(self._queue) > self._max_waiting:
                    raise Overloaded
                self._limit_waiting(call)
            return await call.answer
        finally:
            if call in self._calls:  # cancelled, or overloaded
                self._abandon(call)

    # Choosing what runs

    def _dispatch(self) -> None:
        """Give waiting calls to idle processes, and start the processes that are missing."""
        fresh = [process for process in self._idle if process.is_fresh] if self._retries else []
        while self._retries and fresh:
            self._idle.remove(process := fresh.pop())
            self._run(self._retries.pop(0), process)
        while self._idle and (call := self._queue.take_next()):
            self._run(call, self._idle.pop())
        while self._idle and len(self._processes) > self._size:
            self._kill(self._idle.pop())
        self._grow()

    def _grow(self) -> None:
        """Start processes: for repeated calls always, for waiting ones up to the size of the pool or a few more."""
        total = len(self._processes) + len(self._start_tasks)
        is_full = total >= self._size and (self._growth_timer is not None or not self._queue)
        if self._is_closed or (is_full and not self._retries) or len(self._ending) >= _MAX_ENDING:
            return  # the end of a process, or the timer, comes back here
        now = time.monotonic()
        if now < self._next_start:
            self._grow_later(self._next_start - now)
            return
        while len(self._start_tasks) < len(self._retries) and total < self._size + self._extra:
            self._start_one()
            total += 1
        runnable = self._queue.count_runnable()
        needed = len(self._retries) + runnable
        self._wanted = max(self._wanted, min(self._size, len(self._processes) + needed))
        while total < self._size and (total < self._wanted or len(self._start_tasks) < needed):
            self._start_one()
            total += 1
        if runnable and not self._start_tasks and total < self._size + self._extra:
            youngest = max(process.call_start for process in self._processes)
            if now - youngest >= _BUSY_SECONDS:
                self._start_one()
            else:
                self._grow_later(youngest + _BUSY_SECONDS - now)

    def _grow_later(self, seconds: float) -> None:
        """Try again to start processes, after a time."""
        if self._growth_timer is None and self._loop is not None:
            self._growth_timer = self._loop.call_later(max(seconds, 0.001), self._grow_now)

    def _grow_now(self) -> None:
        self._growth_timer = None
        self._dispatch()

    def _run(self, call: _Call, process: PoolProcess[_Call]) -> None:
        """Send a call to a process."""
        call.attempts += 1
        call.process, process.call = process, call
        process.call_start = time.monotonic()
        process.is_fresh = False
        call.set_timer(call.answer.get_loop().call_later(call.limits.wall_seconds, self._end_late, call))
        process.send(call.message)

    # What happens to calls

    def _limit_waiting(self, call: _Call) -> None:
        if self._wait_seconds < math.inf:
            overload = partial(self._fail, call, Overloaded())
            call.set_timer(call.answer.get_loop().call_later(self._wait_seconds, overload))

    def _end_late(self, call: _Call) -> None:
        """End a call whose time by the clock is over."""
        seconds = call.limits.wall_seconds
        self._fail(call, Undecided(f"{self._activity} takes longer than {seconds:g} s.", seconds))

    def _fail(self, call: _Call, error: Exception) -> None:
        """End a call with an exception."""
        if call in self._calls:
            call.answer.set_exception(error)
            self._abandon(call)

    def _abandon(self, call: _Call) -> None:
        """Forget a call, and kill the process that still runs it."""
        if call.process is not None:
            self._kill(call.process)
        self._forget(call)
        self._dispatch()

    def _forget(self, call: _Call) -> None:
        """Forget a call that waits no more, and runs no more."""
        del self._calls[call]
        call.set_timer(None)
        call.process = None
        if not call.attempts:
            self._queue.remove(call)
            return
        self._queue.release(call)
        if call in self._retries:
            self._retries.remove(call)

    # What happens to processes

    def _start_one(self) -> None:
        """Start a process in the background."""
        task = asyncio.get_running_loop().create_task(self._start_process())
        self._start_tasks.add(task)
        task.add_done_callback(self._note_start)

    async def _start_process(self) -> None:
        """Start a process, and wait until it is ready.

        Raises:
            OSError: it does not start.
        """
        loop = asyncio.get_running_loop()
        future = self._start_executor.submit(self._fork_server.start_process, self._process_loop)
        try:
            started = await asyncio.wrap_future(future)
        except asyncio.CancelledError:  # the loop ends
            future.add_done_callback(_discard_started)
            raise
        process: PoolProcess[_Call] = PoolProcess(started, self._note_reply, self._note_end)
        if self._is_closed:
            process.close()
            return
        ready = self._starting[process] = loop.create_future()
        try:
            await process.connect()
            async with asyncio.timeout(_READY_SECONDS):
                await ready
        except BaseException:
            process.close()
            raise
        finally:
            del self._starting[process]
        self._processes.add(process)
        self._idle.append(process)

    def _note_start(self, task: asyncio.Task[None]) -> None:
        """Go on after an attempt to start a process; after failures, with a pause before the next."""
        self._start_tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._is_closed or task.cancelled():
            return
        if error is None:
            self._failed_starts = 0
        else:
            pause = min(_FIRST_PAUSE * 2**self._failed_starts, _LONGEST_PAUSE)
            self._failed_starts = min(self._failed_starts + 1, 10)
            self._next_start = time.monotonic() + pause
            _LOG.error("a process of a pool does not start: %s", error or type(error).__name__)
        self._dispatch()

    def _note_reply(self, process: PoolProcess[_Call], reply: Reply) -> None:
        """Handle a message of a process."""
        ready, call = self._starting.get(process), process.call
        if ready is not None:
            if reply.outcome is Outcome.NOT_STARTED:
                ready.set_exception(OSError(reply.body.decode()))
            else:
                ready.set_result(None)
        elif call is not None:
            process.call = None
            self._forget(call)
            if reply.is_last:
                self._kill(process)
            else:
                self._idle.append(process)
            self._answer(call, reply)
            self._dispatch()

    def _answer(self, call: _Call, reply: Reply) -> None:
        """Give a call its result or its exception."""
        try:
            match reply.outcome:
                case Outcome.RESULT:
                    call.answer.set_result(pickle.loads(reply.body))  # noqa: S301 — made by this program's own process
                case Outcome.ERROR:
                    call.answer.set_exception(restore_error(reply.body))
                case Outcome.BAD_CALL:
                    reason = reply.body.decode()
                    call.answer.set_exception(pickle.UnpicklingError(f"A process cannot load a call: {reason}"))
                case _:
                    mebibytes = call.limits.memory_bytes >> 20
                    sentence = f"{self._activity} takes more than {mebibytes:,} MiB of memory."
                    call.answer.set_exception(ProcessFailed(sentence))
        except Exception as failure:  # noqa: BLE001 — memory was damaged there, or this process lacks a module
            name = type(failure).__name__
            sentence = f"The file cannot be read: decoding it failed ({name}); it may be damaged."
            call.answer.set_exception(Unreadable(sentence))

    def _note_end(self, process: PoolProcess[_Call], exit_code: int | None) -> None:
        """Handle the end of a process; a call that it had is repeated or judged."""
        self._ending.discard(process)
        self._processes.discard(process)
        if process in self._idle:
            self._idle.remove(process)
        ready, call = self._starting.get(process), process.call
        if ready is not None and not ready.done():
            ready.set_exception(OSError(f"it ended with the exit code {exit_code}."))
        if call is None:
            self._dispatch()
            return
        process.call = call.process = None
        was_killed = exit_code is None or (exit_code < 0 and -exit_code not in _CRASH_SIGNALS)
        if exit_code == -signal.SIGXCPU:
            seconds = call.limits.cpu_seconds
            message = f"{self._activity} takes longer than {seconds:g} s of the processor's time."
            self._fail(call, Undecided(message, seconds))
        elif call.attempts < (_MAX_ATTEMPTS if exit_code is not None else _MAX_ATTEMPTS_WITHOUT_SERVER):
            self._limit_waiting(call)
            self._retries.append(call)
            self._dispatch()
        elif was_killed:
            self._fail(call, Undecided(f"{self._activity} was cut short, its process was killed; ask again."))
        else:
            self._fail(call, ProcessFailed(f"{self._activity} crashed the isolated process that tried it."))

    def _kill(self, process: PoolProcess[_Call]) -> None:
        """Kill a process that is not idle, and do not wait for its end."""
        process.call = None
        self._processes.discard(process)
        self._ending.add(process)
        process.kill()

    async def _close_in_loop(self) -> None:
        self._end_all()
        await asyncio.gather(*self._start_tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close their sockets in the next turn

    def _end_all(self) -> None:
        """End all calls, kill all processes, and forget them."""
        if self._growth_timer is not None:
            self._growth_timer.cancel()
        for call in list(self._calls):
            call.set_timer(None)
            if not call.answer.done():
                call.answer.set_exception(
                    Undecided(f"{self._activity} was cut short by the end of the server; ask again.")
                )
        self._calls.clear()
        for process in [*self._processes, *self._ending, *self._starting]:
            process.close()
        for ready in self._starting.values():
            if not ready.done():
                ready.set_exception(OSError("The pool is closed."))
        self._processes.clear()
        self._idle.clear()
        self._ending.clear()


def _pack_call(function: Callable[..., object], arguments: tuple[object, ...], limits: CallLimits) -> bytes:
    content = pickle.dumps((function, arguments, limits.cpu_seconds, limits.memory_bytes), pickle.HIGHEST_PROTOCOL)
    return CALL_HEADER.pack(len(content)) + content


def _discard_started(future: Future[StartedProcess]) -> None:
    """Kill a process that nobody waits for."""
    if not future.cancelled() and future.exception() is None:
        future.result().discard()


def _get_running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
