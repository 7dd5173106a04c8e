"""Names of dimensions that hold together: what a file says of one array need not fit what it says of another.

Rule 1: a name stands for one size, that of its coordinate, else of the first array that uses it.
Rule 2: no array has a name twice: a matrix of one scale by itself has two dimensions.
Rule 3: an array's name is no dimension, unless the array is the coordinate of it.

Where the file's own name breaks a rule, or there is none, the dimension is called after its array: ``image_0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import xarray as xr

from shotdap.catalog.readers.attributes import Attribute
from shotdap.transforms import UniqueNames

__all__ = ["assembled", "fitted"]


def fitted(wanted: Mapping[str, tuple[str, ...]], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[str, ...]]:
    """The names of each array's dimensions.

    Args:
        wanted: for each array the names that the file gives, empty where it gives none.
        shapes: of the same arrays.
    """
    sizes = {name: shapes[name][0] for name, dimensions in wanted.items() if dimensions == (name,)}
    barred = shapes.keys() - sizes.keys()
    unique = UniqueNames({*shapes, *chain.from_iterable(wanted.values())})
    names: dict[str, tuple[str, ...]] = {}
    for array, dimensions in wanted.items():
        chosen: list[str] = []
        for axis, (name, size) in enumerate(zip(dimensions, shapes[array], strict=True)):
            fits = name and name not in barred and name not in chosen and sizes.setdefault(name, size) == size
            chosen.append(name if fits else unique.claim(f"{array}_{axis}"))
        names[array] = tuple(chosen)
    return names


def assembled(variables: Mapping[str, xr.Variable], attributes: Mapping[str, Attribute]) -> xr.Dataset:
    """A dataset in which a variable that lies along the dimension of its own name is a coordinate, without an index."""
    coordinates = {name: variable for name, variable in variables.items() if variable.dims == (name,)}
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        coords=xr.Coordinates(coordinates, indexes={}),  # an index would read the coordinate
        attrs=attributes,
    )
