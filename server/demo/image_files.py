"""Write images to files: HDF4 like the cameras, HDF5 like the archive's portal, which converts it.

No writer stores the time or the place of its run: the same image gives the same bytes.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
from pyhdf.SD import SD, SDC

from shotdap.catalog.readers.hdf4 import library

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from shotdap.server.demo.image_content import Attribute, SyntheticImage
    from shotdap.server.demo.shot_list import Container

DEFLATE_LEVEL: Final = 4  # real files have 7, which compresses no better and takes four times as long


def write_image(path: Path, image: SyntheticImage, container: Container) -> None:
    """Write an image to a file, and replace an old one; the folder must exist."""
    WRITERS[container](path, image)


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


def write_hdf4(path: Path, image: SyntheticImage) -> None:
    """Write an image as HDF4 scientific datasets; the library names their dimensions ``fakeDim0``, ``fakeDim1``, …."""
    # HDF4 stores the name that a file is created with: here of fixed length, by repeated slashes, and replaced later.
    folder = os.fspath(path.parent.resolve())
    stored_name = folder + "/" * max(1, _NAME_LENGTH - len(os.fsencode(folder + path.name))) + path.name
    with library.LOCK:
        file = SD(stored_name, SDC.WRITE | SDC.CREATE | SDC.TRUNC)
        try:
            _write_hdf4_attributes(file, image.attributes)
            for variable in image.variables:
                dataset = file.create(variable.name, _HDF4_TYPES[variable.values.dtype], variable.values.shape)
                try:
                    if variable.chunks:
                        library.set_chunks(dataset._id or 0, variable.chunks, DEFLATE_LEVEL)  # noqa: SLF001 - pyhdf sets none
                    dataset[:] = variable.values
                    _write_hdf4_attributes(dataset, variable.attributes)
                    for axis, scale in enumerate(variable.scales):
                        dimension = dataset.dim(axis)
                        dimension.setscale(_HDF4_TYPES[scale.values.dtype], scale.values.tolist())
                        dimension.setstrs("", scale.units, "")
                finally:
                    dataset.endaccess()
        finally:
            file.end()
    name = os.fsencode(stored_name)
    path.write_bytes(path.read_bytes().replace(name, b"synthetic".ljust(len(name), b"\0"), 1))


def _write_hdf4_attributes(owner: Any, attributes: Mapping[str, Attribute]) -> None:  # noqa: ANN401 - pyhdf has no types
    for name, value in attributes.items():
        if isinstance(value, str):
            owner.attr(name).set(SDC.CHAR8, value)
        else:
            owner.attr(name).set(_HDF4_TYPES[value.dtype], value.tolist())


def write_hdf5(path: Path, image: SyntheticImage) -> None:
    """Write an image as the portal's HDF5: big-endian, each dimension scaled by a ``fakeDim`` dataset of zeros.

    The scales of a variable are datasets ``<variable>_<axis>``.
    """
    with h5py.File(path, "w") as file:
        _write_hdf5_attributes(file, image.attributes)
        zeros: dict[int, h5py.Dataset] = {}
        numbers = count()
        for variable in image.variables:
            compression = {"compression": "gzip", "compression_opts": DEFLATE_LEVEL} if variable.chunks else {}
            dtype = variable.values.dtype.newbyteorder(">")
            dataset = file.create_dataset(
                variable.name, data=variable.values, dtype=dtype, chunks=variable.chunks, **compression
            )
            _write_hdf5_attributes(dataset, variable.attributes)
            for axis, scale in enumerate(variable.scales):
                dtype = scale.values.dtype.newbyteorder(">")
                positions = file.create_dataset(f"{variable.name}_{axis}", data=scale.values, dtype=dtype)
                positions.make_scale()
                _write_text_attribute(positions, "units", scale.units.encode("ascii"))
                dataset.dims[axis].attach_scale(positions)
            for axis, size in enumerate(() if variable.scales else dataset.shape):
                number = next(numbers)  # every dimension is counted; those of one size share the scale of the first
                if size not in zeros:
                    zeros[size] = file.create_dataset(f"fakeDim{number}", (size,), np.int32)
                    zeros[size].make_scale("This is a netCDF dimension but not a netCDF variable.")
                dataset.dims[axis].attach_scale(zeros[size])


def _write_hdf5_attributes(owner: h5py.HLObject, attributes: Mapping[str, Attribute]) -> None:
    for name, value in attributes.items():
        if isinstance(value, str):
            _write_text_attribute(owner, name, value.encode("ascii"))
        else:
            owner.attrs.create(name, value, dtype=value.dtype.newbyteorder(">"))


def _write_text_attribute(owner: h5py.HLObject, name: str, text: bytes) -> None:
    """Write text of fixed length that claims to be null-terminated and has no room for the null, like real files."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(max(1, len(text)))
    attribute = h5py.h5a.create(owner.id, name.encode(), kind, h5py.h5s.create(h5py.h5s.SCALAR))
    attribute.write(np.array(text, dtype="S"), mtype=kind)


WRITERS: Final[Mapping[Container, Callable[[Path, SyntheticImage], None]]] = {"HDF4": write_hdf4, "HDF5": write_hdf5}
