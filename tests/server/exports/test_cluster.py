"""The cluster of exports: nobody but its own processes can have it run code."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from distributed import Client
from distributed.security import Security
from tests.server.limited import wait_until

from shotdap.config import SettingsSource, load_settings
from shotdap.server.exports.cluster import open_cluster

SECONDS: Final = 20
REFUSED_SECONDS: Final = 5
LISTENING: Final = "0A"
WORKERS: Final = 2


@pytest.fixture(scope="module")
def other_ports() -> set[int]:
    """The ports of servers that other tests have started, before there is a cluster."""
    return list_ports()


@pytest.fixture(scope="module")
def client(other_ports: set[int]) -> Iterator[Client]:  # noqa: ARG001 — asked for first
    """A client of a cluster of this machine, as an export opens it."""
    with open_cluster(load_settings().exports, SettingsSource()) as client:
        yield client


def list_children(process: int) -> set[int]:
    """Return a process and all that it has started, directly or not."""
    found = {process}
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            found |= list_children(int(child))
    return found


def list_ports() -> set[int]:
    """Return the ports at which this process and its children listen."""
    inodes = set()
    for process in list_children(os.getpid()):
        for link in Path(f"/proc/{process}/fd").iterdir():
            try:
                inodes.add(str(link.readlink()))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in inodes:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def find_workers(client: Client) -> dict[str, int]:
    """Return the addresses of the workers, and their processes."""
    found: Any = client.run(os.getpid, on_error="ignore")
    return dict(found)


def test_own_client(client: Client) -> None:
    """Its own client has it compute."""
    assert client.submit(sum, (1, 2, 3)).result(timeout=SECONDS) == 6
    assert len(find_workers(client)) == WORKERS


def test_strangers(client: Client) -> None:
    """A client without the key, without TLS or with a key of its own, can connect to none of the processes."""
    port = client.scheduler_info()["address"].rpartition(":")[2]
    for protocol, security in (("tcp", None), ("tls", Security.temporary())):
        with pytest.raises(OSError, match=r"Timed out|closed|does not match"):
            Client(f"{protocol}://127.0.0.1:{port}", security=security, timeout=2, set_as_default=False)


def test_every_port(client: Client, other_ports: set[int]) -> None:
    """Whatever listens wants TLS and a certificate of the client, also what a new worker opens."""
    workers = find_workers(client)
    os.kill(next(iter(workers.values())), signal.SIGKILL)
    wait_until(lambda: len(now := find_workers(client)) == WORKERS and set(now.values()) != set(workers.values()))
    wait_until(
        lambda: len(list_ports() - other_ports) == 1 + 2 * WORKERS
    )  # of the scheduler, the workers and their nannies

    for port in list_ports() - other_ports:
        assert is_closed_to_strangers(port)


def is_closed_to_strangers(port: int) -> bool:
    """Check that a port answers neither plain bytes nor a client of TLS without a certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), REFUSED_SECONDS) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + pickle.dumps(os.getpid))
        try:
            if b"HTTP" in plain.recv(1 << 16):
                return False
        except ConnectionError:
            pass
    with socket.create_connection(("127.0.0.1", port), REFUSED_SECONDS) as connection:
        try:
            with context.wrap_socket(connection) as secured:  # TLS 1.3 refuses the client after its handshake
                secured.sendall(b"x")
                return not secured.recv(1)
        except (ssl.SSLError, ConnectionError):
            return True
