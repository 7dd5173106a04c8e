"""A catalog built of an archive's rows, in SQLite, and looked things up in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from measuring import Case, Contender, Mismatch, Plan, repeated
from shotdap.catalog import BuildReport, PathTemplate, SqlArchive, SqlIndex, build
from shotdap.catalog.synthetic import ARCHIVE_FILES
from shotdap.config import defaults

__all__ = ["cases"]

_FILES_OF_A_SHOT: Final = 20
_BEGIN: Final = datetime.fromisoformat("2011-05-19T10:41:07")


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Building anew and again, then questions to what was built."""
    archive = _archive(folder / "archive.db", plan.rows)
    index = SqlIndex.at(folder / "catalog.db")
    report = _built(archive, index)
    if report.added != plan.rows:
        raise Mismatch(f"Of {plan.rows} rows, {report.added} became entries.")
    numbers = count()

    def anew() -> None:
        _built(archive, SqlIndex.at(folder / f"catalog{next(numbers)}.db"))

    shots = _all_shots(index)
    middle = shots[len(shots) // 2]
    image = index.children(f"omega/{middle}/d00").children[0].path
    yield [
        _case("build a new catalog, rows", anew, plan.rows),
        _case("build again, nothing new", partial(_built, archive, index)),
        _case(f"list 100 of {len(shots)} shots, from the first", partial(index.children, "omega")),
        _case("list 100 shots, from half-way", partial(index.children, "omega", after=middle)),
        _case("list one shot", partial(index.children, f"omega/{middle}")),
        _case("find one image", partial(index.find, image)),
    ]


def _case(name: str, function: Any, amount: int = 1) -> Case:  # noqa: ANN401 — any callable without arguments
    return Case(name, (Contender("shotdap", repeated(function)),), amount)


def _built(archive: SqlArchive, index: SqlIndex) -> BuildReport:
    return build(archive, index, PathTemplate())


def _archive(path: Path, rows: int) -> SqlArchive:
    """An archive that has rows only; no file is opened to build a catalog."""
    url = f"sqlite:///{path}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        ARCHIVE_FILES.create(connection)
        connection.execute(ARCHIVE_FILES.insert(), [_row(number) for number in range(rows)])
    engine.dispose()
    return SqlArchive(url, ARCHIVE_FILES.name, defaults()["archive"]["columns"])


def _row(number: int) -> dict[str, Any]:
    shot, camera = divmod(number, _FILES_OF_A_SHOT)
    when = _BEGIN + timedelta(hours=shot)
    return {
        "IMAGE_ID": number + 1,
        "FACILITY": "OMEGA",
        "SHOT_NUMBER": 60_000 + shot,
        "SHOT_DATE": when,
        "DIAGNOSTIC": f"D{camera:02}",
        "SOURCE_FILE": f"d{camera:02}_s{60_000 + shot}.hdf",
        "ARCHIVE_FILE": f"{when:%y/%m/%d}/HDF.{when:%Y%m%d.%H%M%S}.{camera}",
        "FORMAT": "HDF4",
        "MODIFIED": when + timedelta(seconds=camera),
    }


def _all_shots(index: SqlIndex) -> list[str]:
    """The shots' numbers, page by page."""
    pages = [index.children("omega")]
    while pages[-1].after is not None:
        pages.append(index.children("omega", after=pages[-1].after))
    return [child.name for page in pages for child in page.children]
