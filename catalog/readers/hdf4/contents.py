"""What is found in an HDF4 file, and the dataset that it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """Names in the file; empty for those that have none."""
    source: ArraySource
    attributes: Mapping[str, Attribute]
    dimension_attributes: tuple[Mapping[str, Attribute], ...] = ()
    """What the file says of each dimension that has no scale to say it of: units, for one."""
    palette: ArraySource | None = None
    """The colours that go with it; they become an array of their own."""


@dataclass(frozen=True)
class OmittedArray:
    """An array that cannot be read, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def combine_arrays(found: Sequence[Hdf4Array], attributes: Mapping[str, Attribute]) -> xr.Dataset:
    """A dataset of lazy arrays, under names that are safe and unique."""
    arrays = [*found, *(_palette(array.name, array.palette) for array in found if array.palette)]
    distinct = _make_names_unique(arrays)
    own_names = (name for array in arrays for name in array.dimensions if name)
    names = make_variable_names((*distinct, *own_names))
    by_name = {names[key]: array for key, array in zip(distinct, arrays, strict=True)}
    palettes = iter([names[key] for key in distinct[len(found) :]])
    fitted = dimensions.resolve_dimension_names(
        {name: tuple(names[own] if own else "" for own in array.dimensions) for name, array in by_name.items()},
        {name: array.source.shape for name, array in by_name.items()},
    )
    variables = {
        name: create_lazy_variable(fitted[name], array.source, _build_attributes(array, name, fitted[name], palettes))
        for name, array in by_name.items()
    }
    return dimensions.build_dataset(variables, attributes, {name: array.dimensions for name, array in by_name.items()})


def _palette(name: str, colours: ArraySource) -> Hdf4Array:
    return Hdf4Array(f"{name}_palette", ("colour", "rgb"), colours, {})


def _make_names_unique(arrays: Sequence[Hdf4Array]) -> list[str]:
    """Return the arrays' names, those that came before with a number: HDF4 allows many arrays of one name.

    A scale keeps its name, by which its dimension is known, whatever else is called so.
    """
    free = UniqueNames()
    scales = {index: free.claim(array.name) for index, array in enumerate(arrays) if array.dimensions == (array.name,)}
    return [scales[index] if index in scales else free.claim(array.name) for index, array in enumerate(arrays)]


def _build_attributes(
    array: Hdf4Array, name: str, names: tuple[str, ...], palettes: Iterator[str]
) -> dict[str, Attribute]:
    described = dict(array.attributes)
    for dimension, attributes in zip(names, array.dimension_attributes, strict=False):
        described |= {f"{dimension}_{key}": value for key, value in attributes.items()}
    if array.palette:
        described["palette"] = next(palettes)
    if name != array.name:
        described["original_name"] = array.name
    return described
