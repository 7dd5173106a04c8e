"""Writes HDF4 files that pyhdf cannot write: any number type, layout, raster image or annotation.

The functions of the library are called as in its manual, without the reader's own binding.
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
    "DEFLATE",
    "IMCOMP",
    "JPEG",
    "LITTLE",
    "NATIVE",
    "NBIT",
    "OLD_RLE",
    "RLE",
    "SKPHUFF",
    "TYPES",
    "Layout",
    "annotate",
    "rasters",
    "sds_file",
    "write_old_raster",
]  # fmt: skip

LIBRARY: Final = ctypes.CDLL(import_module("pyhdf._hdfext").__file__)
TYPES: Final = {"u1": 21, "i1": 20, "i2": 22, "u2": 23, "i4": 24, "u4": 25, "f4": 5, "f8": 6}
LITTLE, NATIVE = 0x4000, 0x1000
RLE, NBIT, SKPHUFF, DEFLATE, JPEG = 1, 2, 3, 4, 7
OLD_RLE, IMCOMP = 11, 12  # of the DFR8 interface: COMP_RLE, COMP_IMCOMP, hcomp.h
CREATE, WRITE = 4, 2


class Chunking(ctypes.Structure):
    """``HDF_CHUNK_DEF`` as its memory layout: 32 lengths, the coder, a model, the coder's parameters, and padding."""

    _fields_ = (("numbers", ctypes.c_int32 * 44),)


@dataclass(frozen=True)
class Layout:
    """A layout of an array in a file."""

    coder: int = 0
    parameter: int = 0
    chunk: tuple[int, ...] = ()
    unlimited: bool = False


def check_result(result: int) -> int:
    assert result != -1
    return result


def make_int32_array(values: Sequence[int]) -> ctypes.Array[ctypes.c_int32]:
    return (ctypes.c_int32 * max(1, len(values)))(*values)


class SdsFile:
    """A file for SDS."""

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
        """Write an array, or only its first indices."""
        layout = layout or Layout()
        sizes = [0, *values.shape[1:]] if layout.unlimited else list(values.shape)
        kind = number_type or TYPES[values.dtype.str[1:]]
        sds = check_result(LIBRARY.SDcreate(self.file, name.encode(), kind, values.ndim, make_int32_array(sizes)))
        set_layout(sds, layout)
        part = np.ascontiguousarray(values[:written] if values.ndim else values)
        if part.size:
            start = make_int32_array([0] * values.ndim)
            check_result(
                LIBRARY.SDwritedata(
                    sds, start, None, make_int32_array(part.shape or [1]), ctypes.c_void_p(part.ctypes.data)
                )
            )
        check_result(LIBRARY.SDendaccess(sds))


def set_layout(sds: int, layout: Layout) -> None:
    if layout.chunk:
        chunking = Chunking()
        chunking.numbers[: len(layout.chunk)] = layout.chunk
        chunking.numbers[32], chunking.numbers[34] = layout.coder, layout.parameter
        check_result(LIBRARY.SDsetchunk(sds, chunking, 3 if layout.coder else 1))
    elif layout.coder == NBIT:
        check_result(LIBRARY.SDsetnbitdataset(sds, layout.parameter - 1, layout.parameter, 0, 0))
    elif layout.coder:
        check_result(LIBRARY.SDsetcompress(sds, layout.coder, make_int32_array([layout.parameter] * 5)))


@contextmanager
def sds_file(path: Path) -> Iterator[SdsFile]:
    """Create a file."""
    file = check_result(LIBRARY.SDstart(bytes(path), CREATE))
    yield SdsFile(file)
    check_result(LIBRARY.SDend(file))


class RasterFile:
    """A file for raster images."""

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
        """Write an image (y, x, component)."""
        height, width, components = values.shape
        size, start = make_int32_array([width, height]), make_int32_array([0, 0])
        kind = TYPES[values.dtype.str[1:]]
        image = check_result(LIBRARY.GRcreate(self.images, name.encode(), components, kind, 0, size))
        if coder:
            check_result(LIBRARY.GRsetcompress(image, coder, make_int32_array([6, 1, 0, 0, 0])))
        check_result(LIBRARY.GRwriteimage(image, start, None, size, ctypes.c_void_p(values.ctypes.data)))
        if label:
            check_result(LIBRARY.GRsetattr(image, b"label", 4, len(label), label.encode()))
        if palette is not None:
            table = check_result(LIBRARY.GRgetlutid(image, 0))
            check_result(LIBRARY.GRwritelut(table, 3, 21, 0, 256, ctypes.c_void_p(palette.ctypes.data)))
        check_result(LIBRARY.GRendaccess(image))


@contextmanager
def rasters(path: Path) -> Iterator[RasterFile]:
    """Create a file, or open it for writing."""
    file = check_result(LIBRARY.Hopen(bytes(path), WRITE if path.exists() else CREATE, 0))
    images = check_result(LIBRARY.GRstart(file))
    yield RasterFile(images)
    check_result(LIBRARY.GRend(images))
    check_result(LIBRARY.Hclose(file))


def write_old_raster(path: Path, values: NDArray[np.uint8], scheme: int, palette: NDArray[np.uint8]) -> None:
    """Create a file of one image (y, x) with the DFR8 interface; IMCOMP chooses its own palette."""
    values, palette = np.ascontiguousarray(values), np.ascontiguousarray(palette)
    height, width = values.shape
    check_result(LIBRARY.DFR8setpalette(ctypes.c_void_p(palette.ctypes.data)))
    check_result(LIBRARY.DFR8putimage(bytes(path), ctypes.c_void_p(values.ctypes.data), width, height, scheme))


def annotate(path: Path, description: str, *, sds: int, label: str) -> None:
    """Write the description of a file, and the label of an SDS with this reference number."""
    file = check_result(LIBRARY.Hopen(bytes(path), WRITE, 0))
    check_result(LIBRARY.DFANaddfds(file, description.encode(), len(description)))
    check_result(LIBRARY.Hclose(file))
    check_result(LIBRARY.DFANputlabel(bytes(path), 720, sds, label.encode()))
