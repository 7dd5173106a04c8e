"""What a reader process says of a file: a dataset's headers without its arrays, for another process to open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from shotdap.catalog.readers.lazy import Array, ArraySource, ChunkSource, get_source, replace_source
from shotdap.transforms.virtual.assembly import assemble_dataset


@dataclass(frozen=True)
class VariableRecord:
    """The headers of one variable."""

    name: str
    dimensions: tuple[str, ...]
    attributes: Mapping[Any, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    values: Array | None
    """The values, if they are no array of the file."""
    frame_shape: tuple[int, ...] | None
    """The shape of the frames that are shared; `None` if the values are of no fixed size, and are not shared."""
    is_compressed: bool
    """Whether any part of a frame costs the whole of it."""


@dataclass(frozen=True)
class HeaderRecord:
    """The headers of a file."""

    variables: tuple[VariableRecord, ...]
    coordinates: frozenset[str]
    attributes: Mapping[Any, Any]

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset, compressed: frozenset[str]) -> HeaderRecord:
        """Record the headers of a file.

        Args:
            dataset: as `share_frames` returns it.
            compressed: the variables of which any part of a frame costs the whole of it.
        """
        variables = tuple(_record_variable(str(name), each, compressed) for name, each in dataset.variables.items())
        return cls(variables, frozenset(map(str, dataset.coords)), dict(dataset.attrs))

    def build_dataset(self, make_source: Callable[[VariableRecord], ArraySource]) -> xr.Dataset:
        """Build the dataset that was recorded, with other sources of its arrays.

        Args:
            make_source: makes the source of a variable that is an array of the file.
        """
        variables: dict[str, xr.Variable] = {}
        for record in self.variables:
            if record.values is not None:
                record.values.flags.writeable = False  # all requests share it
                variables[record.name] = xr.Variable(record.dimensions, record.values, dict(record.attributes))
            else:
                template = xr.Variable(record.dimensions, np.broadcast_to(np.empty(1, record.dtype)[0], record.shape))
                template.attrs = dict(record.attributes)
                variables[record.name] = replace_source(template, make_source(record))
        return assemble_dataset(variables, self.coordinates, self.attributes)


def _record_variable(name: str, variable: xr.Variable, compressed: frozenset[str]) -> VariableRecord:
    source = get_source(variable)
    return VariableRecord(
        name,
        tuple(map(str, variable.dims)),
        dict(variable.attrs),
        variable.shape,
        variable.dtype,
        np.asarray(variable.values) if source is None else None,
        source.chunk_shape if isinstance(source, ChunkSource) else None,
        name in compressed,
    )
