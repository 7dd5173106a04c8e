"""The arrays of an HDF4 file, and the dataset made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from shotdap.catalog.names import make_variable_names
from shotdap.catalog.readers import dimensions
from shotdap.catalog.readers.attributes import Attribute
from shotdap.catalog.readers.lazy import ArraySource, create_lazy_variable
from shotdap.transforms import UniqueNames


@dataclass(frozen=True)
class Hdf4Array:
    """One array of a file."""

    name: str
    dimensions: tuple[str, ...]
    """Names in the file; empty for a dimension without one."""
    source: ArraySource
    attributes: Mapping[str, Attribute]
    dimension_attributes: tuple[Mapping[str, Attribute], ...] = ()
    """The attributes, such as units, of each dimension without a scale."""
    palette: ArraySource | None = None
    """The array's colours; they become a separate array."""


@dataclass(frozen=True)
class OmittedArray:
    """An array that cannot be read, with the reason."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def combine_arrays(images: Sequence[Hdf4Array], attributes: Mapping[str, Attribute]) -> xr.Dataset:
    """Combine arrays and their palettes to a dataset of lazy arrays, under names that are safe and unique."""
    arrays = [*images]
    arrays += [
        Hdf4Array(f"{each.name}_palette", ("colour", "rgb"), each.palette, {}) for each in images if each.palette
    ]
    # HDF4 allows many arrays of one name. A scale keeps its name, which is its dimension's; the others get a number.
    unique = UniqueNames()
    scales = {
        index: unique.claim(array.name) for index, array in enumerate(arrays) if array.dimensions == (array.name,)
    }
    keys = [scales[index] if index in scales else unique.claim(array.name) for index, array in enumerate(arrays)]
    names = make_variable_names((*keys, *(name for array in arrays for name in array.dimensions if name)))
    by_name = {names[key]: array for key, array in zip(keys, arrays, strict=True)}
    palettes = iter([names[key] for key in keys[len(images) :]])
    dimension_names = dimensions.resolve_dimension_names(
        {name: tuple(names[own] if own else "" for own in array.dimensions) for name, array in by_name.items()},
        {name: array.source.shape for name, array in by_name.items()},
    )
    variables: dict[str, xr.Variable] = {}
    for name, array in by_name.items():
        array_attributes = dict(array.attributes)
        for dimension, of_dimension in zip(dimension_names[name], array.dimension_attributes, strict=False):
            array_attributes |= {f"{dimension}_{key}": value for key, value in of_dimension.items()}
        if array.palette:
            array_attributes["palette"] = next(palettes)
        if name != array.name:
            array_attributes["original_name"] = array.name
        variables[name] = create_lazy_variable(dimension_names[name], array.source, array_attributes)
    return dimensions.build_dataset(variables, attributes, {name: array.dimensions for name, array in by_name.items()})
