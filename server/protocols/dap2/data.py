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

from shotdap.server.protocols.dap2.dds import dds
from shotdap.server.protocols.dap2.promotion import WIRE, Dtype, type_of, values
from shotdap.server.protocols.dap2.text import encoded

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["BLOCK", "Block", "body", "body_size"]

Block: TypeAlias = bytes | memoryview
"""A piece of a body; its ``len`` is its number of bytes."""

BLOCK: Final = 512 * 1024
"""Bytes in a block: measured, 256-512 kB keeps the event loop responsive, and smaller ones cost throughput."""

_SMALL: Final = 64 * 1024  # what is cheaper to copy than to send by itself
_WORD: Final = 4  # the unit of XDR


def body(dataset: xr.Dataset, name: str) -> Iterator[Block]:
    """The `.dods` answer for an adapted, narrowed dataset, in blocks of about `BLOCK` bytes.

    Its values must be in memory: an error after the status line is one that clients cannot see.
    """
    variables = chain.from_iterable(_layout(variable).pieces(variable) for variable in dataset.variables.values())
    return _joined(chain([_head(dataset, name)], variables))


def body_size(dataset: xr.Dataset, name: str) -> int:
    """The exact number of bytes of `body`; only strings are looked at."""
    sizes = (_layout(variable).size(variable) for variable in dataset.variables.values())
    return len(_head(dataset, name)) + sum(sizes)


def _head(dataset: xr.Dataset, name: str) -> bytes:
    return f"{dds(dataset, name)}Data:\n".encode("ascii")


def _joined(pieces: Iterable[Block]) -> Iterator[Block]:
    """The same bytes, with small pieces put together."""
    waiting = bytearray()
    for piece in pieces:
        if len(piece) < _SMALL:
            waiting += piece
        if waiting and (len(piece) >= _SMALL or len(waiting) >= BLOCK):
            yield bytes(waiting)
            waiting.clear()
        if len(piece) >= _SMALL:
            yield piece
    if waiting:
        yield bytes(waiting)


@dataclass(frozen=True)
class _Layout:
    """How a type is laid out: how many bytes, and which."""

    size: Callable[[xr.Variable], int]
    pieces: Callable[[xr.Variable], Iterator[Block]]


def _layout(variable: xr.Variable) -> _Layout:
    return _LAYOUTS[type_of(variable)]


def _padding(size: int) -> int:
    return -size % _WORD


def _count(variable: xr.Variable, times: int) -> bytes:
    return variable.size.to_bytes(_WORD, "big") * times if variable.ndim else b""


def _numbers_size(variable: xr.Variable) -> int:
    return len(_count(variable, 2)) + variable.size * WIRE[type_of(variable)].itemsize


def _numbers(variable: xr.Variable) -> Iterator[Block]:
    yield _count(variable, 2)
    wire = WIRE[type_of(variable)]
    for part in _parts(values(variable), BLOCK // wire.itemsize):
        yield _big_endian(part, wire)


def _big_endian(part: np.ndarray[Any, Dtype], wire: Dtype) -> memoryview:
    converted = part.astype(wire, order="K", copy=False)  # a transposed part converts faster as it lies in memory
    return np.ascontiguousarray(converted).reshape(-1).view(np.uint8).data


def _parts(array: np.ndarray[Any, Dtype], most: int) -> Iterator[np.ndarray[Any, Dtype]]:
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


def _bytes_size(variable: xr.Variable) -> int:
    size = variable.size
    return len(_count(variable, 2)) + size + _padding(size)


def _bytes(variable: xr.Variable) -> Iterator[Block]:
    yield from _numbers(variable)
    if variable.ndim:
        yield bytes(_padding(variable.size))
    else:
        yield bytes([0, 0, values(variable).item()])


def _strings_size(variable: xr.Variable) -> int:
    return sum(map(len, _strings(variable)))


def _strings(variable: xr.Variable) -> Iterator[Block]:
    yield _count(variable, 1)
    for value in np.asarray(variable.values).flat:
        text = encoded(value)
        yield len(text).to_bytes(_WORD, "big") + text + bytes(_padding(len(text)))


_NUMBERS: Final = _Layout(_numbers_size, _numbers)
_LAYOUTS: Final[dict[str, _Layout]] = {
    **dict.fromkeys(WIRE, _NUMBERS),
    "Byte": _Layout(_bytes_size, _bytes),
    "String": _Layout(_strings_size, _strings),
}
