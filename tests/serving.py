"""Real servers for tests: ``shotdap serve`` as a process of its own, on a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

__all__ = ["SECONDS_TO_START", "SHOTDAP", "Server", "environment", "free_port", "run_shotdap", "serving", "started"]

SHOTDAP: Final = str(Path(sys.executable).with_name("shotdap"))
"""The console script of the environment that the tests run in."""

SECONDS_TO_START: Final = 60  # on a machine that does other things too; it takes one or two
SECONDS_TO_STOP: Final = 10


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    """What it wrote, to either stream."""

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def dap(self, path: str) -> str:
        """The URL of an image."""
        return f"{self.url}/dap/{path}"

    def interrupt(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS_TO_STOP)


def environment() -> dict[str, str]:
    """This process's environment, without settings for shotdap or proxies that would be asked for loopback."""
    return {name: value for name, value in os.environ.items() if not _is_unwanted(name)} | {"PYTHONUNBUFFERED": "1"}


def _is_unwanted(name: str) -> bool:
    return name.startswith("SHOTDAP_") or name.lower().endswith("_proxy")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def run_shotdap(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of shotdap that ends by itself."""
    return subprocess.run(
        [SHOTDAP, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=SECONDS_TO_START,
    )


@contextmanager
def serving(log: Path, *choices: str | Path) -> Iterator[Server]:
    """A server for as long as the block lasts: ``serving(log, "--folder", folder)``."""
    with started(log, "serve", *choices) as server:
        yield server


@contextmanager
def started(log: Path, *arguments: str | Path) -> Iterator[Server]:
    """A command of shotdap that serves until it is interrupted; the test fails, with the log, if it dies before."""
    port = free_port()
    # A test runner in the background of a shell ignores Ctrl-C, and so would whatever it starts. In a session of its
    # own, a server does not get the Ctrl-C that is meant for the test runner, which ends it here.
    command = ["env", "--default-signal=INT", SHOTDAP, *map(str, arguments), "--port", str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment(), start_new_session=True) as process,
    ):
        server = Server(port, process, log)
        try:
            _await(server)
            yield server
            _insist_on_life(server, None, 0)
        finally:
            _end(process)


def _await(server: Server) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        _insist_on_life(server, None)
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"The server does not answer after {SECONDS_TO_START} s:\n{server.log.read_text()}")


def _insist_on_life(server: Server, *expected: int | None) -> None:
    """Fail unless the exit code is an expected one; `None` is that of a process that lives."""
    code = server.process.poll()
    if code not in expected:
        pytest.fail(f"The server ended with {code}:\n{server.log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; a process that will not, and those of its workers that outlive it, are killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
