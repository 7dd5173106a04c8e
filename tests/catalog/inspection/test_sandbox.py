"""A failure in an isolated process costs only that process, and counts as the file's fault only if it is."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from shotdap.catalog import Changed, Missing, Sandbox, Undecided, Unreadable
from shotdap.catalog.inspection.check_file import inspect_file


@pytest.fixture(scope="module")
def isolation() -> Iterator[Sandbox]:
    isolation = Sandbox(seconds=8, memory=2 << 30)
    yield isolation
    isolation.close()


def crash() -> None:
    ctypes.string_at(0)


def leave() -> None:
    os._exit(3)


def hang() -> None:
    time.sleep(600)


def work() -> None:
    while True:
        pass


def devour() -> int:
    return int(np.ones(4 << 30, np.uint8).sum())


def miss() -> None:
    raise Missing("It is gone.")


def find_changed() -> None:
    """Find that the file was replaced meanwhile."""
    raise Changed


def give_up() -> None:
    sys.exit("a library's own way to end")


def raise_unpicklable() -> None:
    class CodecError(Exception):
        """An exception that pickle cannot find, and that cannot be created again."""

        def __init__(self, code: int, *, codec: str) -> None:
            super().__init__(f"{codec}: {code}")

    raise CodecError(-5, codec="zstd")


def recurse() -> None:
    recurse()


def return_unpicklable() -> Callable[[], None]:
    return lambda: None


def kill_first(mark: Path, signal_number: int) -> str:
    """Kill the process at the first call; succeed at the second."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal_number)
    return "read"


def kill(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (crash, "crashed"),
        (leave, "crashed"),
        (devour, "2,048 MiB"),
        (miss, "It is gone"),
        (give_up, "may be damaged"),
        (raise_unpicklable, "decoding it failed .CodecError."),
        (recurse, "RecursionError"),
        (return_unpicklable, "may be damaged"),
    ],
)
def test_failures(isolation: Sandbox, function: Callable[[], object], words: str) -> None:
    """A crash, a request for too much memory and any exception become sentences, and the next call succeeds."""
    with pytest.raises(Unreadable, match=words) as raised:
        isolation(function)

    assert not isinstance(raised.value, Undecided)
    assert isolation(os.getpid) != os.getpid()


@pytest.mark.parametrize("function", [hang, work])
def test_endless_calls(function: Callable[[], object]) -> None:
    """An endless call is stopped, which decides nothing about the file; the next call succeeds."""
    isolation = Sandbox(seconds=2)
    try:
        with pytest.raises(Undecided, match="longer than 2 s"):
            isolation(function)

        assert isolation(os.getpid) != os.getpid()
    finally:
        isolation.close()


def test_limit_is_of_each_call() -> None:
    """The limit of CPU time is per call, not per worker."""
    isolation = Sandbox(seconds=2)
    try:
        for _ in range(3):
            isolation(work_for, 1.2)
    finally:
        isolation.close()


def work_for(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_second_try(isolation: Sandbox, tmp_path: Path, signal_number: int) -> None:
    """A call whose process died is repeated in another process."""
    assert isolation(kill_first, tmp_path / "mark", signal_number) == "read"


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_twice(isolation: Sandbox, signal_number: int) -> None:
    """A process that was killed from outside decides nothing about the file; the call may be repeated at once."""
    with pytest.raises(Undecided, match="killed") as raised:
        isolation(kill, signal_number)

    assert raised.value.retry_seconds == 0


def test_damaged_by_codec(isolation: Sandbox, tmp_path: Path) -> None:
    """Any exception of imagecodecs for a damaged TIFF makes the file unreadable."""
    pytest.importorskip("imagecodecs")
    image = np.random.default_rng(3).integers(0, 40, (64, 64)).astype("u2")
    for codec in ("zstd", "lzw", "jpeg", "packbits", "deflate"):
        path = tmp_path / codec
        tifffile.imwrite(path, image.astype("u1") if codec == "jpeg" else image, compression=codec)
        whole = path.read_bytes()
        for place in range(len(whole) // 3, len(whole), len(whole) // 5):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
            try:
                isolation(inspect_file, path, path)
            except Unreadable as error:
                assert str(error).endswith(".")  # noqa: PT017 — either is right


def test_changed(isolation: Sandbox) -> None:
    """A file that was replaced while a process read it is not called unreadable: a retry helps."""
    with pytest.raises(Changed, match="ask again"):
        isolation(find_changed)
