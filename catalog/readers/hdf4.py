"""HDF4 files, read by pyhdf.

The HDF4 library is not thread-safe, and pyhdf holds Python's global lock while it reads: one lock of ours stands around
every call, so that no two threads are ever inside. A file is opened for each read (0.7 ms), never kept open: an HDF4
file handle shares its state with all others.

Scientific data sets (SDS) are read. Dimensions called ``fakeDim0``, … were made up by the library: ours are named after
the array.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from pyhdf.error import HDF4Error
from pyhdf.SD import SD, SDC, SDS

from shotdap.catalog.entry import Unreadable
from shotdap.catalog.lazy import Array, Blocks, Key, Remember, Source, lazy_variable
from shotdap.catalog.names import variable_names
from shotdap.catalog.readers.attributes import OMITTED, Attribute, clean

__all__ = ["read"]

_LOCK = threading.RLock()
_MADE_UP = re.compile(r"fakeDim\d+")

# Number types of hntdefs.h. Those with the flag of little-endian storage (0x4000) pyhdf can name but not read.
_DTYPES: Mapping[int, np.dtype[Any]] = MappingProxyType(
    {
        SDC.CHAR8: np.dtype("S1"),
        SDC.UCHAR8: np.dtype("u1"),
        SDC.INT8: np.dtype("i1"),
        SDC.UINT8: np.dtype("u1"),
        SDC.INT16: np.dtype("i2"),
        SDC.UINT16: np.dtype("u2"),
        SDC.INT32: np.dtype("i4"),
        SDC.UINT32: np.dtype("u4"),
        SDC.FLOAT32: np.dtype("f4"),
        SDC.FLOAT64: np.dtype("f8"),
    }
)
_LITTLE_ENDIAN = 0x4000


def read(path: Path, remember: Remember) -> xr.Dataset:
    """Read a file's headers; see `Reader`."""
    with _opened(path) as file:
        headers = [_header(file, index) for index in range(file.info()[0])]
        attributes = clean(_attributes(file))
    if not headers:
        raise Unreadable("The HDF4 file holds no scientific data set, and raster images cannot be read yet.")
    wanted = [header for header in headers if not _MADE_UP.fullmatch(header.name)]
    names = variable_names(header.name for header in wanted)
    omitted = [f"{header.name}: {header.obstacle}" for header in wanted if header.obstacle]
    variables = {
        names[header.name]: _variable(path, header, names[header.name], remember)
        for header in wanted
        if not header.obstacle
    }
    if omitted:
        attributes[OMITTED] = ", ".join(omitted)
    coordinates = {name: variable for name, variable in variables.items() if variable.dims == (name,)}
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        coords=xr.Coordinates(coordinates, indexes={}),
        attrs=attributes,
    )


@dataclass(frozen=True)
class _Header:
    """What a file says of one SDS."""

    index: int
    name: str
    shape: tuple[int, ...]
    number_type: int
    dimensions: tuple[str, ...]
    compression: int
    attributes: Mapping[str, Attribute]

    @property
    def obstacle(self) -> str:
        """Why it cannot be read; empty where it can."""
        if self.number_type & _LITTLE_ENDIAN:
            return "it is stored in little-endian order, which pyhdf cannot read"
        if self.number_type not in _DTYPES:
            return f"its HDF4 number type {self.number_type} is not known"
        if self.compression == SDC.COMP_SZIP:
            return "it is compressed by szip, which the HDF4 library at hand lacks"
        return ""


@contextmanager
def _opened(path: Path) -> Iterator[SD]:
    with _LOCK:
        try:
            file = SD(str(path), SDC.READ)
        except HDF4Error as error:
            raise Unreadable(
                "The HDF4 library cannot open the file; it may be cut short (its directory is at its end)."
            ) from error
        try:
            yield file
        except (HDF4Error, ValueError) as error:  # pyhdf raises ValueError where a read fails
            raise Unreadable("The HDF4 library cannot read the file; it may be damaged.") from error
        finally:
            file.end()


@contextmanager
def _selected(file: SD, index: int) -> Iterator[SDS]:
    sds = file.select(index)
    try:
        yield sds
    finally:
        sds.endaccess()


def _header(file: SD, index: int) -> _Header:
    with _selected(file, index) as sds:
        return _described(sds, index)


def _described(sds: SDS, index: int) -> _Header:
    name, rank, shape, number_type, _ = sds.info()
    return _Header(
        index=index,
        name=name,
        shape=tuple(np.atleast_1d(shape).tolist()),  # pyhdf gives a bare number for one dimension
        number_type=number_type,
        dimensions=tuple(sds.dim(axis).info()[0] for axis in range(rank)),
        compression=_compression(sds),
        attributes=clean(_attributes(sds)),
    )


def _compression(sds: SDS) -> int:
    try:
        return int(sds.getcompress()[0])
    except HDF4Error:  # so answers an SDS that is not compressed
        return int(SDC.COMP_NONE)


def _attributes(owner: SD | SDS) -> dict[str, Any]:
    """Attributes with the types that they have in the file: pyhdf gives Python's numbers, and the type beside.

    Text comes as one character for each byte; the bytes go on, to be decoded with those of other formats.
    """
    return {
        name: value.encode("latin-1") if isinstance(value, str) else np.asarray(value, _DTYPES.get(number_type))
        for name, (value, _, number_type, _) in owner.attributes(full=1).items()
    }


def _variable(path: Path, header: _Header, name: str, remember: Remember) -> xr.Variable:
    source: Source = _Sds(path, header)
    if header.compression != SDC.COMP_NONE:
        rows = 1 if len(header.shape) > 2 else header.shape[0]  # noqa: PLR2004 — a 3-D array is a stack of frames
        source = Blocks(source, name, rows, remember)
    dimensions = tuple(
        f"{name}_{axis}" if _MADE_UP.fullmatch(dimension) else next(iter(variable_names([dimension]).values()))
        for axis, dimension in enumerate(header.dimensions)
    )
    renamed = {} if name == header.name else {"original_name": header.name}
    return lazy_variable(dimensions, source, {**header.attributes, **renamed})


@dataclass(frozen=True)
class _Sds:
    """The values of one SDS."""

    path: Path
    header: _Header

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' type."""
        return _DTYPES[self.header.number_type]

    def read(self, key: Key) -> Array:
        """Read a hyperslab; see `Source`."""
        slices = [part if isinstance(part, slice) else slice(part, part + 1, 1) for part in key]
        start = [part.start for part in slices]
        step = [part.step for part in slices]
        count = [len(range(part.start, part.stop, part.step)) for part in slices]
        with _opened(self.path) as file, _selected(file, self.header.index) as sds:
            values = np.asarray(sds.get(start, count, step))
        if self.dtype.kind == "S":  # pyhdf gives characters as their codes
            values = values.astype(np.uint8).view(self.dtype)
        return values.astype(self.dtype, copy=False).reshape(count)[
            tuple(slice(None) if isinstance(part, slice) else 0 for part in key)
        ]
