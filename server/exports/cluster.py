"""Who does the work: a cluster of this machine's processes, or one that is there already."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from types import MappingProxyType
from typing import Final

import dask.config
from distributed import Client, LocalCluster

from shotdap.config import BadSettings, SettingsSource
from shotdap.config.settings import ExportsSettings

__all__ = ["open_cluster"]

_CONNECT_TIMEOUT: Final = 20
_LOCALHOST: Final = "127.0.0.1"
_DASK_SETTINGS: Final = MappingProxyType(
    {
        "distributed.worker.daemon": False,  # a daemon could not read a doubtful file in a process of its own
        "distributed.scheduler.http.routes": [],  # nobody looks; and a page would be one more thing to guard
        "distributed.worker.http.routes": [],
    }
)


@contextmanager
def open_cluster(settings: ExportsSettings, source: SettingsSource) -> Iterator[Client]:
    """Open a client of a cluster for as long as the block lasts; a local cluster ends with it.

    Args:
        settings: which cluster, or how large a local one is.
        source: where the workers of a local cluster load their settings from.

    Raises:
        BadSettings: the scheduler that the settings name does not answer, or has no worker.
    """
    scheduler = settings.scheduler
    with _connect_remote_cluster(scheduler) if scheduler else _start_local_cluster(settings, source) as client:
        yield client


@contextmanager
def _start_local_cluster(settings: ExportsSettings, source: SettingsSource) -> Iterator[Client]:
    with dask.config.set(_DASK_SETTINGS), ExitStack() as stack:
        with _mask_interrupts():
            here = stack.enter_context(
                LocalCluster(
                    n_workers=settings.workers,
                    threads_per_worker=settings.threads,
                    memory_limit=settings.memory_mib << 20,
                    host=_LOCALHOST,
                    dashboard_address=f"{_LOCALHOST}:0",
                    scheduler_kwargs={"dashboard": False},
                    silence_logs=logging.CRITICAL,
                    env=source.environment,
                )
            )
            client = stack.enter_context(Client(here, timeout=_CONNECT_TIMEOUT, set_as_default=False))
        yield client


@contextmanager
def _mask_interrupts() -> Iterator[None]:
    """Leave Ctrl-C, which a terminal sends to all processes, to this one, once the block is over.

    What is started meanwhile, threads and their processes, never gets it: workers that end so end with tracebacks.
    """
    resource_tracker.ensure_running()  # which else starts in the first of those threads, and lets signals in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _connect_remote_cluster(scheduler: str) -> Iterator[Client]:
    try:
        client = Client(scheduler, timeout=_CONNECT_TIMEOUT, set_as_default=False)
        client.wait_for_workers(1, timeout=_CONNECT_TIMEOUT)
    except (OSError, ValueError, TimeoutError) as error:
        raise BadSettings(f"exports.scheduler: {scheduler} does not answer, or has no workers.") from error
    with client:
        yield client
