"""Commands of shotdap for tests, each forked from one process that has imported it.

To import the server takes seconds of work, to fork it milliseconds, and the tests run hundreds of commands. A forked
command leads a session of its own, and ends as any interpreter does.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from shotdap.single_threaded import forbid_library_threads

__all__ = ["ForkServer", "Process"]

ROOT: Final = Path(__file__).resolve().parents[1]
LONGEST: Final = 1 << 18
"""Bytes of the longest request: arguments, folder and environment."""

EXIT_CODE: Final = struct.Struct("=i")
DESCRIPTORS: Final = 4
"""At most, sent with a request: for the output, the errors, the exit code, and the input."""


class Process(Protocol):
    """What tests ask of a running command: a part of `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """The number of the process."""
        ...

    @property
    def returncode(self) -> int | None:
        """The exit code, `None` until it was asked for."""
        ...

    def poll(self) -> int | None:
        """Return the exit code, `None` of a running process."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """Send a signal, unless the process has ended."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM."""
        ...

    def kill(self) -> None:
        """Send SIGKILL."""
        ...


class ForkedProcess:
    """A command that the fork server runs."""

    def __init__(self, pid: int, ended: int) -> None:
        """Take the end of a pipe from which the exit code can be read once the process has ended."""
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """Return the exit code, `None` of a running process."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code, negative if a signal ended the process.

        Raises:
            subprocess.TimeoutExpired: it runs after `timeout` seconds.
        """
        if self.returncode is not None:
            return self.returncode
        if not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        code: int
        (code,) = EXIT_CODE.unpack(os.read(self._ended, EXIT_CODE.size))
        os.close(self._ended)
        self.returncode = code
        return code

    def send_signal(self, sig: int, /) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that commands are forked from; it ends with the process of the tests."""

    def __init__(self) -> None:
        """Start it; it imports shotdap while the tests go on."""
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
        with other:
            command = [sys.executable, "-m", "tests.fork_server", str(other.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=(other.fileno(),), start_new_session=True)

    def run(
        self,
        arguments: Sequence[str | Path],
        environment: Mapping[str, str],
        output: int,
        errors: int,
        text: int | None = None,
    ) -> ForkedProcess:
        """Run a command of shotdap in the current folder.

        Args:
            arguments: after its name.
            environment: that it finds.
            output: the descriptor that it writes to.
            errors: the descriptor that it writes errors to.
            text: the descriptor that it reads from; without one there is nothing to be read.
        """
        ended, code = os.pipe()
        request = json.dumps(
            {"arguments": [*map(str, arguments)], "environment": dict(environment), "folder": str(Path.cwd())}
        )
        try:
            socket.send_fds(self._socket, [request.encode()], [output, errors, code, *([] if text is None else [text])])
        finally:
            os.close(code)
        (pid,) = EXIT_CODE.unpack(self._socket.recv(EXIT_CODE.size))
        return ForkedProcess(pid, ended)


def serve_forks(requests: socket.socket) -> None:
    """Fork a command for each request, and report how it ended; return in the forks only."""
    running = selectors.DefaultSelector()
    running.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in running.select():
            if key.fileobj is not requests:
                running.unregister(key.fd)
                report_end(key.fd, *key.data)
                continue
            message, descriptors, _, _ = socket.recv_fds(requests, LONGEST, DESCRIPTORS)
            if not message:
                os._exit(0)
            pid = os.fork()
            if not pid:
                running.close()
                become_command(json.loads(message), descriptors)
                return
            output, errors, code, *text = descriptors
            for each in (output, errors, *text):
                os.close(each)
            running.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, code))
            requests.send(EXIT_CODE.pack(pid))


def report_end(handle: int, pid: int, code: int) -> None:
    """Write the exit code of a process that has ended."""
    _, status = os.waitpid(pid, 0)
    os.close(handle)
    os.write(code, EXIT_CODE.pack(os.waitstatus_to_exitcode(status)))
    os.close(code)


def become_command(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Take over arguments, environment, folder and output of a request, as a process that was just started."""
    os.setsid()
    output, errors, _, *text = descriptors
    for number, given in enumerate((*(text or [os.open(os.devnull, os.O_RDONLY)]), output, errors)):
        os.dup2(given, number)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)  # noqa: PTH208 — names only
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv[1:] = request["arguments"]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Import shotdap, serve forks, and in each of them run the command."""
    forbid_library_threads()  # before NumPy is imported
    import_module("shotdap.server.serve")
    command = import_module("shotdap.server.cli.main")
    serve_forks(socket.socket(fileno=int(sys.argv[1])))
    sys.argv[0] = "shotdap"
    command.main()


if __name__ == "__main__":
    main()
