"""Run the server with uvicorn, in one process or several."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import uvicorn

from shotdap.config import SettingsSource, Site
from shotdap.server.catalog_poller import run_poller
from shotdap.server.exports.jobs.supervisor import supervise_coordinator

_APPLICATION_PATH: Final = "shotdap.server.app:application"
_PROTOCOL_PATH: Final = "shotdap.server.http_protocol:HttpProtocol"  # imported only by commands that serve
_WORKER_TIMEOUT: Final = 60  # seconds; on a busy machine the imports of a worker take longer than uvicorn's 5


class _AnnouncingServer(uvicorn.Server):
    """A server that announces when it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def run_server(source: SettingsSource, announce: Callable[[str], None] | None = None) -> None:
    """Serve until interrupted; Ctrl-C ends it cleanly.

    Args:
        source: of the settings, which every process loads anew.
        announce: called with the URL of the server once it answers, instead of uvicorn's messages; the server is then
            one process.

    Raises:
        BadSettings: there is nothing to serve.
    """
    settings = source.load()
    Site(settings).open_catalog()  # fails here, in one sentence, rather than in every worker
    os.environ.update(source.environment)  # uvicorn imports the application by name, and passes it nothing
    host, port = settings.server.host, settings.server.port
    if announce is None:
        with run_poller(settings, source), supervise_coordinator(settings, source):
            uvicorn.run(
                _APPLICATION_PATH,
                factory=True,
                host=host,
                port=port,
                workers=settings.server.workers,
                http=_PROTOCOL_PATH,
                access_log=settings.server.access_log,
                timeout_worker_healthcheck=_WORKER_TIMEOUT,
                server_header=False,
            )
        return
    config = uvicorn.Config(
        _APPLICATION_PATH,
        factory=True,
        host=host,
        port=port,
        http=_PROTOCOL_PATH,
        log_level="warning",
        server_header=False,
    )
    with supervise_coordinator(settings, source), suppress(KeyboardInterrupt):  # uvicorn raises it after a clean end
        _AnnouncingServer(config, partial(announce, f"http://{host}:{port}")).run()
