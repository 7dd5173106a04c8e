"""Combine many images into one dataset: a shot, with a group for each image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    groups = _assign_groups(images)
    variables: dict[str, xr.Variable] = {}
    coordinates: dict[str, xr.Variable] = {}
    group_attributes: dict[str, Any] = {}
    for path, image in images.items():
        group = groups[path]
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


def _assign_groups(paths: Iterable[str]) -> dict[str, str]:
    """Assign a group to each image, none inside another image's: clients let a group inherit coordinates."""
    names = make_variable_names(paths)
    parents = {
        "/".join(parts[:depth]) for parts in (name.split("/") for name in names.values()) for depth in range(len(parts))
    }
    free = UniqueNames({*names.values(), *parents})
    return {path: free.claim(name) if name in parents else name for path, name in names.items()}
