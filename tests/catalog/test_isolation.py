"""What goes wrong in an isolated process costs that process, no more."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from shotdap.catalog import Isolation, Missing, Unreadable


@pytest.fixture(scope="module")
def isolation() -> Iterator[Isolation]:
    isolation = Isolation(seconds=8, memory=2 << 30)
    yield isolation
    isolation.close()


def crash() -> None:
    ctypes.string_at(0)


def leave() -> None:
    os._exit(3)


def hang() -> None:
    time.sleep(600)


def devour() -> int:
    return int(np.ones(4 << 30, np.uint8).sum())


def miss() -> None:
    raise Missing("It is gone.")


@pytest.mark.parametrize(
    ("function", "words"),
    [(crash, "crashed"), (leave, "crashed"), (hang, "longer than 8 s"), (devour, "2,048 MiB"), (miss, "It is gone")],
)
def test_what_goes_wrong(isolation: Isolation, function: object, words: str) -> None:
    """A crash, a hang and a call for too much memory are sentences, and the next call is answered."""
    assert callable(function)
    with pytest.raises(Unreadable, match=words):
        isolation(function)

    assert isolation(os.getpid) != os.getpid()
