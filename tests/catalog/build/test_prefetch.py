"""Items that are made in a thread while those before them are used."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from itertools import islice

import pytest

from shotdap.catalog.build.prefetch import prefetch_items


def counted(upto: int, log: list[str]) -> Generator[int, None, None]:
    """Numbers, then an error; and what becomes of whoever gives them."""
    try:
        yield from range(upto)
        raise OSError("No more of them.")
    finally:
        log.append("closed")


def test_in_order() -> None:
    """Items come in their order, and an error after all that were made before it."""
    log = list[str]()
    with closing(prefetch_items(counted(5, log))) as items:
        came = list(islice(items, 5))
        with pytest.raises(OSError, match="No more"):
            next(items)

    assert (came, log) == ([0, 1, 2, 3, 4], ["closed"])


def test_meanwhile() -> None:
    """The next item is made while this one is used, in another thread."""
    made, threads = threading.Event(), list[int]()

    def items() -> Generator[str, None, None]:
        yield "first"
        threads.append(threading.get_ident())
        made.set()
        yield "second"

    with closing(prefetch_items(items())) as found:
        first = next(found)

        assert first == "first"
        assert made.wait(10)
        assert threads != [threading.get_ident()]


def test_left_alone() -> None:
    """Whoever stops early has the items closed by then."""
    log = list[str]()
    with closing(prefetch_items(counted(5, log))) as items:
        next(items)

    assert log == ["closed"]
