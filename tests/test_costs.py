"""The work per name, page and group does not depend on their number."""

from __future__ import annotations

import json
from collections.abc import Callable
from cProfile import Profile
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Final, TypeVar

import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr
from scipy.io import netcdf_file

from shotdap.catalog.readers import read
from shotdap.server.encoders.formats import FORMATS
from shotdap.server.pictures.levels import Display
from shotdap.server.protocols import dap2, dap4
from shotdap.server.protocols.zarr import Hierarchy, ZarrOptions
from shotdap.transforms import Selection

FEW: Final = 50
Make = Callable[[Path, int], object]
Prepared = TypeVar("Prepared")


def _write_colliding(path: Path, count: int) -> None:
    """Write arrays and attributes whose names differ in characters that no client accepts."""
    letters = [chr(0x100 + number) for number in range(16)]
    names = ["".join(word) for word, _ in zip(product(letters, repeat=3), range(count), strict=False)]
    with h5py.File(path, "w") as file:
        for name in names:
            file.create_dataset(f"x{name}", data=np.int16(1))
            file.create_dataset(f"t{name}", data="text")
            file.attrs[f"a{name}"] = np.int16(1)


def _write_groups(path: Path, count: int) -> None:
    with h5py.File(path, "w") as file:
        for number in range(count):
            group = file.create_group(f"g{number}")
            group.attrs["units"] = "J"
            group.create_dataset("values", data=np.arange(2))


def _write_scales(path: Path, count: int) -> None:
    with h5py.File(path, "w") as file:
        for number in range(count):
            scale = file.create_dataset(f"d{number}", data=np.arange(2))
            scale.make_scale()
            file.create_dataset(f"v{number}", data=np.ones(2)).dims[0].attach_scale(scale)


def _write_slashes(path: Path, count: int) -> None:
    """Write attributes whose names differ in slashes, which become underscores."""
    with h5py.File(path, "w", libver="latest") as file:
        array = file.create_dataset("values", data=np.arange(2))
        for word, _ in zip(product("/_", repeat=10), range(count), strict=False):
            array.attrs["x".join(word)] = np.int16(1)


def _write_pages(path: Path, count: int) -> None:
    with tifffile.TiffWriter(path) as file:
        for _ in range(count):
            file.write(np.zeros((4, 4), "u2"), metadata=None, contiguous=False)


def _write_various_pages(path: Path, count: int) -> None:
    with tifffile.TiffWriter(path) as file:
        for number in range(count):
            file.write(np.zeros((4, 4 + number % 3), "u2"), metadata=None, subfiletype=number % 2, compression="zlib")


def _write_netcdf3(path: Path, count: int) -> None:
    with netcdf_file(path, "w", version=2) as file:
        for number in range(count):
            file.createDimension(f"d{number}", 2)
            file.createVariable(f"v.{number}", "i2", (f"d{number}",))[:] = 1


def _write_document(path: Path, count: int) -> None:
    path.write_text(json.dumps({f"x{chr(0x100 + number)}": [0] * 40 for number in range(count)}), "utf-8")


FILES: Final = (
    _write_colliding,
    _write_groups,
    _write_scales,
    _write_slashes,
    _write_pages,
    _write_various_pages,
    _write_netcdf3,
    _write_document,
)


def _encode_documents(dataset: xr.Dataset) -> None:
    hierarchy = Hierarchy(dataset, ZarrOptions())
    for key in hierarchy.iter_keys():
        hierarchy.get_document(key)


def _encode_das(dataset: xr.Dataset) -> None:
    adapted = dap2.adapt_dataset(dataset)
    dap2.render_das(adapted)
    dap2.render_dds(adapted, "image")


def _encode(name: str, dataset: xr.Dataset) -> object:
    return FORMATS[name].encode(dataset, Display())


RESPONSES: Final[dict[str, Callable[[xr.Dataset], object]]] = {
    "dap2": _encode_das,
    "dap4": lambda dataset: dap4.render_dmr(dataset, "image", Selection()),
    "zarr": _encode_documents,
    **{name: partial(_encode, name) for name in ("nc", "nc4", "h5", "mat", "json", "npz")},
}


def _count_calls(action: Callable[[], object]) -> int:
    """Count the calls of functions, Python's and C's, which do not depend on the load of the machine."""
    profile = Profile()
    profile.runcall(action)
    return sum(entry.callcount for entry in profile.getstats())


def _compute_excess(act: Callable[[Prepared], object], prepare: Callable[[int], Prepared]) -> int:
    """Return the number of calls beyond twice as many, for twice as many names; preparing is not counted."""
    act(prepare(2 * FEW))  # imports, and caches that are never emptied
    few, twice_as_many = prepare(FEW), prepare(2 * FEW)
    return _count_calls(partial(act, twice_as_many)) - 2 * _count_calls(partial(act, few))


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Make, int], Path]:
    """A function that returns the path of a file, which it has written once."""

    @cache
    def write(make: Make, count: int) -> Path:
        path = tmp_path_factory.mktemp("costs") / f"file{count}"
        make(path, count)
        return path

    return write


@pytest.fixture(scope="module")
def load(write: Callable[[Make, int], Path]) -> Callable[[Make, int], xr.Dataset]:
    """A function that returns a copy of the content of such a file, which it has read once."""
    read_once = cache(lambda make, count: read(write(make, count)).compute())
    return lambda make, count: read_once(make, count).copy()


@pytest.mark.parametrize("make", FILES)
def test_reading(make: Make, write: Callable[[Make, int], Path]) -> None:
    """Reading twice as many names, pages or groups takes twice the work, not four times."""
    assert _compute_excess(read, partial(write, make)) < FEW * FEW // 8


@pytest.mark.parametrize("make", [_write_colliding, _write_groups, _write_scales, _write_slashes, _write_various_pages])
@pytest.mark.parametrize("response", RESPONSES)
def test_responding(make: Make, response: str, load: Callable[[Make, int], xr.Dataset]) -> None:
    """Describing twice as many in each protocol, and encoding them in each format, takes twice the work."""
    assert _compute_excess(RESPONSES[response], partial(load, make)) < FEW * FEW // 8
