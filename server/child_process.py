"""Processes that stand beside a server: started with it, and gone with it, in whatever way it ends."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Final

from shotdap.config import SettingsSource

__all__ = ["ignore_interrupt", "is_parent_alive_after", "run_child_process"]

_STOP_TIMEOUT: Final = 8  # before it is killed; what it writes is whole or not there


@contextmanager
def run_child_process(
    target: Callable[[SettingsSource], None], source: SettingsSource, name: str
) -> Iterator[BaseProcess]:
    """A process that runs a function for as long as the block lasts.

    Args:
        target: what it runs, with the settings' source; it ends by itself when its parent does, see
            `is_parent_alive_after`.
        source: where the process loads its settings from.
        name: what the process is called.
    """
    process = multiprocessing.get_context("spawn").Process(target=target, args=(source,), name=name)
    process.start()
    try:
        yield process
    finally:
        _stop_process(process)


def _stop_process(process: BaseProcess) -> None:
    process.terminate()
    process.join(_STOP_TIMEOUT)
    if process.is_alive():
        process.kill()
        process.join()


def is_parent_alive_after(seconds: float) -> bool:
    """Wait some time; whether the process's parent lives then. It ends the wait when it does not."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return False
    parent.join(seconds)
    return parent.is_alive()


def ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
