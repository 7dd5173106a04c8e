"""Measure: ``python benchmarks/run.py``, or ``make bench``, with the names of benchmarks or all of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, ModuleType
from typing import TypeAlias

import building
import encoding
import reporting
import serving
import subtraction
from measuring import Case, Plan, measure

Benchmark: TypeAlias = Callable[[Path, Plan], AbstractContextManager[Sequence[Case]]]
"""Prepares its cases in an empty folder, checked and ready to be measured while the context lasts."""

MODULES: Mapping[str, ModuleType] = MappingProxyType(
    {"serving": serving, "subtraction": subtraction, "building": building, "encoding": encoding}
)
RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks that the command names: print a table, and keep it as JSON, for each."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(MODULES)
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(MODULES)}")
    if chosen.list:
        print(*(f"{name:<12} {_sentence(module)}" for name, module in MODULES.items()), sep="\n")
        return
    plan = Plan(chosen.rounds, chosen.seconds, chosen.rows, chosen.shrink)
    for name in chosen.names or MODULES:
        _run(name, plan, chosen.results)


def _run(name: str, plan: Plan, results: Path) -> None:
    print(f"\n{name}: {_sentence(MODULES[name])}\n", flush=True)
    benchmark: Benchmark = MODULES[name].cases
    with TemporaryDirectory(prefix="shotdap-bench-") as folder, benchmark(Path(folder), plan) as cases:
        rows = measure(cases, plan)
    print(reporting.table(rows))
    print(f"\n{reporting.write(results, name, plan, rows)}")


def _sentence(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0]


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}; none for all of them")
    parser.add_argument("--list", action="store_true", help="say what each benchmark measures, and run none")
    parser.add_argument("--rounds", type=int, default=plan.rounds, help="how often it is each contender's turn")
    parser.add_argument("--seconds", type=float, default=plan.seconds, help="how long a turn lasts")
    parser.add_argument("--rows", type=int, default=plan.rows, help="rows of the archive that a catalog is built of")
    parser.add_argument("--shrink", type=int, default=plan.shrink, help="divide the sides of the images by this")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for the JSON files")
    return parser


if __name__ == "__main__":
    main()
