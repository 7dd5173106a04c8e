"""How an array is cut into chunks.

Rule 1: a chunk holds one frame: the last two dimensions whole, one index of each before them. A variable that is small
altogether is one chunk.
Rule 2: what lies in pieces that are read one by one (the shots of a stack) is never together in a chunk; the
variable's ``preferred_chunks`` say so, xarray's own word for it.
Rule 3: a frame of more than `ZarrOptions.chunk_size` is cut into bands of rows, as equal as can be, because Zarr fills up the
last one; but not one that costs the whole frame whatever part of it is asked for.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Final

import xarray as xr

from shotdap.server.protocols.zarr.options import ZarrOptions
from shotdap.server.protocols.zarr.stored_dtypes import Dtype
from shotdap.transforms.virtual.read_cost import bytes_read

_SMALL_ARRAY_SIZE: Final = 64 << 10  # bytes; a request costs as much as sending so many
_FRAME_DIMENSIONS: Final = 2  # dimensions
_PREFERRED_CHUNKS: Final = "preferred_chunks"


def compute_chunk_shape(variable: xr.Variable, dtype: Dtype, options: ZarrOptions) -> tuple[int, ...]:
    """The shape of a variable's chunks, each at least 1 long; those at the far edges stick out of it.

    Args:
        variable: of which nothing is read.
        dtype: of its values in a chunk.
        options: how great a chunk may be.
    """
    pieces = _get_preferred_chunks(variable)
    if prod(pieces) * dtype.itemsize > min(_SMALL_ARRAY_SIZE, options.max_chunk_size):
        before = max(len(pieces) - _FRAME_DIMENSIONS, 0)
        pieces = [1] * before + pieces[before:]
    limit = options.max_chunk_size if bytes_read(variable) else min(options.chunk_size, options.max_chunk_size)
    return tuple(_limit_chunk_shape(pieces, dtype.itemsize, limit))


def estimate_read_cost(variable: xr.Variable, chunk: tuple[int, ...]) -> int:
    """How many bytes are read at least for any part of one chunk; 0 where a part costs a part."""
    whole = bytes_read(variable)
    for size, piece, length in zip(variable.shape, _get_preferred_chunks(variable), chunk, strict=True):
        if piece < size:
            whole = ceil(whole * length / size)
    return whole


def _get_preferred_chunks(variable: xr.Variable) -> list[int]:
    """What can be read of each dimension together."""
    preferred = variable.encoding.get(_PREFERRED_CHUNKS, {})
    return [max(1, min(size, preferred.get(name, size))) for name, size in variable.sizes.items()]


def _limit_chunk_shape(pieces: list[int], itemsize: int, limit: int) -> list[int]:
    """Shorter pieces, if need be, the first dimensions before the last."""
    cut = list(pieces)
    for axis, size in enumerate(pieces):
        one = prod(pieces[axis + 1 :]) * itemsize
        fitting = max(1, limit // one)
        cut[axis] = ceil(size / ceil(size / fitting))
        if one <= limit:
            break
    return cut
