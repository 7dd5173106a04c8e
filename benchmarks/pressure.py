"""Send the most expensive requests that are allowed over 90 connections, half of which close at once.

Measured are the responses to other clients meanwhile, the memory of the workers, and the processor time that the server
uses two seconds after the last of the 90 connections has been closed.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle, islice, repeat
from pathlib import Path

import servers
from archives import make_archive
from images import ImageFile
from load import (
    Client,
    Outcome,
    compute_median_ms,
    compute_p99_ms,
    find_health_path,
    list_errors,
    run_clients,
    send_once,
)
from measuring import Figure, Plan
from processes import MemoryWatch, find_workers, read_cpu_seconds

__all__ = ["play"]

_HOST = "127.0.0.1"
_CONNECTIONS = 90
_IMAGE = ImageFile("big", "HDF5", (2048, 2048), deflated=False)
_MEDIAN = "~median_filter-size-31"
_PAUSE = 0.02  # seconds between two requests of a client that is no load
_REST = 2  # seconds after the last connection has been closed
_PATIENCE = 30  # seconds
_NO_STATUS = 0


def _list_expensive_targets(rows: int) -> list[str]:
    """Return the requests that cost most among those of 165 characters at most; ``row`` makes each one different."""
    image = _IMAGE.name
    return [
        f"/dap/{image}/~image{_MEDIAN}.dods?result[{{row}}:{rows - 1}][]",
        f"/dap/{image}/~image{_MEDIAN * 5}.dods?result[{{row}}:{rows - 1}][]",
        f"/dap/{image}/~image{_MEDIAN}.dods?mean(result[{{row}}:{rows - 1}][])",
        f"/dap/{image}.ascii?image[{{row}}:{rows - 1}][],background[{{row}}:{rows - 1}][]",
        f"/api/v1/images/{image}?variable=image&y={{row}}:{rows}&format=png&size=8192&colour_bar=true&scaling=log",
        f"/api/v1/statistics/{image}?variable=image&transform=median_filter-size-31&y={{row}}:{rows}",
        f"/api/v1/images/{image}?y={{row}}:{rows}&format=mat",
        f"/zarr/{image}/~image{_MEDIAN}/result/c/0/0",
    ]


def play(folder: Path, plan: Plan) -> Sequence[Figure]:
    """Play the scenario in catalog mode with one worker and with two."""
    files = folder / "files"
    files.mkdir()
    image = _IMAGE.shrink(plan.shrink)
    image.write(files)
    settings = make_archive(folder, [image.name])["catalog"]
    targets = [
        target.format(row=row)
        for row, target in enumerate(islice(cycle(_list_expensive_targets(image.shape[0])), _CONNECTIONS))
    ]
    figures: list[Figure] = []
    for workers in (1, 2):
        with servers.serve_site(settings, folder / f"{workers}.log", workers=workers) as server:
            case = f"{_CONNECTIONS} expensive connections, {workers} worker{'s' * (workers > 1)}"
            figures += _play(case, server, targets, plan.scene)
    return figures


def _play(case: str, server: servers.RunningServer, expensive: Sequence[str], seconds: float) -> list[Figure]:
    structure = f"/dap/{_IMAGE.name}.dds"
    health = find_health_path(server.port)
    send_once(server.port, structure)
    quiet = _probe(server.port, (health, structure), seconds)
    with ExitStack() as stack, MemoryWatch(lambda: find_workers(server.process.pid)) as watch:
        connections = [
            stack.enter_context(socket.create_connection((_HOST, server.port), _PATIENCE)) for _ in expensive
        ]
        for connection, target in zip(connections, expensive, strict=True):
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {_HOST}\r\n\r\n".encode("ascii"))
        for connection in connections[::2]:
            connection.close()
        busy = _probe(server.port, (health, structure), 2 * seconds)
        statuses = Counter(_peek_status(connection) for connection in connections[1::2])
    time.sleep(_REST)
    before, begun = read_cpu_seconds(server.process.pid), time.monotonic()
    time.sleep(1)
    used = (read_cpu_seconds(server.process.pid) - before) / (time.monotonic() - begun)
    after = send_once(server.port, structure, _PATIENCE)
    figures = []
    for target, bound in ((health, 50), (structure, 200)):
        for name, outcomes, goal in (("quiet", quiet[target], ""), ("under pressure", busy[target], f"<= {bound}")):
            figures += [
                Figure(case, f"{target} {name}: median", compute_median_ms(outcomes), "ms"),
                Figure(case, f"{target} {name}: p99", compute_p99_ms(outcomes), "ms"),
                Figure(case, f"{target} {name}: longest", 1e3 * max(each.seconds for each in outcomes), "ms", goal),
            ]
            if goal:
                errors, messages = list_errors(outcomes)
                figures.append(Figure(case, f"{target} {name}: errors", errors, "", "<= 0", messages))
    counts = ", ".join(f"{number} x {status or 'nothing yet'}" for status, number in sorted(statuses.items()))
    return [
        *figures,
        Figure(case, "expensive requests with a response", statuses.total() - statuses[_NO_STATUS], "", note=counts),
        Figure(case, f"processors in use {_REST} s after the last was closed", used, "", "<= 0.1"),
        Figure(case, f"{structure} after that", 1e3 * after.seconds, "ms", "<= 200", f"{after.status} {after.message}"),
        Figure(case, "a worker's memory, peak", watch.peak.anonymous, "MiB", "<= 500"),
    ]


def _probe(port: int, targets: Sequence[str], seconds: float) -> dict[str, list[Outcome]]:
    """Send requests for each target by a client of its own."""
    clients = {target: Client(port, repeat(target), _PAUSE, _PATIENCE) for target in targets}
    with run_clients(list(clients.values()), seconds):
        pass
    return {target: client.outcomes for target, client in clients.items()}


def _peek_status(connection: socket.socket) -> int:
    """Return the status of the response that has begun to arrive, or 0."""
    connection.setblocking(False)  # noqa: FBT003 — as the standard library has it
    try:
        head = connection.recv(32)
    except OSError:
        return _NO_STATUS
    return int(head.split()[1]) if head.startswith(b"HTTP/") else _NO_STATUS
