"""What goes wrong in a process of a pool costs that process, no more, and is the file's fault only where it is."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import numpy as np
import pytest
import uvloop

from shotdap.catalog import Changed, Missing, Overloaded, Undecided, Unreadable
from shotdap.catalog.reading.process_pool import CallLimits, ProcessPool

LIMITS = CallLimits(8, 40, 2 << 30)
PATIENCE = 30  # seconds that a test waits for what must happen
Result = TypeVar("Result")


# What is called in a process.


def crash() -> None:
    ctypes.string_at(0)


def leave() -> None:
    os._exit(3)


def sleep_in_c(mark: Path | None = None) -> None:
    """Sleep in a call of C that holds the interpreter's lock, as a library on a hanging disk does."""
    if mark is not None:
        mark.write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(600)


def work() -> None:
    while True:
        pass


def devour() -> int:
    return int(np.ones(4 << 30, np.uint8).sum())


def take_memory(size: int) -> bytes:
    return b"x" * size


KEPT: list[bytes] = []


def keep_memory(size: int) -> int:
    KEPT.append(b"x" * size)
    return os.getpid()


def miss() -> None:
    raise Missing("It is gone.")


def find_changed() -> None:
    """Find that the file was replaced meanwhile."""
    raise Changed


def doubt() -> None:
    raise Undecided("It is being written.", 7)


def give_up() -> None:
    sys.exit("a library's own way to end")


def raise_unpicklable() -> None:
    class CodecError(Exception):
        """One that pickle does not find, and that could not be made again."""

        def __init__(self, code: int, *, codec: str) -> None:
            super().__init__(f"{codec}: {code}")

    raise CodecError(-5, codec="zstd")


class Detailed(ValueError):
    """An exception with more than a message."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message, column)
        self.column = column


def raise_detailed() -> None:
    raise Detailed("Not there.", 7)


def run_out_of_space() -> None:
    raise Unreadable("The file cannot be unpacked.") from OSError(errno.ENOSPC, "full")


def recurse() -> None:
    recurse()


def return_unpicklable() -> Callable[[], None]:
    return lambda: None


def kill_first(mark: Path, signal_number: int) -> str:
    """End the process, but for the second time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal_number)
    return "read"


def kill(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def work_for(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def wait_for_file(path: Path) -> str:
    """Wait until a file exists."""
    while not path.exists():
        time.sleep(0.005)
    return path.name


def double(number: int) -> int:
    return 2 * number


def echo(block: bytes) -> bytes:
    return block


def list_descriptors() -> list[str]:
    """Return what each descriptor of this process is: ``socket:[1234]``."""
    descriptors = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            descriptors.append(str(path.readlink()))
    return descriptors


def get_kept() -> int:
    return len(KEPT)


def remember_start() -> None:
    KEPT.append(b"")


def fail_start() -> None:
    raise ValueError("no such state")


# Helpers of the tests.


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    """A pool that threads use."""
    with closing(ProcessPool(2, LIMITS)) as pool:
        yield pool


def run(test: Coroutine[Any, Any, Result]) -> Result:
    """Run a test in the loop that serves."""
    return uvloop.run(asyncio.wait_for(test, 4 * PATIENCE))


@asynccontextmanager
async def open_pool(processes: int, limits: CallLimits = LIMITS, **options: Any) -> AsyncIterator[ProcessPool]:  # noqa: ANN401
    pool = ProcessPool(processes, limits, **options)
    try:
        yield pool
    finally:
        pool.close()
        await asyncio.sleep(0)  # the transports close their sockets


async def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Check whether a process exists, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(folder.name))
    return found


def server_of(pool: ProcessPool) -> int:
    pid = pool._fork_server.server_pid  # noqa: SLF001 — the test is about processes
    assert pid is not None
    return pid


async def kill_at_random(pool: ProcessPool) -> None:
    choose = random.Random(16)  # noqa: S311 — which process, no secret
    while True:
        await asyncio.sleep(choose.uniform(0.02, 0.2))
        processes = children_of(server_of(pool))
        if processes:
            os.kill(choose.choice(processes), signal.SIGKILL)


# Rules 1 to 4.


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (crash, "crashed"),
        (leave, "crashed"),
        (devour, "2,048 MiB"),
        (miss, "It is gone"),
        (give_up, "may be damaged"),
        (raise_unpicklable, "decoding it failed .CodecError."),
        (recurse, "RecursionError"),
        (return_unpicklable, "may be damaged"),
    ],
)
def test_what_goes_wrong(pool: ProcessPool, function: Callable[[], object], words: str) -> None:
    """A crash, a call for too much memory and any exception are sentences, and the next call is answered."""
    with pytest.raises(Unreadable, match=words) as raised:
        pool.call_from_thread(function)

    assert not isinstance(raised.value, Undecided)
    assert pool.call_from_thread(os.getpid) != os.getpid()


@pytest.mark.parametrize(("function", "limits"), [(sleep_in_c, (60, 0.5)), (work, (1, 60))])
def test_what_takes_too_long(pool: ProcessPool, function: Callable[[], object], limits: tuple[float, float]) -> None:
    """An endless call is ended, which decides nothing about the file; the next call succeeds."""
    with pytest.raises(Undecided, match=f"longer than {min(limits):g} s") as raised:
        pool.call_from_thread(function, limits=CallLimits(*limits, 1 << 30))

    assert raised.value.retry_seconds == min(limits)
    assert pool.call_from_thread(os.getpid) != os.getpid()


def test_limit_is_of_each_call() -> None:
    """One process may do more work, and hold more memory, in all than one call may."""
    with closing(ProcessPool(1, CallLimits(2, PATIENCE, 100 << 20))) as pool:
        for _ in range(2):
            pool.call_from_thread(work_for, 1.2)
        first, *others = [pool.call_from_thread(keep_memory, 60 << 20) for _ in range(3)]

        assert others == [first] * 2
        with pytest.raises(Unreadable, match="100 MiB"):
            pool.call_from_thread(keep_memory, 120 << 20)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_second_try(pool: ProcessPool, tmp_path: Path, signal_number: int) -> None:
    """A call whose process died is tried again, in another process."""
    assert pool.call_from_thread(kill_first, tmp_path / "mark", signal_number) == "read"


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_twice(pool: ProcessPool, signal_number: int) -> None:
    """A process that was killed from outside says nothing about the file; it may be asked for again at once."""
    with pytest.raises(Undecided, match="killed") as raised:
        pool.call_from_thread(kill, signal_number)

    assert raised.value.retry_seconds == 0


def test_errors_that_pass(pool: ProcessPool) -> None:
    """A changed file is not called unreadable, a doubt keeps its time, and a full disk is known as the cause."""
    with pytest.raises(Changed, match="ask again"):
        pool.call_from_thread(find_changed)
    with pytest.raises(Undecided, match="written") as doubted:
        pool.call_from_thread(doubt)
    assert doubted.value.retry_seconds == 7
    with pytest.raises(Unreadable, match="unpacked") as full:
        pool.call_from_thread(run_out_of_space)
    assert isinstance(full.value.__cause__, OSError)
    assert full.value.__cause__.errno == errno.ENOSPC


def test_named_errors_pass() -> None:
    """An exception that the pool names arrives as it is, if pickle can carry it."""
    with closing(ProcessPool(1, LIMITS, passes=(Exception,))) as pool:
        with pytest.raises(Detailed, match="Not there") as raised:
            pool.call_from_thread(raise_detailed)
        assert raised.value.column == 7
        with pytest.raises(Unreadable, match="CodecError"):
            pool.call_from_thread(raise_unpicklable)
        with pytest.raises(Missing):
            pool.call_from_thread(miss)


def test_call_that_cannot_be_loaded(pool: ProcessPool) -> None:
    """A function that exists only here is the developer's mistake, and no file's fault."""

    def temporary() -> None: ...

    temporary.__qualname__ = temporary.__name__ = "temporary"
    globals()["temporary"] = temporary
    try:
        with pytest.raises(UnpicklingError, match="temporary"):
            pool.call_from_thread(temporary)
    finally:
        del globals()["temporary"]
    with pytest.raises((AttributeError, TypeError)):
        pool.call_from_thread(lambda: None)


def test_large_messages(pool: ProcessPool) -> None:
    """Arguments and results of any length arrive; a result beyond 256 MiB is refused."""
    for size in (0, 65_500, 65_536, 5_000_001):
        block = os.urandom(size)
        assert pool.call_from_thread(echo, block) == block
    with pytest.raises(Unreadable, match="256 MiB"):
        pool.call_from_thread(take_memory, 300 << 20)


# Processes.


def test_process_is_isolated(pool: ProcessPool) -> None:
    """The fork server has one thread, so that forking is safe; a process holds no descriptor that it does not need."""
    kinds = [descriptor.partition(":")[0] for descriptor in pool.call_from_thread(list_descriptors)]

    assert len(list(Path(f"/proc/{server_of(pool)}/task").iterdir())) == 1
    assert kinds.count("socket") == 1
    assert kinds.count("pipe") <= 3  # standard streams, and the tracker of resources


def test_initialize() -> None:
    """Each process is initialized once; one that cannot be is reported, and its calls are not kept waiting."""
    with closing(ProcessPool(1, LIMITS, initialize=remember_start)) as pool:
        assert [pool.call_from_thread(get_kept) for _ in range(3)] == [1, 1, 1]

    async def fail() -> None:
        async with open_pool(1, initialize=fail_start, wait_seconds=0.5) as pool:
            with pytest.raises(OSError, match="no such state"):
                await pool.start()
            with pytest.raises(Overloaded):
                await pool.call(double, 1)

    run(fail())


def test_grown_process_is_replaced() -> None:
    """A process that holds much memory after a call answers, and is replaced."""

    async def test() -> None:
        async with open_pool(1, max_growth_bytes=100 << 20) as pool:
            first = await pool.call(keep_memory, 10 << 20)
            assert await pool.call(keep_memory, 120 << 20) == first
            assert await pool.call(os.getpid) != first

    run(test())


def test_process_killed_while_idle() -> None:
    """A process that dies without a call is replaced at once; so is the fork server with all of its processes."""

    async def test() -> None:
        async with open_pool(2) as pool:
            await pool.start()
            before = set(children_of(server_of(pool)))
            os.kill(await pool.call(os.getpid), signal.SIGKILL)
            await until(lambda: len(before & set(children_of(server_of(pool)))) == 1 and pool.state.processes == 2)
            server = server_of(pool)
            os.kill(server, signal.SIGKILL)
            assert await pool.call(double, 4) == 8
            await until(lambda: pool.state.processes == 2)
            assert server_of(pool) != server
            assert not any(is_alive(pid) for pid in before)

    run(test())


def test_stopped_process() -> None:
    """A process that was stopped costs its call the limit by the clock; others go on."""

    async def test() -> None:
        async with open_pool(2, CallLimits(5, 4, 1 << 30)) as pool:
            os.kill(await pool.call(os.getpid), signal.SIGSTOP)
            answers = await asyncio.gather(*(pool.call(double, 1) for _ in range(20)), return_exceptions=True)
            assert sorted(map(type, answers), key=str) == [int] * 19 + [Undecided]

    run(test())


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """A process whose parent is killed ends even while it hangs in a library, and so does the fork server."""
    mark = tmp_path / "mark"
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.catalog.reading.test_process_pool import ProcessPool, LIMITS, sleep_in_c, double\n"
        "pool = ProcessPool(2, LIMITS)\n"
        "pool.submit(sleep_in_c, Path(sys.argv[1]))\n"
        "print(pool.call_from_thread(double, 2), pool._fork_server.server_pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", program, mark], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert wait_for_file(mark)
        _, server = map(int, parent.stdout.readline().split())
        processes = [*children_of(parent.pid), *children_of(server)]
        parent.kill()
    end = time.monotonic() + PATIENCE

    assert len(processes) == 4  # the fork server, the tracker of resources, a busy process and an idle one
    while any(is_alive(pid) for pid in processes):
        assert time.monotonic() < end
        time.sleep(0.02)


# Queues.


def test_cancel(tmp_path: Path) -> None:
    """Cancelling a running call kills its process, which is replaced; cancelling a waiting call drops it."""

    async def test() -> None:
        async with open_pool(1, extra=0) as pool:
            running = asyncio.create_task(pool.call(sleep_in_c, tmp_path / "pid"))
            waiting = asyncio.create_task(pool.call(wait_for_file, tmp_path / "never"))
            await until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
            assert (pool.state.busy, pool.state.waiting) == (1, 1)
            waiting.cancel()
            running.cancel()
            assert await pool.call(double, 3) == 6
            assert (pool.state.busy, pool.state.waiting, pool.state.oldest_seconds) == (0, 0, 0)
            assert not is_alive(int((tmp_path / "pid").read_text()))

    run(test())


def test_overload(tmp_path: Path) -> None:
    """More calls than may wait are refused at once, and a call that has waited too long is refused then."""

    async def test() -> None:
        async with open_pool(1, extra=0, max_waiting=2, wait_seconds=0.4) as pool:
            await pool.start()
            running = asyncio.create_task(pool.call(wait_for_file, tmp_path / "go"))
            waiting = [asyncio.create_task(pool.call(double, number)) for number in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="busy; ask again"):
                await pool.call(double, 4)
            assert not any(task.done() for task in waiting)
            for task in waiting:
                with pytest.raises(Overloaded):
                    await task
            (tmp_path / "go").touch()
            assert await running == "go"
            assert await pool.call(double, 4) == 8

    run(test())


def test_subjects_take_turns(tmp_path: Path) -> None:
    """A call about one file waits for no more than one call about each other file."""

    async def test() -> None:
        order: list[str] = []

        async def ask(pool: ProcessPool, subject: str) -> None:
            await pool.call(double, 1, subject=subject)
            order.append(subject)

        async with open_pool(1, extra=0) as one:
            await one.start()
            first = asyncio.create_task(one.call(wait_for_file, tmp_path / "go", subject="many"))
            others = [asyncio.create_task(ask(one, subject)) for subject in [*("many" for _ in range(9)), "one"]]
            await asyncio.sleep(0)
            (tmp_path / "go").touch()
            await asyncio.gather(first, *others)
        assert order.index("one") <= 1

    run(test())


def test_hanging_disk() -> None:
    """Files that hang never hold all processes: not one file with many calls, and not many files with one each."""

    async def test() -> None:
        async with open_pool(2, extra=4) as pool:
            hanging = [asyncio.create_task(pool.call(sleep_in_c, subject="same")) for _ in range(5)]
            hanging += [asyncio.create_task(pool.call(sleep_in_c, subject=f"file {n}")) for n in range(4)]
            assert [await pool.call(double, n, subject=f"good {n}") for n in range(20)] == [2 * n for n in range(20)]
            assert pool.state.processes <= 6
            for task in hanging:
                task.cancel()
            await until(lambda: pool.state.processes == 2)
            assert await pool.call(double, 1) == 2

    run(test())


# Loops and threads.


def test_threads(pool: ProcessPool) -> None:
    """Many threads may call at once, without a loop of theirs."""
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(pool.call_from_thread, [double] * 200, range(200))) == [2 * n for n in range(200)]


def test_other_loops(pool: ProcessPool) -> None:
    """A call from another loop is answered there, while that of the pool runs; its own thread must not block."""
    assert pool.call_from_thread(double, 1) == 2
    assert asyncio.run(pool.call(double, 2)) == 4

    async def test() -> None:
        async with open_pool(1) as own:
            assert await own.call(double, 1) == 2
            assert await asyncio.to_thread(own.call_from_thread, double, 2) == 4
            assert await asyncio.to_thread(lambda: asyncio.run(own.call(double, 3))) == 6
            with pytest.raises(RuntimeError, match="must not wait"):
                own.call_from_thread(double, 4)

    run(test())


def test_closed(tmp_path: Path) -> None:
    """Closing from a thread ends calls at once, those that hang included; later calls are refused."""
    pool = ProcessPool(1, LIMITS)
    hanging = pool.submit(sleep_in_c, tmp_path / "pid")
    waiting = pool.submit(double, 1)
    wait_for_file(tmp_path / "pid")
    pool.close()

    for future in (hanging, waiting):
        with pytest.raises(Undecided, match="ask again"):
            future.result(PATIENCE)
    with pytest.raises(RuntimeError, match="closed"):
        pool.call_from_thread(double, 1)
    pool.close()


def test_ended_loop() -> None:
    """A pool whose loop has ended refuses calls, rather than to wait for ever."""
    pool = ProcessPool(1, LIMITS)

    async def use() -> None:
        assert await pool.call(double, 1) == 2
        pool._end_all()  # noqa: SLF001 — nothing else ends a loop without `close` and without a warning
        await asyncio.sleep(0.01)

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="has ended"):
        asyncio.run(pool.call(double, 1))
    pool.close()


def test_stress() -> None:
    """Under random kills each answer is right or a clean error, and neither process nor descriptor is left."""
    calls, tasks = 4_000, 32
    outcomes: list[str] = []

    async def ask(pool: ProcessPool, numbers: Iterator[int]) -> None:
        for number in numbers:
            try:
                answer = await pool.call(echo, number.to_bytes(4) * (number % 40_000), subject=str(number % 7))
            except Undecided as error:
                outcomes.append(str(error))
            else:
                assert answer == number.to_bytes(4) * (number % 40_000)
                outcomes.append("right")

    async def test() -> set[int]:
        async with open_pool(3, wait_seconds=PATIENCE) as pool:
            await pool.start()
            server = server_of(pool)
            killer = asyncio.create_task(kill_at_random(pool))
            numbers = iter(range(calls))
            await asyncio.gather(*(ask(pool, numbers) for _ in range(tasks)))
            killer.cancel()
            assert await pool.call(double, 2) == 4
            return {server, *children_of(server)}

    async def warm_up() -> None:
        async with open_pool(1) as pool:
            assert await pool.call(double, 1) == 2

    run(warm_up())  # the standard library keeps a process and a descriptor from then on
    gc.collect()
    descriptors, threads = len(list_descriptors()), threading.active_count()
    processes = run(test())
    gc.collect()

    assert len(outcomes) == calls
    assert outcomes.count("right") > calls / 2
    assert set(outcomes) <= {"right", "Reading the file was cut short, its process was killed; ask again."}
    assert len(list_descriptors()) <= descriptors
    assert threading.active_count() <= threads
    end = time.monotonic() + PATIENCE
    while any(is_alive(pid) for pid in processes):
        assert time.monotonic() < end
        time.sleep(0.02)
