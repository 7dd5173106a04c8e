"""Names of dimensions that hold together: what a file says of one array need not fit what it says of another.

Rule 1: a name stands for one size, that of its coordinate, else of the first array that uses it.
Rule 2: no array has a name twice: a matrix of one scale by itself has two dimensions.
Rule 3: an array's name is no dimension, unless the array is the coordinate of it: xarray, for one, would take the array
for that. The dimension ``x`` beside an array ``x`` of others is ``x_dim``, in every array that has it.

Where the file's own name breaks rule 1 or 2, or there is none, the dimension is called after its array: ``image_0``.
The dataset's attribute `RENAMED_DIMENSIONS` lists each dimension whose name is not the file's, unless its coordinate
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import xarray as xr

from shotdap.catalog.readers.attributes import Attribute
from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_path

__all__ = ["build_dataset", "resolve_dimension_names"]


def resolve_dimension_names(
    wanted: Mapping[str, tuple[str, ...]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[str, ...]]:
    """The names of each array's dimensions.

    Args:
        wanted: for each array the names that the file gives, empty where it gives none.
        shapes: of the same arrays.
    """
    sizes = {name: shapes[name][0] for name, dimensions in wanted.items() if dimensions == (name,)}
    barred = shapes.keys() - sizes.keys()
    free = UniqueNames((*shapes, *chain.from_iterable(wanted.values())))
    aside: dict[str, str] = {}  # what a barred name is replaced by
    names: dict[str, tuple[str, ...]] = {}
    for array, dimensions in wanted.items():
        chosen: list[str] = []
        for axis, (own, size) in enumerate(zip(dimensions, shapes[array], strict=True)):
            if own in barred and own not in aside:
                aside[own] = free.claim(shorten_path(f"{own}_dim"))
            name = aside.get(own, own)
            fits = name and name not in chosen and sizes.setdefault(name, size) == size
            chosen.append(name if fits else free.claim(shorten_path(f"{array}_{axis}")))
        names[array] = tuple(chosen)
    return names


def build_dataset(
    variables: Mapping[str, xr.Variable],
    attributes: Mapping[str, Attribute],
    own: Mapping[str, tuple[str, ...]] | None = None,
) -> xr.Dataset:
    """A dataset in which a variable that lies along the dimension of its own name is a coordinate, without an index.

    Args:
        variables: by their names.
        attributes: the dataset's.
        own: for each of the variables the names that its dimensions have in the file, empty for those without one;
            nothing where no dimension has any.
    """
    coordinates = {name: variable for name, variable in variables.items() if variable.dims == (name,)}
    renamed = {
        str(dimension): name
        for array, names in (own or {}).items()
        for dimension, name in zip(variables[array].dims, names, strict=True)
        if name and dimension not in variables
    }
    return xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        coords=xr.Coordinates(coordinates, indexes={}),  # an index would read the coordinate
        attrs={**attributes, **list_renamed(attributes, RENAMED_DIMENSIONS, renamed)},
    )
