"""The benchmarks run, with images and catalogs too small to measure anything."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import postgres

RUN = Path(__file__).resolve().parent.parent / "benchmarks" / "run.py"
SMALL = ("--rounds", "1", "--seconds", "0", "--shrink", "16", "--rows", "200")

pytestmark = pytest.mark.skipif(not RUN.exists(), reason="not a checkout: the benchmarks are not shipped")

# For each benchmark, some of its cases and their contenders.
CASES = {
    "serving": {
        "68 x 64 HDF4 deflated: 16 x 16, DAP2, 8 clients": ["shotdap", "pydap", "static bytes"],
        "128 x 128 HDF5 contiguous: full frame, DAP4, 1 client": ["shotdap", "static bytes"],
    },
    "subtraction": {
        "64 x 68 HDF4 contiguous": [
            "SQL tables (SQLite)",
            *(["SQL tables (PostgreSQL)"] if postgres.find_binaries() else []),
            "NumPy, frames in memory",
            "NumPy, from the file",
            "shotdap, from the file, opening it",
            "shotdap, from the file",
        ]
    },
    "zarr_reading": {
        "68 x 64 HDF4 deflated: zarr.json, 8 clients": ["shotdap", "a copy as static bytes"],
        "128 x 128 HDF5 contiguous: 16 x 16, by xarray": ["shotdap", "a copy as static bytes"],
    },
    "encoding": {
        "128 x 128 uint16: tiff": ["shotdap", "tifffile"],
        "128 x 128 float32: h5": ["shotdap", "h5py"],
        "128 x 128 uint16: png, 16 bits": ["shotdap", "Pillow"],
        "128 x 128 float32: json": ["shotdap"],
    },
    "exporting": {
        "export 12 images of 68 x 68 HDF5 contiguous, images": [
            "shotdap, 1 process without Dask",
            "Python loop",
            "shotdap, Dask, 1 worker",
            "shotdap, Dask, 2 workers",
        ]
    },
    "building": {"build a new catalog, rows": ["shotdap"], "list one shot": ["shotdap"]},
    "searching": {"search diagnostic:D07, first page": ["shotdap"], "start a server, until it answers": ["shotdap"]},
}


def run(*arguments: str) -> str:
    """Run the command; return its output."""
    environment = {**os.environ, "PYTHONPATH": str(RUN.parent.parent)}
    done = subprocess.run(
        [sys.executable, RUN, *arguments], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def list_contenders(rows: list[dict[str, Any]], case: str) -> list[str]:
    return [row["contender"] for row in rows if row["case"] == case]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all results, and the output; run once, because starting a process takes longest."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "printed").write_text(run(*SMALL, "--results", str(folder)))
    return folder


@pytest.mark.parametrize("name", CASES)
def test_runs(name: str, results: Path) -> None:
    """Each benchmark finds equal numbers, prints its table, and writes every row of it as JSON."""
    (path,) = results.glob(f"{name}-*.json")
    rows = json.loads(path.read_text())["rows"]
    lines = {line.strip() for line in (results / "printed").read_text().splitlines()}

    assert {case: list_contenders(rows, case) for case in CASES[name]} == CASES[name]
    assert {row["case"] for row in rows} <= lines
    assert all(row["runs"] >= 1 and 0 < row["median_ms"] <= row["p99_ms"] and row["speed"] > 0 for row in rows)


def test_an_unknown_name() -> None:
    """The error for an unknown name lists the known ones."""
    environment = {**os.environ, "PYTHONPATH": str(RUN.parent.parent)}
    done = subprocess.run(
        [sys.executable, RUN, "no_such"], check=False, capture_output=True, text=True, env=environment
    )

    assert done.returncode == 2
    assert "serving" in done.stderr
