"""The coordinator as a server starts it: once anybody has ordered anything, and not before.

Until then a server has neither Dask nor a process for it, only a thread that looks for a file now and then.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shotdap.config import Settings, SettingsSource
from shotdap.server.child_process import ignore_interrupt, run_child_process
from shotdap.server.exports.jobs.site import open_job_store
from shotdap.server.exports.jobs.store import JobStore

__all__ = ["supervise_coordinator"]

_POLL_SECONDS: Final = 0.5  # seconds between two looks


@contextmanager
def supervise_coordinator(settings: Settings, source: SettingsSource) -> Iterator[None]:
    """A process that runs exports for as long as the block lasts, where the settings have a folder for them.

    Args:
        settings: of the site.
        source: where the process loads its settings from.
    """
    jobs = open_job_store(settings)
    if jobs is None:
        yield
        return
    over = threading.Event()
    waiting = threading.Thread(target=_run_after_first_order, args=(jobs, source, over), name="shotdap exports")
    waiting.start()
    try:
        yield
    finally:
        over.set()
        waiting.join()


def _run_after_first_order(jobs: JobStore, source: SettingsSource, over: threading.Event) -> None:
    while not jobs.has_database:
        if over.wait(_POLL_SECONDS):
            return
    with run_child_process(_run_coordinator_process, source, "shotdap exports"):
        over.wait()


def _run_coordinator_process(source: SettingsSource) -> None:
    ignore_interrupt()
    importlib.import_module("shotdap.server.exports.jobs.coordinator").run_until_parent_ends(source)
