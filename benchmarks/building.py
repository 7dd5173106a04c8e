"""Build a catalog of an archive's rows in SQLite, and query it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count, islice
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter, process_time
from typing import Any, Final

import sqlalchemy as sa

from measuring import Case, Contender, Mismatch, Plan, repeat
from shotdap.catalog import ArchiveDatabase, BuildReport, PathTemplate, SqlArchive, SqlIndex, build_catalog
from shotdap.config.settings import load_defaults
from shotdap.server.demo import ARCHIVE_FILES

__all__ = ["FIRST_SHOT", "cases", "create_catalog", "list_shots"]

FIRST_SHOT: Final = 60_000
_FILES_OF_A_SHOT: Final = 20
_WRITTEN: Final = 10_000  # rows inserted into the archive at a time
_FEW: Final = 100_000  # with more rows, the builds from scratch are left out
_BEGIN: Final = datetime.fromisoformat("2011-05-19T10:41:07")


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Yield the first build and a repeated build, then queries to the catalog."""
    archive, index = create_catalog(folder, plan.rows)
    yield [*_list_builds(archive, index, folder, plan.rows), *_list_queries(index)]


def create_catalog(folder: Path, rows: int) -> tuple[SqlArchive, SqlIndex]:
    """Create an archive of `rows` rows and build its catalog; print the speed and the memory used."""
    archive = _create_archive(folder / "archive.db", rows)
    index = SqlIndex.open_sqlite(folder / "catalog.db")
    begun, used = perf_counter(), process_time()
    report = _build(archive, index)
    took, used = perf_counter() - begun, process_time() - used
    if report.added != rows:
        raise Mismatch(f"Of {rows} rows, {report.added} became entries.")
    memory = getrusage(RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{rows:,} rows; the first build took {took:.1f} s, {rows / took:,.0f} rows/s,"
        f" {1e6 * used / rows:.0f} µs of processors a row; this process had {memory} MiB at most\n",
        flush=True,
    )
    return archive, index


def _list_builds(archive: SqlArchive, index: SqlIndex, folder: Path, rows: int) -> Iterator[Case]:
    numbers = count()

    def build_new() -> None:
        _build(archive, SqlIndex.open_sqlite(folder / f"catalog{next(numbers)}.db"))

    if rows <= _FEW:
        yield _make_case("build a new catalog, rows", build_new, rows)
    yield _make_case("build again, nothing new", partial(_build, archive, index))
    if rows <= _FEW:
        yield _make_case("compare all rows, nothing new", partial(_build, archive, index, full=True), rows)


def _list_queries(index: SqlIndex) -> Iterator[Case]:
    shots = list_shots(index)
    first, middle, last = shots[0], shots[len(shots) // 2], shots[-1]
    image = index.list_children(f"omega/{middle}/d00").children[0].path
    entry = index.find_entry(image)
    pattern = {"diagnostic": "D0[37]", "name": "d*"}
    token = index.list_changes(limit=1).token
    yield _make_case(
        f"list 100 of {len(shots)} shots, from the first", partial(index.list_children, "omega", after=first)
    )
    yield _make_case("list 100 shots, from half-way", partial(index.list_children, "omega", after=middle))
    yield _make_case("list 100 shots, up to the last", partial(index.list_children, "omega", after=shots[-101:][0]))
    yield _make_case("list one shot", partial(index.list_children, f"omega/{middle}"))
    yield _make_case("find one image", partial(index.find_entry, image))
    yield _make_case("find the last shot's folder", partial(index.list_children, f"omega/{last}"))
    yield _make_case(
        "the nearest earlier of two diagnostics", partial(index.find_nearest, entry, pattern, when="earlier")
    )
    yield _make_case("count by diagnostic", partial(index.count_by_facet, "diagnostic"))
    yield _make_case("100 changes since the first", partial(index.list_changes, token, limit=100))


def _make_case(name: str, function: Any, amount: int = 1) -> Case:  # noqa: ANN401 — any callable without arguments
    return Case(name, (Contender("shotdap", repeat(function)),), amount)


def _build(archive: SqlArchive, index: SqlIndex, *, full: bool = False) -> BuildReport:
    """Bring a catalog up to date with an archive."""
    return build_catalog(archive, index, PathTemplate(), full=full)


def _create_archive(path: Path, rows: int) -> SqlArchive:
    """Create an archive of rows without files: building a catalog opens no file."""
    url = f"sqlite:///{path}"
    engine = sa.create_engine(url)
    made = map(_make_row, range(rows))
    with engine.begin() as connection:
        ARCHIVE_FILES.create(connection)
        while some := list(islice(made, _WRITTEN)):
            connection.execute(ARCHIVE_FILES.insert(), some)
        connection.execute(
            sa.text('CREATE INDEX by_version ON "ARCHIVE_FILES" ("MODIFIED")')
        )  # as docs/catalog.md advises
    engine.dispose()
    return SqlArchive(ArchiveDatabase(url), ARCHIVE_FILES.name, load_defaults()["archive"]["columns"])


def _make_row(number: int) -> dict[str, Any]:
    shot, camera = divmod(number, _FILES_OF_A_SHOT)
    when = _BEGIN + timedelta(hours=shot)
    return {
        "IMAGE_ID": number + 1,
        "FACILITY": "OMEGA",
        "SHOT_NUMBER": FIRST_SHOT + shot,
        "SHOT_DATE": when,
        "DIAGNOSTIC": f"D{camera:02}",
        "SOURCE_FILE": f"d{camera:02}_s{FIRST_SHOT + shot}.hdf",
        "ARCHIVE_FILE": f"{when:%y/%m/%d}/HDF.{when:%Y%m%d.%H%M%S}.{camera}",
        "FORMAT": "HDF4",
        "MODIFIED": when + timedelta(seconds=camera),
    }


def list_shots(index: SqlIndex) -> list[str]:
    """Return the shot numbers in ascending order."""
    pages = [index.list_children("omega")]
    while pages[-1].after is not None:
        pages.append(index.list_children("omega", after=pages[-1].after))
    return [child.name for page in pages for child in page.children]
