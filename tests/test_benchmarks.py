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
SMALL = ("--rounds", "1", "--seconds", "0", "--shrink", "16", "--rows", "200", "--scene", "0.2", "--files", "12")

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

# For each scenario, one of its cases with one of its figures.
SCENARIOS = {
    "faults": ("folder mode, quiet", "warm: p99"),
    "damage": ("catalog mode, 12 damaged files", "wrong responses"),
    "pressure": ("90 expensive connections, 1 worker", "a worker's memory, peak"),
    "memory": ("8 clients, 2 workers", "a worker after it, allocated"),
    "tails": ("256 x 256, DAP2, 1 worker", "beside 4 full frames, DAP4: p99"),
    "pages": ("a shot with 31 images", "median"),
    "cold_shots": ("6 cold shots, contiguous HDF5", "share of the bare readers' speed"),
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command, which imports modules of the tests."""
    paths = filter(None, (str(RUN.parent.parent), os.environ.get("PYTHONPATH")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, RUN, *arguments], check=False, capture_output=True, text=True, env=environment
    )


def list_contenders(rows: list[dict[str, Any]], case: str) -> list[str]:
    return [row["contender"] for row in rows if row["case"] == case]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all results, and the output; run once, because starting a process takes longest."""
    folder = tmp_path_factory.mktemp("results")
    done = run(*SMALL, "--results", str(folder))
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
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


@pytest.mark.parametrize("name", SCENARIOS)
def test_plays(name: str, results: Path) -> None:
    """Each scenario runs to its end, prints its figures and writes them as JSON, whether or not the goals are met."""
    (path,) = results.glob(f"{name}-*.json")
    rows = json.loads(path.read_text())["rows"]
    case, figure = SCENARIOS[name]

    assert [row["value"] >= 0 for row in rows if (row["case"], row["name"]) == (case, figure)] == [True]
    assert case in (results / "printed").read_text().splitlines()


def test_an_unknown_name() -> None:
    """The error for an unknown name lists the known ones."""
    done = run("no_such")

    assert done.returncode == 2
    assert "serving" in done.stderr
