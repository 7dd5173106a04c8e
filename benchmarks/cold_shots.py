"""Request a small part of each of 1000 images for the first time, beside bare readers in as many processes."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pyhdf.SD import SD

import servers
from archives import make_archive
from clients import HttpRequest, send_each
from images import ImageFile
from measuring import Figure, Mismatch, Plan, Turn

__all__ = ["play"]

_PROCESSES = 2
_CLIENTS = 8
_SIDE, _CORNER = 256, 400
_SHAPE = (1100, 1024)
_KINDS: Mapping[str, tuple[ImageFile, float]] = MappingProxyType(
    {
        "deflated HDF4": (ImageFile("good", "HDF4", _SHAPE, deflated=True), 0.75),
        "chunked HDF5": (ImageFile("good", "HDF5", _SHAPE, deflated=True), 0.7),
        "contiguous HDF5": (ImageFile("good", "HDF5", _SHAPE, deflated=False), 0.35),
    }
)
"""Files with their goals: shares of the bare readers' speed, although HTTP and clients use the same processors."""
_CONTEXT = multiprocessing.get_context("spawn")


def play(folder: Path, plan: Plan) -> Sequence[Figure]:
    """Read with two bare processes, and from a server with two workers, whose catalog has inspected the images."""
    return [figure for kind in _KINDS for figure in _compare(kind, folder / kind.replace(" ", "_"), plan)]


def _compare(kind: str, folder: Path, plan: Plan) -> Iterable[Figure]:
    image, goal = _KINDS[kind]
    image = image.shrink(plan.shrink)
    files = folder / "files"
    files.mkdir(parents=True)
    image.write(folder)
    names = [f"shot_{number:05}" for number in range(plan.files // 2)]
    for number, name in enumerate(names):
        shutil.copyfile(folder / image.name, files / name)
        with (files / name).open("ab") as file:
            file.write(number.to_bytes(8, "big"))  # no two are equal
    settings = make_archive(folder, names)["catalog"]
    corner, end = _CORNER // plan.shrink, (_CORNER + _SIDE) // plan.shrink
    read = partial(_sum_part, image.container, corner, end)
    part = f".dods?image[{corner}:{end - 1}][{corner}:{end - 1}]"
    with _CONTEXT.Pool(_PROCESSES) as pool:
        pool.map(read, [str(files / names[0])] * _PROCESSES)  # imports
        begun = perf_counter()
        pool.map(read, [str(files / name) for name in names], chunksize=len(names) // _PROCESSES)
        bare = len(names) / (perf_counter() - begun)
    with servers.serve_site(settings, folder / "log", workers=_PROCESSES) as server:
        response = HttpRequest(server.port, f"/dap/{names[0]}{part}").send()
        numbers = np.frombuffer(bytes(response.body).partition(b"\nData:\n")[2], ">i4")[2:]
        if not np.array_equal(numbers, _READ[image.container](str(files / names[0]), corner, end).ravel()):
            raise Mismatch(f"The server gives other numbers than the file of {kind}.")
        turn: Turn = send_each(server.port, [f"/dap/{name}{part}" for name in names[1:]], _CLIENTS, response.length)
    ours = len(turn.each) / turn.elapsed
    shutil.rmtree(folder)
    case = f"{len(names):,} cold shots, {kind}"
    yield Figure(case, f"bare readers, {_PROCESSES} processes", bare, "shots/s")
    yield Figure(case, f"shotdap, {_PROCESSES} workers, {_CLIENTS} clients", ours, "shots/s")
    yield Figure(case, "share of the bare readers' speed", ours / bare, "", f">= {goal}")


def _read_hdf4(path: str, corner: int, end: int) -> NDArray[Any]:
    file = SD(path)
    values = np.asarray(file.select("Streak_array")[0, corner:end, corner:end])
    file.end()
    return values


def _read_hdf5(path: str, corner: int, end: int) -> NDArray[Any]:
    with h5py.File(path, "r") as file:
        array: Any = file["Streak_array"]  # a dataset, of which a checker knows only that it is an object
        return np.asarray(array[0, corner:end, corner:end])


_READ: Mapping[str, Callable[[str, int, int], NDArray[Any]]] = MappingProxyType(
    {"HDF4": _read_hdf4, "HDF5": _read_hdf5}
)


def _sum_part(kind: str, corner: int, end: int, path: str) -> int:
    """Read a part in a process of a pool, without sending its values back."""
    return int(_READ[kind](path, corner, end).sum())
