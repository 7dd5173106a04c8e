r"""The body of a ``.dods`` response: the DDS, ``Data:``, and the values in XDR.

Strategy: iterate over each array in C order in blocks that fit the cache of a processor, convert each block to
big-endian with one call, and send its memory. Nothing is copied twice, and no whole array is ever copied; an array that
is big-endian already (HDF4) is not copied at all.

Rules ("The Data Access Protocol: DAP 2.0", and tests with clients):

1. The DDS ends with a line feed, so ``Data:\n`` after it makes exactly one ``\nData:\n`` between text and values.
2. An array is its number of elements, twice, as unsigned 32-bit integers, then the elements.
3. Integers of two bytes take four. Byte arrays are packed, and padded to a multiple of four bytes.
4. A scalar Byte is sent as ``v 00 00 v``: pydap reads the first byte, netCDF-C and libdap the last.
5. An array of strings begins with their number, once; a string is its length, its characters and padding to four bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotdap.server.http.blocks import Block, join_small_blocks
from shotdap.server.protocols.dap2.dds import render_dds
from shotdap.server.protocols.dap2.promotion import WIRE_DTYPES, Dtype, get_dap2_type, get_logical_values
from shotdap.server.protocols.dap2.text import encode_text

if TYPE_CHECKING:
    import xarray as xr

BLOCK_SIZE: Final = 256 * 1024
"""Bytes in a block: measured, 256-512 kB keeps the event loop responsive, and smaller ones cost throughput."""

_COPY_THRESHOLD: Final = 64 * 1024  # bytes; a smaller block is cheaper to copy than to send alone
_XDR_UNIT: Final = 4  # the unit of XDR


def encode_body(dataset: xr.Dataset, name: str) -> Iterator[Block]:
    """Encode the `.dods` response for an adapted, narrowed dataset, in blocks of about `BLOCK_SIZE` bytes.

    The values must be in memory: clients cannot see an error after the status line.
    """
    variables = chain.from_iterable(map(_encode_variable, dataset.variables.values()))
    return join_small_blocks(chain([_encode_preamble(dataset, name)], variables), _COPY_THRESHOLD, BLOCK_SIZE)


def compute_body_size(dataset: xr.Dataset, name: str) -> int:
    """Return the exact number of bytes of `encode_body`; of the values, only strings are read."""
    total = len(_encode_preamble(dataset, name))
    for variable in dataset.variables.values():
        kind = get_dap2_type(variable)
        if kind == "String":
            total += sum(map(len, _encode_variable(variable)))
        else:
            size = variable.size * WIRE_DTYPES[kind].itemsize
            total += len(_encode_count(variable, 2)) + size + _compute_padding(size)
    return total


def _encode_preamble(dataset: xr.Dataset, name: str) -> bytes:
    return f"{render_dds(dataset, name)}Data:\n".encode("ascii")


def _compute_padding(size: int) -> int:
    return -size % _XDR_UNIT


def _encode_count(variable: xr.Variable, times: int) -> bytes:
    return variable.size.to_bytes(_XDR_UNIT, "big") * times if variable.ndim else b""


def _encode_variable(variable: xr.Variable) -> Iterator[Block]:
    """Yield a variable in XDR, by rules 2 to 5."""
    kind = get_dap2_type(variable)
    if kind == "String":
        yield _encode_count(variable, 1)
        for value in np.asarray(variable.values).flat:
            text = encode_text(value)
            yield len(text).to_bytes(_XDR_UNIT, "big") + text + bytes(_compute_padding(len(text)))
        return
    yield _encode_count(variable, 2)
    values, wire = get_logical_values(variable), WIRE_DTYPES[kind]
    for part in _split_array(values, BLOCK_SIZE // wire.itemsize):
        converted = part.astype(wire, order="K", copy=False)  # a transposed part converts faster in its own order
        yield np.ascontiguousarray(converted).reshape(-1).view(np.uint8).data
    if kind == "Byte":
        yield bytes(_compute_padding(variable.size)) if variable.ndim else bytes([0, 0, values.item()])


def _split_array(array: np.ndarray[Any, Dtype], most: int) -> Iterator[np.ndarray[Any, Dtype]]:
    """Yield the elements in C order as views, each of at most `most` elements and mostly of at least half as many."""
    if array.size <= most:
        yield array
        return
    inner = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
    axis = next(axis for axis, size in enumerate(inner) if size <= most)
    step = most // inner[axis]
    for index in np.ndindex(array.shape[:axis]):
        for start in range(0, array.shape[axis], step):
            yield array[index][start : start + step]
