"""HDF4 files such as no pyhdf writes: any number type, way of storage, raster image or annotation.

The functions of the library are called as its manual has them, without the reader's own binding.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DEFLATE", "IMCOMP", "JPEG", "LITTLE", "NATIVE", "NBIT", "OLD_RLE", "RLE", "SKPHUFF", "TYPES", "Layout",
    "annotate", "old_raster", "rasters", "sds_file",
]  # fmt: skip

LIBRARY: Final = ctypes.CDLL(import_module("pyhdf._hdfext").__file__)
TYPES: Final = {"u1": 21, "i1": 20, "i2": 22, "u2": 23, "i4": 24, "u4": 25, "f4": 5, "f8": 6}
LITTLE, NATIVE = 0x4000, 0x1000
RLE, NBIT, SKPHUFF, DEFLATE, JPEG = 1, 2, 3, 4, 7
OLD_RLE, IMCOMP = 11, 12  # of the DFR8 interface: COMP_RLE, COMP_IMCOMP, hcomp.h
CREATE, WRITE = 4, 2


class Chunking(ctypes.Structure):
    """``HDF_CHUNK_DEF`` as what it is in memory: 32 lengths, the coder, a model, the coder's parameters, and room."""

    _fields_ = (("numbers", ctypes.c_int32 * 44),)


@dataclass(frozen=True)
class Layout:
    """A way to store an array."""

    coder: int = 0
    parameter: int = 0
    chunk: tuple[int, ...] = ()
    unlimited: bool = False


def good(result: int) -> int:
    assert result != -1
    return result


def numbers(values: Sequence[int]) -> ctypes.Array[ctypes.c_int32]:
    return (ctypes.c_int32 * max(1, len(values)))(*values)


class SdsFile:
    """A file to put SDS into."""

    def __init__(self, file: int) -> None:
        self.file = file

    def put(
        self,
        name: str,
        values: NDArray[Any],
        layout: Layout | None = None,
        *,
        number_type: int = 0,
        written: int | None = None,
    ) -> None:
        """Put an array, of which only the first indices may be written."""
        layout = layout or Layout()
        sizes = [0, *values.shape[1:]] if layout.unlimited else list(values.shape)
        kind = number_type or TYPES[values.dtype.str[1:]]
        sds = good(LIBRARY.SDcreate(self.file, name.encode(), kind, values.ndim, numbers(sizes)))
        store(sds, layout)
        part = np.ascontiguousarray(values[:written] if values.ndim else values)
        if part.size:
            start = numbers([0] * values.ndim)
            good(LIBRARY.SDwritedata(sds, start, None, numbers(part.shape or [1]), ctypes.c_void_p(part.ctypes.data)))
        good(LIBRARY.SDendaccess(sds))


def store(sds: int, layout: Layout) -> None:
    if layout.chunk:
        chunking = Chunking()
        chunking.numbers[: len(layout.chunk)] = layout.chunk
        chunking.numbers[32], chunking.numbers[34] = layout.coder, layout.parameter
        good(LIBRARY.SDsetchunk(sds, chunking, 3 if layout.coder else 1))
    elif layout.coder == NBIT:
        good(LIBRARY.SDsetnbitdataset(sds, layout.parameter - 1, layout.parameter, 0, 0))
    elif layout.coder:
        good(LIBRARY.SDsetcompress(sds, layout.coder, numbers([layout.parameter] * 5)))


@contextmanager
def sds_file(path: Path) -> Iterator[SdsFile]:
    """Create a file."""
    file = good(LIBRARY.SDstart(bytes(path), CREATE))
    yield SdsFile(file)
    good(LIBRARY.SDend(file))


class RasterFile:
    """A file to put raster images into."""

    def __init__(self, images: int) -> None:
        self.images = images

    def put(
        self,
        name: str,
        values: NDArray[Any],
        *,
        palette: NDArray[np.uint8] | None = None,
        coder: int = 0,
        label: str = "",
    ) -> None:
        """Put an image (y, x, component)."""
        height, width, components = values.shape
        size, start = numbers([width, height]), numbers([0, 0])
        kind = TYPES[values.dtype.str[1:]]
        image = good(LIBRARY.GRcreate(self.images, name.encode(), components, kind, 0, size))
        if coder:
            good(LIBRARY.GRsetcompress(image, coder, numbers([6, 1, 0, 0, 0])))
        good(LIBRARY.GRwriteimage(image, start, None, size, ctypes.c_void_p(values.ctypes.data)))
        if label:
            good(LIBRARY.GRsetattr(image, b"label", 4, len(label), label.encode()))
        if palette is not None:
            table = good(LIBRARY.GRgetlutid(image, 0))
            good(LIBRARY.GRwritelut(table, 3, 21, 0, 256, ctypes.c_void_p(palette.ctypes.data)))
        good(LIBRARY.GRendaccess(image))


@contextmanager
def rasters(path: Path) -> Iterator[RasterFile]:
    """Create a file, or open it to write."""
    file = good(LIBRARY.Hopen(bytes(path), WRITE if path.exists() else CREATE, 0))
    images = good(LIBRARY.GRstart(file))
    yield RasterFile(images)
    good(LIBRARY.GRend(images))
    good(LIBRARY.Hclose(file))


def old_raster(path: Path, values: NDArray[np.uint8], scheme: int, palette: NDArray[np.uint8]) -> None:
    """Create a file of one image (y, x) by the DFR8 interface; IMCOMP chooses a palette of its own."""
    values, palette = np.ascontiguousarray(values), np.ascontiguousarray(palette)
    height, width = values.shape
    good(LIBRARY.DFR8setpalette(ctypes.c_void_p(palette.ctypes.data)))
    good(LIBRARY.DFR8putimage(bytes(path), ctypes.c_void_p(values.ctypes.data), width, height, scheme))


def annotate(path: Path, description: str, *, sds: int, label: str) -> None:
    """Describe a file, and label an SDS by its reference number."""
    file = good(LIBRARY.Hopen(bytes(path), WRITE, 0))
    good(LIBRARY.DFANaddfds(file, description.encode(), len(description)))
    good(LIBRARY.Hclose(file))
    good(LIBRARY.DFANputlabel(bytes(path), 720, sds, label.encode()))
