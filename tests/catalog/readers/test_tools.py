"""Real files have the content that their formats' own tools print; for the odd HDF4 files see test_hdf4.py.

Each tool names the arrays and prints their numbers; shotdap's reader is asked for the same ones, and for no others.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from tests.conftest import REAL, skip_absent

from shotdap.catalog.readers import detect_format, read

Array = NDArray[Any]
DATA: Final = REAL.parent
FILES: Final = (
    "real/asbo1_s62328.hdf", "real/sop_s25386.hdf", "real/EPW_CCD-s112059.hdf", "real/IAW-s101675.hdf",
    "real/P510_2-s103741.h5", "real/p510_2_s103741.h5", "real/P510-p510_data_103741.h5", "real/PTD_s103741_ptd.h5",
    "real/visar1.tif", "odd/Roy.nc", "odd/sds_empty_many.hdf",
)  # fmt: skip
MADE_UP: Final = re.compile(r"fakeDim\d+")
HDP_NAME: Final = re.compile(r"^Variable Name = (.+)\n\s+Index = (\d+)$", re.MULTILINE)
H5DUMP_NAME: Final = re.compile(r"^ dataset\s+/(.+)$", re.MULTILINE)
CDL_ARRAY: Final = re.compile(r"^ (\w+) =([^;]*);$", re.MULTILINE)


@pytest.mark.parametrize("name", FILES)
def test_sums(name: str, tmp_path: Path, require: Callable[[str], None]) -> None:
    """Every array that the format's own tool finds has the same numbers, in the same order, and so the same sum."""
    path = DATA / name
    if not path.is_file():
        skip_absent(f"{name} is not beside the checkout")
    program, told = TOOLS[detect_format(path)]
    if program:
        require(program)
    dataset = read(path)
    expected = {key: values for key, values in told(path, tmp_path) if not MADE_UP.fullmatch(key)}
    found = {str(key): variable.values.reshape(-1).astype("f8") for key, variable in dataset.variables.items()}

    assert {key: compute_sum(values) for key, values in found.items()} == {
        key: compute_sum(values) for key, values in expected.items()
    }
    assert all(np.array_equal(found[key], values, equal_nan=True) for key, values in expected.items())


def compute_sum(values: Array) -> float:
    """Return a sum that depends on every number, exact for integers; NaN is left out."""
    return float(np.nansum(values, dtype="f8"))


def read_by_hdp(path: Path, _folder: Path) -> Iterator[tuple[str, Array]]:
    for name, index in HDP_NAME.findall(run_tool("hdp", "dumpsds", "-h", path)):
        yield name, parse_numbers(run_tool("hdp", "dumpsds", "-d", "-i", index, path))


def read_by_h5dump(path: Path, folder: Path) -> Iterator[tuple[str, Array]]:
    for name in H5DUMP_NAME.findall(run_tool("h5dump", "-n", path)):
        file = folder / "numbers"  # h5dump prints commas between numbers, but none into a file if it is told so
        run_tool("h5dump", "-d", f"/{name}", "-y", "-w", "0", "-m", "%.17g", "-o", file, path)
        yield name, parse_numbers(file.read_text().replace(",", " "))


def read_by_ncdump(path: Path, _folder: Path) -> Iterator[tuple[str, Array]]:
    _, values = run_tool("ncdump", "-p", "9,17", path).split("\ndata:\n")
    for name, listed in CDL_ARRAY.findall(values):
        filled = listed.replace(",", " ").replace("_", "-9999.99")  # the _FillValue of all variables that have one
        yield name, parse_numbers(filled).astype("f4").astype("f8")


def read_by_tifffile(path: Path, _folder: Path) -> Iterator[tuple[str, Array]]:
    image = tifffile.imread(path)
    yield "image", image.reshape(-1)
    for axis, name in enumerate(("y", "x")):  # the file has no pixel sizes, so pixels are numbered
        yield name, np.arange(image.shape[axis])


TOOLS: Final[Mapping[str, tuple[str, Callable[[Path, Path], Iterator[tuple[str, Array]]]]]] = {
    "HDF4": ("hdp", read_by_hdp),
    "HDF5": ("h5dump", read_by_h5dump),
    "netCDF-3": ("ncdump", read_by_ncdump),
    "TIFF": ("", read_by_tifffile),
}


def run_tool(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def parse_numbers(text: str) -> Array:
    return np.fromstring(text, dtype="f8", sep=" ")
