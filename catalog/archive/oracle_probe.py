"""A probe of an Oracle listener: a log-in that is interrupted if it takes too long.

The driver limits the time of the network, but waits forever for a listener that accepts a connection and never answers.
Its interface for coroutines does so too, but can be interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from selectors import DefaultSelector
from typing import Any, Final

_CLOSE_SECONDS: Final = 1.0  # at most for the end of TLS, a response that the driver does not await
_POLL_SECONDS: Final = 0.01  # between two checks for it


def probe_listener(driver: Any, arguments: Sequence[Any], keywords: Mapping[str, Any], seconds: float) -> None:  # noqa: ANN401 — a module
    """Log in, and log out again.

    Args:
        driver: python-oracledb.
        arguments: the positional arguments of its ``connect``.
        keywords: the keyword arguments.
        seconds: the time limit of the log-in.

    Raises:
        TimeoutError: it took longer.
        driver.Error: the driver could not log in.
    """
    selector = DefaultSelector()

    async def log_in() -> None:
        async with asyncio.timeout(seconds):
            connection = await driver.connect_async(*arguments, **keywords)
            await connection.close()
        with suppress(TimeoutError):  # wait until the connection's socket is closed; the loop's own remains
            async with asyncio.timeout(_CLOSE_SECONDS):
                while len(selector.get_map()) > 1:  # noqa: ASYNC110 — no event reports it
                    await asyncio.sleep(_POLL_SECONDS)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            runner.run(log_in())

    with ThreadPoolExecutor(1) as thread:  # the caller's thread may have an event loop, as in a notebook
        thread.submit(run).result()
