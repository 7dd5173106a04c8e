"""Images into files: HDF4 as the cameras write it, HDF5 as the archive's portal converts it.

Neither writer leaves a trace of when or where it ran: the same image gives the same bytes.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
from pyhdf.SD import SD, SDC, SDim

from shotdap.catalog.readers.hdf4 import library

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from shotdap.server.demo.image_content import Attribute, Scale, SyntheticImage, Variable
    from shotdap.server.demo.shot_list import Container

DEFLATE_LEVEL: Final = 4  # the real files have 7, which packs no better and takes four times as long


def write_image(path: Path, image: SyntheticImage, container: Container) -> None:
    """Write an image to a new file, or over an old one; the folder must be there."""
    WRITERS[container](path, image)


def write_hdf4(path: Path, image: SyntheticImage) -> None:
    """Write an image as HDF4 scientific datasets; the library names their dimensions ``fakeDim0``, ``fakeDim1``, …."""
    stored = _make_padded_name(path)
    with library.LOCK:
        file = SD(stored, SDC.WRITE | SDC.CREATE | SDC.TRUNC)
        try:
            _write_hdf4_attributes(file, image.attributes)
            for variable in image.variables:
                _write_hdf4_variable(file, variable)
        finally:
            file.end()
    _remove_stored_name(path, stored)


_HDF4_TYPES: Final[Mapping[np.dtype[Any], int]] = {
    np.dtype(np.uint8): SDC.UINT8,
    np.dtype(np.int16): SDC.INT16,
    np.dtype(np.uint16): SDC.UINT16,
    np.dtype(np.int32): SDC.INT32,
    np.dtype(np.uint32): SDC.UINT32,
    np.dtype(np.float32): SDC.FLOAT32,
    np.dtype(np.float64): SDC.FLOAT64,
}
_NAME_LENGTH: Final = 512  # bytes


def _make_padded_name(path: Path) -> str:
    """Name a file at a fixed length, by repeated slashes: HDF4 keeps the name it was created under."""
    folder, name = os.fspath(path.parent.resolve()), path.name
    return folder + "/" * max(1, _NAME_LENGTH - len(os.fsencode(folder + name))) + name


def _remove_stored_name(path: Path, stored: str) -> None:
    name = os.fsencode(stored)
    path.write_bytes(path.read_bytes().replace(name, b"synthetic".ljust(len(name), b"\0"), 1))


def _write_hdf4_variable(file: SD, variable: Variable) -> None:
    dataset = file.create(variable.name, _HDF4_TYPES[variable.values.dtype], variable.values.shape)
    try:
        if variable.chunks:
            library.set_chunks(dataset._id or 0, variable.chunks, DEFLATE_LEVEL)  # noqa: SLF001 - pyhdf sets none
        dataset[:] = variable.values
        _write_hdf4_attributes(dataset, variable.attributes)
        for axis, scale in enumerate(variable.scales):
            _write_hdf4_scale(dataset.dim(axis), scale)
    finally:
        dataset.endaccess()


def _write_hdf4_scale(dimension: SDim, scale: Scale) -> None:
    dimension.setscale(_HDF4_TYPES[scale.values.dtype], scale.values.tolist())
    dimension.setstrs("", scale.units, "")


def _write_hdf4_attributes(owner: Any, attributes: Mapping[str, Attribute]) -> None:  # noqa: ANN401 - pyhdf has no types
    for name, value in attributes.items():
        if isinstance(value, str):
            owner.attr(name).set(SDC.CHAR8, value)
        else:
            owner.attr(name).set(_HDF4_TYPES[value.dtype], value.tolist())


def write_hdf5(path: Path, image: SyntheticImage) -> None:
    """Write an image as the portal's HDF5: big-endian, each dimension scaled by a ``fakeDim`` dataset of zeros.

    A variable with scales of its own has them as ``<variable>_<axis>``.
    """
    with h5py.File(path, "w") as file:
        _write_hdf5_attributes(file, image.attributes)
        zeros: dict[int, h5py.Dataset] = {}
        numbers = count()
        for variable in image.variables:
            dataset = _write_hdf5_variable(file, variable)
            for axis, scale in enumerate(variable.scales):
                dataset.dims[axis].attach_scale(_write_hdf5_scale(file, f"{variable.name}_{axis}", scale))
            for axis, size in enumerate(() if variable.scales else dataset.shape):
                number = next(numbers)  # every dimension is counted; those of one size share the first's scale
                if size not in zeros:
                    zeros[size] = _create_zero_scale(file, number, size)
                dataset.dims[axis].attach_scale(zeros[size])


def _write_hdf5_variable(file: h5py.File, variable: Variable) -> h5py.Dataset:
    packed = (
        {"chunks": variable.chunks, "compression": "gzip", "compression_opts": DEFLATE_LEVEL} if variable.chunks else {}
    )
    big_endian = variable.values.dtype.newbyteorder(">")
    dataset = file.create_dataset(variable.name, data=variable.values, dtype=big_endian, **packed)
    _write_hdf5_attributes(dataset, variable.attributes)
    return dataset


def _write_hdf5_scale(file: h5py.File, name: str, scale: Scale) -> h5py.Dataset:
    dataset = file.create_dataset(name, data=scale.values, dtype=scale.values.dtype.newbyteorder(">"))
    dataset.make_scale()
    _write_text_attribute(dataset, "units", scale.units.encode("ascii"))
    return dataset


def _create_zero_scale(file: h5py.File, number: int, size: int) -> h5py.Dataset:
    scale = file.create_dataset(f"fakeDim{number}", (size,), np.int32)
    scale.make_scale("This is a netCDF dimension but not a netCDF variable.")
    return scale


def _write_hdf5_attributes(owner: h5py.HLObject, attributes: Mapping[str, Attribute]) -> None:
    for name, value in attributes.items():
        if isinstance(value, str):
            _write_text_attribute(owner, name, value.encode("ascii"))
        else:
            owner.attrs.create(name, value, dtype=value.dtype.newbyteorder(">"))


def _write_text_attribute(owner: h5py.HLObject, name: str, text: bytes) -> None:
    """Put a text of fixed length that calls itself null-terminated and has no room for the null, as the real ones."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(max(1, len(text)))
    attribute = h5py.h5a.create(owner.id, name.encode(), kind, h5py.h5s.create(h5py.h5s.SCALAR))
    attribute.write(np.array(text, dtype="S"), mtype=kind)


WRITERS: Final[Mapping[Container, Callable[[Path, SyntheticImage], None]]] = {"HDF4": write_hdf4, "HDF5": write_hdf5}
