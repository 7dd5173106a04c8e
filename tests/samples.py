"""Files with one of everything: every type of number, odd names, odd attributes, empty arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray
from pyhdf.SD import SD, SDC

__all__ = [
    "ATTRIBUTES",
    "HDF4_TYPES",
    "HDF5_TYPES",
    "ODD_NAMES",
    "PACKED",
    "UNPACKED",
    "make_extremes",
    "name_array",
    "write_hdf4",
    "write_hdf5",
    "write_image",
]

HDF5_TYPES: Final = tuple(
    f"{order}{kind}"
    for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
    for order in ("<>" if kind[1] != "1" else "|")
)
HDF4_TYPES: Final = {
    "i1": SDC.INT8,
    "u1": SDC.UINT8,
    "i2": SDC.INT16,
    "u2": SDC.UINT16,
    "i4": SDC.INT32,
    "u4": SDC.UINT32,
    "f4": SDC.FLOAT32,
    "f8": SDC.FLOAT64,
}
SHAPE: Final = (3, 5)

PACKED: Final = np.array([[0, 1, 2], [40000, 65534, 65535]], "u2")
UNPACKED: Final = np.array([[10, 10.5, 11], [20010, 32777, np.nan]])
"""`PACKED`, decoded by its scale factor, offset and fill value."""
PACKING: Final[dict[str, Any]] = {
    "scale_factor": np.float32(0.5),
    "add_offset": np.float32(10),
    "_FillValue": np.uint16(65535),
}
ODD_NAMES: Final = ("a b", "a_b", "a.b", "7 µm [x;y]", "%41", "größe")
ATTRIBUTES: Final[dict[str, Any]] = {
    "not_a_number": np.nan,
    "infinite": np.float32(-np.inf),
    "a_tenth": np.float32(0.1),
    "quotes": 'say "so" & <this>',
    "backslash": r"C:\new\table",
    "lines": "one\ntwo",
    "no_text": "",
    "texts": ["one", "two"],
    "great": np.int64(2**60),
    "unsigned": np.uint32(2**32 - 1),
    "many": np.arange(5, dtype="u1"),
}
"""Attributes that every client shows unchanged, except a few that `test_every` names."""


def make_extremes(kind: str) -> NDArray[Any]:
    """Return numbers of one type, including its extremes, and NaN and infinities of floats."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        special = [np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).max, np.finfo(dtype).tiny]
        return np.resize(np.array([*special, 0.1, 1 / 3, 1e6], dtype), SHAPE)
    info = np.iinfo(dtype)
    return np.resize(np.array([info.min, info.max, 0, 1, info.max // 2, 77], dtype), SHAPE)


def write_hdf5(path: Path) -> None:
    """Write an HDF5 file with one of everything."""
    with h5py.File(path, "w") as file:
        numbers = file.create_group("numbers", track_order=True)
        numbers.attrs["purpose"] = "one array of every type"
        for kind in HDF5_TYPES:
            numbers[name_array(kind)] = make_extremes(kind)
        numbers.create_dataset("deflated", data=make_extremes(">i4"), chunks=(2, 5), compression="gzip")
        numbers["flags"] = np.array([True, False, True])
        _write_texts(file)
        _write_empty(file)
        _write_names(file)
        _write_attributes(file)
        packed = file.create_dataset("packed", data=PACKED)
        packed.attrs.update(PACKING)


def name_array(kind: str) -> str:
    """Return the name of the array of a type: ``big_u2``."""
    return {"<": "little_", ">": "big_", "|": ""}[kind[0]] + kind[1:]


def _write_texts(file: h5py.File) -> None:
    file["text/fixed"] = np.array([b"one", b"three", b""])
    file["text/varying"] = ["short", "x" * 100, 'quoted "so"']
    file["text/alone"] = "a scalar"
    file["number_alone"] = np.int16(-7)
    file["byte_alone"] = np.uint8(200)


def _write_empty(file: h5py.File) -> None:
    """Write arrays without elements, and types that no protocol can represent."""
    file["nothing/empty"] = np.empty((0, 4), "f4")
    file["nothing/null"] = h5py.Empty("f4")
    file["nothing/compound"] = np.zeros(3, [("x", "f4"), ("y", "i2")])
    file["nothing/complex"] = np.zeros(3, "c8")


def _write_names(file: h5py.File) -> None:
    """Write arrays whose names are no identifiers; two of them would become the same identifier."""
    for number, name in enumerate(ODD_NAMES):
        file[f"names/{name}"] = np.int32(number)


def _write_attributes(file: h5py.File) -> None:
    file["attributed"] = np.arange(4, dtype="i2")
    file["attributed"].attrs.update(ATTRIBUTES)
    file["attributed"].attrs["truth"] = "True"
    file["attributed"].attrs["no_values"] = np.empty(0, "i4")
    file["attributed"].attrs["length in µm"] = "µm"
    file["attributed"].attrs["reference"] = file["attributed"].ref


def write_hdf4(path: Path) -> None:
    """Write an HDF4 file with every type of HDF4."""
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    for kind, number_type in HDF4_TYPES.items():
        sds = file.create(kind, number_type, SHAPE)
        sds[:] = make_extremes(kind)
        sds.endaccess()
    odd = file.create("odd name (1)", SDC.INT16, (4,))
    odd[:] = np.arange(4, dtype="i2")
    odd.units = "counts/s"
    odd.endaccess()
    packed = file.create("packed", SDC.UINT16, PACKED.shape)
    packed[:] = PACKED
    packed.attr("scale_factor").set(SDC.FLOAT32, 0.5)
    packed.attr("add_offset").set(SDC.FLOAT32, 10)
    packed.setfillvalue(65535)
    packed.endaccess()
    file.end()


def write_image(path: Path, frames: NDArray[np.uint16]) -> None:
    """Write an HDF5 file in a camera's layout: the frame of the shot and the background frame in one array."""
    with h5py.File(path, "w") as file:
        file["Streak_array"] = frames
