"""Transforms take the working memory that they state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import xarray as xr
from tests.transforms import large

from shotdap.transforms import (
    TRANSFORMS,
    Recipe,
    WorkingMemory,
    add_variables,
    bytes_read,
    create_recipe,
    working_memory,
)
from shotdap.transforms.testing import measure_peak_memory
from shotdap.transforms.virtual import array
from shotdap.transforms.virtual.footprint import BLOCK_BYTES

ROOT: Final = Path(__file__).resolve().parents[2]
NOISE: Final = 4 << 20  # bytes of the process itself: heap pages that are used for the first time
CLEARS: Final = Path("/proc/self/clear_refs")


@pytest.mark.skipif(not CLEARS.exists(), reason="only Linux tells the peak of a process's memory")
def test_large_image() -> None:
    """On an image of 2048 x 2048 pixels each transform takes no more than it states; all are printed as a table."""
    environment = {**os.environ, **large.ENVIRONMENT}
    command = [sys.executable, "-W", "ignore", "-m", large.__name__]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    print(f"{'transform':30}{'taken':>10}{'stated':>10}{'result':>10}  MiB")  # noqa: T201 — the table
    for each in found:
        sizes = "".join(f"{each[key] / 2**20:10.1f}" for key in ("peak", "stated", "result"))
        print(f"{each['name']:30}{sizes}")  # noqa: T201 — likewise

    assert [each["name"] for each in found] == [*TRANSFORMS], done.stderr
    assert {each["name"]: each["peak"] for each in found if each["peak"] > each["stated"] + NOISE} == {}


def make_image(rows: int, columns: int, frames: int = 1) -> xr.Dataset:
    """Return an image, or several, with a few missing pixels."""
    rng = np.random.default_rng(0)
    values = rng.normal(1000, 30, (frames, rows, columns)).astype("f4")
    values[rng.random(values.shape) < 1e-3] = np.nan
    return xr.Dataset({"image": (("frame", "y", "x"), values), "background": (("y", "x"), values[0] / 3)})


LOCAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "median_filter": {"size": 5},
    "morphological_filter": {"operation": "both"},
    "subtract_background": {"smooth": 2},
    "bin_pixels": {"rows": 3, "columns": 2},
    "rotate_flip": {"rotation": 90, "flip": "y"},
    "crop": {"rows": (5, 90), "columns": (3, 70)},
    "lineout": {"first": 4, "last": 60},
    "row_mean": {},
    "square_root": {},
}


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("part", [(slice(None),) * 3, (1, slice(3, 30, 4), slice(2, 31)), (slice(1), slice(7, 8), 5)])
def test_blocks_give_the_same(name: str, part: tuple[slice | int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Results in blocks equal the result of the whole, to the bit."""
    transform = TRANSFORMS[name]
    recipe = Recipe("made", transform, transform.inputs, LOCAL[name])
    dataset = make_image(100, 80, frames=3)
    key = part[-add_variables(dataset, [recipe], chunked=False).made.ndim :]
    at_once = add_variables(dataset, [recipe], chunked=False).made.variable[key].values
    monkeypatch.setattr(array, "BLOCK_BYTES", transform.memory.estimate_bytes(900))
    in_blocks = add_variables(dataset, [recipe], chunked=False).made.variable[key].values

    np.testing.assert_array_equal(in_blocks, at_once)


def test_blocks_bound_memory() -> None:
    """A virtual variable that needs its neighbours takes its inputs, its result, and one block."""
    dataset = make_image(2000, 2500, frames=2)
    recipe = Recipe("made", TRANSFORMS["photostimulated_luminescence"], ("image",))
    made = add_variables(dataset, [recipe], chunked=False).made
    values = dataset.image.nbytes

    assert recipe.transform.memory.estimate_bytes(dataset.image.size) > BLOCK_BYTES
    assert measure_peak_memory(lambda: made.variable[:].values) <= values + made.nbytes + BLOCK_BYTES
    assert (bytes_read(made.variable), working_memory(made.variable)) == (0, 0)


def test_chain() -> None:
    """A chain takes as much as its most expensive transform, because each ends before the next begins."""
    dataset = make_image(30, 40)
    chain = [
        create_recipe("phase", "visar_phase", ["image"]),
        create_recipe("smooth", "median_filter", ["phase"]),
        create_recipe("scaled", "normalise", ["smooth"]),
    ]
    made = add_variables(dataset, chain, chunked=False)
    costs = {name: working_memory(made[name].variable[:, :2]) for name in ("phase", "smooth", "scaled")}
    phase, normalise = (TRANSFORMS[name].memory.estimate_bytes(30 * 40) for name in ("visar_phase", "normalise"))

    assert costs == {"phase": phase, "smooth": phase, "scaled": max(phase, normalise)}


def test_a_small_result_keeps_no_large_array() -> None:
    """A small result that is a view of a large array is copied, because it would keep the large array in memory."""
    recipe = create_recipe("row", "crop", ["image"], {"rows": (3, 3)})
    row = add_variables(make_image(100, 80), [recipe], chunked=False).row.variable[:].values

    assert row.base is None or row.base.nbytes <= 2 * row.nbytes


def test_statement() -> None:
    """The stated memory per pixel is multiplied, and the fixed memory is added."""
    assert WorkingMemory(2.5, fixed=100).estimate_bytes(3) == 108
