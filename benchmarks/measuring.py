"""Contenders do the same work by turns, round after round: what slows the machine for a while slows all of them.

Nothing is asserted while the clock runs; a benchmark checks beforehand that its contenders give equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from statistics import median, quantiles
from time import perf_counter
from typing import TypeAlias

__all__ = ["Case", "Contender", "Mismatch", "Plan", "Row", "Turn", "Worker", "measure", "repeated"]


class Mismatch(ValueError):
    """Two contenders do not give equal numbers, so there is nothing to compare."""


@dataclass(frozen=True)
class Plan:
    """How much to measure."""

    rounds: int = 5
    seconds: float = 0.25
    """How long a contender works before it is the next one's turn; at least once, however long that takes."""
    rows: int = 20_000
    """Rows of the archive that a catalog is built of."""
    shrink: int = 1
    """Divides the sides of the images; for the test that everything works."""


@dataclass(frozen=True)
class Turn:
    """What came of one turn, in seconds."""

    elapsed: float
    each: tuple[float, ...]
    """For each run, how long it took; runs may overlap."""


Worker: TypeAlias = Callable[[float], Turn]
"""Works for so many seconds, at least once."""


@dataclass(frozen=True)
class Contender:
    """One way to do a case's work."""

    name: str
    work: Worker


@dataclass(frozen=True)
class Case:
    """A piece of work, and those who do it: the first is what the others are compared with."""

    name: str
    contenders: tuple[Contender, ...]
    amount: int = 1
    """How many things one run handles, where they are counted: rows, for example."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: str
    contender: str
    runs: int
    median_ms: float
    p99_ms: float
    per_second: float
    speed: float
    """As a multiple of the first contender's: the median of what each round gives."""


def repeated(function: Callable[[], object]) -> Worker:
    """Return a worker that calls a function repeatedly."""

    def work(seconds: float) -> Turn:
        begun = perf_counter()
        marks = [begun]
        while len(marks) == 1 or marks[-1] < begun + seconds:
            function()
            marks.append(perf_counter())
        each = tuple(after - before for before, after in pairwise(marks))
        return Turn(marks[-1] - begun, each)

    return work


def measure(cases: Sequence[Case], plan: Plan) -> list[Row]:
    """Give every contender of every case one run to warm up, then its turns, A B C A B C, and sum them up."""
    everyone = [(case, contender) for case in cases for contender in case.contenders]
    for _, contender in everyone:
        contender.work(0)
    rounds = [[contender.work(plan.seconds) for _, contender in everyone] for _ in range(plan.rounds)]
    turns = dict(
        zip(((case.name, contender.name) for case, contender in everyone), zip(*rounds, strict=True), strict=True)
    )
    return [
        _row(case, contender, turns[case.name, contender.name], turns[case.name, case.contenders[0].name])
        for case, contender in everyone
    ]


def _row(case: Case, contender: Contender, turns: Sequence[Turn], first: Sequence[Turn]) -> Row:
    each = list(chain.from_iterable(turn.each for turn in turns))
    return Row(
        case=case.name,
        contender=contender.name,
        runs=len(each),
        median_ms=1e3 * median(each),
        p99_ms=1e3 * _p99(each),
        per_second=median(map(_rate, turns)) * case.amount,
        speed=median(_rate(turn) / _rate(other) for turn, other in zip(turns, first, strict=True)),
    )


def _rate(turn: Turn) -> float:
    return len(turn.each) / turn.elapsed


def _p99(each: list[float]) -> float:
    return quantiles(each, n=100, method="inclusive")[-1] if len(each) > 1 else each[0]
