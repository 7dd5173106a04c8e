"""Uninitialised memory is never served: a file reads the same whatever was in memory before.

Strategy: files are read in processes whose C library fills allocated memory with one of two bytes
(``MALLOC_PERTURB_``, mallopt(3)). A value that the reader did not write differs between the two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from tests.catalog.readers.hdf4_writer import (
    DEFLATE,
    IMCOMP,
    NBIT,
    OLD_RLE,
    RLE,
    SKPHUFF,
    Layout,
    rasters,
    sds_file,
    write_old_raster,
)
from tests.catalog.readers.test_damage import WRITERS
from tests.conftest import REAL, skip_absent

VALUES: Final = np.random.default_rng(5).integers(0, 100, (4, 40, 50)).astype("i2")
GRAYS: Final = np.repeat(np.arange(256, dtype="u1")[:, np.newaxis], 3, 1)
ROOT: Final = Path(__file__).resolve().parents[3]
READ_ALL: Final = """
import json, sys
from pathlib import Path
from shotdap.catalog import Unreadable
from tests.catalog.readers.test_damage import compute_fingerprint
def read_or_refuse(path):
    try:
        return compute_fingerprint(path)
    except Unreadable as error:
        return str(error)
print(json.dumps({path.name: read_or_refuse(path) for path in sorted(Path(sys.argv[1]).iterdir())}))
"""


def read_all(folder: Path, byte: int) -> dict[str, str]:
    """Return the fingerprint of every file, read with memory that is filled with a byte."""
    environment = {**os.environ, "MALLOC_PERTURB_": str(byte)}
    command = (sys.executable, "-c", READ_ALL, str(folder))
    read: dict[str, str] = json.loads(
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT).stdout
    )
    return read


def write_partly(path: Path, *, coder: int, chunk: tuple[int, ...] = (), unlimited: bool = False) -> None:
    layout = Layout(coder, 12 if coder == NBIT else 6, chunk, unlimited)
    with sds_file(path) as file:
        for written in (None, 0, 2):
            file.put(f"written_{written}", VALUES, layout, written=written)


def write_rasters(path: Path, *, coder: int) -> None:
    with rasters(path) as file:
        file.put("gray", VALUES[0, :39, :47, np.newaxis].astype("u1"), coder=coder)
        file.put("colours", VALUES[0, :, :48].reshape(40, 16, 3).astype("u1"), coder=coder)


def write_old(path: Path, *, scheme: int, height: int, width: int) -> None:
    write_old_raster(path, VALUES[0, :height, :width].astype("u1"), scheme, GRAYS)


def write_sparse(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for fill_time in ("alloc", "never", "ifset"):
            for chunks in (None, (1, 20, 50)):
                array: Any = file.create_dataset(
                    f"{fill_time}_{chunks is None}", VALUES.shape, "i2", chunks=chunks, fill_time=fill_time
                )
                if chunks:
                    array[0, :10] = 1


CODERS: Final = (0, RLE, SKPHUFF, DEFLATE)
ODD: Final[Mapping[str, Callable[[Path], None]]] = {
    **{f"chunks_{coder}": partial(write_partly, coder=coder, chunk=(1, 7, 9)) for coder in CODERS},
    **{f"whole_{coder}": partial(write_partly, coder=coder) for coder in (*CODERS, NBIT)},
    "unlimited": partial(write_partly, coder=0, unlimited=True),
    **{f"raster_{coder}": partial(write_rasters, coder=coder) for coder in CODERS},
    **{
        f"old_{scheme}_{height}_{width}": partial(write_old, scheme=scheme, height=height, width=width)
        for scheme in (0, OLD_RLE, IMCOMP)
        for height, width in ((40, 48), (39, 48), (39, 47), (40, 47), (3, 5))
    },
    "sparse": write_sparse,
}


def test_synthetic_files(tmp_path: Path) -> None:
    """Files of every format and layout, some with values that were never written, read the same."""
    for name, write in {**WRITERS, **ODD}.items():
        if name != "gzip":
            write(tmp_path / name)
    once = read_all(tmp_path, 165)

    assert {name: said for name, said in once.items() if " " in said} == {}
    assert read_all(tmp_path, 90) == once


def test_odd_files() -> None:
    """The odd files of other projects' test suites read the same, or are unreadable for the same reason."""
    folder = REAL.parent / "odd"
    if not folder.is_dir():
        skip_absent("odd files are not beside the checkout")

    assert read_all(folder, 165) == read_all(folder, 90)


def test_short_chunks(tmp_path: Path) -> None:
    """A chunk with fewer values than expected is an error, and is not completed with the content of memory."""
    short = tmp_path / "short"
    short.mkdir()
    for coder in (0, RLE, DEFLATE):
        with sds_file(tmp_path / "whole") as file:
            file.put("image", VALUES, Layout(coder, 6, (1, 20, 50)))
        (short / str(coder)).write_bytes(halve_elements((tmp_path / "whole").read_bytes()))
    once = read_all(short, 165)

    assert [said for said in once.values() if "damaged" in said] == list(once.values())
    assert len(once) == 3
    assert read_all(short, 90) == once


def halve_elements(content: bytes) -> bytes:
    """Return an HDF4 file whose directory of one block is changed so that chunks and elements are half as long."""
    data = {61: "DFTAG_CHUNK", 40: "DFTAG_COMPRESSED"}
    changed, place = bytearray(content), 4
    while place:
        count, following = int.from_bytes(content[place : place + 2]), int.from_bytes(content[place + 2 : place + 6])
        for start in range(place + 6, place + 6 + 12 * count, 12):
            if int.from_bytes(content[start : start + 2]) in data:
                length = int.from_bytes(content[start + 8 : start + 12])
                changed[start + 8 : start + 12] = (length // 2).to_bytes(4)
        place = following
    return bytes(changed)
