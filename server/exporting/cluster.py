"""Who does the work: a cluster of this machine's processes, or one that is there already."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dask
from distributed import Client, LocalCluster

from shotdap.config import BadSettings
from shotdap.config.settings import ExportsSettings

__all__ = ["cluster"]

_SECONDS_TO_CONNECT: Final = 20
_SECONDS_TO_CLOSE: Final = 5
_HERE: Final = "127.0.0.1"


@contextmanager
def cluster(settings: ExportsSettings) -> Iterator[Client]:
    """A client of a cluster, for as long as the block lasts; one of our own ends with it.

    Raises:
        BadSettings: the scheduler that the settings name does not answer, or has no worker.
    """
    with _distant(settings.scheduler) if settings.scheduler else _local(settings) as client:
        yield client


@contextmanager
def _local(settings: ExportsSettings) -> Iterator[Client]:
    # A worker that is a daemon could not read a doubtful file in a process of its own.
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        LocalCluster(
            n_workers=settings.workers,
            threads_per_worker=settings.threads,
            memory_limit=settings.memory_mib << 20,
            host=_HERE,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as here,
        Client(here, timeout=_SECONDS_TO_CONNECT, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _distant(scheduler: str) -> Iterator[Client]:
    try:
        client = Client(scheduler, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
        client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
    except (OSError, ValueError, TimeoutError) as error:
        raise BadSettings(f"exports.scheduler: {scheduler} does not answer, or has no workers.") from error
    with client:
        yield client
