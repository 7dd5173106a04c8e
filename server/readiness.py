"""Readiness: whether the parts that requests need answer now.

Rule 1: a check never runs in the event loop's own time; it awaits.
Rule 2: at most one check of a part runs at a time. A part that hangs holds one check, however often it is requested.
Rule 3: the response comes within a limit of time, and names the parts that have not answered.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Final, TypeAlias, TypeVar

from shotdap.catalog import Catalog, ProcessPool
from shotdap.server.http.errors import to_problem

ReadinessCheck: TypeAlias = Callable[[], Awaitable[str | None]]
"""Checks one part; returns a sentence for clients if it is not ready. An exception means the same."""

_LOG = logging.getLogger("shotdap.http")
_CHECK_SECONDS: Final = 2.0  # the time in which load balancers expect an answer is 5 or more
_Result = TypeVar("_Result")


class Readiness:
    """The parts of a server process, and their checks.

    Args:
        checks: by the name of the part; those that take longer than the limit go on, and are awaited again.
        seconds: the limit of time for all of them, which run side by side.
    """

    def __init__(self, checks: Mapping[str, ReadinessCheck], seconds: float = _CHECK_SECONDS) -> None:
        self._checks = dict(checks)
        self._seconds = seconds
        self._running: dict[str, asyncio.Task[str | None]] = {}

    async def find_problems(self) -> dict[str, str | None]:
        """Return a sentence for each part that is not ready, and `None` for each that is."""
        for name in self._checks:
            if name not in self._running or self._running[name].done():
                self._running[name] = asyncio.create_task(self._run_check(name))
        running = dict(self._running)
        if running:
            await asyncio.wait(running.values(), timeout=self._seconds)
        late = f"It does not answer within {self._seconds:g} s."
        return {name: task.result() if task.done() else late for name, task in running.items()}

    async def _run_check(self, name: str) -> str | None:
        try:
            return await self._checks[name]()
        except Exception as error:  # noqa: BLE001 — after any error, requests are better sent elsewhere
            _LOG.warning("%s is not ready: %s", name, type(error).__name__)
            return to_problem(error).message


def make_catalog_check(catalog: Catalog) -> ReadinessCheck:
    """Make a check whether the catalog's database, or the folder that is served, answers."""

    async def check() -> None:
        await _run_in_own_thread(lambda: catalog.list_children("", limit=1))

    return check


def make_pool_check(pool: ProcessPool, seconds: float) -> ReadinessCheck:
    """Make a check whether a pool of processes gets on: whether no call is older than its limit allows."""

    async def check() -> str | None:
        state = pool.state
        if state.oldest_seconds <= seconds:
            return None
        return f"{state.busy} calls run and {state.waiting} wait, the oldest for {state.oldest_seconds:.0f} s."

    return check


async def _run_in_own_thread(function: Callable[[], _Result]) -> _Result:
    """Run a function in a thread of its own: not in a pool's, where it would wait behind requests that hang.

    The end of the process does not wait for it.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001 — raised where it is awaited
            future.set_exception(error)

    threading.Thread(target=run, name="shotdap readiness", daemon=True).start()
    return await asyncio.wrap_future(future)
