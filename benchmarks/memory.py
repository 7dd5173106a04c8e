"""Measure the memory of the workers while eight clients read full frames, differences and medians, and afterwards.

Frames in shared memory do not count: they exist once for all processes, and have a limit of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import servers
from archives import copy_files, make_archive
from images import ImageFile
from load import Client, compute_median_ms, list_errors, run_clients, send_once
from measuring import Figure, Plan
from processes import MemoryWatch, find_readers, find_workers, list_tree, measure_memory

__all__ = ["play"]

_FILES = (
    ImageFile("contiguous", "HDF5", (2048, 2048), deflated=False),
    ImageFile("deflated", "HDF4", (2048, 2048), deflated=True),
)
_COPIES = 6  # of each file: more frames than one response needs, fewer than the cache keeps
_TARGETS = (
    "/dap/{name}.dods?image",
    "/dap/{name}.dap?dap4.ce=/image",
    "/dap/{name}.dods?background_subtracted",
    "/dap/{name}.dap?dap4.ce=/background_subtracted",
    "/dap/{name}/~image~median_filter-size-5.dods?result",
)
_CLIENTS = 8
_SCENES = 6  # the duration of a load
_REST = 2  # seconds


def play(folder: Path, plan: Plan) -> Sequence[Figure]:
    """Load one worker, then two."""
    files = folder / "files"
    files.mkdir()
    names: list[str] = []
    for file in _FILES:
        file.shrink(plan.shrink).write(files)
        copies = [f"{file.name}_{number}" for number in range(_COPIES)]
        copy_files(files / file.name, [files / copy for copy in copies])
        names += copies
    settings = make_archive(folder, names)["catalog"]
    figures: list[Figure] = []
    for workers in (1, 2):
        with servers.serve_site(settings, folder / f"{workers}.log", workers=workers) as server:
            case = f"{_CLIENTS} clients, {workers} worker{'s' * (workers > 1)}"
            figures += _play(case, server, names, plan.scene * _SCENES)
    return figures


def _play(case: str, server: servers.RunningServer, names: Sequence[str], seconds: float) -> list[Figure]:
    def find_them() -> list[int]:
        return find_workers(server.process.pid)

    send_once(server.port, f"/dap/{names[0]}.dds")  # so that a worker has started
    before = max(measure_memory(worker).anonymous for worker in find_them())
    clients = [Client(server.port, _list_targets(names, number), patience=120) for number in range(_CLIENTS)]
    with MemoryWatch(find_them) as watch, run_clients(clients, seconds):
        pass
    time.sleep(_REST)
    after = [measure_memory(worker) for worker in find_them()]
    readers = [measure_memory(reader) for reader in find_readers(server.process.pid)]
    outcomes = [outcome for client in clients for outcome in client.outcomes]
    errors, messages = list_errors(outcomes)
    total = sum(measure_memory(process).proportional for process in list_tree(server.process.pid))
    return [
        Figure(case, "responses", len(outcomes)),
        Figure(case, "errors", errors, "", "<= 0", messages),
        Figure(case, "time, median", compute_median_ms(outcomes), "ms"),
        Figure(case, "a worker before, allocated", before, "MiB"),
        Figure(case, "a worker during the load, allocated, peak", watch.peak.anonymous, "MiB", "<= 500"),
        Figure(case, "a worker during the load, Pss, peak", watch.peak.proportional, "MiB"),
        Figure(case, "a worker after it, allocated", max(each.anonymous for each in after), "MiB", "<= 350"),
        Figure(case, "a worker after it, Pss", max(each.proportional for each in after), "MiB"),
        Figure(case, "readers after it, allocated, most", max((each.anonymous for each in readers), default=0), "MiB"),
        Figure(case, "all processes after it, Pss", total, "MiB"),
    ]


def _list_targets(names: Sequence[str], number: int) -> Iterator[str]:
    """Yield the requests of a client, endlessly; each client begins at another one."""
    every = [target.format(name=name) for name in names for target in _TARGETS]
    start = number * len(every) // _CLIENTS
    return cycle([*every[start:], *every[:start]])
