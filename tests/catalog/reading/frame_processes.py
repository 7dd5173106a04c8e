"""What processes do with a store of frames in tests; each function gets one end of a pipe to the test."""

from __future__ import annotations

import multiprocessing
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shotdap.catalog.reading.frame_store import FrameStore, make_key
from shotdap.catalog.reading.store_folder import StoreFolder

PROCESSES: Final = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.building", "alembic.command", "shotdap.catalog.reading.frame_store"])
"""Preloaded for other tests, too: the last one to ask decides."""

MIB: Final = 1 << 20


def make_frame(number: int, size: int = 1 << 16) -> NDArray[np.uint8]:
    return np.full(size, number, np.uint8)


def fill_all(pipe: Connection, folder: Path, log: Path, count: int) -> None:
    """Fill frames when told to; log each computation."""
    store = FrameStore(folder, 16 * MIB)
    pipe.send("ready")
    pipe.recv()

    def compute(number: int) -> NDArray[np.uint8]:
        with log.open("ab", buffering=0) as file:
            file.write(b"x")
        time.sleep(0.01)
        return make_frame(number)

    right = all(
        np.array_equal(store.fill_frame(make_key(number), partial(compute, number)), make_frame(number))
        for number in range(count)
    )
    pipe.send(right)


def fill_and_hang(pipe: Connection, folder: Path) -> None:
    """Compute a frame for ever."""
    FrameStore(folder, 16 * MIB).fill_frame(make_key("a"), partial(hang, pipe))


def hang(pipe: Connection) -> NDArray[Any]:
    pipe.send("computing")
    time.sleep(600)
    return make_frame(0)


def write_half(pipe: Connection, folder: Path) -> None:
    """Write a half of a frame, and stop."""
    with StoreFolder(folder, 16 * MIB).create_partial(2 * MIB) as file:
        file.write(bytes(MIB))
        pipe.send("written")
        time.sleep(600)


def fill_many(pipe: Connection, folder: Path, seed: int) -> None:
    """Fill many frames of several sizes."""
    store, random = FrameStore(folder, MIB), np.random.default_rng(seed)
    for _ in range(150):
        number = int(random.integers(60))
        size = 1000 * (number + 1)
        assert np.array_equal(
            store.fill_frame(make_key(number), partial(make_frame, number, size)), make_frame(number, size)
        )
    pipe.send("done")


def spool(pipe: Connection, folder: Path) -> None:
    """Spool a body, and end."""
    pipe.send(FrameStore(folder, 16 * MIB).spool_body([b"some ", memoryview(b"bytes")] * 1000))
