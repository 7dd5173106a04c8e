"""One chunk of a variable: its region, its cost, and its bytes, by the codecs of zarr-python."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import xarray as xr
import zarr
from zarr.abc.buffer import Buffer
from zarr.storage import MemoryStore, StorePath

from shotdap.server.protocols.zarr.layout import estimate_read_cost
from shotdap.server.protocols.zarr.metadata import ArrayMetadata
from shotdap.server.protocols.zarr.stored_dtypes import TEXT_DTYPE, Dtype, convert_values

_ARRAY_CONFIG: Final[Any] = {"write_empty_chunks": True}
"""A chunk of fill values alone is encoded, too: clients could not tell an omitted chunk from one that failed."""


@dataclass(frozen=True)
class Chunk:
    """One chunk of a variable; only `encode` reads its values."""

    variable: xr.Variable
    region: tuple[slice, ...]
    """Its part of the variable; less than a chunk at the far edges."""
    shape: tuple[int, ...]
    """Shape of every chunk of the variable."""
    dtype: Dtype
    metadata: ArrayMetadata
    is_compressed: bool

    @property
    def nbytes(self) -> int:
        """Approximate bytes of its values in memory."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def bytes_read(self) -> int:
        """The least number of bytes to read, as `transforms.bytes_read` counts them."""
        return estimate_read_cost(self.variable, self.shape)

    @property
    def size(self) -> int | None:
        """The exact number of encoded bytes; `None` if it depends on the values."""
        return None if self.is_compressed or self.dtype == TEXT_DTYPE else self.nbytes

    def encode(self) -> memoryview:
        """Read or compute the values, and encode them with zarr-python.

        Raises:
            Unreadable: the file cannot be read.
        """
        values = convert_values(np.asarray(self.variable.to_base_variable()[self.region].values), self.dtype)
        buffers: dict[str, Buffer] = {}  # of a store that contains nothing else
        array: zarr.AsyncArray[Any] = zarr.AsyncArray(
            self.metadata, StorePath(MemoryStore(buffers)), config=_ARRAY_CONFIG
        )
        zarr.Array(array)[self.region or ...] = values
        (encoded,) = buffers.values()
        return encoded.as_numpy_array().data
