"""Observe the processes of a server from outside, in Linux's /proc."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Memory", "MemoryWatch", "find_readers", "find_workers", "list_tree", "measure_memory", "read_cpu_seconds"]

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY = 0.1  # seconds between two measurements of the memory
_WORKER = "shotdap worker"  # the name that shotdap gives a worker
_FORK_SERVERS = ("shotdap forks", "multiprocessing.forkserver")  # forked by a worker; started for one that died


@dataclass(frozen=True)
class Memory:
    """The memory of a process in MiB, without frames in /dev/shm."""

    anonymous: float
    """The memory that the process has allocated and uses."""
    proportional: float
    """Its share of all memory that it has mapped, without shared memory."""


def list_tree(server: int) -> list[int]:
    """List a server's process and its descendants."""
    children = _map_children()
    found, todo = [], [server]
    while todo:
        process = todo.pop()
        found.append(process)
        todo += children.get(process, [])
    return found


def find_workers(server: int) -> list[int]:
    """List the processes that answer requests: children of the server's process, its supervisor."""
    return [process for process in _find_children(server) if _read_name(process) == _WORKER]


def find_readers(server: int) -> list[int]:
    """List the processes that read files or answer heavy requests: each worker's fork server has forked them."""
    fork_servers = [
        process
        for worker in find_workers(server)
        for process in _find_children(worker)
        if _read_name(process) in _FORK_SERVERS or _FORK_SERVERS[1] in _read_command(process)
    ]
    return [reader for process in fork_servers for reader in _find_children(process)]


def read_cpu_seconds(server: int) -> float:
    """Return the processor time that a server, its living descendants and their ended children have used."""
    total = 0
    for process in list_tree(server):
        with suppress(OSError):
            total += sum(map(int, _read_stat(process)[11:15]))  # utime, stime, cutime, cstime: proc(5)
    return total / _TICKS


def measure_memory(process: int) -> Memory:
    """Measure the memory of one process; 0 if it has ended."""
    try:
        rollup = _read_kib(_PROC / str(process) / "smaps_rollup")
        anonymous = _read_kib(_PROC / str(process) / "status")["RssAnon"]
    except (OSError, KeyError):
        return Memory(0, 0)
    return Memory(anonymous / 1024, (rollup["Pss"] - rollup.get("Pss_Shmem", 0)) / 1024)


class MemoryWatch:
    """A watch over the memory of processes while a block lasts.

    Args:
        find: lists the processes to watch.
    """

    def __init__(self, find: Callable[[], list[int]]) -> None:
        self._find = find
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = Memory(0, 0)
        """The maximum over all processes and times."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(_EVERY):
            for memory in map(measure_memory, self._find()):
                self.peak = Memory(
                    max(self.peak.anonymous, memory.anonymous), max(self.peak.proportional, memory.proportional)
                )


def _map_children() -> dict[int, list[int]]:
    """Return the children of each process that has any."""
    children: dict[int, list[int]] = {}
    for path in _PROC.iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                process = int(path.name)
                children.setdefault(int(_read_stat(process)[1]), []).append(process)
    return children


def _find_children(process: int) -> list[int]:
    return _map_children().get(process, [])


def _read_stat(process: int) -> list[str]:
    """Read the fields of a process's stat from the state on, after the name, which may contain spaces."""
    return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()


def _read_name(process: int) -> str:
    try:
        return (_PROC / str(process) / "comm").read_text().strip()
    except OSError:
        return ""


def _read_command(process: int) -> str:
    try:
        return (_PROC / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _read_kib(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {fields[0].rstrip(":"): int(fields[1]) for fields in lines if len(fields) > 2 and fields[2] == "kB"}  # noqa: PLR2004
