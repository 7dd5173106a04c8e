"""The pool's side of one process: its connection, the replies that arrive there, and its end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from shotdap.catalog.reading.process_loop import MAX_REPLY_BYTES, REPLY_HEADER, Outcome
from shotdap.catalog.reading.process_starter import StartedProcess

_LOG = logging.getLogger("shotdap.processes")
_RECEIVE_BYTES: Final = 64 << 10
_END_SECONDS: Final = 0.5  # between the end of the connection and that of the process, in either order

_Call = TypeVar("_Call")


@dataclass(frozen=True)
class Reply:
    """A message of a process."""

    outcome: Outcome
    body: bytes | bytearray
    is_last: bool
    """Whether the process wants to be replaced."""


class PoolProcess(asyncio.BufferedProtocol, Generic[_Call]):
    """A process of a pool.

    Args:
        started: the process.
        on_reply: called with each reply; if it raises an exception, the process is killed.
        on_end: called once, when the process has ended, with its exit code; `None` if that is unknown.
    """

    def __init__(
        self,
        started: StartedProcess,
        on_reply: Callable[[PoolProcess[_Call], Reply], None],
        on_end: Callable[[PoolProcess[_Call], int | None], None],
    ) -> None:
        self.pid = started.pid
        self.call: _Call | None = None
        """The call that it runs."""
        self.call_start = 0.0
        """The time when it began its call, by the monotonic clock."""
        self.is_fresh = True
        """Whether it has had no call yet."""
        self._started = started
        self._on_reply = on_reply
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._is_connected = True
        self._has_ended = False
        self._exit_code: int | None = None
        self._scratch = memoryview(bytearray(_RECEIVE_BYTES))
        self._filled = 0
        self._header: tuple[int, int, int] | None = None
        self._body = bytearray()

    async def connect(self) -> None:
        """Begin to receive replies, and to watch for the end of the process."""
        self._loop.add_reader(self._started.status, self._read_exit_code)
        await self._loop.create_unix_connection(lambda: self, sock=self._started.connection)

    def send(self, message: bytes) -> None:
        """Send a message."""
        if self._transport is not None:
            self._transport.write(message)

    def kill(self) -> None:
        """Kill the process; `on_end` is called when it has ended, which may be never on a disk that hangs."""
        if not self._has_ended:
            self._started.kill()

    def close(self) -> None:
        """Kill the process, and forget it: `on_end` is not called any more."""
        self.kill()
        if not self._has_ended:
            self._has_ended = True
            self._loop.remove_reader(self._started.status)
            os.close(self._started.status)
        self._is_connected = False
        if self._transport is not None:
            self._transport.abort()
        else:
            self._started.connection.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # of a stream

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 — the protocol's signature
        """Return room for what arrives: the rest of a long body, or any message."""
        if self._header is not None:
            return memoryview(self._body)[self._filled :]
        return self._scratch[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Handle what has arrived. A process that sends nonsense, after its memory was damaged, is killed."""
        self._filled += nbytes
        try:
            self._handle_received()
        except Exception:  # noqa: BLE001 — the pool goes on, whatever it is
            _LOG.exception("process %d of a pool is killed, because its reply cannot be handled", self.pid)
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — the protocol's signature
        """Wait for the exit code."""
        if self._is_connected:
            self._is_connected = False
            self._wait_for_rest()

    def _handle_received(self) -> None:
        if self._header is None:
            if self._filled < REPLY_HEADER.size:
                return
            length, outcome, is_last = REPLY_HEADER.unpack_from(self._scratch)
            if length > MAX_REPLY_BYTES:
                raise ValueError("The reply is too long.")
            received = self._scratch[REPLY_HEADER.size : self._filled]
            self._header = (length, outcome, is_last)
            self._body = bytearray(length)
            self._body[: len(received)] = received  # a longer one makes the body longer, which is nonsense as well
            self._filled = len(received)
        length, outcome, is_last = self._header
        if self._filled < length:
            return
        body, self._body, self._header, self._filled = self._body, bytearray(), None, 0
        if len(body) > length:
            raise ValueError("The reply is longer than it says.")
        self._on_reply(self, Reply(Outcome(outcome), body, bool(is_last)))

    def _read_exit_code(self) -> None:
        self._has_ended = True
        self._exit_code = self._started.read_exit_code()
        self._loop.remove_reader(self._started.status)
        os.close(self._started.status)
        self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        """Report the end when both the connection and the process have ended; bring the other one about in a while."""
        if self._has_ended and not self._is_connected:
            self._on_end(self, self._exit_code)
        elif self._has_ended and self._transport is not None:
            self._loop.call_later(_END_SECONDS, self._transport.abort)  # a child of the process may hold its end
        elif not self._has_ended:
            self._loop.call_later(_END_SECONDS, self.kill)
