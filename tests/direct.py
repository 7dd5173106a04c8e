"""The contents of files, read with only pyhdf, h5py and NumPy: independent of shotdap."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pyhdf.SD import SD

__all__ = ["find_stored", "read_arrays", "read_frames"]

Array = NDArray[Any]


def read_frames(path: Path) -> dict[str, Array]:
    """Return the frames of a camera's file, and their difference."""
    found = read_arrays(path)
    image, background = found["Streak_array"]
    made = {
        "image": image,
        "background": background,
        "background_subtracted": image.astype("f4") - background.astype("f4"),
    }
    return made | ({"reference": found["Reference"]} if "Reference" in found else {})


def read_arrays(path: Path) -> dict[str, Array]:
    """Return every array of a file by its path, without a leading slash and without HDF4's implicit dimensions."""
    return _read_hdf5(path) if h5py.is_hdf5(path) else _read_hdf4(path)


def _read_hdf5(path: Path) -> dict[str, Array]:
    found: dict[str, Array] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None and not name.startswith("fakeDim"):
            found[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return found


def _read_hdf4(path: Path) -> dict[str, Array]:
    file = SD(str(path))
    found = {name: np.asarray(file.select(name).get()) for name in file.datasets()}
    file.end()
    return found


def find_stored(archive: Path, facility: str, source_file: str) -> Path:
    """Return the path at which the archive stores the file with a user's name."""
    question = "SELECT ARCHIVE_FILE FROM ARCHIVE_FILES WHERE FACILITY = ? AND SOURCE_FILE = ?"
    with closing(sqlite3.connect(archive / "archive.db")) as database:
        ((name,),) = database.execute(question, (facility, source_file))
    return archive / "files" / str(name)
