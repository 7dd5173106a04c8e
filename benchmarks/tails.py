"""Send small requests beside four clients that read full frames, and measure the slowest."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import servers
from clients import HttpRequest
from images import ImageFile
from measuring import Figure, Plan, compute_p99

__all__ = ["play"]

_FILE = ImageFile("frame.h5", "HDF5", (2048, 2048), deflated=False)
_HEAVY = 4  # clients
_FULL_FRAMES = {
    "DAP2": ".dods?image",
    "DAP4": ".dap?dap4.ce=/image",
    "background_subtracted": ".dap?dap4.ce=/background_subtracted",
}
_CONTEXT = multiprocessing.get_context("spawn")  # so that the heavy clients do not delay the measured one


def play(folder: Path, plan: Plan) -> Sequence[Figure]:
    """Measure with one worker and with two."""
    images = folder / "images"
    images.mkdir()
    file = _FILE.shrink(plan.shrink)
    file.write(images)
    corner, end = file.shape[0] // 4, file.shape[0] // 4 + file.shape[0] // 8 - 1
    small = f"/dap/{file.name}.dods?image[{corner}:{end}][{corner}:{end}]"
    figures: list[Figure] = []
    for workers in (1, 2):
        with servers.serve_folder(images, folder / f"{workers}.log", workers) as port:
            request = HttpRequest(port, small)
            length = request.send().length
            request.run_turn(1, length, plan.scene / 5)
            case = f"256 x 256, DAP2, {workers} worker{'s' * (workers > 1)}"
            figures += _describe(case, "alone", request.run_turn(1, length, plan.scene).each, "")
            for name, suffix in _FULL_FRAMES.items():
                with _run_heavy_clients(HttpRequest(port, f"/dap/{file.name}{suffix}"), 1.5 * plan.scene):
                    each = request.run_turn(1, length, plan.scene).each
                figures += _describe(case, f"beside {_HEAVY} full frames, {name}", each, "<= 5")
    return figures


def _describe(case: str, name: str, each: Sequence[float], goal: str) -> Iterator[Figure]:
    yield Figure(case, f"{name}: median", 1e3 * median(each), "ms")
    yield Figure(case, f"{name}: p99", 1e3 * compute_p99(each), "ms", goal)
    yield Figure(case, f"{name}: longest", 1e3 * max(each), "ms")


@contextmanager
def _run_heavy_clients(request: HttpRequest, seconds: float) -> Iterator[None]:
    """Run the heavy clients in another process for some seconds, from before the block."""
    length = request.send().length
    ready = _CONTEXT.Event()
    process = _CONTEXT.Process(target=_send_requests, args=(request, length, seconds, ready))
    process.start()
    ready.wait()
    threading.Event().wait(seconds / 10)
    yield
    process.join()


def _send_requests(request: HttpRequest, length: int, seconds: float, ready: threading.Event) -> None:
    ready.set()
    request.run_turn(_HEAVY, length, seconds)
