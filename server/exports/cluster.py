"""The Dask cluster that runs jobs: processes of this machine, or a cluster that exists already.

Whoever connects to a scheduler or a worker of Dask can have it run any code, as the account of the server. So those of
this machine listen on loopback, which all its users reach, only with TLS, and take only connections that prove to have
the key of this one cluster. The key is made for it, and is never in a file that outlives its reading or that other
users may read.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from types import MappingProxyType
from typing import Final

import dask.config
from distributed import Client, LocalCluster, Scheduler, SchedulerPlugin, Worker, WorkerPlugin
from distributed.security import Security

from shotdap.config import BadSettings, SettingsSource
from shotdap.config.settings import ExportsSettings

_CONNECT_TIMEOUT: Final = 20
_LOCALHOST: Final = "127.0.0.1"
_DASK_SETTINGS: Final = MappingProxyType(
    {
        "distributed.worker.daemon": False,  # a daemon could not start the sandbox that reads a doubtful file
        "distributed.scheduler.http.routes": [],  # nobody uses the pages, and they would have to be protected
        "distributed.worker.http.routes": [],
    }
)


@contextmanager
def open_cluster(settings: ExportsSettings, source: SettingsSource) -> Iterator[Client]:
    """Yield a client of the configured cluster, or of a local cluster that ends with the block.

    Args:
        settings: the scheduler, or the size of a local cluster.
        source: the settings that the workers of a local cluster load.

    Raises:
        BadSettings: the scheduler that the settings name does not answer, or has no worker.
    """
    if settings.scheduler:
        try:
            client = Client(settings.scheduler, timeout=_CONNECT_TIMEOUT, set_as_default=False)
            client.wait_for_workers(1, timeout=_CONNECT_TIMEOUT)
        except (OSError, ValueError, TimeoutError) as error:
            message = f"exports.scheduler: {settings.scheduler} does not answer, or has no workers."
            raise BadSettings(message) from error
        with client:
            yield client
        return
    with dask.config.set(_DASK_SETTINGS), ExitStack() as stack:
        with _mask_interrupts():
            security = Security.temporary()
            cluster = LocalCluster(
                security=security,
                protocol="tls://",
                n_workers=settings.workers,
                threads_per_worker=settings.threads,
                memory_limit=settings.memory_mib << 20,
                host=_LOCALHOST,
                dashboard_address=f"{_LOCALHOST}:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
                env=source.environment,
            )
            stack.enter_context(cluster)
            client = stack.enter_context(
                Client(cluster, security=security, timeout=_CONNECT_TIMEOUT, set_as_default=False)
            )
        client.register_plugin(_SchedulerWithoutPages())
        client.register_plugin(_WorkerWithoutPages())
        yield client


class _SchedulerWithoutPages(SchedulerPlugin):
    """Closes the HTTP server of a scheduler: it has no pages left, but listens without TLS."""

    async def start(self, scheduler: Scheduler) -> None:
        """Close it."""
        scheduler.http_server.stop()


class _WorkerWithoutPages(WorkerPlugin):
    """Closes the HTTP server of each worker, also of those that replace others."""

    def setup(self, worker: Worker) -> None:
        """Close it."""
        worker.http_server.stop()


@contextmanager
def _mask_interrupts() -> Iterator[None]:
    """Start threads and processes in the block that never get Ctrl-C.

    A terminal sends Ctrl-C to all processes; workers that it ends print tracebacks. This process handles it alone.
    """
    resource_tracker.ensure_running()  # otherwise one of the threads would start it, and unmask the signal
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
