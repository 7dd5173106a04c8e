"""A worker: one process that serves requests with uvicorn, on a socket that it shares with the other workers."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from shotdap.server.access.audit.redaction import mask_logs
from shotdap.server.access.limits.shared_counts import SharedCounts
from shotdap.server.connection_bounds import ConnectionBounds

HEARTBEAT_SECONDS: Final = 1.0

_PROTOCOL_PATH: Final = "shotdap.server.http_protocol:HttpProtocol"  # imported only by processes that serve
_TRIM_SECONDS: Final = 10.0
_MAX_OPEN_FILES: Final = 1 << 16  # of them 2,000 are idle connections on a good day; many systems begin with 1,024
_ALLOCATOR_OPTIONS: Final = MappingProxyType(
    {
        "MALLOC_MMAP_THRESHOLD_": (-3, 32 << 20),
        "MALLOC_TRIM_THRESHOLD_": (-1, 64 << 20),
        "MALLOC_ARENA_MAX": (-8, 2),
    }
)
"""Options of glibc, by the variable with which an administrator sets them: the number in mallopt(3), and a value.

With them a worker reuses the memory of arrays. Otherwise each array of a response is mapped anew, zeroed by the kernel,
and unmapped: a full frame over DAP2 takes 32 ms of the processor, not 14. glibc before 2.35 ignores a first threshold
above 32 MiB. With more arenas each thread keeps memory of its own: 700 MB, not 340."""


@dataclass(frozen=True)
class Certificate:
    """A certificate of the server, and its private key."""

    chain: Path
    """The file of the certificate and those of its issuers, in PEM."""
    key: Path
    """The file of the private key, in PEM."""

    def create_context(self) -> ssl.SSLContext:
        """Create the context of TLS, with Python's choice of versions and ciphers.

        Raises:
            OSError: a file cannot be read; among these, `ssl.SSLError`: the two do not belong together.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context


@dataclass(frozen=True)
class WorkerOptions:
    """Options of all workers of a server."""

    application: Callable[[], ASGIApp]
    """Creates the ASGI application, in each worker."""
    grace_seconds: float
    """The time that requests have to finish when the worker is told to end."""
    write_seconds: float
    """The time after which a client that reads nothing is disconnected."""
    bounds: ConnectionBounds
    """What a client may send and hold."""
    counts: SharedCounts | None = None
    """Counts the connections of each address over all workers; without it, they are not counted."""
    certificate: Certificate | None = None
    """With it, the server speaks TLS only."""
    access_log: bool = False
    is_quiet: bool = False
    """Whether only warnings and errors are logged."""


class WorkerConfig(uvicorn.Config):
    """uvicorn's configuration, of a worker's options."""

    def __init__(self, options: WorkerOptions, host: str = "127.0.0.1", port: int = 8000) -> None:
        certificate = options.certificate
        super().__init__(
            options.application,
            factory=True,
            host=host,
            port=port,
            http=_PROTOCOL_PATH,
            access_log=options.access_log,
            log_level="warning" if options.is_quiet else None,
            server_header=False,
            ws="none",  # no route has any; uvicorn would take messages of 16 MiB before the application refuses them
            proxy_headers=False,  # `HostMiddleware` applies them
            ssl_context_factory=None if certificate is None else lambda _config, _create: certificate.create_context(),
        )
        self.options = options

    def configure_logging(self) -> None:
        """Configure uvicorn's logs; none of this process shows a secret, such as a token in a path."""
        super().configure_logging()
        mask_logs()


def run_worker(options: WorkerOptions, listener: socket.socket, heartbeats: Connection, number: int) -> None:
    """Serve until SIGTERM. The target of a worker's process.

    Args:
        options: of the worker.
        listener: the bound socket.
        heartbeats: gets a byte each second from the event loop.
        number: of the worker, from zero; no two workers have the same at a time.
    """
    _set_allocator_options()
    if options.counts:
        options.counts.take_row(number)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MAX_OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(hard_limit, _MAX_OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard_limit))
    os.set_blocking(heartbeats.fileno(), False)
    app = options.application()  # forks processes, hence before there is an event loop
    _WorkerServer(WorkerConfig(replace(options, application=lambda: app)), heartbeats).run([listener])
    os._exit(0)  # threads and processes of pools would delay a normal end; the parent kills what is left of them


def _set_allocator_options() -> None:
    """Set the options of the allocator that the administrator has not set.

    Not for all child processes: those of exports have a limit of memory, and Dask sets thresholds of its own there.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it
    for name, (number, value) in _ALLOCATOR_OPTIONS.items():
        if set_option is not None and name not in os.environ:
            set_option(number, value)


class _WorkerServer(uvicorn.Server):
    """uvicorn's server with a heartbeat, and with an end that no client delays."""

    def __init__(self, config: WorkerConfig, heartbeats: Connection) -> None:
        super().__init__(config)
        self._grace_seconds = config.options.grace_seconds
        self._heartbeats = heartbeats
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving; the first heartbeat says so."""
        await super().startup(sockets)
        self._tasks = [asyncio.create_task(self._send_heartbeats()), asyncio.create_task(self._trim_memory())]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and wait for requests; those that take longer than the grace are cut off."""
        asyncio.get_running_loop().call_later(self._grace_seconds, self._cut_connections)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 — the signature is uvicorn's
        """End on SIGTERM; Ctrl-C is left to the parent."""
        if sig == signal.SIGTERM:
            self.should_exit = True

    async def _send_heartbeats(self) -> None:
        while True:
            with suppress(BlockingIOError):  # the parent does not read now, and has enough to read
                os.write(self._heartbeats.fileno(), b".")
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _trim_memory(self) -> None:
        """Return free memory to the system now and then: the allocator of a worker keeps it, see `worker_supervisor`.

        Under load it takes 1 % of the time; after load, hundreds of megabytes are not kept for nothing.
        """
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
        requests = 0
        while trim is not None:
            await asyncio.sleep(_TRIM_SECONDS)
            if requests != self.server_state.total_requests:
                requests = self.server_state.total_requests
                await asyncio.to_thread(trim, 0)

    def _cut_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
