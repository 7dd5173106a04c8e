"""Names of dimensions that agree with each other, although a file may name those of each array independently.

Rule 1: a name belongs to one size: that of its coordinate, else of the first array that uses it.
Rule 2: no array has a name twice: a matrix of one scale by itself has two dimensions.
Rule 3: an array's name is no dimension, unless the array is that dimension's coordinate: xarray would take the array
for the coordinate. The dimension ``x`` beside an array ``x`` of others is ``x_dim``, in every array that has it.

Where the file's own name breaks rule 1 or 2, or is missing, the dimension is named after its array: ``image_0``.
The dataset's attribute `RENAMED_DIMENSIONS` lists each dimension whose name is not the file's, unless its coordinate
states it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import xarray as xr

from shotdap.catalog.readers.attributes import Attribute
from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_path
from shotdap.transforms.virtual.assembly import assemble_dataset


def resolve_dimension_names(
    own_names: Mapping[str, tuple[str, ...]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[str, ...]]:
    """Return the names of each array's dimensions.

    Args:
        own_names: for each array the names in the file, empty for a dimension without one.
        shapes: the shapes of the same arrays.
    """
    sizes = {name: shapes[name][0] for name, dimensions in own_names.items() if dimensions == (name,)}
    reserved = shapes.keys() - sizes.keys()
    unique = UniqueNames((*shapes, *chain.from_iterable(own_names.values())))
    replacements: dict[str, str] = {}  # for reserved names
    names: dict[str, tuple[str, ...]] = {}
    for array, dimensions in own_names.items():
        array_names: list[str] = []
        for axis, (own, size) in enumerate(zip(dimensions, shapes[array], strict=True)):
            if own in reserved and own not in replacements:
                replacements[own] = unique.claim(shorten_path(f"{own}_dim"))
            name = replacements.get(own, own)
            fits = name and name not in array_names and sizes.setdefault(name, size) == size
            array_names.append(name if fits else unique.claim(shorten_path(f"{array}_{axis}")))
        names[array] = tuple(array_names)
    return names


def build_dataset(
    variables: Mapping[str, xr.Variable],
    attributes: Mapping[str, Attribute],
    own_names: Mapping[str, tuple[str, ...]] | None = None,
) -> xr.Dataset:
    """Build a dataset; a variable along the dimension of its own name becomes a coordinate, without an index.

    Args:
        variables: by their names.
        attributes: the dataset's.
        own_names: for each variable the names of its dimensions in the file, empty for a dimension without one;
            `None` if no dimension has a name.
    """
    renamed = {
        str(dimension): name
        for array, names in (own_names or {}).items()
        for dimension, name in zip(variables[array].dims, names, strict=True)
        if name and dimension not in variables
    }
    return assemble_dataset(variables, (), {**attributes, **list_renamed(attributes, RENAMED_DIMENSIONS, renamed)})
