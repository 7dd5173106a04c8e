"""Subtract one background: with pixels as rows of SQL tables, by plain NumPy, and by shotdap's virtual variable.

The classic comparison is between the tables of a database and NumPy. Here it is between SQLite, PostgreSQL if it is
installed, NumPy with the frames in memory or read from the file, and shotdap, which needs no code.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from pyhdf.SD import SD
from tests import postgres

from images import ImageFile, open_catalog
from measuring import Case, Contender, Mismatch, Plan, repeat

__all__ = ["cases"]

Array: TypeAlias = NDArray[Any]
Way: TypeAlias = Callable[[], Array]

_FILE = ImageFile("streak.hdf", "HDF4", (1024, 1100), deflated=False)
_SUBTRACT = "SELECT image.value - background.value FROM image JOIN background USING (pixel) ORDER BY pixel"


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """Yield one case: from the stored frames to the array of differences."""
    file = _FILE.shrink(plan.shrink)
    file.write(folder)
    image, background = _read_frames(folder / file.name)
    with ExitStack() as databases:
        ways = {
            "SQL tables (SQLite)": _prepare_sqlite(databases, folder, image, background),
            **_prepare_postgresql(databases, image, background),
            "NumPy, frames in memory": lambda: _subtract(image, background),
            "NumPy, from the file": lambda: _subtract(*_read_frames(folder / file.name)),
            "shotdap, from the file, opening it": lambda: _open_and_read(folder, file.name),
            "shotdap, from the file": _keep_open(folder, file.name),
        }
        _check(ways, file.shape)
        yield [Case(str(file), tuple(Contender(name, repeat(way)) for name, way in ways.items()))]


def _read_frames(path: Path) -> Array:
    file = SD(str(path))
    try:
        frames: Array = file.select("Streak_array").get()
    finally:
        file.end()
    return frames


def _prepare_sqlite(databases: ExitStack, folder: Path, image: Array, background: Array) -> Way:
    """Return the query in SQLite, with a table for each frame and a row for each pixel."""
    database = databases.enter_context(closing(sqlite3.connect(folder / "pixels.db")))
    for name, frame in (("image", image), ("background", background)):
        database.execute(f"CREATE TABLE {name} (pixel INTEGER PRIMARY KEY, value INTEGER)")
        database.executemany(f"INSERT INTO {name} VALUES (?, ?)", enumerate(frame.ravel().tolist()))  # noqa: S608
    database.commit()
    return lambda: np.array(database.execute(_SUBTRACT).fetchall())


def _prepare_postgresql(databases: ExitStack, image: Array, background: Array) -> dict[str, Way]:
    """Return the same query in PostgreSQL, if it is installed."""
    programs = postgres.find_binaries()
    if programs is None:
        return {}
    server = databases.enter_context(postgres.running(programs))
    url = server.url().replace("postgresql+psycopg", "postgresql")
    database = databases.enter_context(psycopg.connect(url, autocommit=True))
    for name, frame in (("image", image), ("background", background)):
        table = sql.Identifier(name)
        database.execute(sql.SQL("CREATE TABLE {} (pixel integer PRIMARY KEY, value integer)").format(table))
        with database.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as rows:
            for row in enumerate(frame.ravel().tolist()):
                rows.write_row(row)
    database.execute("ANALYZE")
    return {"SQL tables (PostgreSQL)": lambda: np.array(database.execute(_SUBTRACT).fetchall())}


def _subtract(image: Array, background: Array) -> Array:
    return image.astype(np.float32) - background.astype(np.float32)


def _keep_open(folder: Path, name: str) -> Way:
    """Read from a dataset that stays open, as in a server; every call reads the frames from the file."""
    warm = open_catalog(folder).open(name, chunked=False)["background_subtracted"].variable
    return lambda: np.asarray(warm.copy(deep=False).values)


def _open_and_read(folder: Path, name: str) -> Array:
    return np.asarray(open_catalog(folder).open(name, chunked=False)["background_subtracted"].values)


def _check(ways: Mapping[str, Way], shape: tuple[int, ...]) -> None:
    """Check that all contenders give equal numbers.

    Raises:
        Mismatch: a contender gives other numbers.
    """
    (first, expected), *others = ((name, way().reshape(shape)) for name, way in ways.items())
    for name, found in others:
        if not np.array_equal(found, expected):
            raise Mismatch(f"{name} gives other numbers than {first}.")
