"""One chunk of a variable: which part that is, what it costs, and its bytes, by zarr-python's own codecs."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore, StorePath

from shotdap.server.protocols.zarr.layout import cost
from shotdap.server.protocols.zarr.metadata import ArrayMetadata
from shotdap.server.protocols.zarr.types import TEXT, Array, Dtype, stored

__all__ = ["Chunk"]

_EVERY_CHUNK: Final[Any] = {"write_empty_chunks": True}
"""A chunk of fill values alone has bytes, too: one that is missing could as well be one that a client cannot get."""


@dataclass(frozen=True)
class Chunk:
    """One chunk of a variable; nothing is read before it is asked for its bytes."""

    variable: xr.Variable
    where: tuple[slice, ...]
    """The part of the variable that it holds; less than a chunk at the far edges."""
    shape: tuple[int, ...]
    """Of every chunk of the variable."""
    dtype: Dtype
    metadata: ArrayMetadata
    is_packed: bool

    @property
    def nbytes(self) -> int:
        """The bytes of its values in memory, about."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def bytes_read(self) -> int:
        """How many bytes are read at least, as `transforms.bytes_read` counts them."""
        return cost(self.variable, self.shape)

    @property
    def size(self) -> int | None:
        """How many bytes it is encoded, exactly; `None` if only its values can tell."""
        return None if self.is_packed or self.dtype == TEXT else self.nbytes

    def encode(self) -> memoryview:
        """Read, or compute, its values, and give its bytes.

        Raises:
            Unreadable: the file cannot be read.
        """
        values = stored(np.asarray(self.variable.to_base_variable()[self.where].values), self.dtype)
        return _encoded(values, self.where, self.metadata)


def _encoded(values: Array, where: tuple[slice, ...], metadata: ArrayMetadata) -> memoryview:
    """The bytes that zarr-python writes for a chunk: into a store of its own, which holds nothing else."""
    held: dict[str, Buffer] = {}
    created: zarr.AsyncArray[Any] = zarr.AsyncArray(metadata, StorePath(MemoryStore(held)), config=_EVERY_CHUNK)
    zarr.Array(created)[where or ...] = values
    (encoded,) = held.values()
    return encoded.as_numpy_array().data
