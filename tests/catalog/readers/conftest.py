"""Fixtures for the tests of every reader: damaged copies of a file, a record of decoded frames, real files."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.catalog.readers.recorder import Recorder

from shotdap.catalog import Unreadable
from shotdap.catalog.readers import read

DATA: Final = Path(__file__).resolve().parents[3] / "../shared/data"
_HEADERS: Final = 512  # bytes at either end, which get half of the damage, because it has most effect there


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """A function that returns a file beside the checkout by its path below ``shared/data``."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.is_file():
            reason = f"{name} is not beside the checkout"
            pytest.fail(reason) if os.environ.get("SHOTDAP_REQUIRE_ALL") == "1" else pytest.skip(reason)
        return path

    return find


@pytest.fixture
def survives(tmp_path: Path) -> Callable[[Path], None]:
    """A function that truncates a file in a hundred places, and flips a hundred bits: it is read, or `Unreadable`.

    If a truncated file is read, its values are correct.
    """

    def survive(path: Path, seed: int = 3) -> None:
        rng = random.Random(seed)  # noqa: S311 — no secret
        whole, right = path.read_bytes(), _read_values(path)
        assert right is not None
        damaged = tmp_path / "damaged"
        for _ in range(100):
            damaged.write_bytes(whole[: rng.randrange(len(whole))])
            answer = _read_values(damaged)

            assert answer is None or _is_equal(answer, right)
        for turn in range(100):
            flipped = bytearray(whole)
            flipped[rng.randrange(min(len(whole), _HEADERS) if turn % 2 else len(whole))] ^= 1 << rng.randrange(8)
            damaged.write_bytes(flipped)
            _read_values(damaged)

    return survive


def _read_values(path: Path) -> dict[str, NDArray[Any]] | None:
    try:
        return {str(name): variable.values for name, variable in read(path).variables.items()}
    except Unreadable:
        return None


def _is_equal(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]] | None) -> bool:
    return other is not None and one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)
