"""Workers are replaced when they die or hang, and end in time whatever their clients and threads do."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.server.exports.campaign import wait_until
from tests.server.supervised import BLOCK, BLOCKS
from tests.serving import Server, find_processes, run_program

from shotdap.server.worker_process import HEARTBEAT_SECONDS

SECONDS: Final = 60  # on a machine that does other things too
SIZE: Final = BLOCKS * len(BLOCK)


@contextmanager
def supervise(folder: Path, *choices: str, **variables: str) -> Iterator[Server]:
    """Run the small application below a supervisor while the block lasts, until its first worker serves."""
    with run_program(folder / "server.log", "-m", "tests.server.supervised", *choices, **variables) as server:
        assert wait_until(lambda: get(server, "get_process") is not None, SECONDS), server.log.read_text()
        yield server


def get(server: Server, path: str) -> Any:  # noqa: ANN401 — JSON
    """Return a response of the server, on a new connection; `None` if none comes in a second."""
    try:
        return httpx.get(f"{server.url}/{path}", trust_env=False, timeout=1).json()
    except httpx.TransportError:
        return None


def find_worker(server: Server) -> int | None:
    """Return the process that responds; `None` if none does in a second."""
    found = get(server, "get_process")
    return None if found is None else int(found["pid"])


def send(server: Server, path: str) -> socket.socket:
    """Send a request, and return the connection."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    connection.settimeout(SECONDS)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: server\r\n\r\n".encode())
    return connection


def read_all(connection: socket.socket, pause: float = 0, slow: int = 0) -> bytes:
    """Read until the end, or until the connection is reset; the first bytes slowly."""
    parts: list[bytes] = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
            if sum(map(len, parts)) < slow:
                time.sleep(pause)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def end(server: Server, number: signal.Signals = signal.SIGTERM) -> None:
    """End a server, with all that it has started."""
    server.process.send_signal(number)
    server.process.wait(SECONDS)
    assert wait_until(lambda: not find_processes(server.process.pid), SECONDS), find_processes(server.process.pid)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one worker."""
    with supervise(tmp_path_factory.mktemp("supervised")) as server:
        yield server
        end(server)


HARM: Final[dict[str, Callable[[Server, int], object]]] = {
    "killed": lambda _, pid: os.kill(pid, signal.SIGKILL),
    "stopped": lambda _, pid: os.kill(pid, signal.SIGSTOP),
    "told to end": lambda _, pid: os.kill(pid, signal.SIGTERM),
    "with a blocked loop": lambda server, _: get(server, "block_loop"),
}


@pytest.mark.parametrize("what", HARM)
def test_replacement(what: str, server: Server) -> None:
    """A single worker that is dead or stuck is replaced by another one, which serves on the same port."""
    assert wait_until(lambda: find_worker(server) is not None, SECONDS)
    pid = find_worker(server)
    assert pid is not None
    HARM[what](server, pid)

    assert wait_until(lambda: find_worker(server) not in {None, pid}, SECONDS)
    assert wait_until(lambda: pid not in find_processes(server.process.pid), SECONDS)


def test_an_idle_supervisor(server: Server) -> None:
    """A supervisor sleeps between heartbeats: it does not poll."""

    def read_processor_seconds() -> float:
        fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before, start = read_processor_seconds(), time.monotonic()
    time.sleep(2 * HEARTBEAT_SECONDS)

    assert read_processor_seconds() - before < (time.monotonic() - start) / 4


def test_allocator(server: Server, tmp_path: Path) -> None:
    """Workers map no array of 16 MiB for itself, unless the administrator has set so."""
    assert wait_until(lambda: find_worker(server) is not None, SECONDS)
    with supervise(tmp_path, MALLOC_MMAP_THRESHOLD_="65536") as other:
        assert (get(server, "count_maps"), get(other, "count_maps")) == (0, 1)
        end(other)


def test_end_with_clients_that_do_not_read(tmp_path: Path) -> None:
    """SIGTERM ends a server within the grace while 24 clients do not read large responses; nothing is left behind."""
    with supervise(tmp_path, "--grace", "1", "--workers", "2") as server, ExitStack() as stack:
        for _ in range(24):
            stack.enter_context(send(server, "send_much")).recv(1)
        end(server)

        assert server.process.returncode == 0


def test_end_with_a_hanging_thread(tmp_path: Path) -> None:
    """A thread that hangs for good keeps no server alive."""
    with supervise(tmp_path, "--grace", "1") as server, send(server, "block_thread"):
        assert get(server, "get_process") is not None  # so the other request has arrived
        end(server)


def test_end_after_requests(tmp_path: Path) -> None:
    """A request that can end within the grace is answered completely, while no new connection is accepted."""
    with supervise(tmp_path, "--grace", str(SECONDS)) as server, send(server, "respond_late?seconds=2") as connection:
        assert get(server, "get_process") is not None
        server.process.send_signal(signal.SIGTERM)

        assert wait_until(lambda: get(server, "get_process") is None, SECONDS)
        assert read_all(connection).endswith(b'{"late":true}')
        assert server.process.wait(SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal(number: signal.Signals, tmp_path: Path) -> None:
    """A second SIGTERM or Ctrl-C ends a server at once, whatever the grace is."""
    with supervise(tmp_path, "--grace", "3600") as server, send(server, "send_much"):
        server.process.send_signal(number)
        assert wait_until(lambda: "Waiting for connections" in server.log.read_text(), SECONDS)
        end(server, number)


def test_killed_master(tmp_path: Path) -> None:
    """After the supervisor is killed, no worker goes on."""
    with supervise(tmp_path, "--workers", "2") as server:
        end(server, signal.SIGKILL)

        assert get(server, "get_process") is None


def test_no_start(tmp_path: Path) -> None:
    """A server whose first worker cannot start ends, with an error."""
    with run_program(tmp_path / "server.log", "-m", "tests.server.supervised", FAIL_TO_START="1") as server:
        assert server.process.wait(SECONDS) not in (None, 0)
        assert "before it served" in server.log.read_text()


def test_slow_clients(tmp_path: Path) -> None:
    """A client that reads nothing is disconnected after the time of the setting; one that reads slowly is not."""
    with supervise(tmp_path, "--write", "2") as server:
        with send(server, "send_much") as stuck, send(server, "send_much") as slow:
            found: list[bytes] = []
            # 4 MiB in 4 s or more: twice the time of the setting
            reader = threading.Thread(target=lambda: found.append(read_all(slow, 0.06, 4 << 20)))
            reader.start()
            assert wait_until(lambda: "has read nothing for 2 s" in server.log.read_text(), SECONDS)
            assert len(read_all(stuck)) < SIZE
            reader.join()

        assert len(found[0]) > SIZE
        assert server.log.read_text().count("has read nothing") == 1
        end(server)
