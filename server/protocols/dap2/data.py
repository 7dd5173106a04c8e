r"""The body of a ``.dods`` answer: the DDS, ``Data:``, and the values in XDR.

Strategy: walk over each array in C order in blocks that fit a processor's cache, convert each block to big-endian with
one call, and hand on its memory. Nothing is copied twice, and no copy of a whole array is ever made; an array that is
big-endian already (HDF4) is not copied at all.

Rules ("The Data Access Protocol: DAP 2.0", and what clients were seen to read):

1. The DDS ends with a line feed, so ``Data:\n`` after it makes exactly one ``\nData:\n`` between text and values.
2. An array carries its number of elements twice, as unsigned 32-bit integers, then the elements.
3. Integers of two bytes take four. Byte arrays are packed, and padded to a multiple of four bytes.
4. A Byte that is no array is sent ``v 00 00 v``: pydap reads the first byte, netCDF-C and libdap the last.
5. Strings carry their number once, if an array, and each its length, its characters and padding to four bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from shotdap.server.protocols.dap2.dds import render_dds
from shotdap.server.protocols.dap2.promotion import WIRE_DTYPES, Dtype, get_dap2_type, get_logical_values
from shotdap.server.protocols.dap2.text import encode_text

if TYPE_CHECKING:
    import xarray as xr

Block: TypeAlias = bytes | memoryview
"""A piece of a body; its ``len`` is its number of bytes."""

BLOCK_SIZE: Final = 512 * 1024
"""Bytes in a block: measured, 256-512 kB keeps the event loop responsive, and smaller ones cost throughput."""

_COPY_THRESHOLD: Final = 64 * 1024  # what is cheaper to copy than to send by itself
_XDR_UNIT: Final = 4  # the unit of XDR


def encode_body(dataset: xr.Dataset, name: str) -> Iterator[Block]:
    """The `.dods` answer for an adapted, narrowed dataset, in blocks of about `BLOCK_SIZE` bytes.

    Its values must be in memory: an error after the status line is one that clients cannot see.
    """
    variables = chain.from_iterable(
        _get_type_encoder(variable).encode_blocks(variable) for variable in dataset.variables.values()
    )
    return _join_small_blocks(chain([_encode_preamble(dataset, name)], variables))


def compute_body_size(dataset: xr.Dataset, name: str) -> int:
    """The exact number of bytes of `encode_body`; only strings are looked at."""
    sizes = (_get_type_encoder(variable).compute_size(variable) for variable in dataset.variables.values())
    return len(_encode_preamble(dataset, name)) + sum(sizes)


def _encode_preamble(dataset: xr.Dataset, name: str) -> bytes:
    return f"{render_dds(dataset, name)}Data:\n".encode("ascii")


def _join_small_blocks(pieces: Iterable[Block]) -> Iterator[Block]:
    """The same bytes, with small pieces put together."""
    waiting = bytearray()
    for piece in pieces:
        if len(piece) < _COPY_THRESHOLD:
            waiting += piece
        if waiting and (len(piece) >= _COPY_THRESHOLD or len(waiting) >= BLOCK_SIZE):
            yield bytes(waiting)
            waiting.clear()
        if len(piece) >= _COPY_THRESHOLD:
            yield piece
    if waiting:
        yield bytes(waiting)


@dataclass(frozen=True)
class _TypeEncoder:
    """How a type is laid out: how many bytes, and which."""

    compute_size: Callable[[xr.Variable], int]
    encode_blocks: Callable[[xr.Variable], Iterator[Block]]


def _get_type_encoder(variable: xr.Variable) -> _TypeEncoder:
    return _TYPE_ENCODERS[get_dap2_type(variable)]


def _compute_padding(size: int) -> int:
    return -size % _XDR_UNIT


def _encode_count(variable: xr.Variable, times: int) -> bytes:
    return variable.size.to_bytes(_XDR_UNIT, "big") * times if variable.ndim else b""


def _compute_numbers_size(variable: xr.Variable) -> int:
    return len(_encode_count(variable, 2)) + variable.size * WIRE_DTYPES[get_dap2_type(variable)].itemsize


def _encode_numbers(variable: xr.Variable) -> Iterator[Block]:
    yield _encode_count(variable, 2)
    wire = WIRE_DTYPES[get_dap2_type(variable)]
    for part in _split_array(get_logical_values(variable), BLOCK_SIZE // wire.itemsize):
        yield _convert_to_big_endian(part, wire)


def _convert_to_big_endian(part: np.ndarray[Any, Dtype], wire: Dtype) -> memoryview:
    converted = part.astype(wire, order="K", copy=False)  # a transposed part converts faster as it lies in memory
    return np.ascontiguousarray(converted).reshape(-1).view(np.uint8).data


def _split_array(array: np.ndarray[Any, Dtype], most: int) -> Iterator[np.ndarray[Any, Dtype]]:
    """An array's elements in C order as views, each of at most `most` elements and, mostly, of at least half that."""
    if array.size <= most:
        yield array
        return
    inner = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
    axis = next(axis for axis, size in enumerate(inner) if size <= most)
    step = most // inner[axis]
    for index in np.ndindex(array.shape[:axis]):
        for start in range(0, array.shape[axis], step):
            yield array[index][start : start + step]


def _compute_bytes_size(variable: xr.Variable) -> int:
    size = variable.size
    return len(_encode_count(variable, 2)) + size + _compute_padding(size)


def _encode_bytes(variable: xr.Variable) -> Iterator[Block]:
    yield from _encode_numbers(variable)
    if variable.ndim:
        yield bytes(_compute_padding(variable.size))
    else:
        yield bytes([0, 0, get_logical_values(variable).item()])


def _compute_strings_size(variable: xr.Variable) -> int:
    return sum(map(len, _encode_strings(variable)))


def _encode_strings(variable: xr.Variable) -> Iterator[Block]:
    yield _encode_count(variable, 1)
    for value in np.asarray(variable.values).flat:
        text = encode_text(value)
        yield len(text).to_bytes(_XDR_UNIT, "big") + text + bytes(_compute_padding(len(text)))


_NUMBER_ENCODER: Final = _TypeEncoder(_compute_numbers_size, _encode_numbers)
_TYPE_ENCODERS: Final[dict[str, _TypeEncoder]] = {
    **dict.fromkeys(WIRE_DTYPES, _NUMBER_ENCODER),
    "Byte": _TypeEncoder(_compute_bytes_size, _encode_bytes),
    "String": _TypeEncoder(_compute_strings_size, _encode_strings),
}
