"""The images of a collection that the values of a variable are read from."""

from __future__ import annotations

import xarray as xr

from shotdap.transforms.virtual.variable_traits import get_traits, set_traits


def set_image_paths(variable: xr.Variable, paths: tuple[str, ...]) -> xr.Variable:
    """Record in a variable the path of its image, or one path for each index of its first dimension; return it."""
    return set_traits(variable, image_paths=paths)


def get_image_paths(variable: xr.Variable, where: tuple[slice, ...]) -> tuple[str, ...] | None:
    """Return the paths of the images that a part of a variable is read from; `None` if they were not recorded."""
    paths = get_traits(variable).image_paths
    return paths if paths is None or len(paths) == 1 else paths[where[0]]
