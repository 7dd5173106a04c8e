"""Child processes of a server: started with it, and ended with it, however it ends."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from typing import Final

from shotdap.config import SettingsSource

_STOP_TIMEOUT: Final = 8  # seconds until it is killed; all that it writes is atomic
_PR_SET_PDEATHSIG: Final = 1  # of prctl(2)
_PR_SET_NAME: Final = 15


@contextmanager
def run_child_process(
    target: Callable[[SettingsSource], None], source: SettingsSource, name: str
) -> Iterator[BaseProcess]:
    """Run a function in a child process until the end of the block.

    Ctrl-C is left to the parent. The process gets SIGTERM at the end of the block, and if its parent ends in any other
    way. What it leaves behind is killed.

    Args:
        target: the function, called with the source of the settings; it may also watch `is_parent_alive_after`.
        source: from which the process loads its settings.
        name: of the process; Linux shows 15 characters.
    """
    process = multiprocessing.get_context("spawn").Process(target=_run_target, args=(target, source), name=name)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(_STOP_TIMEOUT)
        kill_with_children(process)
        process.join()


def _run_target(target: Callable[[SettingsSource], None], source: SettingsSource) -> None:
    follow_parent(signal.SIGTERM)
    target(source)


def follow_parent(number: signal.Signals) -> None:
    """Have the kernel send a signal to this process when its parent ends, even by SIGKILL.

    Python code that watches the parent would wait for ever beside a library that hangs with the interpreter's lock.
    "Parent" is the thread that started this process: it has to live as long as the process may.

    The process becomes the leader of a group of processes, for `kill_with_children`. So Ctrl-C reaches only the parent.
    The system's lists of processes show its name.
    """
    os.setpgid(0, 0)
    parent = multiprocessing.parent_process()
    system = ctypes.CDLL(None)
    system.prctl(_PR_SET_NAME, multiprocessing.current_process().name.encode())
    system.prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent.pid:  # it ended before the call
        os.kill(os.getpid(), number)


def kill_with_children(process: BaseProcess) -> None:
    """Kill a process that follows its parent, and all processes that it has started. It may have ended before."""
    process.kill()
    if process.pid:
        with suppress(ProcessLookupError):  # none is left, or it has hardly started
            os.killpg(process.pid, signal.SIGKILL)


def is_parent_alive_after(seconds: float) -> bool:
    """Wait, and check whether the parent is alive then. The wait ends early if the parent ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return False
    parent.join(seconds)
    return parent.is_alive()
