"""A sandbox inspects files in processes of its own; what may go wrong there is tested with `ProcessPool`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from shotdap.catalog import Sandbox, Undecided, Unreadable
from shotdap.catalog.inspection.check_file import inspect_file


@pytest.fixture(scope="module")
def isolation() -> Iterator[Sandbox]:
    with closing(Sandbox(seconds=8, memory=2 << 30)) as isolation:
        yield isolation


def hang() -> None:
    time.sleep(600)


def work() -> None:
    while True:
        pass


@pytest.mark.parametrize(("function", "limit"), [(hang, 5), (work, 1)])
def test_what_takes_too_long(function: Callable[[], None], limit: int) -> None:
    """An endless call is ended, which decides nothing about the file; the next call succeeds."""
    with closing(Sandbox(seconds=1)) as isolation:
        with pytest.raises(Undecided, match=f"longer than {limit} s"):
            isolation(function)

        assert isolation(os.getpid) != os.getpid()


def test_many_calls(isolation: Sandbox) -> None:
    """Any number of calls may be started before the first is waited for."""
    calls = [isolation.start_call(abs, -number) for number in range(500)]

    assert [isolation.wait_for_result(call) for call in calls] == list(range(500))


def test_after_close() -> None:
    """A sandbox that was closed starts again."""
    isolation = Sandbox()
    assert isolation(abs, -1) == 1
    isolation.close()
    assert isolation(abs, -2) == 2
    isolation.close()


def test_damaged_by_codec(isolation: Sandbox, tmp_path: Path) -> None:
    """Any exception of imagecodecs on a damaged TIFF makes the file unreadable."""
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
