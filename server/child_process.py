"""Child processes of a server: started with it, and ended with it, however it ends."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Final

from shotdap.config import SettingsSource

_STOP_TIMEOUT: Final = 8  # seconds until it is killed; all that it writes is atomic


@contextmanager
def run_child_process(
    target: Callable[[SettingsSource], None], source: SettingsSource, name: str
) -> Iterator[BaseProcess]:
    """Run a function in a child process until the end of the block.

    Args:
        target: the function, called with the source of the settings; it has to return when the parent ends, see
            `is_parent_alive_after`.
        source: from which the process loads its settings.
        name: of the process.
    """
    process = multiprocessing.get_context("spawn").Process(target=target, args=(source,), name=name)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(_STOP_TIMEOUT)
        if process.is_alive():
            process.kill()
            process.join()


def is_parent_alive_after(seconds: float) -> bool:
    """Wait, and check whether the parent is alive then. The wait ends early if the parent ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return False
    parent.join(seconds)
    return parent.is_alive()


def ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
