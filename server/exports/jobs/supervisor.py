"""Start the coordinator when the first job is ordered; until then a server does not load Dask.

With jobs in a file, a thread waits for the file, and there is no process before. With jobs in PostgreSQL, a process
asks for them: the server, which forks others, must have no connection.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from shotdap.config import Settings, SettingsSource
from shotdap.server.child_process import is_parent_alive_after, run_child_process
from shotdap.server.exports.jobs.job_store import JobStore, open_job_store

_LOG = logging.getLogger("shotdap.exports")
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
    if store.url:  # forked here, before other threads of the server fork, as they may hold locks meanwhile
        with run_child_process(_run_coordinator_process, source, "shotdap exports"):
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
    store = open_job_store(source.load())
    if store is None:
        return
    try:
        while not _has_jobs(store):
            if not is_parent_alive_after(_POLL_SECONDS):
                return
    finally:
        store.close()
    importlib.import_module("shotdap.server.exports.jobs.coordinator").run_until_parent_ends(source)


def _has_jobs(store: JobStore) -> bool:
    try:
        return store.has_jobs()
    except SQLAlchemyError:
        _LOG.warning("the database of exports does not answer", exc_info=True)
        return False
