"""The chunks of an array.

Rule 1: a chunk contains one frame: the last two dimensions whole, one index of each dimension before them. A small
variable is one chunk.
Rule 2: parts that are read one by one (the shots of a stack) are never in the same chunk; the ``preferred_chunks`` of
the variable, a key of xarray's, define them.
Rule 3: a frame of more than `ZarrOptions.chunk_size` is split into bands of rows, as equal as possible, because Zarr
pads the last one; but not if any part of the frame costs the whole frame.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Final

import xarray as xr

from shotdap.server.protocols.zarr.options import ZarrOptions
from shotdap.server.protocols.zarr.stored_dtypes import Dtype
from shotdap.transforms.virtual.read_cost import bytes_read

_SMALL_ARRAY_SIZE: Final = 64 << 10  # bytes; sending them costs as much as a request
_FRAME_DIMENSIONS: Final = 2
_PREFERRED_CHUNKS: Final = "preferred_chunks"


def compute_chunk_shape(variable: xr.Variable, dtype: Dtype, options: ZarrOptions) -> tuple[int, ...]:
    """Compute the shape of chunks, at least 1 in each dimension; those at the far edges extend beyond the variable.

    Args:
        variable: its values are not read.
        dtype: the type of the values in a chunk.
        options: the limits of the size of a chunk.
    """
    pieces = _get_preferred_chunks(variable)
    if prod(pieces) * dtype.itemsize > min(_SMALL_ARRAY_SIZE, options.max_chunk_size):
        before = max(len(pieces) - _FRAME_DIMENSIONS, 0)
        pieces = [1] * before + pieces[before:]
    limit = options.max_chunk_size if bytes_read(variable) else min(options.chunk_size, options.max_chunk_size)
    shape = list(pieces)
    for axis, size in enumerate(pieces):  # shorten the first dimensions before the last
        row_size = prod(pieces[axis + 1 :]) * dtype.itemsize
        shape[axis] = ceil(size / ceil(size / max(1, limit // row_size)))
        if row_size <= limit:
            break
    return tuple(shape)


def estimate_read_cost(variable: xr.Variable, chunk: tuple[int, ...]) -> int:
    """Return the least number of bytes to read for any part of one chunk; 0 if a part costs a part."""
    whole = bytes_read(variable)
    for size, piece, length in zip(variable.shape, _get_preferred_chunks(variable), chunk, strict=True):
        if piece < size:
            whole = ceil(whole * length / size)
    return whole


def _get_preferred_chunks(variable: xr.Variable) -> list[int]:
    """Return the lengths that can be read together in each dimension."""
    preferred = variable.encoding.get(_PREFERRED_CHUNKS, {})
    return [max(1, min(size, preferred.get(name, size))) for name, size in variable.sizes.items()]
