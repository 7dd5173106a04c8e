"""uvicorn's HTTP, with errors that clients can show, and with bounds to what a client may send and hold.

Rule 1: what a client sends is bounded before it is kept: the URL, the headers, the body, and the time for each. A
client that sends more is told so at once, in the format of the protocol, and what it goes on to send is thrown away for
a moment: a connection that were closed at once would be reset, and the client would never read the reason.
Rule 2: the connections of one address are counted, over all workers of the server.
Rule 3: uvicorn waits without a limit for a client that does not read. Here a connection whose client reads nothing of a
response for the time of the setting ``server.write_seconds`` is cut. Until then it holds what the sender has written at
once (a block, half a megabyte) and the response's remaining blocks: the application is paused while more than 64 KiB
are unsent.
"""

from __future__ import annotations

import asyncio
import sys
from enum import Enum
from fcntl import ioctl
from functools import partial
from http import HTTPStatus
from termios import TIOCOUTQ
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from shotdap.server import api
from shotdap.server.access.trusted_proxies import find_client_network
from shotdap.server.http.errors import Problem, respond_with_problem
from shotdap.server.http.request import HttpRequest
from shotdap.server.http.response import ENDLESS_STREAM_KEY
from shotdap.server.http.security_headers import SECURITY_HEADERS
from shotdap.server.routes import dap
from shotdap.server.worker_process import WorkerConfig

_MAX_URL_LENGTH: Final = 0xFFFF  # http_parser stores offsets in 16 bits
_HEADER_OVERHEAD: Final = 8  # bytes around a header's name and value: a colon, spaces, the end of the line
_MAX_BODY_OVERHEAD: Final = 8  # bytes on the wire for each byte of a body, which may come in chunks of one byte
_FREE_BODY_BYTES: Final = 1 << 16
_CHECKS: Final = 4  # in the time after which a client that reads nothing is cut off
_LINGER_SECONDS: Final = 2.0  # for which a client that was refused may go on to send
_MAX_LINGERING: Final = 16  # connections of an address that were refused, and are not closed yet


class _Phase(Enum):
    """The part of a request that a client has to send next."""

    BETWEEN = "between"
    HEAD = "head"
    BODY = "body"


class _Refused(Exception):
    """The request exceeds a bound; raised in a callback of the parser, which ends parsing."""


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with errors that a client can show. It ends endless streams, and clients that hold the server."""

    def __init__(
        self,
        config: WorkerConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        options = config.options
        self._bounds = options.bounds
        self._counts = options.counts
        self._counted: tuple[str, str] | None = None
        """As what this connection is counted."""
        self._refusal: Problem | None = None
        """Why the request is refused; then nothing more is parsed."""
        self._phase = _Phase.BETWEEN
        self._phase_bytes = 0
        """Bytes that arrived in this phase, without those that arrived together with the end of the last one."""
        self._message_number = 0
        self._header_count = self._header_bytes = self._body_bytes = 0
        self._read_timer: asyncio.TimerHandle | None = None
        self._timed: tuple[_Phase, int] | None = None
        """The phase, and the number of the message, for which the timer runs."""
        self.timeout_keep_alive = self._bounds.idle_seconds  # type: ignore[assignment]  # seconds for a timer
        self._write_seconds = options.write_seconds
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        """Bytes that the client had not received when it was last checked."""
        self._progress_time = 0.0
        """Time at which the client was last seen to read."""

    # Connections ------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Count the connection; refuse it if its address has too many."""
        super().connection_made(transport)
        limit, address = self._bounds.connections_per_address, self.client[0] if self.client else ""
        if limit and self._counts and address and address not in self._bounds.proxies:
            network = find_client_network(address)
            if not self._count_as("connection", network, limit):
                if not self._count_as("refused connection", network, _MAX_LINGERING):
                    transport.abort()
                    return
                self._refuse(
                    Problem(
                        429,
                        f"Your address has {limit:,} connections to this server, as many as one may have"
                        " (limits.connections_per_address). Close some, or use them for more than one request.",
                        expected=True,
                    )
                )
                return
        self._time_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection no more."""
        super().connection_lost(exc)
        self._stop_read_timer()
        if self._counted and self._counts:
            self._counts.remove(self._counted)
            self._counted = None

    def _count_as(self, kind: str, network: str, limit: int) -> bool:
        if self._counts and self._counts.try_add((kind, network), limit):
            self._counted = (kind, network)
            return True
        return False

    def shutdown(self) -> None:
        """Let the current request be answered before the server ends, unless its response is an endless stream."""
        super().shutdown()
        if self.cycle is not None and self.scope.get("state", {}).get(ENDLESS_STREAM_KEY):
            self.transport.close()

    # What the client sends --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, unless the client was refused."""
        if self._refusal is not None:
            return
        self._phase_bytes += len(data)
        super().data_received(data)
        if self._refusal is None and not self.transport.is_closing():
            self._check_unparsed()
            self._time_reading()

    def _check_unparsed(self) -> None:
        """Refuse a header or a chunk that has not ended yet: the parser gives no part of it."""
        bounds = self._bounds
        if self._phase is _Phase.BODY:
            if self._phase_bytes > _MAX_BODY_OVERHEAD * bounds.body + _FREE_BODY_BYTES:
                self._refuse(self._describe_large_body())
        elif self._phase_bytes > bounds.url + bounds.header_bytes + _HEADER_OVERHEAD * bounds.headers:
            self._refuse(self._describe_large_headers())

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._message_number += 1
        self._header_count = self._header_bytes = self._body_bytes = 0
        self._phase = _Phase.HEAD

    def on_url(self, url: bytes) -> None:
        """Keep a part of the URL, unless it becomes too long."""
        super().on_url(url)
        limit = min(self._bounds.url, _MAX_URL_LENGTH)
        if len(self.url) > limit:
            message = f"The URL has {len(self.url):,} bytes or more; {limit:,} are taken at most (limits.url_kib)."
            self._refuse_in_callback(Problem(414, message, expected=True))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, unless there are too many. One behind a body counts, but comes too late to be heard."""
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        if self._header_count > self._bounds.headers or self._header_bytes > self._bounds.header_bytes:
            self._refuse_in_callback(self._describe_large_headers())
        if self._phase is _Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer, unless the client announces too large a body."""
        sizes = [value for name, value in self.headers if name == b"content-length"]
        if any(int(size) > self._bounds.body for size in sizes):  # the parser takes only numbers
            self._refuse_in_callback(self._describe_large_body())
        super().on_headers_complete()
        self._phase, self._phase_bytes = _Phase.BODY, 0

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, unless it becomes too large."""
        self._body_bytes += len(body)
        if self._body_bytes > self._bounds.body:
            self._refuse_in_callback(self._describe_large_body())
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; the next one may begin."""
        self._phase, self._phase_bytes = _Phase.BETWEEN, 0
        super().on_message_complete()

    def _describe_large_headers(self) -> Problem:
        bounds = self._bounds
        message = (
            f"The request has more than {bounds.headers:,} headers, or more than {bounds.header_bytes >> 10:,} KiB of"
            " them (limits.headers, limits.headers_kib)."
        )
        return Problem(431, message, expected=True)

    def _describe_large_body(self) -> Problem:
        message = f"The body of a request has {self._bounds.body >> 10:,} KiB at most (limits.body_kib)."
        return Problem(413, message, expected=True)

    # Time for it ------------------------------------------------------------------------------------------------------

    def _time_reading(self) -> None:
        """Run the timer for what the client has to send now; none while it waits for a response."""
        wanted: tuple[_Phase, int] | None = (self._phase, self._message_number)
        if self._phase is _Phase.BETWEEN and self.cycle is not None and not self.cycle.response_complete:
            wanted = None
        elif self._phase is _Phase.BETWEEN and self.timeout_keep_alive_task is not None:
            wanted = None  # the connection is idle, which uvicorn times
        if wanted == self._timed:
            return
        self._stop_read_timer()
        if wanted is not None:
            self._start_read_timer(wanted)

    def _start_read_timer(self, timed: tuple[_Phase, int]) -> None:
        bounds = self._bounds
        seconds = bounds.body_seconds if timed[0] is _Phase.BODY else bounds.header_seconds
        self._timed = timed
        self._read_timer = self.loop.call_later(seconds, self._end_slow_request)

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
        self._read_timer = self._timed = None

    def _end_slow_request(self) -> None:
        """Refuse a request that has not arrived in time; wait on if the server itself does not read it now."""
        timed, self._timed = self._timed, None
        if self.transport.is_closing() or timed is None:
            return
        if self.flow.read_paused:
            self._start_read_timer(timed)
        elif self._phase is _Phase.BETWEEN:
            self.transport.close()  # it has sent nothing
        else:
            seconds = self._bounds.body_seconds if self._phase is _Phase.BODY else self._bounds.header_seconds
            setting = "limits.body_seconds" if self._phase is _Phase.BODY else "limits.header_seconds"
            message = f"The {self._phase.value} of the request has not arrived within {seconds:g} s ({setting})."
            self._refuse(Problem(408, message, expected=True))

    # Refusals ---------------------------------------------------------------------------------------------------------

    def _refuse_in_callback(self, problem: Problem) -> None:
        """Refuse the request that is being parsed.

        Raises:
            _Refused: always; the parser ends, and `send_400_response` is called.
        """
        self._refusal = problem
        raise _Refused

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, or exceeds a bound; the start of a next request is unknown."""
        problem = Problem(400, f"This is no HTTP request that can be read: {msg}", expected=True)
        self._refuse(self._refusal or problem)

    def _refuse(self, problem: Problem) -> None:
        """Send a problem, if the client can take it for the response to its request, and close the connection."""
        self._refusal = problem
        self._stop_read_timer()
        self._unset_keepalive_if_required()
        cycle, is_own_cycle = self.cycle, self._phase is _Phase.BODY
        is_answered = cycle is None or cycle.response_complete
        if not is_answered and not is_own_cycle:  # an earlier request is being answered
            self.pipeline.clear()
            cycle.keep_alive = False
            return
        if not is_answered:
            if cycle.response_started or self.pipeline:
                self.transport.abort()
                return
            cycle.disconnected = True  # the application learns that, and sends nothing
            cycle.message_event.set()
        if not (is_answered and is_own_cycle):  # a second response would be taken for that to another request
            self._send_problem(problem)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _send_problem(self, problem: Problem) -> None:
        """Send a problem in the format of the protocol."""
        url: bytes = getattr(self, "url", b"")
        path = url.partition(b"?")[0].decode("latin-1")
        is_api = path.startswith("/api/")
        renderer = (
            api.render_problem if is_api else partial(dap.render_dap_problem, dap.find_suffix(path), HttpRequest(path))
        )
        response = respond_with_problem(problem, renderer)
        headers = {
            **SECURITY_HEADERS,
            **response.headers,
            "Content-Type": response.media_type,
            "Content-Length": str(response.size),
            "Connection": "close",
        }
        status_line = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
        head = "\r\n".join([status_line, *map(": ".join, headers.items()), "", ""])
        self.transport.write(head.encode("latin-1") + b"".join(response.blocks))

    # Clients that do not read -----------------------------------------------------------------------------------------

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
