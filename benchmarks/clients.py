"""HTTP clients that cost little, because they share the machine with the servers that they measure.

Strategy: a repeated request gets a response of the same length each time, head included. Its length is measured once,
by a real HTTP parser; in the timed turns a client only counts bytes.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from math import inf
from time import perf_counter

import httptools

from measuring import Turn

__all__ = ["HttpRequest", "HttpResponse", "send_each"]

_HOST = "127.0.0.1"
_PATIENCE = 60  # seconds without a byte
_BUFFER = bytearray(1 << 20)  # shared by all clients, because its content is ignored


@dataclass
class HttpResponse:
    """A response, which the callbacks of a parser fill."""

    status: int = 0
    length: int = 0
    """Bytes on the wire."""
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    def on_body(self, part: bytes) -> None:
        """Append a part of the body (callback of the parser)."""
        self.body += part

    def on_message_complete(self) -> None:
        """Record the end of the response (callback of the parser)."""
        self.complete = True


@dataclass(frozen=True)
class HttpRequest:
    """A GET request to a server on this machine."""

    port: int
    target: str
    """The path with the query, as it is sent."""
    token: str = ""
    """Sent as Bearer, if there is one."""
    accept: str = "*/*"
    """The media type that is asked for."""

    def send(self) -> HttpResponse:
        """Send the request once, and parse the response.

        Raises:
            ConnectionError: the server hangs up before its response is complete, or the status is not 200.
        """
        response = HttpResponse()
        parser = httptools.HttpResponseParser(response)
        with _connect(self.port) as wire:
            wire.sendall(self._bytes)
            while not response.complete:
                received = _receive_bytes(wire)
                response.length += received
                parser.feed_data(bytes(_BUFFER[:received]))
        response.status = parser.get_status_code()
        if response.status != 200:  # noqa: PLR2004
            raise ConnectionError(f"{self.target}: {response.status}, {bytes(response.body[:500])!r}")
        return response

    def run_turn(self, clients: int, length: int, seconds: float) -> Turn:
        """Send the request with many clients at once; each sends it again as soon as it has its response.

        Args:
            clients: number of clients.
            length: bytes of one response on the wire.
            seconds: time after which no new request is sent.

        Raises:
            ConnectionError: a server hangs up or sends nothing for a minute.
        """
        return _exchange(self.port, repeat(self._bytes), clients, length, seconds)

    @property
    def _bytes(self) -> bytes:
        admission = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = f"GET {self.target} HTTP/1.1\r\nHost: {_HOST}\r\nAccept: {self.accept}"
        return f"{head}\r\n{admission}\r\n".encode("ascii")


def send_each(port: int, targets: Iterable[str], clients: int, length: int) -> Turn:
    """Send a request for each target once, with many clients at once; all responses have the same length.

    Raises:
        ConnectionError: the server hangs up or sends nothing for a minute, or a response has another length.
    """
    requests = (HttpRequest(port, target)._bytes for target in targets)  # noqa: SLF001 — of this module
    return _exchange(port, requests, clients, length, inf)


def _exchange(port: int, requests: Iterator[bytes], clients: int, length: int, seconds: float) -> Turn:
    """Send requests with many clients at once, until the time is over or no request is left."""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        connections = [_Connection(stack.enter_context(_connect(port)), length) for _ in range(clients)]
        for connection in connections:
            selector.register(connection.wire, selectors.EVENT_READ, connection)
        begun = perf_counter()
        durations = tuple(_exchange_until(requests, selector, connections, begun + seconds))
        return Turn(perf_counter() - begun, durations)


@dataclass
class _Connection:
    """One client, with the progress of its response."""

    wire: socket.socket
    length: int
    left: int = 0
    asked: float = 0.0

    def send(self, request: bytes) -> None:
        self.left, self.asked = self.length, perf_counter()
        self.wire.sendall(request)

    def receive(self) -> None:
        self.left -= _receive_bytes(self.wire)
        if self.left < 0:
            raise ConnectionError("The server's responses differ in length.")


def _exchange_until(
    requests: Iterator[bytes], selector: selectors.BaseSelector, connections: list[_Connection], deadline: float
) -> Iterator[float]:
    """Yield the duration of each response, in the order of their ends."""
    waiting = 0
    for connection, request in zip(connections, requests, strict=False):
        connection.send(request)
        waiting += 1
    while waiting:
        ready = selector.select(_PATIENCE)
        if not ready:
            raise ConnectionError(f"The server has sent nothing for {_PATIENCE} s.")
        for key, _ in ready:
            connection = key.data
            connection.receive()
            if connection.left:
                continue
            now = perf_counter()
            yield now - connection.asked
            following = next(requests, b"") if now < deadline else b""
            if following:
                connection.send(following)
            else:
                waiting -= 1


@contextmanager
def _connect(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((_HOST, port), _PATIENCE) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield wire


def _receive_bytes(wire: socket.socket) -> int:
    received = wire.recv_into(_BUFFER)
    if not received:
        raise ConnectionError("The server hung up.")
    return received
