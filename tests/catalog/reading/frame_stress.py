"""Processes that use one store of frames while others are killed: ``python -m tests.catalog.reading.frame_stress``.

Each worker fills, finds and checks frames of random keys, and hands bodies of answers to itself. The main process kills
them (-9) at random, begins others, and holds the bound of the folder against what is in it.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shotdap.catalog.reading.frame_store import FrameStore, make_key

WORKERS: Final = 4
KEYS: Final = 12
LIMIT: Final = 5 << 19  # of ten frames of 256 KiB; fewer, because each has a header
RIGHT, WRONG = b"+", b"-"


def make_frame(number: int) -> NDArray[np.uint16]:
    """Make the frame of a number."""
    return (np.arange(256 * 512, dtype=np.uint16) * (2 * number + 1)).reshape(256, 512)


def work(folder: Path, log: Path, seed: int) -> None:
    """Use the store until killed; append to the log one byte for each checked answer."""
    store, dice = FrameStore(folder, LIMIT), random.Random(seed)  # noqa: S311 — no secrets
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    while True:
        number = dice.randrange(KEYS)
        key, expected = make_key("stress", number), make_frame(number)
        choice = dice.random()
        if choice < 0.6:
            frame: NDArray[Any] | None = store.fill_frame(key, partial(make_frame, number))
        elif choice < 0.9:
            frame = store.find_frame(key)
        else:
            try:
                body = store.open_body(store.spool_body([expected.data.cast("B"), b"end"]))
            except OSError as error:  # bodies of those who were killed take room for a minute
                if error.errno != errno.ENOSPC:
                    raise
                continue
            frame = np.frombuffer(body[:-3], np.uint16).reshape(expected.shape)
        if frame is not None:
            os.write(file, RIGHT if np.array_equal(frame, expected) else WRONG)


def measure_folder(folder: Path) -> int:
    """Return the bytes in the folder, while nobody renames or evicts."""
    with (folder / ".accounts").open("rb") as accounts:
        fcntl.flock(accounts, fcntl.LOCK_EX)
        return sum(_size(path) for path in folder.iterdir() if path.name != ".accounts")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a body that was opened
        return 0


def run(folder: Path, answers: int, kills_per_second: float) -> dict[str, int]:
    """Run workers until they have given a number of answers; return what was counted."""
    log, store, dice = folder.with_suffix(".log"), FrameStore(folder, LIMIT), random.Random(1)  # noqa: S311
    log.write_bytes(b"")
    context = multiprocessing.get_context("fork")  # this process has one thread
    begin: Callable[[int], BaseProcess] = lambda seed: context.Process(target=work, args=(folder, log, seed))  # noqa: E731
    workers = [begin(seed) for seed in range(WORKERS)]
    for worker in workers:
        worker.start()
    kills = largest = 0
    while log.stat().st_size < answers:
        time.sleep(1 / kills_per_second)
        largest = max(largest, measure_folder(folder))
        place = dice.randrange(WORKERS)
        if not workers[place].is_alive():
            break  # by itself: an error, which it has printed
        workers[place].kill()
        workers[place].join()
        kills += 1
        workers[place] = begin(WORKERS + kills)
        workers[place].start()
    ended = sum(not worker.is_alive() for worker in workers)
    for worker in workers:
        worker.kill()
        worker.join()
    for path in folder.glob(".body.*"):  # a minute later
        os.utime(path, (time.time() - 120, time.time() - 120))
    store = FrameStore(folder, LIMIT)
    found = [store.find_frame(make_key("stress", number)) for number in range(KEYS)]
    wrong = sum(
        frame is not None and not np.array_equal(frame, make_frame(number)) for number, frame in enumerate(found)
    )
    content = log.read_bytes()
    left = sum(path.name.startswith(".") and path.name != ".accounts" for path in folder.iterdir())
    counts = {"answers": len(content), "wrong": content.count(WRONG) + wrong, "kills": kills}
    return counts | {"ended": ended, "over": max(0, largest - LIMIT), "left": left}


def main() -> None:
    """Run, and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=40_000)
    parser.add_argument("--kills-per-second", type=float, default=10)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        counts = run(folder / "frames", arguments.answers, arguments.kills_per_second)
    finally:
        shutil.rmtree(folder)
    sys.stdout.write(" ".join(f"{name}={count}" for name, count in counts.items()) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
