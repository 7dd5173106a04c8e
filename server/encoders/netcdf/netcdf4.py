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

from shotdap.server.encoders import Encoded
from shotdap.server.encoders.blocks import of_file
from shotdap.server.encoders.hdf5_groups import by_group, local, parent, stored, type_of, values
from shotdap.server.encoders.netcdf.rules import Attribute, attributes, carried, left_out
from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten, shorten_path

__all__ = ["encode"]


def encode(dataset: xr.Dataset) -> Encoded:
    """The dataset as a netCDF-4 file; see `Encode`."""
    file = io.BytesIO()
    with h5netcdf.File(file, "w") as root:
        _write(root, dataset)
    return of_file(file)


def _write(root: h5netcdf.File, dataset: xr.Dataset) -> None:
    places = _Places(dict(carried(dataset)))
    for path in places.groups:
        _group(root, path)
    for dimension, path in places.dimensions.items():
        _group(root, parent(path)).dimensions[local(path)] = dataset.sizes[dimension]
    for name, variable in places.variables.items():
        _write_variable(root, name, variable, places)
    for path, attrs in by_group(dataset.attrs, places.groups).items():
        _describe(_group(root, path), attributes(attrs))
    renamed = {path: name for name, path in places.dimensions.items() if places.of.get(name) != path}
    root_attrs = {**left_out(dataset, places.variables), **list_renamed(dataset.attrs, RENAMED_DIMENSIONS, renamed)}
    _describe(root, attributes(root_attrs))


def _write_variable(root: h5netcdf.File, name: str, variable: xr.Variable, places: _Places) -> None:
    path = places.of[name]
    found = values(variable)
    written = _group(root, parent(path)).create_variable(
        local(path),
        tuple(local(places.dimensions[str(dimension)]) for dimension in variable.dims),
        type_of(found),
        data=found,
    )
    renamed = {"original_name": name} if path != name else {}
    _describe(written, attributes({**renamed, **variable.attrs}, None if found.dtype == object else found.dtype))


def _describe(owner: h5netcdf.Group | h5netcdf.Variable, attrs: Mapping[str, Attribute]) -> None:
    for name, value in attrs.items():
        owner.attrs[name] = stored(value)


def _group(root: h5netcdf.Group, path: str) -> h5netcdf.Group:
    group = root
    for name in filter(None, path.split("/")):
        group = group.groups[name] if name in group.groups else group.create_group(name)
    return group


@dataclass(frozen=True)
class _Places:
    """Where in the file everything goes."""

    variables: Mapping[str, xr.Variable]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The paths of all groups, each after the one around it."""
        homes = dict.fromkeys(map(parent, (*self.variables, *self._at_home)))
        return tuple(dict.fromkeys(path for home in homes for path in _prefixes(home)))

    @cached_property
    def of(self) -> dict[str, str]:
        """The path of each variable, and of each dimension that lives where its name says, by rule 3."""
        names = dict.fromkeys((*self.variables, *self._at_home))
        groups = set(self.groups)
        unique = UniqueNames(groups.union(names))
        return {name: unique.claim(shorten_path(f"{name}_")) if name in groups else name for name in names}

    @cached_property
    def dimensions(self) -> dict[str, str]:
        """The path of each dimension, by rule 2."""
        paths: dict[str, str] = {}
        unique = UniqueNames(local(name) for name in (*self.of.values(), *self.groups))
        for dimension in self._users:
            at_home = dimension in self._at_home
            paths[dimension] = self.of[dimension] if at_home else unique.claim(shorten(dimension.replace("/", "_")))
        return paths

    @cached_property
    def _users(self) -> dict[str, list[str]]:
        """For each dimension, the variables that have it."""
        users: dict[str, list[str]] = {}
        for name, variable in self.variables.items():
            for dimension in map(str, variable.dims):
                users.setdefault(dimension, []).append(name)
        return users

    @cached_property
    def _at_home(self) -> frozenset[str]:
        """The dimensions that all of their variables find where their names say."""
        return frozenset(
            dimension
            for dimension, users in self._users.items()
            if all(self._found(parent(user), local(dimension)) == dimension for user in users)
            and not self._is_tangled(dimension)
        )

    def _is_tangled(self, dimension: str) -> bool:
        """Whether a dimension's own variable has others that live elsewhere, which h5netcdf 1.8 does not look for."""
        own = self.variables.get(dimension)
        return own is not None and any(parent(str(other)) != parent(dimension) for other in own.dims)

    def _found(self, group: str, local: str) -> str | None:
        """The dimension that a variable in a group finds under a name."""
        around = (*reversed(_prefixes(group)), "")
        return next((path for above in around if (path := f"{above}/{local}".lstrip("/")) in self._users), None)


def _prefixes(path: str) -> tuple[str, ...]:
    """A group and all groups around it but the root, the outermost first."""
    names = path.split("/") if path else []
    return tuple("/".join(names[: depth + 1]) for depth in range(len(names)))
