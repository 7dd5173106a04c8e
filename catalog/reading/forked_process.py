"""The first steps of a forked process: it leaves its parent's descriptors, signals and objects alone."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_NAME: Final = 15
_FIRST_OWN_DESCRIPTOR: Final = 3  # after the standard streams
_PARENT_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def list_descriptors() -> set[int]:
    """List the open descriptors of this process, and perhaps one that is closed by now."""
    return {int(path.name) for path in Path("/proc/self/fd").iterdir()}


def leave_parent(name: str, kept: Collection[int | None]) -> None:
    """Close all descriptors but the standard streams and some others, and reset the signals that end a process.

    Args:
        name: of the process from now on, in the system's lists; Linux shows 15 characters.
        kept: the descriptors that stay open.
    """
    signal.set_wakeup_fd(-1)
    for number in _PARENT_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for descriptor in list_descriptors() - set(kept):
        if descriptor >= _FIRST_OWN_DESCRIPTOR:
            with suppress(OSError):  # the one that listed them is closed by now
                os.close(descriptor)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode())
    gc.freeze()  # a collection would write to all objects, and copy the pages that are shared with the parent


def follow_parent(number: signal.Signals) -> None:
    """Have the kernel send a signal to this process when its parent ends, even by SIGKILL.

    Python code that watches the parent would wait for ever beside a library that hangs with the interpreter's lock.
    "Parent" is the thread that started this process: it has to live as long as the process may.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
