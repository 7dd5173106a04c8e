"""Reads the synthetic archive without shotdap's readers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from pyhdf.SD import SD
from sqlalchemy import create_engine, select

from shotdap.server import demo

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = {"HDF4": b"\x0e\x03\x13\x01", "HDF5": b"\x89HDF\r\n\x1a\n"}


def read_rows(database: Path) -> list[dict[str, Any]]:
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        table = demo.ARCHIVE_FILES
        found = [dict(row) for row in connection.execute(select(table).order_by(table.c.IMAGE_ID)).mappings()]
    engine.dispose()
    return found


def open_hdf5(path: Path) -> Any:  # noqa: ANN401 - what h5py gives is too wide a union to index
    return h5py.File(path)


def read_array(path: Path, name: str = "Streak_array") -> NDArray[Any]:
    if path.read_bytes()[:4] == MAGIC["HDF4"]:
        values: NDArray[Any] = SD(str(path)).select(name).get()
        return values
    with open_hdf5(path) as file:
        return np.asarray(file[name])


def read_hdf4_attributes(path: Path, name: str = "Streak_array") -> dict[str, tuple[Any, int]]:
    """Return value and HDF4 type of each attribute."""
    full = SD(str(path)).select(name).attributes(full=1)
    return {key: (value, kind) for key, (value, _index, kind, _length) in full.items()}


def read_attributes(path: Path, name: str = "Streak_array") -> dict[str, Any]:
    """Return the value of each attribute, as plain Python, from either container."""
    if path.read_bytes()[:4] == MAGIC["HDF4"]:
        return {key: value for key, (value, _) in read_hdf4_attributes(path, name).items()}
    with open_hdf5(path) as file:
        found = {key: value for key, value in file[name].attrs.items() if key != "DIMENSION_LIST"}
    return {key: v.decode() if isinstance(v, bytes) else v.tolist() for key, v in found.items()}


def find_shot(facility: str, number: int) -> demo.Shot:
    return next(shot for shot in demo.SHOTS if (shot.facility, shot.number) == (facility, number))
