"""What is found in an HDF4 file, and the dataset that it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from shotdap.catalog.names import variable_names
from shotdap.catalog.readers import dimensions
from shotdap.catalog.readers.attributes import Attribute
from shotdap.catalog.readers.lazy import Source, lazy_variable
from shotdap.transforms import UniqueNames

__all__ = ["Found", "Omitted", "assembled"]


@dataclass(frozen=True)
class Found:
    """One array of a file."""

    name: str
    dimensions: tuple[str, ...]
    """Names in the file; empty for those that have none."""
    source: Source
    attributes: Mapping[str, Attribute]
    of_dimensions: tuple[Mapping[str, Attribute], ...] = ()
    """What the file says of each dimension that has no scale to say it of: units, for one."""
    palette: Source | None = None
    """The colours that go with it; they become an array of their own."""


@dataclass(frozen=True)
class Omitted:
    """An array that cannot be read, and why."""

    name: str
    obstacle: str

    def __str__(self) -> str:
        return f"{self.name}: {self.obstacle}"


def assembled(found: Sequence[Found], attributes: Mapping[str, Attribute]) -> xr.Dataset:
    """A dataset of lazy arrays, under names that are safe and unique."""
    arrays = [*found, *(_palette(array.name, array.palette) for array in found if array.palette)]
    distinct = _distinct(arrays)
    own_names = (name for array in arrays for name in array.dimensions if name)
    names = variable_names((*distinct, *own_names))
    by_name = {names[key]: array for key, array in zip(distinct, arrays, strict=True)}
    palettes = iter([names[key] for key in distinct[len(found) :]])
    fitted = dimensions.fitted(
        {name: tuple(names[own] if own else "" for own in array.dimensions) for name, array in by_name.items()},
        {name: array.source.shape for name, array in by_name.items()},
    )
    variables = {
        name: lazy_variable(fitted[name], array.source, _described(array, name, fitted[name], palettes))
        for name, array in by_name.items()
    }
    return dimensions.assembled(variables, attributes, {name: array.dimensions for name, array in by_name.items()})


def _palette(name: str, colours: Source) -> Found:
    return Found(f"{name}_palette", ("colour", "rgb"), colours, {})


def _distinct(arrays: Sequence[Found]) -> list[str]:
    """Return the arrays' names, those that came before with a number: HDF4 allows many arrays of one name.

    A scale keeps its name, by which its dimension is known, whatever else is called so.
    """
    free = UniqueNames()
    scales = {index: free.claim(array.name) for index, array in enumerate(arrays) if array.dimensions == (array.name,)}
    return [scales[index] if index in scales else free.claim(array.name) for index, array in enumerate(arrays)]


def _described(array: Found, name: str, names: tuple[str, ...], palettes: Iterator[str]) -> dict[str, Attribute]:
    described = dict(array.attributes)
    for dimension, attributes in zip(names, array.of_dimensions, strict=False):
        described |= {f"{dimension}_{key}": value for key, value in attributes.items()}
    if array.palette:
        described["palette"] = next(palettes)
    if name != array.name:
        described["original_name"] = array.name
    return described
