"""Waiting calls, in one queue for each subject: the subjects take turns, and none takes all processes."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Generic, Protocol, TypeVar


class HasSubject(Protocol):
    """What waits: it belongs to a subject, such as a file; the empty one stands for none."""

    @property
    def subject(self) -> str:
        """The subject."""
        ...


_Call = TypeVar("_Call", bound=HasSubject)


class CallQueue(Generic[_Call]):
    """Calls that wait, and the number of calls of each subject that have been taken and not released.

    Args:
        most: the number of calls of one subject that may be taken at the same time. Calls without a subject have no
            such limit.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._queues: OrderedDict[str, deque[_Call]] = OrderedDict()
        self._taken = Counter[str]()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def append(self, call: _Call) -> None:
        """Add a call behind those of its subject."""
        self._queues.setdefault(call.subject, deque()).append(call)
        self._waiting += 1

    def take_next(self) -> _Call | None:
        """Take the call whose turn it is; `None` if none waits, or if all that wait are of subjects at their limit."""
        for subject, calls in self._queues.items():
            if self._count_free(subject):
                call = calls.popleft()
                self._taken[subject] += 1
                self._queues.move_to_end(subject)
                self._forget_waiting(subject)
                return call
        return None

    def release(self, call: _Call) -> None:
        """Report that a taken call has ended."""
        self._taken[call.subject] -= 1
        if not self._taken[call.subject]:
            del self._taken[call.subject]

    def remove(self, call: _Call) -> None:
        """Remove a waiting call."""
        self._queues[call.subject].remove(call)
        self._forget_waiting(call.subject)

    def count_runnable(self) -> int:
        """Count the waiting calls that further processes could take now."""
        return sum(min(len(calls), self._count_free(subject)) for subject, calls in self._queues.items())

    def _count_free(self, subject: str) -> int:
        """Count the calls of a subject that may be taken now."""
        return self._most - self._taken[subject] if subject else self._waiting

    def _forget_waiting(self, subject: str) -> None:
        """Count one call less, and forget a subject of which no call waits."""
        self._waiting -= 1
        if not self._queues[subject]:
            del self._queues[subject]
