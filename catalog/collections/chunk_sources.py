"""Which images of a collection the values of a variable are read from."""

from __future__ import annotations

from typing import Final

import xarray as xr

__all__ = ["get_image_paths", "set_image_paths"]

_IMAGES_KEY: Final = "images"  # a key of a variable's ``encoding``, which narrowing keeps


def set_image_paths(variable: xr.Variable, paths: tuple[str, ...]) -> xr.Variable:
    """The variable, which says from now on which image it is of; or which ones, along its first dimension; or none."""
    variable.encoding = {**variable.encoding, _IMAGES_KEY: paths}
    return variable


def get_image_paths(variable: xr.Variable, where: tuple[slice, ...]) -> tuple[str, ...] | None:
    """The public paths of the images that a part of a whole variable is read from; `None` where nothing tells."""
    paths: tuple[str, ...] | None = variable.encoding.get(_IMAGES_KEY)
    return paths if paths is None or len(paths) == 1 else paths[where[0]]
