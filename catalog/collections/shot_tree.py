"""Combine many images into one dataset: a shot, with a group for each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from shotdap.catalog.names import make_variable_names
from shotdap.transforms import UniqueNames


def combine_as_groups(images: Mapping[str, xr.Dataset], attributes: Mapping[str, Any]) -> xr.Dataset:
    """Combine images as groups of one dataset, as lazy as they are.

    Args:
        images: by their paths below the shot: ``asbo1/asbo1_s62328``. Each becomes a group of the same name, unless
            some client does not accept this name, or the group of another image would be inside it.
        attributes: of the dataset.

    Returns:
        A dataset whose names are paths: ``asbo1/asbo1_s62328/image`` with the dimensions ``asbo1/asbo1_s62328/y``, ….
        The names of a group's attributes are paths, too. The first is ``path``, the image's own path below the shot; an
        attribute of the image with this name becomes ``file_path``.
    """
    names = make_variable_names(images)
    parts = [name.split("/") for name in names.values()]
    parents = {"/".join(each[:depth]) for each in parts for depth in range(len(each))}
    free = UniqueNames({*names.values(), *parents})
    variables: dict[str, xr.Variable] = {}
    coordinates: dict[str, xr.Variable] = {}
    group_attributes: dict[str, Any] = {}
    for path, image in images.items():
        # No group is inside the group of another image, because clients let it inherit the coordinates there.
        group = free.claim(names[path]) if names[path] in parents else names[path]
        for name, variable in image.variables.items():
            copy = variable.to_base_variable().copy(deep=False)
            copy.dims = [f"{group}/{dimension}" for dimension in variable.dims]
            copy.encoding = dict(variable.encoding)
            (coordinates if name in image.coords else variables)[f"{group}/{name}"] = copy
        own = {str(name): value for name, value in image.attrs.items()}
        if "path" in own:
            own[UniqueNames(own).claim("file_path")] = own.pop("path")
        group_attributes |= {f"{group}/{name}": value for name, value in {"path": path, **own}.items()}
    return xr.Dataset(
        variables, coords=xr.Coordinates(coordinates, indexes={}), attrs={**attributes, **group_attributes}
    )
