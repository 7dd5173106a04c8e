"""Items that are produced in a thread while the ones before are used."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from itertools import islice

import pytest

from shotdap.catalog.build.prefetch import prefetch_items


def count_and_fail(upto: int, log: list[str]) -> Generator[int, None, None]:
    """Yield numbers, then raise an error; log when the generator is closed."""
    try:
        yield from range(upto)
        raise OSError("No more of them.")
    finally:
        log.append("closed")


def test_in_order() -> None:
    """Items keep their order, and an error is raised after all items before it."""
    log = list[str]()
    with closing(prefetch_items(count_and_fail(5, log))) as items:
        came = list(islice(items, 5))
        with pytest.raises(OSError, match="No more"):
            next(items)

    assert (came, log) == ([0, 1, 2, 3, 4], ["closed"])


def test_next_item_is_prefetched() -> None:
    """The next item is produced in another thread while the current one is used."""
    made, threads = threading.Event(), list[int]()

    def produce() -> Generator[str, None, None]:
        yield "first"
        threads.append(threading.get_ident())
        made.set()
        yield "second"

    with closing(prefetch_items(produce())) as found:
        first = next(found)

        assert first == "first"
        assert made.wait(10)
        assert threads != [threading.get_ident()]


def test_consumer_stops_early() -> None:
    """Items are closed when their consumer stops early."""
    log = list[str]()
    with closing(prefetch_items(count_and_fail(5, log))) as items:
        next(items)

    assert log == ["closed"]
