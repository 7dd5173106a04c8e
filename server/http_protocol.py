"""uvicorn's HTTP, with errors that clients can show, and without clients that never read.

uvicorn's parser accepts URLs of less than 64 KiB, and answers what it cannot parse with a line of text. Here that line
is a DAP error, or a problem document of the REST API, and a URL that is too long has the status for that.

uvicorn waits without a limit for a client that does not read. Here a connection whose client reads nothing of a
response for the time of the setting ``server.write_seconds`` is cut. Until then it holds what the sender has written at
once (a block, half a megabyte) and the response's remaining blocks: the application is paused while more than 64 KiB
are unsent.
"""

from __future__ import annotations

import asyncio
import sys
from fcntl import ioctl
from http import HTTPStatus
from termios import TIOCOUTQ
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from shotdap.server import api
from shotdap.server.http.errors import Problem
from shotdap.server.http.response import ENDLESS_STREAM_KEY
from shotdap.server.routes import dap
from shotdap.server.worker_process import WorkerConfig

_MAX_URL_LENGTH: Final = 0xFFFF  # http_parser stores offsets in 16 bits
_CHECKS: Final = 4  # in the time after which a client that reads nothing is cut off


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with errors that a client can show. It ends endless streams, and clients that never read."""

    def __init__(
        self,
        config: WorkerConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._write_seconds = config.options.write_seconds
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        """Bytes that the client had not received when it was last checked."""
        self._progress_time = 0.0
        """Time at which the client was last seen to read."""

    def shutdown(self) -> None:
        """Let the current request be answered before the server ends, unless its response is an endless stream."""
        super().shutdown()
        if self.cycle is not None and self.scope.get("state", {}).get(ENDLESS_STREAM_KEY):
            self.transport.close()

    def pause_writing(self) -> None:
        """Pause the application, and watch whether the client reads."""
        super().pause_writing()
        self._watch_client()

    def resume_writing(self) -> None:
        """Resume the application: the client has read."""
        super().resume_writing()
        self._progress_time = self.loop.time()

    def on_response_complete(self) -> None:
        """Watch whether the client reads the rest of a response; the connection is closed only after that."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._watch_client()

    def _watch_client(self) -> None:
        """Begin to check that the client reads, or count this event as progress if the checks have begun."""
        self._progress_time = self.loop.time()
        if self._write_timer is None:
            self._unsent = self._count_unsent()
            self._write_timer = self.loop.call_later(self._write_seconds / _CHECKS, self._check_client)

    def _check_client(self) -> None:
        """Cut the connection if the client has read nothing for too long; check again while anything is unsent."""
        self._write_timer = None
        if not self.transport.get_write_buffer_size() or self not in self.connections:
            return
        unsent = self._count_unsent()
        # A buffer that the application goes on to fill says nothing about the client.
        if unsent < self._unsent or not (self.flow.write_paused or self.cycle.response_complete):
            self._progress_time = self.loop.time()
        if self.loop.time() - self._progress_time >= self._write_seconds:
            self.logger.warning("A client has read nothing for %g s; its connection is cut.", self._write_seconds)
            self.transport.abort()
            return
        self._unsent = unsent
        self._write_timer = self.loop.call_later(self._write_seconds / _CHECKS, self._check_client)

    def _count_unsent(self) -> int:
        """Count the bytes that the client's machine has not confirmed, in the transport's and the kernel's buffers.

        The kernel may free megabytes before it takes more from the transport, which a slow client needs minutes for.
        """
        queued = ioctl(self.transport.get_extra_info("socket").fileno(), TIOCOUTQ, bytes(4))
        return self.transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and close the connection, as the start of the next request is unknown."""
        url: bytes = getattr(self, "url", b"")
        problem = Problem(400, f"This is no HTTP request that can be read: {msg}", expected=True)
        if len(url) > _MAX_URL_LENGTH:
            message = f"The URL has {len(url):,} bytes or more; {_MAX_URL_LENGTH:,} are taken at most."
            problem = Problem(414, message, expected=True)
        path = url.partition(b"?")[0].decode("latin-1")
        if path.startswith("/api/"):
            response = api.render_problem(problem)
        else:
            response = dap.render_dap_problem(dap.find_suffix(path), "", problem)
        headers = {
            **response.headers,
            "Content-Type": response.media_type,
            "Content-Length": str(response.size),
            "Connection": "close",
        }
        status_line = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
        head = "\r\n".join([status_line, *map(": ".join, headers.items()), "", ""])
        self.transport.write(head.encode("latin-1") + b"".join(response.blocks))
        self.transport.close()
