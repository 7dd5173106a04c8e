"""Functions that run in an event loop, although what they need may have to be waited for.

A request whose files are known and whose frames are in memory is answered in a third of a millisecond, which is less
than the change to a thread and back costs. So it is answered in the event loop, by the same functions that a thread
would run. Where such a function would have to wait, it is *suspended*: it ends with `Suspended`, the event loop awaits
the missing result, and calls the function again, which finds the result now.

Rule 1: a suspended function has no effects outside itself, as it is called again from its beginning.
Rule 2: each result is awaited once: whatever the function is called, it sees the same version of each file.
Rule 3: what is too expensive for an event loop ends with `NeedsProcess`; see `server.answering`.
Rule 4: outside `run_suspending`, everything simply waits, in its thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar

_Result = TypeVar("_Result")

_MAX_SUSPENSIONS: Final = 16  # of one function: more files and frames than that are a matter for a process


class Suspended(BaseException):
    """A result has to be awaited. It derives from `BaseException`, as no handler of errors may stop it.

    Args:
        key: identifies the result in this run.
        start: starts the work, and returns its result when awaited.
    """

    def __init__(self, key: Hashable, start: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(key)
        self.key = key
        self.start = start


class NeedsProcess(BaseException):
    """The function is too expensive for an event loop."""


@dataclass(frozen=True)
class _Outcome:
    """An awaited result, or the exception in its place."""

    result: Any
    error: Exception | None = None


_outcomes: ContextVar[dict[Hashable, _Outcome] | None] = ContextVar("outcomes", default=None)


def is_suspendable() -> bool:
    """Check whether the caller runs in an event loop, by `run_suspending`."""
    return _outcomes.get() is not None


def require_process() -> None:
    """Declare what follows as too expensive for an event loop.

    Raises:
        NeedsProcess: the caller runs in an event loop.
    """
    if is_suspendable():
        raise NeedsProcess


def wait_for(key: Hashable, start: Callable[[], Awaitable[_Result]], wait_in_thread: Callable[[], _Result]) -> _Result:
    """Return a result that takes time.

    Args:
        key: identifies the result within one run of `run_suspending`.
        start: starts the work in an event loop.
        wait_in_thread: does the work, or waits for it, in a thread.

    Raises:
        Suspended: the caller runs in an event loop, and the result is not known yet.
        Exception: whatever the work raised.
    """
    outcomes = _outcomes.get()
    if outcomes is None:
        return wait_in_thread()
    outcome = outcomes.get(key)
    if outcome is None:
        raise Suspended(key, start)
    if outcome.error is not None:
        raise outcome.error.with_traceback(None)
    result: _Result = outcome.result
    return result


def compute_once(key: Hashable, compute: Callable[[], _Result]) -> _Result:
    """Return a result that takes no time, computed once in each run of `run_suspending`.

    Args:
        key: identifies the result within one run.
        compute: computes it.
    """
    outcomes = _outcomes.get()
    if outcomes is None:
        return compute()
    outcome = outcomes.get(key)
    if outcome is None:
        outcome = outcomes[key] = _Outcome(compute())
    result: _Result = outcome.result
    return result


def hand_over(key: Hashable, result: object) -> None:
    """Record a result that came together with another one: in this run, `wait_for` returns it without waiting.

    Args:
        key: identifies the result within one run.
        result: what `wait_for` would return; it does not replace one that is known.
    """
    outcomes = _outcomes.get()
    if outcomes is not None:
        outcomes.setdefault(key, _Outcome(result))


async def run_suspending(function: Callable[[], _Result]) -> _Result:
    """Run a function in the event loop; await what it needs, and call it again, until it has everything.

    Raises:
        NeedsProcess: the function is too expensive for an event loop, or needs too many results.
        Exception: whatever the function raised.
    """
    outcomes: dict[Hashable, _Outcome] = {}
    for _ in range(_MAX_SUSPENSIONS):
        token = _outcomes.set(outcomes)
        try:
            return function()
        except Suspended as suspended:
            missing = suspended
        finally:
            _outcomes.reset(token)
        try:
            outcomes[missing.key] = _Outcome(await missing.start())
        except Exception as error:  # noqa: BLE001 — the function handles it, as if it had happened there
            outcomes[missing.key] = _Outcome(None, error)
    raise NeedsProcess
