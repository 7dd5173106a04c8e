"""The results as a table to read and as JSON to keep."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from measuring import Figure, Plan, Row

__all__ = ["format_figures", "format_table", "write"]

_HEADINGS = ("runs", "median/ms", "p99/ms", "per second", "speed")
_FEW = 10  # smaller numbers need decimals
_PACKAGES = ("shotdap", "numpy", "xarray", "starlette", "uvicorn", "pydap", "gunicorn")


def format_table(rows: Sequence[Row]) -> str:
    """Format the rows as text, grouped by case; ``speed`` is relative to the first contender of the case."""
    width = max(len(row.contender) for row in rows) + 2
    heading = " " * width + "".join(f"{name:>12}" for name in _HEADINGS)
    return "\n".join([heading, *_format_lines(rows, width)])


def _format_lines(rows: Iterable[Row], width: int) -> Iterable[str]:
    for case, contenders in groupby(rows, key=lambda row: row.case):
        yield case
        for row in contenders:
            _, name, runs, *times, per_second, speed = astuple(row)
            numbers = (
                f"{runs:,}",
                *(f"{time:,.3f}" for time in times),
                f"{per_second:,.{0 if per_second >= _FEW else 2}f}",
                f"{speed:,.2f}",
            )
            yield f"  {name:<{width - 2}}" + "".join(f"{number:>12}" for number in numbers)


def format_figures(figures: Sequence[Figure]) -> str:
    """Format figures as text, grouped by case, with their goals."""
    width = max(len(figure.name) for figure in figures) + 2
    lines = []
    for case, members in groupby(figures, key=lambda figure: figure.case):
        lines.append(case)
        for figure in members:
            number = f"{figure.value:,.{3 if abs(figure.value) < _FEW and figure.value % 1 else 0}f}"
            verdict = {None: "", True: "met", False: "MISSED"}[figure.is_met]
            measured = f"  {figure.name:<{width}}{number:>12} {figure.unit:<8}"
            lines.append(f"{measured}{figure.goal:<11} {verdict:<8}{figure.note}".rstrip())
    return "\n".join(lines)


def write(folder: Path, benchmark: str, plan: Plan, rows: Sequence[Row] | Sequence[Figure]) -> Path:
    """Write the rows and the conditions of the measurement to a new file; return its path."""
    when = datetime.now(UTC)
    outcome = {
        "benchmark": benchmark,
        "when": when.isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()},
        "versions": {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES},
        "plan": asdict(plan),
        "rows": [asdict(row) for row in rows],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{benchmark}-{when:%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(outcome, indent=1))
    return path
