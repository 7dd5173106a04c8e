"""Two kinds of work at once: what is read next is prepared while what was read before is written.

A thread is enough. SQLite and the drivers of databases let other threads run for as long as they work or wait.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def prefetch_items(items: Generator[Item, None, None]) -> Generator[Item, None, None]:
    """The same items, each of which is made in another thread while the one before it is used.

    Whatever is raised by making one is raised when it is asked for, after all that came before it. Closing this
    waits for the item that is being made, and then closes the items.
    """
    with ThreadPoolExecutor(1) as thread:
        following: Future[Item | None] = thread.submit(next, items, None)
        try:
            while (item := following.result()) is not None:
                following = thread.submit(next, items, None)
                yield item
        finally:
            thread.submit(items.close).result()
