"""netCDF-4: a dataset with its groups, in a file that any netCDF or HDF5 library opens.

Written by h5netcdf: the server has one HDF5 library, that of h5py, with one lock around it; netCDF4-python would add a
second one without a lock. The file is written in memory and sent without another copy.

Strategy: first decide the path of everything, then write.

Rule 1: a name with slashes is a path: ``DATA/SHOT/image`` is ``image`` in the group ``SHOT`` of ``DATA``; this holds
for dimensions, too, and for an attribute of the dataset if the group exists.
Rule 2: a variable finds a dimension by its name, in its own group or the nearest around it. A dimension that one of its
variables would not find is in the root, under a name of its own; ``renamed_dimensions`` of the root lists it.
Rule 3: a group, a variable and a dimension cannot share a name in HDF5; if they would, the group keeps it, and
``original_name`` is the original name of the variable.
Rule 4: nothing is compressed: images are noise, and a download should start at once.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import h5netcdf
import xarray as xr

from shotdap.server.encoders import EncodedFile
from shotdap.server.encoders.encoded_file import wrap_file
from shotdap.server.encoders.hdf5_groups import (
    encode_values,
    resolve_file_dtype,
    split_attributes_by_group,
    write_attributes,
)
from shotdap.server.encoders.netcdf.rules import (
    iter_supported_variables,
    list_omitted_variables,
    normalize_attributes,
)
from shotdap.server.protocols.variable_names import get_local_name, get_parent_path, list_ancestors
from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_name, shorten_path


def encode(dataset: xr.Dataset) -> EncodedFile:
    """Encode a dataset as a netCDF-4 file; see `Encoder`."""
    file = io.BytesIO()
    with h5netcdf.File(file, "w") as root:
        paths = _FilePaths(dict(iter_supported_variables(dataset)))
        for path in paths.group_paths:
            _ensure_group(root, path)
        for dimension, path in paths.dimension_paths.items():
            _ensure_group(root, get_parent_path(path)).dimensions[get_local_name(path)] = dataset.sizes[dimension]
        for name, variable in paths.variables.items():
            path, values = paths.variable_paths[name], encode_values(variable)
            owner = _ensure_group(root, get_parent_path(path)).create_variable(
                get_local_name(path),
                tuple(get_local_name(paths.dimension_paths[str(dimension)]) for dimension in variable.dims),
                resolve_file_dtype(values),
                data=values,
            )
            attrs = {**({"original_name": name} if path != name else {}), **variable.attrs}
            write_attributes(owner, normalize_attributes(attrs, None if values.dtype == object else values.dtype))
        for path, attrs in split_attributes_by_group(dataset.attrs, paths.group_paths).items():
            write_attributes(_ensure_group(root, path), normalize_attributes(attrs))
        renamed = {path: name for name, path in paths.dimension_paths.items() if paths.variable_paths.get(name) != path}
        notes = {
            **list_omitted_variables(dataset, paths.variables),
            **list_renamed(dataset.attrs, RENAMED_DIMENSIONS, renamed),
        }
        write_attributes(root, normalize_attributes(notes))
    return wrap_file(file)


def _ensure_group(root: h5netcdf.Group, path: str) -> h5netcdf.Group:
    group = root
    for name in filter(None, path.split("/")):
        group = group.groups[name] if name in group.groups else group.create_group(name)
    return group


@dataclass(frozen=True)
class _FilePaths:
    """The paths of groups, variables and dimensions in the file."""

    variables: Mapping[str, xr.Variable]

    @cached_property
    def group_paths(self) -> tuple[str, ...]:
        """The paths of all groups, each after the one around it."""
        parents = dict.fromkeys(map(get_parent_path, (*self.variables, *self._resolvable_dimensions)))
        return tuple(dict.fromkeys(path for parent in parents for path in list_ancestors(parent)))

    @cached_property
    def variable_paths(self) -> dict[str, str]:
        """The path of each variable, and of each dimension whose name is its path, by rule 3."""
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
            paths[dimension] = (
                self.variable_paths[dimension]
                if dimension in self._resolvable_dimensions
                else unique.claim(shorten_name(dimension.replace("/", "_")))
            )
        return paths

    @cached_property
    def _dimension_users(self) -> dict[str, list[str]]:
        """The variables of each dimension."""
        users: dict[str, list[str]] = {}
        for name, variable in self.variables.items():
            for dimension in map(str, variable.dims):
                users.setdefault(dimension, []).append(name)
        return users

    @cached_property
    def _resolvable_dimensions(self) -> frozenset[str]:
        """The dimensions that all of their variables find by rule 2.

        Not those whose own variable has dimensions of other groups: h5netcdf 1.8 does not search these groups. A
        dimension that is not resolvable belongs to the root.
        """
        resolvable = {
            dimension
            for dimension, users in self._dimension_users.items()
            if all(
                self._find_dimension(get_parent_path(user), get_local_name(dimension)) == dimension for user in users
            )
        }
        while foreign := {each for each in resolvable if self._has_foreign_dimensions(each, resolvable)}:
            resolvable -= foreign  # which may make others foreign
        return frozenset(resolvable)

    def _has_foreign_dimensions(self, dimension: str, resolvable: Collection[str]) -> bool:
        """Check whether the own variable of a dimension has dimensions of other groups."""
        parent = get_parent_path(dimension)
        own = map(str, self.variables[dimension].dims) if dimension in self.variables else ()
        return any(get_parent_path(each) != parent or (parent and each not in resolvable) for each in own)

    def _find_dimension(self, group: str, local: str) -> str | None:
        """Return the dimension that a variable in a group finds under a name, if there is any."""
        around = (*reversed(list_ancestors(group)), "")
        return next(
            (path for above in around if (path := f"{above}/{local}".lstrip("/")) in self._dimension_users), None
        )
