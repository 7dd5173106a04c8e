"""Damaged files of every format: an answer or a sentence, never a crash, a hang, or a wrong picture that no one notices.

Strategy: good files, small ones of every format and a few real ones, are cut short in 200 places and have 2,000 bytes
changed, one at a time, by fixed seeds. Each damaged copy is examined in an isolated process. Many go there in one call;
where a call does not come back, its files are tried again one by one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any, Final

import h5py
import netCDF4
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from tests.catalog.readers.hdf4_writer import DEFLATE, RLE, SKPHUFF, Layout, rasters, sds_file
from tests.conftest import REAL

from shotdap.catalog import Catalog, Entry, Folder, Isolation, Unpacker, Unreadable
from shotdap.catalog.entry import Examination
from shotdap.catalog.examination import digest, examine
from shotdap.catalog.readers import READERS, read, sniff, unpacked

Array = NDArray[Any]

CUTS, FLIPS = 200, 2_000
REAL_CUTS, REAL_FLIPS = 3, 5  # of each real file
BATCH = 20  # damaged files in one isolated call
SECONDS = 20
MOST_GROWTH = 300 << 20  # bytes
LIMIT = 1 << 30  # bytes of unpacked files
RNG: Final = np.random.default_rng(12)
STACK: Final = RNG.integers(500, 700, (2, 40, 50)).astype("u2")  # packs by half, as a camera's noise does


def write_hdf4(path: Path) -> None:
    with sds_file(path) as file:
        file.put("Streak_array", STACK, Layout(DEFLATE, 6, chunk=(1, 20, 50)))
        file.put("whole", STACK, Layout(DEFLATE, 6))
        file.put("runs", STACK // 64, Layout(RLE))
        file.put("rare", STACK, Layout(SKPHUFF, 2))
        file.put("plain", STACK[0].astype("f4"))


def write_raster(path: Path) -> None:
    with rasters(path) as file:
        file.put("picture", STACK[0, :, :48].reshape(40, 16, 3).astype("u1"), coder=DEFLATE)
        file.put("grey", STACK[0, :, :, np.newaxis].astype("u1"), palette=np.zeros((256, 3), "u1"))


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("Streak_array", data=STACK, chunks=(1, 20, 50), compression="gzip", shuffle=True)
        file.create_dataset("summed", data=STACK[0], chunks=(20, 50), fletcher32=True)
        file["a/b/plain"] = STACK[0].astype(">f4")
        file["names"] = np.array(["one", "three"], h5py.string_dtype())
        file["time"] = np.arange(40) * 0.5
        file["time"].make_scale("time")
        file["summed"].dims[0].attach_scale(file["time"])
        file["summed"].attrs["units"] = "count"
        file.attrs["Unit"] = "P510_2"


def write_netcdf3(path: Path) -> None:
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        for name, size in (("time", None), ("y", 40), ("x", 50)):
            file.createDimension(name, size)
        file.createVariable("image", "i2", ("time", "y", "x"))[:] = STACK
        file.createVariable("other", "f4", ("time", "y"))[:] = STACK[:, :, 0]
        file["image"].units = "count"


def write_json(path: Path) -> None:
    document = {"shot": 62328, "camera": {"data": STACK[0].tolist(), "units": "count"}, "note": "größe"}
    path.write_text(json.dumps(document))


def write_packed(path: Path) -> None:
    write_hdf4(path)
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


WRITERS: Final[Mapping[str, Callable[[Path], None]]] = {
    "HDF4": write_hdf4,
    "HDF4 raster": write_raster,
    "HDF5": write_hdf5,
    "netCDF-3": write_netcdf3,
    "TIFF": lambda path: tifffile.imwrite(path, STACK, resolution=(1000, 1000), resolutionunit=3),
    "TIFF deflate": lambda path: tifffile.imwrite(path, STACK, compression="deflate", tile=(16, 32)),
    "PNG": lambda path: Image.fromarray(STACK[0]).save(path, "PNG"),
    "JPEG": lambda path: Image.fromarray(STACK[0].astype("u1")).save(path, "JPEG"),
    "JSON": write_json,
    "gzip": write_packed,
}


@dataclass(frozen=True)
class Damage:
    """What is done to a good file."""

    name: str
    good: Path
    cut: bool
    place: int
    change: int = 0

    def apply(self) -> bytes:
        content = bytearray(self.good.read_bytes())
        if self.cut:
            return bytes(content[: self.place])
        content[self.place] ^= self.change
        return bytes(content)


@dataclass(frozen=True)
class Outcome:
    """What became of a damaged file."""

    kind: str
    """``read``, ``unreadable``, ``lost`` with its process, or ``raised``: what must not be."""
    said: str
    found: Examination | None = None
    values: str = ""


def tried(damages: Sequence[Damage], folder: Path) -> list[Outcome]:
    """What becomes of each damaged file; called in isolation."""
    return [_tried(damage, folder) for damage in damages]


def _tried(damage: Damage, folder: Path) -> Outcome:
    path = folder / f"{os.getpid()}-{damage.good.name}-{damage.cut}-{damage.place}-{damage.change}"
    path.write_bytes(damage.apply())
    try:
        content = unpacked(path, Unpacker(folder / "unpacked", LIMIT))
        return Outcome("read", "", examine(path, content), fingerprint(content))
    except Unreadable as error:
        return Outcome("unreadable", str(error))
    except MemoryError:
        return Outcome("unreadable", "It takes too much memory.")
    except Exception:  # noqa: BLE001 — the test shows every one of them
        return Outcome("raised", traceback.format_exc())
    finally:
        path.unlink()


def fingerprint(content: Path) -> str:
    """A hash of all names, types, shapes and values."""
    found = hashlib.sha256()
    for name, variable in read(content).variables.items():
        values = np.ascontiguousarray(variable.values)
        found.update(f"{name} {values.dtype} {values.shape}".encode())
        found.update(repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.fixture(scope="module")
def isolation() -> Iterator[Isolation]:
    isolation = Isolation(seconds=SECONDS, memory=2 << 30, workers=2)
    yield isolation
    isolation.close()


@pytest.fixture(scope="module")
def good(folder: Path) -> dict[str, Path]:
    """Good files: one of every format, and the real ones that are there."""
    made = {name: folder / name.replace(" ", "_") for name in WRITERS}
    for name, path in made.items():
        WRITERS[name](path)
    images = (path for path in REAL.glob("*") if path.suffix in {".hdf", ".h5", ".tif"})
    return made | {path.name: path for path in sorted(images)}


@pytest.fixture(scope="module")
def damages(good: dict[str, Path]) -> list[Damage]:
    """So many cuts and flips in all, a few of them in real files."""
    rng = random.Random(62328)  # noqa: S311 — no secret
    real = [name for name in good if name not in WRITERS]
    names = list(WRITERS)
    cut = [name for name in real for _ in range(REAL_CUTS)]
    cut += [names[turn % len(names)] for turn in range(CUTS - len(cut))]
    flipped = [name for name in real for _ in range(REAL_FLIPS)]
    flipped += [names[turn % len(names)] for turn in range(FLIPS - len(flipped))]
    size = {name: path.stat().st_size for name, path in good.items()}
    return [Damage(name, good[name], cut=True, place=rng.randrange(size[name])) for name in cut] + [
        Damage(name, good[name], cut=False, place=rng.randrange(size[name]), change=rng.randrange(1, 256))
        for name in flipped
    ]


@pytest.fixture(scope="module")
def outcomes(damages: list[Damage], folder: Path, isolation: Isolation) -> list[tuple[Damage, Outcome]]:
    """What became of each damaged file; the second time alone, where many together did not come back."""
    parts = [list(part) for part in batched(damages, BATCH)]
    before = memory()
    calls = [isolation.start(tried, part, folder) for part in parts]
    found: list[tuple[Damage, Outcome]] = []
    for part, call in zip(parts, calls, strict=True):
        try:
            found += zip(part, isolation.outcome(call), strict=True)
        except Unreadable:
            found += [(damage, alone(damage, folder, isolation)) for damage in part]

    assert memory() - before < MOST_GROWTH
    return found


def alone(damage: Damage, folder: Path, isolation: Isolation) -> Outcome:
    try:
        return isolation(tried, [damage], folder)[0]
    except Unreadable as error:
        return Outcome("lost", str(error))


def memory() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_every_format_is_damaged(good: dict[str, Path]) -> None:
    """There is a file of every format that is read."""
    assert {sniff(path) for path in good.values()} >= {*READERS, "gzip"}


def test_answers(outcomes: list[tuple[Damage, Outcome]], record_property: Callable[[str, object], None]) -> None:
    """Every damaged file is read or said to be unreadable; what crashes or hangs costs an isolated process only."""
    raised = [(damage, outcome.said) for damage, outcome in outcomes if outcome.kind == "raised"]
    for kind, number in Counter(outcome.kind for _, outcome in outcomes).items():
        record_property(kind, number)

    assert len(outcomes) == CUTS + FLIPS
    assert raised == []
    assert all(outcome.said.endswith(".") for _, outcome in outcomes if outcome.kind != "read")


def test_wrong_values_are_told(
    good: dict[str, Path], outcomes: list[tuple[Damage, Outcome]], folder: Path, isolation: Isolation
) -> None:
    """Where a damaged file gives other values without an error, its hash is not the one that the catalog has."""
    hashes = {name: digest(path) for name, path in good.items()}
    right = {name: isolation(tried, [Damage(name, path, cut=True, place=path.stat().st_size)], folder)[0].values
             for name, path in good.items()}  # fmt: skip
    wrong = [(damage, outcome.found) for damage, outcome in outcomes if outcome.values not in {"", right[damage.name]}]

    assert wrong
    assert all(found and found.sha256 != hashes[damage.name] for damage, found in wrong)


def test_cut_files_are_never_wrong(good: dict[str, Path], outcomes: list[tuple[Damage, Outcome]]) -> None:
    """A file that was cut short and is read all the same has all its arrays with their shapes."""
    shapes = {name: len(read(path).variables) for name, path in good.items() if name != "gzip"}
    read_anyway = [(damage, outcome.found) for damage, outcome in outcomes if damage.cut and outcome.found]

    assert all(found and len(found.structure) == shapes[damage.name] for damage, found in read_anyway)
