"""The process of the coordinator: it waits for the first job, and does not load Dask before.

A process, and no thread of the server: the server forks others, and must neither have a connection meanwhile nor a
second thread, which may hold a lock that a fork then waits for.
"""

from __future__ import annotations

import importlib
import logging
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
    with run_child_process(_run_coordinator_process, source, "shotdap exports"):
        yield


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
        return store.has_database and store.has_jobs()
    except SQLAlchemyError:
        _LOG.warning("the database of exports does not answer", exc_info=True)
        return False
