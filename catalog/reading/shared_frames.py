"""Frames that all processes share: a file's arrays, or parts of large ones along their first dimensions.

A compressed array keeps the frames that its reader decodes at a time. An array that is stored as it is becomes frames,
too: in the byte order of this machine, and mapped into memory, a slice of it costs next to nothing.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import xarray as xr

from shotdap.catalog.readers.lazy import ArraySource, BlockSource, ChunkSource, get_source, replace_source
from shotdap.transforms import Memo
from shotdap.transforms.virtual.assembly import assemble_dataset

_FRAME_BYTES: Final = 32 << 20  # of a frame of an array that is not compressed, at most
_JOINED_BYTES: Final = 1 << 20  # of small images that are joined to one frame
_IMAGE_RANK: Final = 2


def share_frames(dataset: xr.Dataset, memo: Memo) -> tuple[xr.Dataset, frozenset[str]]:
    """Return a file's dataset whose frames are kept by a memo that other processes share, and what is compressed.

    Args:
        dataset: as `readers.read` returns it.
        memo: keeps the frames. Its names are ``(variable, number, number, …)``: the variable, and the frame's place
            along each of the variable's dimensions.

    Returns:
        The dataset; and the names of the variables of which any part of a frame costs the whole of it.
    """
    variables: dict[str, xr.Variable] = {}
    compressed = set[str]()
    for name, variable in dataset.variables.items():
        source = get_source(variable)
        if isinstance(source, ChunkSource | BlockSource):
            compressed.add(str(name))
        if source is None or source.dtype.hasobject or 0 in source.shape:
            variables[str(name)] = variable.copy(deep=False)
        else:
            shared = ChunkSource(source, str(name), _choose_frame_shape(source), memo)
            variables[str(name)] = replace_source(variable, shared)
    return assemble_dataset(variables, dataset.coords, dataset.attrs), frozenset(compressed)


def _choose_frame_shape(source: ArraySource) -> tuple[int, ...]:
    """Return the shape of the frames of an array: as it is decoded, or as much as is read at once."""
    if isinstance(source, ChunkSource):
        return tuple(min(own, size) for own, size in zip(source.chunk_shape, source.shape, strict=True))
    if isinstance(source, BlockSource):
        return (min(source.block_length, source.shape[0]), *source.shape[1:])
    return split_shape(source.shape, source.dtype)


def split_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the shape of the parts of an array, along its first dimensions, that are shared as one frame each.

    An image is one frame unless it is very large; small images of a stack are joined.
    """
    frame = list(shape)
    for axis, size in enumerate(shape):
        rest = math.prod(shape[axis + 1 :]) * dtype.itemsize
        limit = _FRAME_BYTES if axis >= len(shape) - _IMAGE_RANK else _JOINED_BYTES
        frame[axis] = min(size, max(1, limit // max(1, rest)))
        if rest <= limit:
            break
    return tuple(frame)
