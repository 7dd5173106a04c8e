"""The work per name, page and group does not depend on their number."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

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
    """Count the calls of functions, which do not depend on the load of the machine."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return calls


def _compute_excess(work: Callable[[int], int]) -> int:
    """Return the number of calls beyond twice as many, for twice as many names."""
    work(2 * FEW)  # imports, and caches that are never emptied
    return work(2 * FEW) - 2 * work(FEW)


@pytest.mark.parametrize("make", FILES)
def test_reading(make: Make, tmp_path: Path) -> None:
    """Reading twice as many names, pages or groups takes twice the work, not four times."""

    def work(count: int) -> int:
        path = tmp_path / f"file{count}"
        make(path, count)
        return _count_calls(lambda: read(path))

    assert _compute_excess(work) < FEW * FEW // 8


@pytest.mark.parametrize("make", [_write_colliding, _write_groups, _write_scales, _write_slashes, _write_various_pages])
@pytest.mark.parametrize("response", RESPONSES)
def test_responding(make: Make, response: str, tmp_path: Path) -> None:
    """Describing twice as many in each protocol, and encoding them in each format, takes twice the work."""

    def work(count: int) -> int:
        path = tmp_path / f"file{count}"
        make(path, count)
        dataset: Any = read(path).compute()
        return _count_calls(lambda: RESPONSES[response](dataset))

    assert _compute_excess(work) < FEW * FEW // 8
