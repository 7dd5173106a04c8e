"""Search a catalog, for the first page and a deep one; run a build without news; start a server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from building import FIRST_SHOT, create_catalog, list_shots
from measuring import Case, Contender, Mismatch, Plan, repeat
from servers import SHOTDAP, serve_site
from shotdap.catalog import Entry, Health, SearchPage, SqlIndex
from shotdap.catalog.entry import FileInspection
from shotdap.catalog.index import InspectionResult

__all__ = ["cases"]

_LIMIT: Final = 100
_DEEP: Final = 20_000  # entries before a deep page, or as many as exist
_INSPECTED: Final = "diagnostic:D07"  # the entries whose attributes are indexed
_SHARE: Final = 10_000  # inspection results written at a time
_SPEEDS: Final = ("1", "2", "5", "10", "25")
_SETTINGS: Final = '[archive]\nurl = "sqlite:///archive.db"\nroot = "."\n'


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Yield searches of each kind, then complete commands."""
    _, index = create_catalog(folder, plan.rows)
    shots = list_shots(index)
    _inspect(index)
    settings = folder / "shotdap.toml"
    settings.write_text(_SETTINGS)
    yield [*_list_searches(index, len(shots)), *_list_commands(settings)]


def _list_searches(index: SqlIndex, shots: int) -> Iterator[Case]:
    middle = FIRST_SHOT + shots // 2
    for query in (
        "",
        "facility:omega",
        "diagnostic:D07",
        "diagnostic:D0*",
        f"shot:{middle}",
        f"shot:{FIRST_SHOT}..{middle}",
        f"diagnostic:D03 shot:{FIRST_SHOT}..{middle}",
        "date:2011",
        "diagnostic:D03 date:2011-05..2011-06",
        "SweepSpeed:2",
        "SweepSpeed:>=10",
        "health:ok",
        "d07 omega",
        f"s{middle}",
        f"name:d07_s{middle}.hdf",
        f"path:omega/{middle}/*",
        "-diagnostic:D07",
        "diagnostic:D07 SweepSpeed != 2",
        "d00*",
        "-omega",
        "name:*x*",
    ):
        yield from _list_pages(index, query)


def _list_pages(index: SqlIndex, query: str) -> Iterator[Case]:
    """Yield a query's first page, and a deep page if the query has one."""
    name = query or "everything"
    yield _make_case(f"search {name}, first page", partial(index.search, query, limit=_LIMIT))
    pages = list(islice(_iterate_pages(index, query), _DEEP // 1000))
    before = pages if pages[-1].after is not None else pages[:-1]
    if before:
        deep, count = before[-1].after, sum(len(page.entries) for page in before)
        yield _make_case(f"search {name}, after {count:,}", partial(index.search, query, after=deep, limit=_LIMIT))


def _iterate_pages(index: SqlIndex, query: str) -> Iterator[SearchPage]:
    page = index.search(query, limit=1000)
    yield page
    while page.after is not None:
        page = index.search(query, after=page.after, limit=1000)
        yield page


def _inspect(index: SqlIndex) -> None:
    """Record results of inspections for the images of one diagnostic, as if their files had been inspected."""
    for page in _iterate_pages(index, _INSPECTED):
        index.record_inspections((entry, _make_result(entry)) for entry in page.entries)


def _make_result(entry: Entry) -> InspectionResult:
    speed = _SPEEDS[int(entry.facts["shot"]) % len(_SPEEDS)]
    return InspectionResult(
        Health.OK, "", FileInspection("0" * 64, 1, 1, {"image": "uint16[2,2]"}, {"SweepSpeed": [speed]})
    )


def _list_commands(settings: Path) -> Iterator[Case]:
    build = [SHOTDAP, "catalog", "build", "--no-inspect", "--config", str(settings)]
    yield _make_case("the command that builds again, nothing new", partial(_run, build))
    yield _make_case("start a server, until it answers", partial(_start, settings))


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 — our own command
    if "0 images added" not in done.stdout:
        raise Mismatch(f"{command} said {done.stdout} {done.stderr}")


def _start(settings: Path) -> None:
    with serve_site(settings, settings.with_name("log")):
        pass


def _make_case(name: str, function: Any) -> Case:  # noqa: ANN401 — any callable without arguments
    return Case(name, (Contender("shotdap", repeat(function)),))
