"""Child processes of a server: forked from it, and ended with it, however it ends.

What they need is imported once, before they are forked, and their memory is shared.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker, util
from multiprocessing.process import BaseProcess
from typing import Final

from shotdap.catalog.reading.forked_process import follow_parent, leave_parent, list_descriptors
from shotdap.config import SettingsSource

_STOP_TIMEOUT: Final = 8  # seconds until it is killed; all that it writes is atomic


def start_child_process(
    target: Callable[..., None], arguments: tuple[object, ...], name: str, kept: Collection[int], end: signal.Signals
) -> BaseProcess:
    """Fork a child process that runs a function.

    It becomes the leader of a group of processes, for `kill_with_children`. So Ctrl-C reaches only the parent.

    Args:
        target: the function. Only the main thread may call this: another one would be taken for the parent, which has
            to live as long as the process, and a fork beside it may find a lock held.
        arguments: of the function.
        name: of the process; Linux shows 15 characters.
        kept: the parent's descriptors that it keeps.
        end: the signal that it gets when its parent ends in any way.
    """
    resource_tracker.ensure_running()  # one for all processes, rather than one for each
    util.get_temp_dir()  # the same; it is removed when this process ends
    unwanted = list_descriptors().difference(kept, {resource_tracker.getfd()})
    process = multiprocessing.get_context("fork").Process(
        target=_run_target, args=(target, arguments, unwanted, end), name=name
    )
    process.start()
    return process


def _run_target(
    target: Callable[..., None], arguments: tuple[object, ...], unwanted: set[int], end: signal.Signals
) -> None:
    os.setpgid(0, 0)
    follow_parent(end)
    parent = multiprocessing.parent_process()
    if parent is None or os.getppid() != parent.pid:  # it ended before the call
        os._exit(1)
    # Multiprocessing has opened some for this process, by whose end the parent notices its own.
    leave_parent(multiprocessing.current_process().name, list_descriptors() - unwanted)
    target(*arguments)


@contextmanager
def run_child_process(
    target: Callable[[SettingsSource], None], source: SettingsSource, name: str
) -> Iterator[BaseProcess]:
    """Run a function in a child process until the end of the block.

    The process gets SIGTERM at the end of the block, and if its parent ends in any other way. What it leaves behind is
    killed.

    Args:
        target: the function, called with the source of the settings; it may also watch `is_parent_alive_after`.
        source: from which the process loads its settings.
        name: of the process; Linux shows 15 characters.
    """
    process = start_child_process(target, (source,), name, (), signal.SIGTERM)
    try:
        yield process
    finally:
        process.terminate()
        process.join(_STOP_TIMEOUT)
        kill_with_children(process)
        process.join()


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
