"""Run benchmarks: ``python benchmarks/run.py``, or ``make bench``, with names of benchmarks, or without for all."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, ModuleType
from typing import TypeAlias

import access
import building
import cold_shots
import damage
import encoding
import exporting
import faults
import memory
import pages
import pressure
import reporting
import searching
import serving
import subtraction
import tails
import zarr_reading
from measuring import Case, Figure, Plan, Row, measure

Benchmark: TypeAlias = Callable[[Path, Plan], AbstractContextManager[Sequence[Case]]]
"""Yields its cases, checked and ready to be measured while the context lasts; gets an empty folder."""

Scenario: TypeAlias = Callable[[Path, Plan], Sequence[Figure]]
"""Plays a scenario in an empty folder, and returns the figures that it measured."""

MODULES: Mapping[str, ModuleType] = MappingProxyType(
    {
        "serving": serving,
        "subtraction": subtraction,
        "building": building,
        "searching": searching,
        "zarr_reading": zarr_reading,
        "encoding": encoding,
        "exporting": exporting,
        "faults": faults,
        "damage": damage,
        "pressure": pressure,
        "memory": memory,
        "tails": tails,
        "cold_shots": cold_shots,
        "access": access,
        "pages": pages,
    }
)
RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the named benchmarks; print a table and write a JSON file for each."""
    parser = _make_parser()
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(MODULES)
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(MODULES)}")
    if chosen.list:
        print(*(f"{name:<12} {_get_summary(module)}" for name, module in MODULES.items()), sep="\n")
        return
    plan = Plan(chosen.rounds, chosen.seconds, chosen.rows, chosen.shrink, chosen.scene, chosen.files)
    for name in chosen.names or MODULES:
        _run(name, plan, chosen.results)


def _run(name: str, plan: Plan, results: Path) -> None:
    print(f"\n{name}: {_get_summary(MODULES[name])}\n", flush=True)
    scenario: Scenario | None = getattr(MODULES[name], "play", None)
    rows: Sequence[Row] | Sequence[Figure]
    with TemporaryDirectory(prefix="shotdap-bench-", ignore_cleanup_errors=True) as folder:
        if scenario is not None:
            rows = scenario(Path(folder), plan)
            print(reporting.format_figures(rows))
        else:
            benchmark: Benchmark = MODULES[name].cases
            with benchmark(Path(folder), plan) as cases:
                rows = measure(cases, plan)
            print(reporting.format_table(rows))
    print(f"\n{reporting.write(results, name, plan, rows)}")


def _get_summary(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0]


def _make_parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(MODULES)}; without names, all run")
    parser.add_argument("--list", action="store_true", help="list the benchmarks, and run none")
    parser.add_argument("--rounds", type=int, default=plan.rounds, help="number of turns of each contender")
    parser.add_argument("--seconds", type=float, default=plan.seconds, help="duration of a turn")
    parser.add_argument("--rows", type=int, default=plan.rows, help="rows of the archive that the catalog is built of")
    parser.add_argument("--shrink", type=int, default=plan.shrink, help="divide the sides of the images by this")
    parser.add_argument("--scene", type=float, default=plan.scene, help="seconds of each scene of a scenario")
    parser.add_argument("--files", type=int, default=plan.files, help="number of damaged files to serve")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON files")
    return parser


if __name__ == "__main__":
    main()
