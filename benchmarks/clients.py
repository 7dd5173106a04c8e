"""HTTP clients that cost little, for they share the machine with the servers that they measure.

Strategy: the same question gets an answer of the same length each time, head included. So its length is learned once,
by a real parser of HTTP; in the timed turns a client only counts bytes.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import httptools

from measuring import Turn

__all__ = ["Answer", "Question"]

_HOST = "127.0.0.1"
_PATIENCE = 60  # seconds without a byte
_BUFFER = bytearray(1 << 20)  # what arrives is not looked at: all clients may write here


@dataclass
class Answer:
    """What came back: a parser's callbacks fill it."""

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
class Question:
    """A GET request to a server on this machine."""

    port: int
    target: str
    """The path with the query, as it goes out."""

    def ask(self) -> Answer:
        """Ask once, and parse the answer.

        Raises:
            ConnectionError: the server hangs up before its answer is complete, or answers with another status than 200.
        """
        answer = Answer()
        parser = httptools.HttpResponseParser(answer)
        with _connected(self.port) as wire:
            wire.sendall(self._bytes)
            while not answer.complete:
                received = _received(wire)
                answer.length += received
                parser.feed_data(bytes(_BUFFER[:received]))
        answer.status = parser.get_status_code()
        if answer.status != 200:  # noqa: PLR2004
            raise ConnectionError(f"{self.target}: {answer.status}, {bytes(answer.body[:500])!r}")
        return answer

    def turn(self, clients: int, length: int, seconds: float) -> Turn:
        """Ask with so many clients at once, each again as soon as it has its answer.

        Args:
            clients: how many there are.
            length: how long one answer is on the wire.
            seconds: no new question is asked after that.

        Raises:
            ConnectionError: a server hangs up or falls silent.
        """
        with ExitStack() as stack, selectors.DefaultSelector() as selector:
            connections = [_Connection(stack.enter_context(_connected(self.port)), length) for _ in range(clients)]
            for connection in connections:
                selector.register(connection.wire, selectors.EVENT_READ, connection)
            begun = perf_counter()
            each = tuple(_conversation(self._bytes, selector, connections, begun + seconds))
            return Turn(perf_counter() - begun, each)

    @property
    def _bytes(self) -> bytes:
        return f"GET {self.target} HTTP/1.1\r\nHost: {_HOST}\r\nAccept: */*\r\n\r\n".encode("ascii")


@dataclass
class _Connection:
    """One client, and how far its answer has come."""

    wire: socket.socket
    length: int
    left: int = 0
    asked: float = 0.0

    def ask(self, question: bytes) -> None:
        self.left, self.asked = self.length, perf_counter()
        self.wire.sendall(question)

    def receive(self) -> None:
        self.left -= _received(self.wire)
        if self.left < 0:
            raise ConnectionError("The server's answers differ in length.")


def _conversation(
    question: bytes, selector: selectors.BaseSelector, connections: list[_Connection], deadline: float
) -> Iterator[float]:
    """How long each answer took, as they arrive."""
    for connection in connections:
        connection.ask(question)
    waiting = len(connections)
    while waiting:
        for key, _ in selector.select(_PATIENCE):
            connection = key.data
            connection.receive()
            if connection.left:
                continue
            now = perf_counter()
            yield now - connection.asked
            if now < deadline:
                connection.ask(question)
            else:
                waiting -= 1


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((_HOST, port), _PATIENCE) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield wire


def _received(wire: socket.socket) -> int:
    received = wire.recv_into(_BUFFER)
    if not received:
        raise ConnectionError("The server hung up.")
    return received
