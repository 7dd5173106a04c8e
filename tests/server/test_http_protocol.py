"""What a client may send, and hold, over its connections: refused with a clear answer, in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.server.limited import PATIENCE, receive_all, send, serving_with, wait_until
from tests.server.wire import parse_dap2_error, parse_dap4_error
from tests.serving import Server

HEADERS: Final = 20
KIB: Final = 1024
BODY: Final = 8 * KIB
SECONDS: Final = 1.0
CONNECTIONS: Final = 3
SETTINGS: Final = {
    "server.workers": 2,
    "server.trusted_proxies": ["127.0.0.9"],
    "limits.url_kib": 8,
    "limits.headers": HEADERS,
    "limits.headers_kib": 4,
    "limits.body_kib": BODY // KIB,
    "limits.header_seconds": SECONDS,
    "limits.body_seconds": SECONDS,
    "limits.idle_seconds": SECONDS,
    "limits.connections_per_address": CONNECTIONS,
}
ANSWERED: Final = b"HTTP/1.1 200 "
GET: Final = b"GET /health HTTP/1.1\r\nHost: here\r\n"
POST: Final = b"POST /api/v1/exports HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
CHUNKS: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with narrow bounds."""
    with serving_with(tmp_path_factory.mktemp("bounds"), SETTINGS) as server:
        yield server


def find_status(answer: bytes) -> int:
    """Return the status of a response; assert that it is the only one, and closes the connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head, answer
    assert f"\r\nContent-Length: {len(body)}".encode() in head
    return int(head.split()[1])


# Size -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_head", "status", "setting"),
    [
        (b"GET /dap/x.dds?" + b"y" * 9 * KIB + b" HTTP/1.1\r\n", 414, "limits.url_kib"),
        (b"GET /dap/x.dds?" + b"y" * 70 * KIB, 414, "limits.url_kib"),
        (GET + b"A: b\r\n" * (HEADERS + 1), 431, "limits.headers"),
        (GET + b"A: " + b"b" * 5 * KIB + b"\r\nB: ", 431, "limits.headers_kib"),
        (GET + b"A: " + b"b" * 40 * KIB, 431, "limits.headers_kib"),
        (GET + b"B" * 40 * KIB, 431, "limits.headers_kib"),
        (POST + f"Content-Length: {BODY + 1}\r\n\r\n".encode(), 413, "limits.body_kib"),
        (POST + b"Content-Length: 1500000000\r\nExpect: 100-continue\r\n\r\n", 413, "limits.body_kib"),
        (CHUNKS + f"{BODY:x}\r\n".encode() + b"x" * BODY + b"\r\n1\r\nx\r\n", 413, "limits.body_kib"),
        (CHUNKS + b"1\r\nx\r\n" * (BODY + 1), 413, "limits.body_kib"),
        (CHUNKS + b"1;" + b"x" * 40 * BODY, 413, "limits.body_kib"),
    ],
)
def test_too_large(request_head: bytes, status: int, setting: str, server: Server) -> None:
    """A request that is too large in any part of it is refused before its end, with the setting."""
    answer = receive_all(send(server.port, request_head))

    assert find_status(answer) == status
    assert setting in answer.decode()
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer


def test_words_of_the_protocol(server: Server) -> None:
    """A refusal has the format of the protocol that the URL belongs to."""
    target, headers = b" HTTP/1.1\r\nHost: here\r\n", b"A: b\r\n" * (HEADERS + 1)
    bodies = [
        receive_all(send(server.port, b"GET " + path + target + headers)).partition(b"\r\n\r\n")[2].decode()
        for path in (b"/dap/x.dds", b"/dap/x.dap", b"/api/v1/images")
    ]

    assert (parse_dap2_error(bodies[0])[0], parse_dap4_error(bodies[1])[0]) == (431, 431)
    assert '"status": 431' in bodies[2]


def test_as_much_as_allowed(server: Server) -> None:
    """A request that reaches the bounds is answered."""
    headers = GET + b"".join(b"A%d: %s\r\n" % (number, b"b" * 200) for number in range(HEADERS - 2))
    body = POST + f"Connection: close\r\nContent-Length: {BODY}\r\n\r\n".encode() + b"x" * BODY
    url = b"GET /dap/shot/one.h5.dods?" + b"y," * 3_900 + b"y HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"

    assert receive_all(send(server.port, headers + b"Connection: close\r\n\r\n")).startswith(ANSWERED)
    assert receive_all(send(server.port, body)).startswith(b"HTTP/1.1 400 ")  # it is no order
    assert receive_all(send(server.port, url)).startswith(ANSWERED)


@pytest.mark.parametrize("head", [GET + b"A: ", POST + b"Content-Length: 1500000000\r\n\r\n", CHUNKS + b"fffffff\r\n"])
def test_a_client_that_goes_on(head: bytes, server: Server) -> None:
    """A client that sends without reading is cut off soon, and the server keeps nothing of it."""
    connection, before = send(server.port, head), read_memory(server)
    with connection, pytest.raises(ConnectionError):
        send_for_long(connection, b"x" * (1 << 20))

    assert read_memory(server) - before < 100 << 20
    assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200


def send_for_long(connection: socket.socket, block: bytes, pause: float = 0) -> None:
    """Send a block again and again, for as long as a test takes at most."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection.sendall(block)
        time.sleep(pause)


def read_memory(server: Server) -> int:
    """Return the memory of all workers, in bytes."""
    return sum(
        int(line.split()[1]) << 10
        for worker in server.find_children("shotdap worker")
        for line in Path(f"/proc/{worker}/status").read_text().splitlines()
        if line.startswith("RssAnon:")
    )


def test_headers_behind_the_body(server: Server) -> None:
    """A header behind the body is ignored, as it comes too late; many of them are refused."""
    order = b'{"query": "shot:1"}'
    request = CHUNKS + f"{len(order):x}\r\n".encode() + order + b"\r\n0\r\n"
    late = receive_all(send(server.port, request + b"Host: there\r\nConnection: close\r\n\r\nGET"))
    many = receive_all(send(server.port, request + b"A: b\r\n" * HEADERS))

    assert late.startswith(b"HTTP/1.1 4")
    assert b"there" not in late
    assert find_status(many) == 431


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beginning", "setting"),
    [
        (b"GET /hea", "limits.header_seconds"),
        (GET, "limits.header_seconds"),
        (POST + b"Content-Length: 9\r\n\r\n{", "limits.body_seconds"),
        (CHUNKS + b"1\r\n{", "limits.body_seconds"),
    ],
)
def test_slow_request(beginning: bytes, setting: str, server: Server) -> None:
    """A request that does not arrive in time is refused, with the setting."""
    answer = receive_all(send(server.port, beginning))

    assert find_status(answer) == 408
    assert setting in answer.decode()


@pytest.mark.parametrize("drop", [b"\r\n", b"A: b\r\n"])
def test_a_request_in_drops(drop: bytes, server: Server) -> None:
    """A client that sends now and then does not hold its connection."""
    with send(server.port, GET if drop != b"\r\n" else b"") as connection, pytest.raises(ConnectionError):
        send_for_long(connection, drop, SECONDS / 5)


@pytest.mark.parametrize("request_", [b"", GET + b"\r\n"])
def test_idle_connection(request_: bytes, server: Server) -> None:
    """A connection without a request, before the first one or after one, is closed."""
    answer = receive_all(send(server.port, request_))

    assert answer.count(b"HTTP/1.1") == len(request_[:1])


def test_answered_before_its_body(server: Server) -> None:
    """A request that is answered before its body has arrived gets no second answer, and is cut off."""
    request = b"POST /health HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nx"
    answer = receive_all(send(server.port, request))

    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_garbage_behind_a_request(server: Server) -> None:
    """A request is answered before what follows it is refused, and its answer is complete."""
    request = b"GET /dap/shot/one.h5.dods?image HTTP/1.1\r\nHost: here\r\n\r\n"
    head, _, body = receive_all(send(server.port, request + b"GARBAGE\r\n\r\n")).partition(b"\r\n\r\n")

    assert head.startswith(ANSWERED)
    assert f"content-length: {len(body)}".encode() in head.lower() or body.count(b"HTTP/1.1 400") == 1


# Connections ----------------------------------------------------------------------------------------------------------


def test_connections_of_an_address(server: Server) -> None:
    """An address may have some connections to all workers together; others, and listed proxies, have theirs."""
    with ExitStack() as stack:
        held = [stack.enter_context(send(server.port, GET, "127.0.0.2")) for _ in range(CONNECTIONS)]
        refused = receive_all(send(server.port, b"", "127.0.0.2"))
        others = [send(server.port, GET + b"Connection: close\r\n\r\n", f"127.0.0.{number}") for number in (3, 9)]
        proxied = [stack.enter_context(send(server.port, b"", "127.0.0.9")) for _ in range(2 * CONNECTIONS)]

        assert find_status(refused) == 429
        assert b"Retry-After: " in refused
        assert "limits.connections_per_address" in refused.decode()
        assert [receive_all(each)[:13] for each in others] == [ANSWERED] * 2
        proxied[-1].sendall(GET + b"Connection: close\r\n\r\n")
        assert receive_all(proxied[-1]).startswith(ANSWERED)
        assert len(held) == CONNECTIONS
    wait_until(lambda: receive_all(send(server.port, GET + b"Connection: close\r\n\r\n", "127.0.0.2"))[:13] == ANSWERED)


def test_a_flood_of_connections(server: Server) -> None:
    """An address with too many connections does not hold many more while these are refused."""
    with ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), source_address=("127.0.0.4", 0))
            )
            connection.settimeout(PATIENCE)
        time.sleep(0.2)

        assert receive_all(send(server.port, GET + b"Connection: close\r\n\r\n", "127.0.0.3")).startswith(ANSWERED)
    wait_until(lambda: receive_all(send(server.port, GET + b"Connection: close\r\n\r\n", "127.0.0.4"))[:13] == ANSWERED)
