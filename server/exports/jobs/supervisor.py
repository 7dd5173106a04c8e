"""Start the coordinator process when the first job is ordered.

Until then a server needs neither Dask nor a process for it, only a thread that polls for a file.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shotdap.config import Settings, SettingsSource
from shotdap.server.child_process import run_child_process
from shotdap.server.exports.jobs.job_store import open_job_store

_POLL_SECONDS: Final = 0.5


@contextmanager
def supervise_coordinator(settings: Settings, source: SettingsSource) -> Iterator[None]:
    """Run jobs in a child process while the block lasts, if the settings have a folder for exports.

    Args:
        settings: the site's settings.
        source: where the child process loads them from.
    """
    store = open_job_store(settings)
    if store is None:
        yield
        return
    stop_event = threading.Event()

    def run_after_first_order() -> None:
        while not store.has_database:
            if stop_event.wait(_POLL_SECONDS):
                return
        with run_child_process(_run_coordinator_process, source, "shotdap exports"):
            stop_event.wait()

    thread = threading.Thread(target=run_after_first_order, name="shotdap exports")
    thread.start()
    try:
        yield
    finally:
        stop_event.set()
        thread.join()


def _run_coordinator_process(source: SettingsSource) -> None:
    importlib.import_module("shotdap.server.exports.jobs.coordinator").run_until_parent_ends(source)
