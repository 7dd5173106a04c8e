"""A fork server of multiprocessing, from which the processes of a pool are forked within milliseconds.

It is a fork of the process that uses it, if that has the modules already; otherwise a new process imports them first.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path
from typing import Final, NoReturn, Self

from shotdap.catalog.reading.forked_process import leave_parent
from shotdap.catalog.reading.process_loop import ProcessLoop
from shotdap.single_threaded import SINGLE_THREADED

FORK_SERVER_NAME: Final = "shotdap forks"
"""The name of a fork server that is a fork of its user, in the system's lists of processes."""

_START_SECONDS: Final = 60  # a fork server that does not answer for so long is killed; it imports the modules first


@dataclass(frozen=True)
class StartedProcess:
    """A new process."""

    pid: int
    connection: socket.socket
    status: int
    """The descriptor of a pipe from which the exit code can be read when the process has ended."""

    def read_exit_code(self) -> int | None:
        """Read the exit code, negative for a signal; `None` if the fork server ended without telling it."""
        return _read_number(self.status)

    def discard(self) -> None:
        """Kill the process, and close the descriptors."""
        self.kill()
        self.connection.close()
        os.close(self.status)

    def kill(self) -> None:
        """Kill the process, of which no exit code has been read yet."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """Starts processes of one pool or several; its methods block.

    Args:
        preload: the modules that the processes need, besides the catalog. They must not start a thread when they are
            imported; descriptors that they open are closed.
    """

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._is_stopped = False
        self._server = forkserver.ForkServer()  # of its own: others in this process preload other modules
        self._preload = [ProcessLoop.__module__, *preload]
        self._server.set_forkserver_preload(self._preload)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def server_pid(self) -> int | None:
        """The process of the fork server, if it has been started."""
        pid: int | None = self._server._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001 — no other way
        return pid

    def fork(self) -> None:
        """Fork this process as the fork server, if it has the modules and no second thread; otherwise do nothing.

        It takes milliseconds, and the memory is shared. If the fork server dies, another one imports the modules.

        Raises:
            OSError: the system has no room for a process.
        """
        with self._lock:
            is_single_threaded = len(list(Path("/proc/self/task").iterdir())) == 1
            if self.server_pid is not None or not is_single_threaded or not sys.modules.keys() >= set(self._preload):
                return
            resource_tracker.ensure_running()
            with socket.socket(socket.AF_UNIX) as listener:
                address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
                listener.bind(address)
                os.chmod(address, stat.S_IRUSR | stat.S_IWUSR)  # noqa: PTH101 — a string to multiprocessing
                listener.listen()
                alive, ours = os.pipe()
                pid = os.fork()
                if pid == 0:
                    _serve_forks(listener.fileno(), alive)
                os.close(alive)
                server = self._server
                server._forkserver_address = address  # type: ignore[attr-defined]  # noqa: SLF001 — as `ensure_running`
                server._forkserver_alive_fd = ours  # type: ignore[attr-defined]  # noqa: SLF001
                server._forkserver_pid = pid  # type: ignore[attr-defined]  # noqa: SLF001

    def start_process(self, loop: ProcessLoop) -> StartedProcess:
        """Start a process that runs a loop; the first call starts the fork server, too, which takes a second or two.

        Raises:
            OSError: the fork server cannot be started, or does not answer.
        """
        with self._lock:
            if self._is_stopped:
                raise OSError("The fork server has been stopped.")
            ours, theirs = socket.socketpair()
            try:
                with theirs, _single_threaded():
                    status, data = self._server.connect_to_new_process([theirs.fileno()])
            except BaseException:
                ours.close()
                raise
            try:
                with open(data, "wb") as pipe:  # noqa: PTH123 — a descriptor
                    pickle.dump({"sys_path": sys.path}, pipe)  # what `multiprocessing.spawn.prepare` takes
                    pickle.dump(loop, pipe)
                return StartedProcess(self._read_pid(status), ours, status)
            except BaseException:
                ours.close()
                os.close(status)
                raise

    def stop(self) -> None:
        """Kill the fork server; its processes end with it."""
        self._is_stopped = True
        self._kill_server()
        with self._lock:
            if self.server_pid is not None:
                self._kill_server()
                self._server._stop()  # type: ignore[attr-defined]  # noqa: SLF001 — made for tests, which end it, too

    def _read_pid(self, status: int) -> int:
        poll = select.poll()
        poll.register(status, select.POLLIN)
        if not poll.poll(_START_SECONDS * 1000):
            self._kill_server()
        pid = _read_number(status)
        if pid is None:
            raise OSError("The fork server does not answer.")
        return pid

    def _kill_server(self) -> None:
        if self.server_pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.server_pid, signal.SIGKILL)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Set the environment for a fork server that may be started."""
    before = {name: os.environ.get(name) for name in SINGLE_THREADED}
    os.environ.update(SINGLE_THREADED)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve_forks(listener: int, alive: int) -> NoReturn:
    """Run a fork server in this new process until its user ends.

    Args:
        listener: the descriptor of the socket at which it is asked for processes.
        alive: the descriptor of a pipe that ends with its user.
    """
    status = 1
    try:
        leave_parent(FORK_SERVER_NAME, {listener, alive, resource_tracker.getfd()})
        forkserver.main(listener, alive, ())
    except SystemExit:
        status = 0
    finally:
        os._exit(status)


def _read_number(descriptor: int) -> int | None:
    """Read a number that the fork server wrote at once; `None` at the end of the file."""
    content = os.read(descriptor, forkserver.SIGNED_STRUCT.size)
    if len(content) < forkserver.SIGNED_STRUCT.size:
        return None
    number: int = forkserver.SIGNED_STRUCT.unpack(content)[0]
    return number
