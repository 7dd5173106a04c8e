"""The images of a collection that the values of a variable are read from."""

from __future__ import annotations

from typing import Final

import xarray as xr

_IMAGES_KEY: Final = "images"  # in a variable's ``encoding``, which selections keep


def set_image_paths(variable: xr.Variable, paths: tuple[str, ...]) -> xr.Variable:
    """Record in a variable the path of its image, or one path for each index of its first dimension; return it."""
    variable.encoding = {**variable.encoding, _IMAGES_KEY: paths}
    return variable


def get_image_paths(variable: xr.Variable, where: tuple[slice, ...]) -> tuple[str, ...] | None:
    """Return the paths of the images that a part of a variable is read from; `None` if they were not recorded."""
    paths: tuple[str, ...] | None = variable.encoding.get(_IMAGES_KEY)
    return paths if paths is None or len(paths) == 1 else paths[where[0]]
