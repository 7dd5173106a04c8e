"""Functions in an event loop that need results which have to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shotdap.catalog.reading.suspending import (
    NeedsProcess,
    hand_over,
    is_suspendable,
    require_process,
    run_suspending,
    wait_for,
)


class Source:
    """Numbers that have to be awaited; it counts how often each is."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def get(self, number: int) -> int:
        """Return ten times the number."""

        async def start() -> int:
            await asyncio.sleep(0)
            return self.compute(number)

        return wait_for(number, start, lambda: self.compute(number))

    def compute(self, number: int) -> int:
        """Return ten times the number; refuse negative ones."""
        self.asked.append(number)
        if number < 0:
            raise ValueError(f"{number} is negative")
        return 10 * number


def run(function: Callable[[], object]) -> object:
    """Run a function in an event loop."""

    async def run_in_loop() -> object:
        return await run_suspending(function)

    return asyncio.run(run_in_loop())


def test_each_result_is_awaited_once() -> None:
    """A function is called until it has everything, and sees each result once computed."""
    source = Source()

    assert run(lambda: source.get(1) + source.get(2) + source.get(1)) == 40
    assert source.asked == [1, 2]


def test_a_result_that_came_with_another_one() -> None:
    """A result that is handed over is not awaited; it replaces none that the function has seen."""
    source = Source()

    def hand_over_and_get() -> tuple[int, int]:
        first = source.get(1)
        hand_over(1, 0)
        hand_over(2, first + 1)
        return source.get(1), source.get(2)

    assert run(hand_over_and_get) == (10, 11)
    assert source.asked == [1]
    assert hand_over_and_get() == (10, 20)


def test_threads_wait() -> None:
    """Outside an event loop a result is computed where it is needed."""
    source = Source()

    assert source.get(3) == 30
    assert not is_suspendable()


def test_errors() -> None:
    """An error of an awaited result is raised where the result is needed, so that it can be handled there."""
    source = Source()

    def handle() -> str:
        try:
            return str(source.get(-1))
        except ValueError as error:
            return f"{error}, {source.get(4)}"

    assert run(handle) == "-1 is negative, 40"
    assert source.asked == [-1, 4]
    with pytest.raises(ValueError, match="-2 is negative"):
        run(lambda: source.get(-2))


def test_no_handler_stops_a_suspension() -> None:
    """A handler of all errors in the function does not take a suspension for one."""
    source = Source()

    def handle() -> int:
        try:
            return source.get(5)
        except Exception:  # noqa: BLE001 — what is tested
            return 0

    assert run(handle) == 50


def test_what_needs_a_process() -> None:
    """In an event loop alone a function is too expensive; and it is where it needs too many results."""
    require_process()

    with pytest.raises(NeedsProcess):
        run(require_process)
    with pytest.raises(NeedsProcess):
        run(lambda: sum(map(Source().get, range(100))))


def test_runs_do_not_mix() -> None:
    """Of two runs at once each has results of its own."""
    first, second = Source(), Source()

    async def run_both() -> tuple[int, int]:
        return await asyncio.gather(
            run_suspending(lambda: first.get(1) + first.get(2)), run_suspending(lambda: second.get(1))
        )

    assert [*asyncio.run(run_both())] == [30, 10]
    assert (first.asked, second.asked) == ([1, 2], [1])
