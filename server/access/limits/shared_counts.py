"""Counts of what goes on now, in memory that all workers of a server share.

Each worker counts in a row of its own, so that none of them needs a lock, and none leaves a count behind when it is
killed: the worker that replaces it takes over its row, and empties it. The sum over all rows is the count of the
server. Other servers have counts of their own.
"""

from __future__ import annotations

import mmap
import secrets
from collections.abc import Hashable
from typing import Final

_SLOTS: Final = 1 << 16
"""Slots of a row. Two things that fall into one slot are counted together: of 1,000 things, 1 in 65 shares its slot."""
_KEY_BYTES: Final = 32
_COUNT_FORMAT: Final = "H"
_COUNT_BYTES: Final = 2


class SharedCounts:
    """Counts of the workers of a server, made before they are forked.

    Args:
        workers: the number of workers.
    """

    def __init__(self, workers: int) -> None:
        memory = mmap.mmap(-1, workers * _SLOTS * _COUNT_BYTES)
        self._counts = memoryview(memory).cast(_COUNT_FORMAT)  # NumPy takes ten times as long for so few numbers
        self._workers = workers
        self._row = 0
        self.key = secrets.token_bytes(_KEY_BYTES)
        """A random key that all workers have, and nobody else."""

    def take_row(self, number: int) -> None:
        """Count in a row from now on, which was that of a worker that has ended.

        Args:
            number: of this worker, from zero.
        """
        self._row = number
        for index in range(number, len(self._counts), self._workers):
            self._counts[index] = 0

    def try_add(self, thing: Hashable, limit: int) -> bool:
        """Count one more of a thing; if there are as many as the limit already, return `False` instead.

        It is counted first and checked then: of two workers that count the last one at the same time, both are refused
        rather than none.
        """
        first = self._find_first(thing)
        self._counts[first + self._row] += 1
        if self._add_up(first) <= limit:
            return True
        self._counts[first + self._row] -= 1
        return False

    def remove(self, thing: Hashable) -> None:
        """Count one less of a thing that this worker has added."""
        self._counts[self._find_first(thing) + self._row] -= 1

    def count(self, thing: Hashable) -> int:
        """Return the count of a thing in all workers."""
        return self._add_up(self._find_first(thing))

    def _find_first(self, thing: Hashable) -> int:
        """Return the index of the first worker's count of a thing; those of the others follow."""
        slot = hash(thing) % _SLOTS  # the seed of hashes is random, but the same in all forks of a process
        return slot * self._workers

    def _add_up(self, first: int) -> int:
        return sum(self._counts[first : first + self._workers])
