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

from shotdap.server.protocols.zarr.layout import estimate_read_cost
from shotdap.server.protocols.zarr.metadata import ArrayMetadata
from shotdap.server.protocols.zarr.stored_dtypes import TEXT_DTYPE, Array, Dtype, convert_values

_ARRAY_CONFIG: Final[Any] = {"write_empty_chunks": True}
"""A chunk of fill values alone has bytes, too: one that is missing could as well be one that a client cannot get."""


@dataclass(frozen=True)
class Chunk:
    """One chunk of a variable; nothing is read before it is asked for its bytes."""

    variable: xr.Variable
    region: tuple[slice, ...]
    """The part of the variable that it holds; less than a chunk at the far edges."""
    shape: tuple[int, ...]
    """Of every chunk of the variable."""
    dtype: Dtype
    metadata: ArrayMetadata
    is_compressed: bool

    @property
    def nbytes(self) -> int:
        """The bytes of its values in memory, about."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def bytes_read(self) -> int:
        """How many bytes are read at least, as `transforms.bytes_read` counts them."""
        return estimate_read_cost(self.variable, self.shape)

    @property
    def size(self) -> int | None:
        """How many bytes it is encoded, exactly; `None` if only its values can tell."""
        return None if self.is_compressed or self.dtype == TEXT_DTYPE else self.nbytes

    def encode(self) -> memoryview:
        """Read, or compute, its values, and give its bytes.

        Raises:
            Unreadable: the file cannot be read.
        """
        values = convert_values(np.asarray(self.variable.to_base_variable()[self.region].values), self.dtype)
        return _encode_chunk(values, self.region, self.metadata)


def _encode_chunk(values: Array, where: tuple[slice, ...], metadata: ArrayMetadata) -> memoryview:
    """The bytes that zarr-python writes for a chunk: into a store of its own, which holds nothing else."""
    held: dict[str, Buffer] = {}
    created: zarr.AsyncArray[Any] = zarr.AsyncArray(metadata, StorePath(MemoryStore(held)), config=_ARRAY_CONFIG)
    zarr.Array(created)[where or ...] = values
    (encoded,) = held.values()
    return encoded.as_numpy_array().data
