"""Archives to serve in scenarios, in folder mode or with a catalog that has inspected every file."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile

from images import ImageFile
from servers import run_command

__all__ = ["KINDS", "MODES", "copy_files", "make_archive", "write_kind"]

MODES = ("catalog", "folder")
_SIDES = (1024, 1024)
KINDS = {
    "HDF4 deflated": ImageFile("hdf4_deflated", "HDF4", _SIDES, deflated=True),
    "HDF4 contiguous": ImageFile("hdf4_contiguous", "HDF4", _SIDES, deflated=False),
    "HDF5 chunked": ImageFile("hdf5_chunked", "HDF5", _SIDES, deflated=True),
    "HDF5 contiguous": ImageFile("hdf5_contiguous", "HDF5", _SIDES, deflated=False),
    "TIFF": None,
}
_COLUMNS = "IMAGE_ID, FACILITY, SHOT_NUMBER, SHOT_DATE, DIAGNOSTIC, SOURCE_FILE, ARCHIVE_FILE, FORMAT, MODIFIED"
_SETTINGS = {
    "catalog": '[archive]\nurl = "sqlite:///archive.db"\nroot = "files"\n[catalog]\npath_template = "{name}"\n',
    "folder": '[archive]\nfolder = "files"\n[catalog]\n',
}


def write_kind(kind: str, path: Path, shrink: int = 1) -> None:
    """Write a file of one of the `KINDS`."""
    image = KINDS[kind]
    if image is None:
        side = _SIDES[0] // shrink
        tifffile.imwrite(path, np.random.default_rng(0).poisson(400, (side, side)).astype(np.uint16))
    else:
        replace(image.shrink(shrink), name=path.name).write(path.parent)


def make_archive(folder: Path, names: Sequence[str], settings: str = "") -> dict[str, Path]:
    """Write the settings of both modes for the files in ``folder/files``, and build a catalog that inspects them.

    Args:
        folder: contains the files, below ``files``.
        names: of the files, as in the archive's database; they are also the public paths.
        settings: further lines of the section ``[catalog]``.

    Returns:
        The settings file of each mode.
    """
    paths = {}
    for mode, text in _SETTINGS.items():
        paths[mode] = folder / f"{mode}.toml"
        paths[mode].write_text(text + settings)
    when = "2024-02-14 11:53:20.000000"
    rows = [
        (number, "OMEGA", number, when, "P510", name.replace("/", "_"), name, "ANY", when)
        for number, name in enumerate(names)
    ]
    with closing(sqlite3.connect(folder / "archive.db")) as database, database:
        database.execute(f"CREATE TABLE ARCHIVE_FILES ({_COLUMNS})")
        database.executemany(f"INSERT INTO ARCHIVE_FILES VALUES ({', '.join('?' * 9)})", rows)  # noqa: S608 — ours
    run_command("catalog", "build", "--config", str(paths["catalog"]))
    return paths


def copy_files(good: Path, copies: Sequence[Path]) -> None:
    """Copy a file to each path."""
    for copy in copies:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(good, copy)
