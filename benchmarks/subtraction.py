"""One background, subtracted: pixels as rows of SQL tables, plain NumPy, and shotdap's virtual variable."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyhdf.SD import SD

from images import ImageFile, open_catalog
from measuring import Case, Contender, Mismatch, Plan, repeated

__all__ = ["cases"]

Array: TypeAlias = NDArray[Any]

_FILE = ImageFile("streak.hdf", "HDF4", (1024, 1100), deflated=False)
_SUBTRACT = "SELECT image.value - background.value FROM image JOIN background USING (pixel) ORDER BY pixel"


@contextmanager
def cases(folder: Path, plan: Plan) -> Iterator[Sequence[Case]]:
    """One case: from where the frames are kept to the array of differences."""
    file = _FILE.shrunk(plan.shrink)
    file.write(folder)
    image, background = _frames(folder / file.name)
    with closing(sqlite3.connect(folder / "pixels.db")) as database:
        _fill(database, image=image, background=background)
        warm = open_catalog(folder).open(file.name, chunked=False)["background_subtracted"].variable
        ways: Mapping[str, Callable[[], Array]] = {
            "SQL tables (SQLite)": lambda: np.array(database.execute(_SUBTRACT).fetchall()).reshape(file.shape),
            "NumPy, frames in memory": lambda: _difference(image, background),
            "NumPy, from the file": lambda: _difference(*_frames(folder / file.name)),
            "shotdap, from the file, opening it": lambda: _opened_anew(folder, file.name),
            "shotdap, from the file": lambda: np.asarray(warm.copy(deep=False).values),
        }
        _check(ways)
        yield [Case(str(file), tuple(Contender(name, repeated(way)) for name, way in ways.items()))]


def _frames(path: Path) -> Array:
    file = SD(str(path))
    try:
        frames: Array = file.select("Streak_array").get()
    finally:
        file.end()
    return frames


def _fill(database: sqlite3.Connection, **frames: Array) -> None:
    """A table for each frame, with a row for each pixel."""
    for name, frame in frames.items():
        database.execute(f"CREATE TABLE {name} (pixel INTEGER PRIMARY KEY, value INTEGER)")
        database.executemany(f"INSERT INTO {name} VALUES (?, ?)", enumerate(frame.ravel().tolist()))  # noqa: S608
    database.commit()


def _difference(image: Array, background: Array) -> Array:
    return image.astype(np.float32) - background.astype(np.float32)


def _opened_anew(folder: Path, name: str) -> Array:
    return np.asarray(open_catalog(folder).open(name, chunked=False)["background_subtracted"].values)


def _check(ways: Mapping[str, Callable[[], Array]]) -> None:
    """Have everybody give equal numbers.

    Raises:
        Mismatch: somebody does not.
    """
    (first, expected), *others = ((name, way()) for name, way in ways.items())
    for name, found in others:
        if not np.array_equal(found, expected):
            raise Mismatch(f"{name} gives other numbers than {first}.")
