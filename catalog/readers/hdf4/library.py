"""Bindings to the HDF4 library by ctypes: to the copy that pyhdf contains and uses.

pyhdf does not read raster images, little-endian numbers, chunk shapes or offsets, and holds Python's global lock while
it decodes. The library below it can do all of this, and its functions are accessible through pyhdf's extension module:
a symbol search in a shared object continues in the libraries that it is linked with, in any build.

Rule 1: the library is not thread-safe. `LOCK` is held around every call, pyhdf's included; `open_scientific_data` and
        `open_rasters` hold it as long as a file is open, and all other functions are called within them.
Rule 2: functions that wait for a disk or decode release Python's global lock. Functions that read headers keep it: to
        get it back from a busy thread may take 5 ms (`sys.getswitchinterval`), and a file's headers are hundreds of
        calls.
Rule 3: every failure is a `LibraryError`. A size in a file is checked before memory is allocated.
Rule 4: the library writes names without a limit. No name in an HDF4 file is longer than `_NAME_BUFFER`. (In a classic
        netCDF file one may be: such files are refused here, although the library reads some.)
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_int16, c_int32, c_uint16, c_uint32, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shotdap.catalog.storage import FilePath

LOCK = threading.RLock()

_FAIL = -1
_READ_ACCESS = 1  # DFACC_READ, hdf.h
_MAX_RANK = 32  # H4_MAX_VAR_DIMS, hlimits.h
_CHUNKED_FLAG, _COMPRESSED_CHUNKS = 1, 3  # HDF_CHUNK, HDF_COMP: hproto.h
NO_COMPRESSION, RLE, DEFLATE, SZIP, JPEG, IMCOMP = 0, 1, 4, 5, 7, 12  # comp_coder_t, hcomp.h
_DECODER_ENABLED = 1  # COMP_DECODER_ENABLED, hcomp.h
_MAX_ATTRIBUTE_SIZE = 1 << 26
_MAX_BYTE_RANGES = 1 << 20  # linked blocks of one array
_PALETTE_SHAPE = (256, 3)

# Number types: hntdefs.h.
_DTYPES: Mapping[int, str] = MappingProxyType(
    {3: "u1", 4: "S1", 5: "f4", 6: "f8", 20: "i1", 21: "u1", 22: "i2", 23: "u2", 24: "i4", 25: "u4"}
)
_NATIVE, _LITTLE_ENDIAN = 0x1000, 0x4000


class LibraryError(Exception):
    """A call of the library failed; the message is the library's, a few words that name no file."""


class _CompressionInfo(ctypes.Structure):
    """``comp_info``, hcomp.h: the largest member of a union of integers."""

    _fields_ = (("parameters", c_int32 * 5),)


class _ChunkDefinition(ctypes.Structure):
    """``HDF_CHUNK_DEF``, hproto.h: the largest member of a union, since ctypes passes no union by value."""

    _fields_ = (
        ("lengths", c_int32 * _MAX_RANK),
        ("coder", c_int32),
        ("model", c_int32),
        ("compression", _CompressionInfo),
        ("model_type", c_int32),
        ("model_rank", c_int),
        ("model_sizes", c_void_p),
    )


_INT32_POINTER = POINTER(c_int32)
# The result and the arguments of each function: mfhdf.h, hproto.h.
_FAST_SIGNATURES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "HCget_config_info": (c_int, c_int, POINTER(c_uint32)),
        "HEvalue": (c_int16, c_int32),
        "HEstring": (c_char_p, c_int),
        "SDend": (c_int, c_int32),
        "SDfileinfo": (c_int, c_int32, _INT32_POINTER, _INT32_POINTER),
        "SDselect": (c_int32, c_int32, c_int32),
        "SDendaccess": (c_int, c_int32),
        "SDgetinfo": (c_int, c_int32, c_char_p, _INT32_POINTER, _INT32_POINTER, _INT32_POINTER, _INT32_POINTER),
        "SDidtoref": (c_int32, c_int32),
        "SDiscoordvar": (c_int, c_int32),
        "SDgetdimid": (c_int32, c_int32, c_int),
        "SDdiminfo": (c_int, c_int32, c_char_p, _INT32_POINTER, _INT32_POINTER, _INT32_POINTER),
        "SDattrinfo": (c_int, c_int32, c_int32, c_char_p, _INT32_POINTER, _INT32_POINTER),
        "SDreadattr": (c_int, c_int32, c_int32, c_void_p),
        "SDgetcomptype": (c_int, c_int32, POINTER(c_int)),
        "SDgetchunkinfo": (c_int, c_int32, POINTER(_ChunkDefinition), _INT32_POINTER),
        "SDgetdatainfo": (c_int, c_int32, c_void_p, c_int, c_int, c_void_p, c_void_p),
        "SDsetchunk": (c_int, c_int32, _ChunkDefinition, c_int32),
        "Hclose": (c_int, c_int32),
        "GRend": (c_int, c_int32),
        "GRfileinfo": (c_int, c_int32, _INT32_POINTER, _INT32_POINTER),
        "GRselect": (c_int32, c_int32, c_int32),
        "GRendaccess": (c_int, c_int32),
        "GRgetiminfo": (
            c_int,
            c_int32,
            c_char_p,
            _INT32_POINTER,
            _INT32_POINTER,
            _INT32_POINTER,
            _INT32_POINTER,
            _INT32_POINTER,
        ),
        "GRidtoref": (c_uint16, c_int32),
        "GRgetcomptype": (c_int, c_int32, POINTER(c_int)),
        "GRgetdatainfo": (c_int, c_int32, c_int, c_int, c_void_p, c_void_p),
        "GRattrinfo": (c_int, c_int32, c_int32, c_char_p, _INT32_POINTER, _INT32_POINTER),
        "GRgetattr": (c_int, c_int32, c_int32, c_void_p),
        "GRgetlutid": (c_int32, c_int32, c_int32),
        "GRgetlutinfo": (c_int, c_int32, _INT32_POINTER, _INT32_POINTER, _INT32_POINTER, _INT32_POINTER),
        "GRreadlut": (c_int, c_int32, c_void_p),
    }
)
_BLOCKING_SIGNATURES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "SDstart": (c_int32, c_char_p, c_int32),
        "SDreaddata": (c_int, c_int32, c_void_p, c_void_p, c_void_p, c_void_p),
        "Hopen": (c_int32, c_char_p, c_int, c_int16),
        "GRstart": (c_int32, c_int32),
        "GRreadimage": (c_int, c_int32, c_void_p, c_void_p, c_void_p, c_void_p),
    }
)


def _bind_functions(
    library: ctypes.CDLL, signatures: Mapping[str, tuple[Any, ...]]
) -> Iterator[tuple[str, Callable[..., int]]]:
    for name, (result, *arguments) in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise ImportError(f"The HDF4 library that pyhdf is linked with does not offer {name}.") from error
        function.restype, function.argtypes = result, arguments
        yield name, function


_LIBRARY_PATH = import_module("pyhdf._hdfext").__file__
_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    dict(_bind_functions(ctypes.PyDLL(_LIBRARY_PATH), _FAST_SIGNATURES))
    | dict(_bind_functions(ctypes.CDLL(_LIBRARY_PATH), _BLOCKING_SIGNATURES))
)
_NAME_BUFFER = ctypes.create_string_buffer((1 << 16) + 1)  # the length of a name is two bytes; guarded by LOCK


def _call_function(name: str, *arguments: Any) -> int:  # noqa: ANN401 — ctypes' pointers have no common type
    result: int = _FUNCTIONS[name](*arguments)
    if result == _FAIL:
        message: bytes = _FUNCTIONS["HEstring"](_FUNCTIONS["HEvalue"](1))
        raise LibraryError(message.decode("ascii", "replace"))
    return result


def _make_int32s(count: int) -> tuple[c_int32, ...]:
    return tuple(c_int32() for _ in range(count))


@cache
def get_memory_dtype(number_type: int) -> np.dtype[Any] | None:
    """Return the NumPy type of numbers as the library returns them; `None` for a type that it cannot convert."""
    kind = _DTYPES.get(number_type & ~(_NATIVE | _LITTLE_ENDIAN))
    return np.dtype(kind) if kind else None


def get_stored_dtype(number_type: int) -> np.dtype[Any]:
    """Return the NumPy type of numbers in the file, by default big-endian.

    Raises:
        KeyError: the library cannot convert it.
    """
    dtype = np.dtype(_DTYPES[number_type & ~(_NATIVE | _LITTLE_ENDIAN)])
    if number_type & _NATIVE:
        return dtype
    return dtype.newbyteorder("<" if number_type & _LITTLE_ENDIAN else ">")


@cache
def can_decode_szip() -> bool:
    """Check whether this copy of the library was built with szip; pyhdf's wheels are not."""
    flags = c_uint32()
    with LOCK:
        _call_function("HCget_config_info", SZIP, byref(flags))
    return bool(flags.value & _DECODER_ENABLED)


def _make_unique_path(path: FilePath) -> bytes:
    """Return a name of a file that was never used before: the bits of a counter become ``/`` and ``/.``.

    The library identifies files by name. A damaged file that it failed to open stays open in it; and the next file of
    that name, another version or another file behind a descriptor of the same number, would be read from there.
    """
    folder, slash, name = os.fsencode(path).rpartition(b"/")
    infix = b"".join(b"/." if bit == "1" else b"/" for bit in f"{next(_OPEN_COUNTER):b}")
    return b"".join((folder, infix, slash, name)) if slash else name


_OPEN_COUNTER = count()


# Scientific data sets.


@dataclass(frozen=True)
class SdsHeader:
    """The header of one SDS, or of a raster image with its components as last dimension."""

    name: bytes
    shape: tuple[int, ...]
    number_type: int
    attribute_count: int


@contextmanager
def open_scientific_data(path: FilePath) -> Iterator[int]:
    """Open a file's scientific data sets, and lock the library until they are closed.

    Raises:
        LibraryError: the library cannot open the file.
    """
    with LOCK:
        file = _call_function("SDstart", _make_unique_path(path), _READ_ACCESS)
        try:
            yield file
        finally:
            _FUNCTIONS["SDend"](file)


@contextmanager
def select_sds(file: int, index: int) -> Iterator[int]:
    """Select one SDS by its number."""
    sds = _call_function("SDselect", file, index)
    try:
        yield sds
    finally:
        _FUNCTIONS["SDendaccess"](sds)


def count_scientific_data(file: int) -> tuple[int, int]:
    """Return the number of SDS and of attributes in a file."""
    arrays, attributes = _make_int32s(2)
    _call_function("SDfileinfo", file, byref(arrays), byref(attributes))
    return arrays.value, attributes.value


def read_sds_header(sds: int) -> SdsHeader:
    """Read the header of an SDS."""
    sizes = (c_int32 * _MAX_RANK)()
    rank, number_type, attributes = _make_int32s(3)
    _call_function("SDgetinfo", sds, _NAME_BUFFER, byref(rank), sizes, byref(number_type), byref(attributes))
    return SdsHeader(_NAME_BUFFER.value, _check_shape(sizes[: rank.value]), number_type.value, attributes.value)


def _check_shape(sizes: Sequence[int]) -> tuple[int, ...]:
    if min(sizes, default=0) < 0:
        raise LibraryError("an array of a negative size")
    return tuple(sizes)


def get_dimension(sds: int, axis: int) -> tuple[bytes, bool]:
    """Return the name of a dimension, and whether it has a scale."""
    size, scale_type, attributes = _make_int32s(3)
    identifier = _call_function("SDgetdimid", sds, axis)
    _call_function("SDdiminfo", identifier, _NAME_BUFFER, byref(size), byref(scale_type), byref(attributes))
    return _NAME_BUFFER.value, scale_type.value != 0


def is_coordinate(sds: int) -> bool:
    """Check whether an SDS represents a dimension."""
    return _call_function("SDiscoordvar", sds) == 1


def get_reference(sds: int) -> int:
    """Return the number by which annotations refer to an SDS."""
    return _call_function("SDidtoref", sds)


def read_attributes(owner: int, count: int, family: str = "SD") -> dict[bytes, NDArray[Any]]:
    """Read the attributes of a file, an SDS, or (family ``GR``) of an image, with their types; text is bytes."""
    reader = {"SD": "SDreadattr", "GR": "GRgetattr"}[family]
    attributes = {}
    number_type, length = _make_int32s(2)
    for index in range(count):
        _call_function(f"{family}attrinfo", owner, index, _NAME_BUFFER, byref(number_type), byref(length))
        name, dtype = _NAME_BUFFER.value, get_memory_dtype(number_type.value)
        if dtype is None:
            attributes[name] = np.zeros(1, "V8")  # an unknown type
            continue
        if not 0 <= length.value * dtype.itemsize <= _MAX_ATTRIBUTE_SIZE:
            raise LibraryError("an attribute of an impossible length")
        values = np.zeros(length.value, dtype)
        _call_function(reader, owner, index, values.ctypes.data)
        attributes[name] = np.asarray(values.tobytes()) if dtype.kind == "S" else values
    return attributes


def get_compression(sds: int) -> int:
    """Return the compression of an SDS or its chunks: `NO_COMPRESSION`, `DEFLATE`, …."""
    coder = c_int()
    _call_function("SDgetcomptype", sds, byref(coder))
    return coder.value


def get_chunk_shape(sds: int, rank: int) -> tuple[int, ...] | None:
    """Return the shape of a chunk; `None` if the SDS is not chunked."""
    chunks, flags = _ChunkDefinition(), c_int32()
    _call_function("SDgetchunkinfo", sds, byref(chunks), byref(flags))
    if not flags.value & _CHUNKED_FLAG:
        return None
    shape = tuple(chunks.lengths[:rank])
    if min(shape, default=1) < 1:
        raise LibraryError("a chunk without values")
    return shape


def set_chunks(sds: int, shape: Sequence[int], level: int) -> None:
    """Make the library store a new SDS in deflated chunks."""
    chunks = _ChunkDefinition(coder=DEFLATE)
    chunks.lengths[: len(shape)] = shape
    chunks.compression.parameters[0] = level
    with LOCK:
        _call_function("SDsetchunk", sds, chunks, _COMPRESSED_CHUNKS)


def get_byte_ranges(sds: int, chunk: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """Return offsets and lengths of the bytes of an SDS, or of one chunk; none before it is written.

    Args:
        sds: the SDS.
        chunk: the chunk's position, counted in chunks along each dimension.
    """
    position = (c_int32 * len(chunk))(*chunk) if chunk is not None else None
    return _get_byte_ranges("SDgetdatainfo", sds, position)


def get_raster_byte_ranges(image: int) -> list[tuple[int, int]]:
    """Return offsets and lengths of the bytes of an image; none before it is written."""
    return _get_byte_ranges("GRgetdatainfo", image)


def _get_byte_ranges(function: str, *owner: Any) -> list[tuple[int, int]]:  # noqa: ANN401 — ctypes' pointers have no common type
    """Return byte ranges. Count them first: of linked blocks, the library writes all, whatever limit it gets."""
    count = _call_function(function, *owner, 0, 0, None, None)
    if not 0 < count <= _MAX_BYTE_RANGES:
        return []
    offsets, lengths = (c_int32 * count)(), (c_int32 * count)()
    _call_function(function, *owner, 0, count, offsets, lengths)
    return list(zip(offsets, lengths, strict=True))


def read_hyperslab(sds: int, start: Sequence[int], values: NDArray[Any]) -> None:
    """Fill an array, of the type that `get_memory_dtype` returns, with the values from a start index on."""
    rank = max(1, values.ndim)  # the library needs an index even for an array without dimensions
    _call_function(
        "SDreaddata",
        sds,
        (c_int32 * rank)(*start),
        None,
        (c_int32 * rank)(*(values.shape or (1,))),
        values.ctypes.data,
    )


# Raster images.


@dataclass(frozen=True)
class RasterHeader(SdsHeader):
    """The header of one raster image: shape (y, x, component)."""

    interlace: int
    """The order of the values in the file: 0 (y, x, component), 1 (y, component, x), 2 (component, y, x)."""
    coder: int


@contextmanager
def open_rasters(path: FilePath) -> Iterator[int]:
    """Open a file's raster images of any generation (GR, 24 bit, 8 bit), and lock the library until they are closed.

    Raises:
        LibraryError: the library cannot open the file.
    """
    with LOCK:
        file = _call_function("Hopen", _make_unique_path(path), _READ_ACCESS, 0)
        try:
            images = _call_function("GRstart", file)
            try:
                yield images
            finally:
                _FUNCTIONS["GRend"](images)
        finally:
            _FUNCTIONS["Hclose"](file)


def count_rasters(images: int) -> tuple[int, int]:
    """Return the number of images in a file, and of attributes of all images."""
    count, attributes = _make_int32s(2)
    _call_function("GRfileinfo", images, byref(count), byref(attributes))
    return count.value, attributes.value


@contextmanager
def select_raster(images: int, index: int) -> Iterator[int]:
    """Select one image by its number."""
    image = _call_function("GRselect", images, index)
    try:
        yield image
    finally:
        _FUNCTIONS["GRendaccess"](image)


def read_raster_header(image: int) -> RasterHeader:
    """Read the header of an image."""
    sizes = (c_int32 * 2)()
    components, number_type, interlace, attributes = _make_int32s(4)
    _call_function(
        "GRgetiminfo",
        image,
        _NAME_BUFFER,
        byref(components),
        byref(number_type),
        byref(interlace),
        sizes,
        byref(attributes),
    )
    name, coder = _NAME_BUFFER.value, c_int()
    _call_function("GRgetcomptype", image, byref(coder))
    width, height = sizes
    return RasterHeader(
        name=name,
        shape=_check_shape((height, width, components.value)),
        number_type=number_type.value,
        attribute_count=attributes.value,
        interlace=interlace.value,
        coder=coder.value,
    )


def get_raster_reference(image: int) -> int:
    """Return the number by which annotations refer to an image."""
    return _call_function("GRidtoref", image)


def read_raster(image: int, header: RasterHeader, values: NDArray[Any]) -> None:
    """Fill an array with an image, in the order of the values in the file."""
    height, width, _ = header.shape
    start, count = (c_int32 * 2)(), (c_int32 * 2)(width, height)
    _call_function("GRreadimage", image, start, None, count, values.ctypes.data)


def read_palette(image: int) -> NDArray[np.uint8] | None:
    """Read the palette of an image, (256, 3); return `None` if it has none."""
    components, number_type, interlace, entries = _make_int32s(4)
    table = _call_function("GRgetlutid", image, 0)
    _call_function("GRgetlutinfo", table, byref(components), byref(number_type), byref(interlace), byref(entries))
    if (entries.value, components.value) != _PALETTE_SHAPE or get_memory_dtype(number_type.value) != np.uint8:
        return None
    values = np.zeros(_PALETTE_SHAPE, np.uint8)
    _call_function("GRreadlut", table, values.ctypes.data)
    return values
