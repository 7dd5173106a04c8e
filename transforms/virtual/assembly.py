"""Datasets as they are at the waist, made of variables: the coordinates have no index, and nothing is read or checked.

The constructor of xarray merges and aligns its arguments first, which for variables of one dataset changes nothing and
takes 0.2 ms: a fifth of the time of a small response.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping
from typing import Any

import xarray as xr


def assemble_dataset(
    variables: Mapping[str, xr.Variable], coordinates: Container[Any], attributes: Mapping[Any, Any]
) -> xr.Dataset:
    """Return a dataset of variables: the data first, then the coordinates, each in the order given.

    Args:
        variables: by their names, and each for this dataset alone, which does not copy them. A dimension has the same
            size in all of them.
        coordinates: the names of those that are coordinates; so is every variable along the dimension of its own name.
        attributes: of the dataset, which copies them.

    Raises:
        ValueError: a dimension has two sizes.
    """
    names: set[Hashable] = {
        name for name, variable in variables.items() if name in coordinates or variable.dims == (name,)
    }
    ordered = {name: variable for name, variable in variables.items() if name not in names}
    ordered |= {name: variables[name] for name in variables if name in names}
    # The only use of xarray's private constructor; a test compares its result with that of the public one.
    return xr.Dataset._construct_direct(ordered, names, attrs=dict(attributes))  # noqa: SLF001
