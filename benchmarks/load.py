"""Clients that send requests side by side, and keep the outcome of each request."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from measuring import compute_p99

__all__ = [
    "Client",
    "Outcome",
    "compute_median_ms",
    "compute_p99_ms",
    "find_health_path",
    "list_errors",
    "run_clients",
    "send_once",
]

_HOST = "127.0.0.1"
_BLOCK = 1 << 20
_OK = 200
_HEALTH_PATHS = ("/health", "/api/v1/health", "/")
_MESSAGE = re.compile(r'message = "(.*?)";|<Message>(.*?)</Message>|"detail":\s*"(.*?)"', re.DOTALL)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request."""

    status: int
    """0 without a response: the server hung up, or the client waited too long."""
    seconds: float
    message: str = ""
    """The message of an error."""


@dataclass
class Client(threading.Thread):
    """A client that sends one request after the other until it is stopped.

    Args:
        port: of the server.
        targets: the paths with queries of the requests; an endless iterator.
        pause: seconds between a response and the next request.
        patience: seconds without a byte after which it gives up.
    """

    port: int
    targets: Iterator[str]
    pause: float = 0.0
    patience: float = 30.0
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._ending = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Send requests until `stop` is called."""
        connection = _connect(self.port, self.patience)
        for target in self.targets:
            if self._ending.wait(self.pause):
                break
            outcome = _send(connection, target)
            self.outcomes.append(outcome)
            if not outcome.status:
                connection.close()
                connection = _connect(self.port, self.patience)
        connection.close()

    def stop(self) -> None:
        """Let the client end after its current request, whose response it still awaits."""
        self._ending.set()


@contextmanager
def run_clients(clients: Sequence[Client], seconds: float) -> Iterator[Sequence[Client]]:
    """Run clients while the block lasts, and at least for some seconds."""
    end = time.monotonic() + seconds
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        time.sleep(max(0.0, end - time.monotonic()))
        for client in clients:
            client.stop()
        for client in clients:
            client.join()


def send_once(port: int, target: str, patience: float = 60.0) -> Outcome:
    """Send one request over a new connection."""
    connection = _connect(port, patience)
    try:
        return _send(connection, target)
    finally:
        connection.close()


def find_health_path(port: int) -> str:
    """Return the path at which the server reports its health."""
    return next(path for path in _HEALTH_PATHS if send_once(port, path).status == _OK)


def compute_median_ms(outcomes: Sequence[Outcome]) -> float:
    """Return the median of the durations in milliseconds; 0 without outcomes."""
    return 1e3 * median([outcome.seconds for outcome in outcomes]) if outcomes else 0.0


def compute_p99_ms(outcomes: Sequence[Outcome]) -> float:
    """Return the 99th percentile of the durations in milliseconds; 0 without outcomes."""
    return 1e3 * compute_p99([outcome.seconds for outcome in outcomes]) if outcomes else 0.0


def list_errors(outcomes: Sequence[Outcome]) -> tuple[int, str]:
    """Return the number of errors, and a few different ones."""
    errors = [f"{outcome.status} {outcome.message}" for outcome in outcomes if outcome.status != _OK]
    return len(errors), "; ".join(sorted(set(errors))[:3])


def _connect(port: int, patience: float) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(_HOST, port, timeout=patience)


def _send(connection: http.client.HTTPConnection, target: str) -> Outcome:
    begun = time.monotonic()
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        body = bytearray()
        while block := response.read(_BLOCK):
            if response.status != _OK:
                body += block
        message = _find_message(body.decode("utf-8", "replace")) if body else ""
        return Outcome(response.status, time.monotonic() - begun, message)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Outcome(0, time.monotonic() - begun, repr(error))


def _find_message(text: str) -> str:
    match = _MESSAGE.search(text)
    return next(filter(None, match.groups()), "") if match else json.dumps(text[:200])
