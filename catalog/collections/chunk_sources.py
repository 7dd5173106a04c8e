"""Which images of a collection the values of a variable are read from."""

from __future__ import annotations

import xarray as xr

from shotdap.transforms.variable_traits import get_traits, set_traits

__all__ = ["get_image_paths", "set_image_paths"]


def set_image_paths(variable: xr.Variable, paths: tuple[str, ...]) -> xr.Variable:
    """The variable, which says from now on which image it is of; or which ones, along its first dimension; or none."""
    return set_traits(variable, image_paths=paths)


def get_image_paths(variable: xr.Variable, where: tuple[slice, ...]) -> tuple[str, ...] | None:
    """The public paths of the images that a part of a whole variable is read from; `None` where nothing tells."""
    paths = get_traits(variable).image_paths
    return paths if paths is None or len(paths) == 1 else paths[where[0]]
