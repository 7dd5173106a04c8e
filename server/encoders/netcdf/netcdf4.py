"""netCDF-4: a dataset with its groups, in a file that any netCDF or HDF5 library opens.

Written by h5netcdf, because the server has one HDF5 library in it, h5py's, with one lock around it; netCDF4-python
would bring a second, which has none. The file is made in memory and goes out without another copy.

Strategy: first decide where everything goes, then write it.

Rule 1: a name with slashes is a path: ``DATA/SHOT/image`` is ``image`` in the group ``SHOT`` of ``DATA``; a dimension
lives where its name says, and an attribute of the dataset likewise, where there is such a group.
Rule 2: a variable finds a dimension by name, in its own group or the nearest around it. A dimension that one of its
variables would not find so lives in the root, under a name of its own; the root's ``renamed_dimensions`` lists it.
Rule 3: a group, a variable and a dimension cannot share a name in HDF5; where they would, the group keeps it, and
``original_name`` is what the variable was called.
Rule 4: nothing is compressed: images are noise, and a download should start at once.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import h5netcdf
import xarray as xr

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.blocks import wrap_file
from shotdap.server.encoders.hdf5_groups import (
    encode_attribute_value,
    encode_values,
    get_local_name,
    get_parent_path,
    resolve_file_dtype,
    split_attributes_by_group,
)
from shotdap.server.encoders.netcdf.rules import (
    Attribute,
    iter_supported_variables,
    list_omitted_variables,
    normalize_attributes,
)
from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_name, shorten_path


def encode(dataset: xr.Dataset) -> EncodedFile:
    """The dataset as a netCDF-4 file; see `Encoder`."""
    file = io.BytesIO()
    with h5netcdf.File(file, "w") as root:
        _write_dataset(root, dataset)
    return wrap_file(file)


def _write_dataset(root: h5netcdf.File, dataset: xr.Dataset) -> None:
    places = _FilePaths(dict(iter_supported_variables(dataset)))
    for path in places.group_paths:
        _ensure_group(root, path)
    for dimension, path in places.dimension_paths.items():
        _ensure_group(root, get_parent_path(path)).dimensions[get_local_name(path)] = dataset.sizes[dimension]
    for name, variable in places.variables.items():
        _write_variable(root, name, variable, places)
    for path, attrs in split_attributes_by_group(dataset.attrs, places.group_paths).items():
        _write_attributes(_ensure_group(root, path), normalize_attributes(attrs))
    renamed = {path: name for name, path in places.dimension_paths.items() if places.variable_paths.get(name) != path}
    root_attrs = {
        **list_omitted_variables(dataset, places.variables),
        **list_renamed(dataset.attrs, RENAMED_DIMENSIONS, renamed),
    }
    _write_attributes(root, normalize_attributes(root_attrs))


def _write_variable(root: h5netcdf.File, name: str, variable: xr.Variable, places: _FilePaths) -> None:
    path = places.variable_paths[name]
    found = encode_values(variable)
    written = _ensure_group(root, get_parent_path(path)).create_variable(
        get_local_name(path),
        tuple(get_local_name(places.dimension_paths[str(dimension)]) for dimension in variable.dims),
        resolve_file_dtype(found),
        data=found,
    )
    renamed = {"original_name": name} if path != name else {}
    _write_attributes(
        written, normalize_attributes({**renamed, **variable.attrs}, None if found.dtype == object else found.dtype)
    )


def _write_attributes(owner: h5netcdf.Group | h5netcdf.Variable, attrs: Mapping[str, Attribute]) -> None:
    for name, value in attrs.items():
        owner.attrs[name] = encode_attribute_value(value)


def _ensure_group(root: h5netcdf.Group, path: str) -> h5netcdf.Group:
    group = root
    for name in filter(None, path.split("/")):
        group = group.groups[name] if name in group.groups else group.create_group(name)
    return group


@dataclass(frozen=True)
class _FilePaths:
    """Where in the file everything goes."""

    variables: Mapping[str, xr.Variable]

    @cached_property
    def group_paths(self) -> tuple[str, ...]:
        """The paths of all groups, each after the one around it."""
        homes = dict.fromkeys(map(get_parent_path, (*self.variables, *self._resolvable_dimensions)))
        return tuple(dict.fromkeys(path for home in homes for path in _list_ancestors(home)))

    @cached_property
    def variable_paths(self) -> dict[str, str]:
        """The path of each variable, and of each dimension that lives where its name says, by rule 3."""
        names = dict.fromkeys((*self.variables, *self._resolvable_dimensions))
        groups = set(self.group_paths)
        unique = UniqueNames(groups.union(names))
        return {name: unique.claim(shorten_path(f"{name}_")) if name in groups else name for name in names}

    @cached_property
    def dimension_paths(self) -> dict[str, str]:
        """The path of each dimension, by rule 2."""
        paths: dict[str, str] = {}
        unique = UniqueNames(get_local_name(name) for name in (*self.variable_paths.values(), *self.group_paths))
        for dimension in self._dimension_users:
            at_home = dimension in self._resolvable_dimensions
            paths[dimension] = (
                self.variable_paths[dimension] if at_home else unique.claim(shorten_name(dimension.replace("/", "_")))
            )
        return paths

    @cached_property
    def _dimension_users(self) -> dict[str, list[str]]:
        """For each dimension, the variables that have it."""
        users: dict[str, list[str]] = {}
        for name, variable in self.variables.items():
            for dimension in map(str, variable.dims):
                users.setdefault(dimension, []).append(name)
        return users

    @cached_property
    def _resolvable_dimensions(self) -> frozenset[str]:
        """The dimensions that all of their variables find where their names say."""
        return frozenset(
            dimension
            for dimension, users in self._dimension_users.items()
            if all(
                self._find_dimension(get_parent_path(user), get_local_name(dimension)) == dimension for user in users
            )
            and not self._has_foreign_dimensions(dimension)
        )

    def _has_foreign_dimensions(self, dimension: str) -> bool:
        """Whether a dimension's own variable has others that live elsewhere, which h5netcdf 1.8 does not look for."""
        own = self.variables.get(dimension)
        return own is not None and any(get_parent_path(str(other)) != get_parent_path(dimension) for other in own.dims)

    def _find_dimension(self, group: str, local: str) -> str | None:
        """The dimension that a variable in a group finds under a name."""
        around = (*reversed(_list_ancestors(group)), "")
        return next(
            (path for above in around if (path := f"{above}/{local}".lstrip("/")) in self._dimension_users), None
        )


def _list_ancestors(path: str) -> tuple[str, ...]:
    """A group and all groups around it but the root, the outermost first."""
    names = path.split("/") if path else []
    return tuple("/".join(names[: depth + 1]) for depth in range(len(names)))
