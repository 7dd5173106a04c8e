"""Real servers for tests: ``shotdap serve`` in its own process, on its own port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import pytest
from tests.fork_server import ForkServer, Process

__all__ = [
    "SECONDS_TO_START",
    "SHOTDAP",
    "Server",
    "find_free_port",
    "find_processes",
    "make_environment",
    "run_program",
    "run_shotdap",
    "serving",
    "start_command",
]

SHOTDAP: Final = str(Path(sys.executable).with_name("shotdap"))
"""The console script of the environment that runs the tests."""

ROOT: Final = Path(__file__).resolve().parents[1]
SECONDS_TO_START: Final = 60  # on a busy machine; it takes one or two
SECONDS_TO_STOP: Final = 10


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: Process
    log: Path
    """The file with its output, of both streams."""

    @property
    def url(self) -> str:
        """The root URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def dap(self, path: str) -> str:
        """Return the URL of an image."""
        return f"{self.url}/dap/{path}"

    def find_children(self, name: str) -> list[int]:
        """Return its child processes of a name: ``shotdap worker``, ``shotdap watch`` or ``shotdap exports``."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = " ".join(task.read_text() for task in tasks).split()
        return [int(child) for child in children if Path(f"/proc/{child}/comm").read_text().strip() == name]

    @property
    def worker(self) -> int:
        """The process that serves, where it is one only."""
        (worker,) = self.find_children("shotdap worker")
        return worker

    def interrupt(self) -> int:
        """Send Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS_TO_STOP)


def make_environment() -> dict[str, str]:
    """Return this process's environment without shotdap's settings and proxies, which would get loopback requests.

    A server is open to everybody, unless the test names another mode in its environment.
    """
    own = {"PYTHONUNBUFFERED": "1", "SHOTDAP_ACCESS__MODE": "open"}
    return {name: value for name, value in os.environ.items() if not _is_unwanted(name)} | own


def _is_unwanted(name: str) -> bool:
    return name.startswith("SHOTDAP_") or name.lower().endswith("_proxy")


def find_free_port() -> int:
    """Return a port on which no process listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def run_shotdap(*arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of shotdap that ends by itself, and reads a text from standard input."""
    with TemporaryFile() as output, TemporaryFile() as errors, TemporaryFile() as given:
        os.pwrite(given.fileno(), text.encode(), 0)
        descriptors = (each.fileno() for each in (output, errors, given))
        process = open_fork_server().run(arguments, make_environment(), *descriptors)
        try:
            code = process.wait(SECONDS_TO_START)
        finally:
            process.kill()
        texts = [os.pread(each.fileno(), os.fstat(each.fileno()).st_size, 0).decode() for each in (output, errors)]
    return subprocess.CompletedProcess([*map(str, arguments)], code, *texts)


@cache
def open_fork_server() -> ForkServer:
    """Start the process that commands are forked from, once for each process of the tests."""
    return ForkServer()


@contextmanager
def serving(log: Path, *choices: str | Path, may_die: bool = False, mode: str = "open") -> Iterator[Server]:
    """Run a server while the block lasts: ``serving(log, "--folder", folder)``; `mode` is who may see what."""
    with start_command(log, "serve", *choices, may_die=may_die, mode=mode) as server:
        yield server


@contextmanager
def run_program(log: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """Run a Python program that takes ``--port``, in a session of its own; kill what is left of it in the end."""
    port = find_free_port()
    command = ["env", "--default-signal=INT", sys.executable, *arguments, "--port", str(port)]
    surroundings = make_environment() | variables
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, env=surroundings, start_new_session=True, cwd=ROOT
        ) as process,
    ):
        try:
            yield Server(port, process, log)
        finally:
            for each in find_processes(process.pid):
                os.kill(each, signal.SIGKILL)


def find_processes(session: int) -> set[int]:
    """Return the processes of a session, without those that have ended and were not waited for."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(number) == session and state != "Z":
            found.add(int(path.parent.name))
    return found


@contextmanager
def start_command(
    log: Path, *arguments: str | Path, may_die: bool = False, mode: str = "open", port: int | None = None
) -> Iterator[Server]:
    """Run a command of shotdap that serves until it is interrupted; if it ends early, the test fails with its log.

    A benchmark that counts the ends sets `may_die`; a test of clients that come back gives the `port`.
    """
    port = port or find_free_port()
    surroundings = make_environment() | {"SHOTDAP_ACCESS__MODE": mode}
    with log.open("wb") as output:
        # In its own session, it does not get a Ctrl-C for the test runner, which stops it here.
        command = (*arguments, "--port", str(port))
        process = open_fork_server().run(command, surroundings, output.fileno(), output.fileno())
        server = Server(port, process, log)
        try:
            _wait_for_server(server)
            yield server
            if not may_die:
                _check_exit_code(server, None, 0)
        finally:
            _stop(process)


def _wait_for_server(server: Server) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        _check_exit_code(server, None)
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"The server does not answer after {SECONDS_TO_START} s:\n{server.log.read_text()}")


def _check_exit_code(server: Server, *expected: int | None) -> None:
    """Fail unless the exit code is an expected one; `None` is the code of a running process."""
    code = server.process.poll()
    if code not in expected:
        pytest.fail(f"The server ended with {code}:\n{server.log.read_text()}")


def _stop(process: Process) -> None:
    """Interrupt a process; kill it if it does not end, with those of its workers that outlive it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.killpg(process.pid, signal.SIGKILL)
