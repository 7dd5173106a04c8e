"""Measure contenders in turns, round after round, so that whatever slows the machine slows all of them.

Nothing is asserted while the clock runs; a benchmark checks beforehand that its contenders give equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from statistics import median, quantiles
from time import perf_counter
from typing import TypeAlias

__all__ = [
    "Case",
    "Contender",
    "Figure",
    "Mismatch",
    "Plan",
    "Row",
    "Turn",
    "Worker",
    "compute_p99",
    "measure",
    "repeat",
]


class Mismatch(ValueError):
    """Two contenders give different numbers, so a comparison is meaningless."""


@dataclass(frozen=True)
class Plan:
    """How much to measure."""

    rounds: int = 5
    seconds: float = 0.25
    """Seconds that a contender works before the next one's turn; it runs at least once."""
    rows: int = 20_000
    """Rows of the archive that the catalog is built of."""
    shrink: int = 1
    """Divisor of the images' sides; for the test that the benchmarks run."""
    scene: float = 5
    """Duration in seconds of each scene of a scenario: quiet, a fault, a load."""
    files: int = 2000
    """Number of damaged files to serve."""


@dataclass(frozen=True)
class Turn:
    """The result of one turn, in seconds."""

    elapsed: float
    each: tuple[float, ...]
    """The duration of each run; runs may overlap."""


Worker: TypeAlias = Callable[[float], Turn]
"""Works for some seconds, and runs at least once."""


@dataclass(frozen=True)
class Contender:
    """One way to do a case's work."""

    name: str
    work: Worker


@dataclass(frozen=True)
class Case:
    """A piece of work, and its contenders; the first is the reference."""

    name: str
    contenders: tuple[Contender, ...]
    amount: int = 1
    """Number of things that one run handles, such as rows, if they are counted."""


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
    """Relative to the first contender: the median over the rounds."""


@dataclass(frozen=True)
class Figure:
    """One number that a scenario measures, without contenders."""

    case: str
    name: str
    value: float
    unit: str = ""
    goal: str = ""
    """The condition for the value, such as ``<= 50``."""
    note: str = ""
    """Messages of the server, or the reason why nothing was measured."""

    @property
    def is_met(self) -> bool | None:
        """Check the value against the goal; return `None` without a goal."""
        relation, _, bound = self.goal.partition(" ")
        if not bound:
            return None
        return self.value <= float(bound) if relation == "<=" else self.value >= float(bound)


def repeat(function: Callable[[], object]) -> Worker:
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
    """Run every contender of every case once to warm up, then in turns, A B C A B C; return the summary."""
    everyone = [(case, contender) for case in cases for contender in case.contenders]
    for _, contender in everyone:
        contender.work(0)
    rounds = [[contender.work(plan.seconds) for _, contender in everyone] for _ in range(plan.rounds)]
    turns = dict(
        zip(((case.name, contender.name) for case, contender in everyone), zip(*rounds, strict=True), strict=True)
    )
    return [
        _make_row(case, contender, turns[case.name, contender.name], turns[case.name, case.contenders[0].name])
        for case, contender in everyone
    ]


def _make_row(case: Case, contender: Contender, turns: Sequence[Turn], first: Sequence[Turn]) -> Row:
    each = list(chain.from_iterable(turn.each for turn in turns))
    return Row(
        case=case.name,
        contender=contender.name,
        runs=len(each),
        median_ms=1e3 * median(each),
        p99_ms=1e3 * compute_p99(each),
        per_second=median(map(_compute_rate, turns)) * case.amount,
        speed=median(_compute_rate(turn) / _compute_rate(other) for turn, other in zip(turns, first, strict=True)),
    )


def _compute_rate(turn: Turn) -> float:
    return len(turn.each) / turn.elapsed


def compute_p99(each: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return quantiles(each, n=100, method="inclusive")[-1] if len(each) > 1 else each[0]
