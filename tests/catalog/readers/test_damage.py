"""Damaged files of every format: a result or a sentence, never a crash, a hang, or undetected wrong values.

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
from contextlib import chdir
from dataclasses import dataclass
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

from shotdap.catalog import Catalog, DirectoryArchive, Entry, Health, Sandbox, Unpacker, Unreadable
from shotdap.catalog.entry import FileInspection
from shotdap.catalog.inspection.check_file import inspect_file
from shotdap.catalog.readers import READERS, detect_format, find_content_path, read

Array = NDArray[Any]

CUTS, FLIPS = 200, 2_000
BATCH = 20  # damaged files in one isolated call
SECONDS = 20
SEED = 62328
ENDS = 1024  # bytes
MOST_GROWTH = 300 << 20  # bytes
LIMIT = 1 << 30  # bytes of unpacked files
RNG: Final = np.random.default_rng(12)
STACK: Final = RNG.integers(500, 700, (2, 40, 50)).astype("u2")  # compresses to half its size, like a camera's noise


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
        file["a/b/plain"] = STACK[0].astype(">f4")
        file["names"] = np.array(["one", "three"], h5py.string_dtype())
        time = file.create_dataset("time", data=np.arange(40) * 0.5)
        time.make_scale("time")
        file.create_dataset("summed", data=STACK[0], chunks=(20, 50), fletcher32=True).dims[0].attach_scale(time)
        file["summed"].attrs["units"] = "count"
        file.attrs["Unit"] = "P510_2"


def write_netcdf3(path: Path) -> None:
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        for name, size in (("time", None), ("y", 40), ("x", 50)):
            file.createDimension(name, size)
        file.createVariable("image", "i2", ("time", "y", "x"))[:] = STACK
        file.createVariable("other", "f4", ("time", "y"))[:] = STACK[:, :, 0]
        file["image"].units = "count"


def write_tiff(path: Path) -> None:
    tifffile.imwrite(path, STACK, resolution=(1000, 1000), resolutionunit=3)


def write_tiles(path: Path) -> None:
    tifffile.imwrite(path, STACK, compression="deflate", tile=(16, 32))


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
    "TIFF": write_tiff,
    "TIFF deflate": write_tiles,
    "PNG": lambda path: Image.fromarray(STACK[0]).save(path, "PNG"),
    "JPEG": lambda path: Image.fromarray(STACK[0].astype("u1")).save(path, "JPEG"),
    "JSON": write_json,
    "gzip": write_packed,
}


@dataclass(frozen=True)
class Damage:
    """Damage to a good file."""

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
    """The outcome of reading a damaged file."""

    kind: str
    """``read``, ``unreadable``, ``lost`` with its process, or ``raised``, which must not happen."""
    said: str
    found: FileInspection | None = None
    values: str = ""
    """The fingerprint of the values."""
    process: int = 0


def read_all_damaged(damages: Sequence[Damage], folder: Path) -> list[Outcome]:
    """Read each damaged file; called in isolation."""
    return [_read_damaged(damage, folder) for damage in damages]


def _read_damaged(damage: Damage, folder: Path) -> Outcome:
    path = folder / f"{os.getpid()}-{damage.good.name}-{damage.cut}-{damage.place}-{damage.change}"
    path.write_bytes(damage.apply())
    try:
        content = find_content_path(path, Unpacker(folder / "unpacked", LIMIT))
        return Outcome("read", "", inspect_file(path, content), compute_fingerprint(content), os.getpid())
    except Unreadable as error:
        return Outcome("unreadable", str(error))
    except MemoryError:
        return Outcome("unreadable", "It takes too much memory.")
    except Exception:  # noqa: BLE001 — the test shows every one of them
        return Outcome("raised", traceback.format_exc())
    finally:
        path.unlink()


def compute_fingerprint(content: Path) -> str:
    """Return a hash of all names, types, shapes and values."""
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
def isolation() -> Iterator[Sandbox]:
    isolation = Sandbox(seconds=SECONDS, memory=2 << 30, workers=2)
    yield isolation
    isolation.close()


@pytest.fixture(scope="module")
def good(folder: Path) -> dict[str, Path]:
    """Good files: one of every format, and the available real ones."""
    made = {name: folder / name.replace(" ", "_") for name in WRITERS}
    with chdir(folder):  # HDF4 stores the name under which a file was created, which would change its size
        for name, path in made.items():
            WRITERS[name](Path(path.name))
    images = (path for path in REAL.glob("*") if path.suffix in {".hdf", ".h5", ".tif"})
    return made | {path.name: path for path in sorted(images)}


@pytest.fixture(scope="module")
def right(good: dict[str, Path], folder: Path, isolation: Sandbox) -> dict[str, Outcome]:
    """Return the outcomes of the good files."""
    whole = [Damage(name, path, cut=True, place=path.stat().st_size) for name, path in good.items()]
    return dict(zip(good, isolation(read_all_damaged, whole, folder), strict=True))


@pytest.fixture(scope="module")
def damages(good: dict[str, Path]) -> list[Damage]:
    """The cuts and flips, a few of them in real files; every other flip is near an end of the file."""
    rng = random.Random(SEED)  # noqa: S311 — no secret
    size = {name: path.stat().st_size for name, path in good.items()}
    cuts = [Damage(name, good[name], cut=True, place=rng.randrange(size[name])) for name in choose_files(good, CUTS, 3)]
    return cuts + [
        Damage(name, good[name], cut=False, place=choose_place(size[name], rng), change=choose_change(rng))
        for name in choose_files(good, FLIPS, 6)
    ]


def choose_files(good: Mapping[str, Path], number: int, of_each_real: int) -> list[str]:
    """Return a number of names: each real file a few times, and the written ones in turn."""
    real = [name for name in good if name not in WRITERS] * of_each_real
    made = list(WRITERS)
    return real + [made[turn % len(made)] for turn in range(number - len(real))]


def choose_place(size: int, rng: random.Random) -> int:
    """Return a random place in the file, half of them near an end, where headers and directories are."""
    if rng.random() < 1 / 2:
        return rng.randrange(size)
    near = rng.randrange(min(size, ENDS))
    return near if rng.random() < 1 / 2 else size - 1 - near


def choose_change(rng: random.Random) -> int:
    """Return the bits to flip: one, or in half of the cases any."""
    return 1 << rng.randrange(8) if rng.random() < 1 / 2 else rng.randrange(1, 256)


@pytest.fixture(scope="module")
def outcomes(damages: list[Damage], folder: Path, isolation: Sandbox) -> list[tuple[Damage, Outcome]]:
    """Return the outcome of each damaged file; read it alone if reading many together failed."""
    parts = [damages[start : start + BATCH] for start in range(0, len(damages), BATCH)]
    before = measure_memory()
    calls = [isolation.start_call(read_all_damaged, part, folder) for part in parts]
    found: list[tuple[Damage, Outcome]] = []
    for part, call in zip(parts, calls, strict=True):
        try:
            together = isolation.wait_for_result(call)
        except Unreadable:
            together = [read_alone(damage, folder, isolation) for damage in part]
        found += zip(part, together, strict=True)

    assert measure_memory() - before < MOST_GROWTH
    return found


def read_alone(damage: Damage, folder: Path, isolation: Sandbox) -> Outcome:
    try:
        return isolation(read_all_damaged, [damage], folder)[0]
    except Unreadable as error:
        return Outcome("lost", str(error))


def measure_memory() -> int:
    """Return the bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_every_format_is_damaged(good: dict[str, Path], right: dict[str, Outcome]) -> None:
    """There is a file of every readable format, and it can be read."""
    assert {detect_format(path) for path in good.values()} >= {*READERS, "gzip"}
    assert {name: outcome.said for name, outcome in right.items() if outcome.kind != "read"} == {}


def test_answers(outcomes: list[tuple[Damage, Outcome]], record_property: Callable[[str, object], None]) -> None:
    """Every damaged file is read or called unreadable; crashes and hangs cost only an isolated process."""
    for kind, number in Counter(outcome.kind for _, outcome in outcomes).items():
        record_property(kind, number)

    assert len(outcomes) == CUTS + FLIPS
    assert [(damage, outcome.said) for damage, outcome in outcomes if outcome.kind == "raised"] == []
    assert all(outcome.said.endswith(".") for _, outcome in outcomes if outcome.kind != "read")
    assert os.getpid() not in {outcome.process for _, outcome in outcomes}


def test_cut_short(outcomes: list[tuple[Damage, Outcome]], right: dict[str, Outcome]) -> None:
    """A truncated file is refused, or has all its values."""
    read_anyway = [(damage, outcome.values) for damage, outcome in outcomes if damage.cut and outcome.kind == "read"]

    assert [damage for damage, values in read_anyway if values != right[damage.name].values] == []


def test_wrong_values_are_detected(
    outcomes: list[tuple[Damage, Outcome]], right: dict[str, Outcome], tmp_path: Path, isolation: Sandbox
) -> None:
    """If a damaged file returns other values without an error, the catalog warns of its changed hash."""
    wrong = [(d, o.found) for d, o in outcomes if o.found is not None and o.values != right[d.name].values]
    names = {damage.name for damage, _ in wrong}
    served = {
        name: find_warning([damage for damage, _ in wrong if damage.name == name], right[name], tmp_path, isolation)
        for name in names
    }

    assert wrong
    assert all(found.sha256 != get_sha256(right[damage.name]) for damage, found in wrong)
    assert {name: said for name, said in served.items() if "not those that were inspected" not in said} == {}


def get_sha256(outcome: Outcome) -> str:
    assert outcome.found is not None
    return outcome.found.sha256


def find_warning(damages: Sequence[Damage], right: Outcome, root: Path, isolation: Sandbox) -> str:
    """Return the catalog's warning about a damaged file whose good version it has inspected.

    The effect of a damaged file may depend on the content of memory: the first one that can be read again counts.
    """
    refused = ""
    for damage in damages:
        (root / damage.good.name).write_bytes(damage.apply())
        entry = Entry("image", damage.good.name, health=Health.OK, last_good_inspection=right.found)
        catalog = Catalog(DirectoryArchive(root), root, sandbox=isolation, unpacker=Unpacker(root / "unpacked", LIMIT))
        try:
            return str(catalog.image_from_entry(entry).open().attrs.get("integrity_warning", ""))
        except Unreadable as error:
            refused = str(error)
    return f"none of {len(damages)} could be read again: {refused}"
