"""Whether an Oracle listener answers: a log-in that is interrupted where it takes too long.

The driver limits how long the network may take, and then waits for ever for a listener that accepts a connection and
says nothing. Its interface for coroutines does so too, but can be interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from selectors import BaseSelector, DefaultSelector
from typing import Any, Final

_CLOSE_SECONDS: Final = (
    1.0  # seconds at most for the end of TLS, which takes an answer, and which the driver does not await
)
_POLL_SECONDS: Final = 0.01  # seconds between two looks whether it has come


def probe_listener(driver: Any, given: Sequence[Any], named: Mapping[str, Any], seconds: float) -> None:  # noqa: ANN401 — a module
    """Log in, and out again.

    Args:
        driver: python-oracledb.
        given: the arguments of its ``connect``.
        named: those with names.
        seconds: how long the log-in may take.

    Raises:
        TimeoutError: it took longer.
        driver.Error: the driver could not log in.
    """
    with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop, as a notebook's has
        thread.submit(_run_probe, driver, given, named, seconds).result()


def _run_probe(driver: Any, given: Sequence[Any], named: Mapping[str, Any], seconds: float) -> None:  # noqa: ANN401 — as above
    selector = DefaultSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(_log_in(driver, given, named, seconds))
        runner.run(_wait_for_close(selector))


async def _log_in(driver: Any, given: Sequence[Any], named: Mapping[str, Any], seconds: float) -> None:  # noqa: ANN401 — as above
    async with asyncio.timeout(seconds):
        connection = await driver.connect_async(*given, **named)
        await connection.close()


async def _wait_for_close(selector: BaseSelector) -> None:
    """Wait for the connection's socket to be closed; what the loop itself listens to remains."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            while len(selector.get_map()) > 1:  # noqa: ASYNC110 — nobody tells
                await asyncio.sleep(_POLL_SECONDS)
