"""Prefetching: the next item is prepared in a thread while the last one is used.

A thread is enough: SQLite and the drivers of databases let other threads run while they work or wait.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def prefetch_items(items: Generator[_Item, None, None]) -> Generator[_Item, None, None]:
    """Yield the items; make each in another thread while the previous one is used.

    An exception of an item is raised at its turn, after all items before it. Closing this generator waits for the item
    in preparation, and then closes the items.
    """
    with ThreadPoolExecutor(1) as thread:
        next_item: Future[_Item | None] = thread.submit(next, items, None)
        try:
            while (item := next_item.result()) is not None:
                next_item = thread.submit(next, items, None)
                yield item
        finally:
            thread.submit(items.close).result()
