"""Many images as one dataset: a shot, with a group for each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import xarray as xr

from shotdap.catalog.names import make_variable_names
from shotdap.transforms import UniqueNames

__all__ = ["combine_as_groups"]


def combine_as_groups(images: Mapping[str, xr.Dataset], attributes: Mapping[str, Any]) -> xr.Dataset:
    """Images as groups of one dataset; as lazy as they are.

    Args:
        images: by their paths below the shot: ``asbo1/asbo1_s62328``. Each becomes a group, ``asbo1/asbo1_s62328``
            too, unless that is no name that every client can carry, or another image's group would lie in it.
        attributes: what is true of all.

    Returns:
        A dataset whose names are paths: ``asbo1/asbo1_s62328/image`` with the dimensions ``asbo1/asbo1_s62328/y``, ….
        A group's attributes are called likewise, and begin with ``path``, the image's own below the shot. An
        attribute of the image that is called so is ``file_path``.
    """
    groups = _name_groups(images)
    variables = {name: each for path, image in images.items() for name, each in _rename_variables(groups[path], image)}
    coordinates = {f"{groups[path]}/{name}" for path, image in images.items() for name in image.coords}
    said = {
        f"{groups[path]}/{name}": value
        for path, image in images.items()
        for name, value in _build_group_attributes(path, image.attrs).items()
    }
    return xr.Dataset(
        {name: each for name, each in variables.items() if name not in coordinates},
        coords=xr.Coordinates({name: each for name, each in variables.items() if name in coordinates}, indexes={}),
        attrs={**attributes, **said},
    )


def _name_groups(paths: Iterable[str]) -> dict[str, str]:
    """The group of each image, none in another image's: clients give a group the coordinates of those around it."""
    names = make_variable_names(paths)
    around = {
        "/".join(parts[:depth]) for parts in (name.split("/") for name in names.values()) for depth in range(len(parts))
    }
    free = UniqueNames({*names.values(), *around})
    return {path: free.claim(name) if name in around else name for path, name in names.items()}


def _build_group_attributes(path: str, attributes: Mapping[Any, Any]) -> dict[str, Any]:
    own = {str(name): value for name, value in attributes.items()}
    if "path" in own:
        own[UniqueNames(own).claim("file_path")] = own.pop("path")
    return {"path": path, **own}


def _rename_variables(group: str, image: xr.Dataset) -> Iterator[tuple[str, xr.Variable]]:
    """An image's variables under the names that they have in the shot."""
    for name, variable in image.variables.items():
        moved = variable.to_base_variable().copy(deep=False)
        moved.dims = [f"{group}/{dimension}" for dimension in variable.dims]
        moved.encoding = dict(variable.encoding)
        yield f"{group}/{name}", moved
