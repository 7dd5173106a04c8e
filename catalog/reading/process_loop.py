"""The child's side of `process_pool`: receive a call, run it within its limits, reply, until the pool is gone.

The C libraries below the readers were written for well-formed files. A malicious or damaged file may crash the process
that reads it, block it forever, or fill its memory; none of these is an exception that could be caught.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
import resource
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from multiprocessing import forkserver, resource_tracker
from typing import Final

from shotdap.catalog.entry import Changed, Missing, Undecided, Unreadable
from shotdap.catalog.reading.forked_process import follow_parent, leave_parent

CALL_HEADER: Final = struct.Struct("<Q")
"""Before each call: the length of what follows, a pickled function, its arguments and its limits."""
REPLY_HEADER: Final = struct.Struct("<QBB")
"""Before each reply: the length of what follows, its `Outcome`, and whether the process wants to be replaced."""
MAX_REPLY_BYTES: Final = 256 << 20
"""The largest reply; frames do not travel in replies, so that a longer one is a mistake, or damaged memory."""

_RECEIVE_BYTES: Final = 64 << 10


class Outcome(IntEnum):
    """The kind of a reply."""

    READY = 0
    """The process has started, and waits for its first call."""
    NOT_STARTED = 1
    """`initialize` failed; the body is a message for the log."""
    RESULT = 2
    """The body is the pickled result."""
    ERROR = 3
    """The body is a pickled exception, and the number of a system error that caused it."""
    OUT_OF_MEMORY = 4
    BAD_CALL = 5
    """The function or its arguments could not be loaded; the body is a message for the developer."""


@dataclass(frozen=True)
class ProcessLoop:
    """The program of a process of a pool.

    Multiprocessing's fork server unpickles it in the new process, and calls its `_bootstrap`, as it does with a
    `multiprocessing.Process`. That class itself is not used, because it runs the main script once more in each process,
    and because the interpreter waits for its processes when it ends.
    """

    name: str
    """The name of the process in the system's lists."""
    pickled_initialize: bytes
    """A function to call once, or `None`."""
    activity: str
    """What a call does, as the beginning of a sentence: "Reading the file"."""
    passes: tuple[type[Exception], ...]
    """Further exceptions that reach the caller as they are."""
    max_growth_bytes: int
    """A process that holds so much more than at its start is replaced, after a call."""

    def _bootstrap(self, _parent_sentinel: int) -> int:
        """Serve calls until the pool closes the connection; return the exit code."""
        inherited = forkserver.get_inherited_fds() or []
        connection = socket.socket(fileno=inherited[0])
        _isolate_process(self.name, connection)
        try:
            initialize: Callable[[], None] | None = pickle.loads(self.pickled_initialize)  # noqa: S301 — from the parent
            if initialize is not None:
                initialize()
        except BaseException as error:  # noqa: BLE001 — whatever it is, the parent logs it
            _send_reply(connection, Outcome.NOT_STARTED, f"{type(error).__name__}: {error}".encode(), is_last=True)
            return 1
        with suppress(BrokenPipeError, ConnectionResetError):  # the pool is gone
            _send_reply(connection, Outcome.READY, b"", is_last=False)
            statm = os.open("/proc/self/statm", os.O_RDONLY)
            address_bytes, first_bytes = _measure_memory(statm)
            # What the fork server holds is not this process's own, so only the growth counts.
            while (message := _receive_call(connection)) is not None:
                outcome, body = self._run_call(message, address_bytes)
                address_bytes, private_bytes = _measure_memory(statm)
                _send_reply(connection, outcome, body, is_last=private_bytes - first_bytes > self.max_growth_bytes)
        return 0

    def _run_call(self, message: bytearray, address_bytes: int) -> tuple[Outcome, bytes]:
        """Run a call, with limits of processor time and of memory from now on; return the reply."""
        try:
            function, arguments, cpu_seconds, memory_bytes = pickle.loads(message)  # noqa: S301 — from the parent
        except BaseException as error:  # noqa: BLE001 — an import may raise anything
            return Outcome.BAD_CALL, f"{type(error).__name__}: {error}".encode()
        used = resource.getrusage(resource.RUSAGE_SELF)
        _set_soft_limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + cpu_seconds))
        _set_soft_limit(resource.RLIMIT_AS, address_bytes + memory_bytes)
        try:
            body = pickle.dumps(function(*arguments), pickle.HIGHEST_PROTOCOL)
            if len(body) > MAX_REPLY_BYTES:
                raise Unreadable(f"{self.activity} gives more than {MAX_REPLY_BYTES >> 20} MiB at once.")  # noqa: TRY301
        except MemoryError:
            return Outcome.OUT_OF_MEMORY, b""
        except BaseException as error:  # noqa: BLE001 — a decoder may raise anything, SystemExit included
            return Outcome.ERROR, self._pickle_error(error)
        return Outcome.RESULT, body

    def _pickle_error(self, error: BaseException) -> bytes:
        """Pickle an exception for the caller: as it is, if it may pass and can be pickled, or as a sentence."""
        system_error = next(
            (each.errno for each in _follow_causes(error) if isinstance(each, OSError) and each.errno), 0
        )
        if isinstance(error, self.passes):
            with suppress(Exception):
                pickled = pickle.dumps((error, system_error), pickle.HIGHEST_PROTOCOL)
                pickle.loads(pickled)  # noqa: S301 — not every exception can be made again
                return pickled
        known: Unreadable
        match error:
            case Missing() | Changed():
                known = (Missing if isinstance(error, Missing) else Changed)(str(error))
            case Undecided():
                known = Undecided(str(error), error.retry_seconds)
            case Unreadable():
                known = Unreadable(str(error))
            case _:
                name = type(error).__name__
                known = Unreadable(f"The file cannot be read: decoding it failed ({name}); it may be damaged.")
        return pickle.dumps((known, system_error), pickle.HIGHEST_PROTOCOL)


def _isolate_process(name: str, connection: socket.socket) -> None:
    """Leave the fork server, and end when it ends, which ends with its user."""
    follow_parent(signal.SIGKILL)
    # The fork server ends when nobody holds its pipe any more; so this process must not hold it.
    leave_parent(name, {connection.fileno(), resource_tracker.getfd()})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the user of the pool handles Ctrl-C
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection.set_inheritable(False)


def _receive_call(connection: socket.socket) -> bytearray | None:
    """Receive the next message; `None` if the other end is closed."""
    received = connection.recv(_RECEIVE_BYTES)
    while received and len(received) < CALL_HEADER.size:
        more = connection.recv(_RECEIVE_BYTES)
        received = received + more if more else b""
    if not received:
        return None
    (length,) = CALL_HEADER.unpack_from(received)
    message = bytearray(length)
    filled = len(received) - CALL_HEADER.size
    message[:filled] = received[CALL_HEADER.size :]
    with memoryview(message) as view:
        while filled < length:
            count = connection.recv_into(view[filled:])
            if count == 0:
                return None
            filled += count
    return message


def _send_reply(connection: socket.socket, outcome: Outcome, body: bytes, *, is_last: bool) -> None:
    header = REPLY_HEADER.pack(len(body), outcome, is_last)
    if len(body) < _RECEIVE_BYTES:
        connection.sendall(header + body)
    else:
        connection.sendall(header)
        connection.sendall(body)


def _measure_memory(statm: int) -> tuple[int, int]:
    """Return the bytes of the address space, and those of resident memory that no file and no frame backs."""
    size, resident, shared, *_ = os.pread(statm, 128, 0).split()
    return int(size) * mmap.PAGESIZE, (int(resident) - int(shared)) * mmap.PAGESIZE


def _set_soft_limit(kind: int, limit: int) -> None:
    """Set a limit, within that of the system."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _follow_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that caused it."""
    while error is not None:
        yield error
        error = error.__cause__


def restore_error(pickled: bytes | bytearray) -> Exception:
    """Return the exception of a reply, caused by a system error if one caused it in the other process."""
    error: Exception
    error, system_error = pickle.loads(pickled)  # noqa: S301 — made by this program's own process
    if system_error and getattr(error, "errno", None) != system_error:
        error.__cause__ = OSError(system_error, os.strerror(system_error))
    return error
