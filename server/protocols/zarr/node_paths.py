"""Paths of arrays and groups in a hierarchy, and names of dimensions.

Rule 1: a name with slashes is a path: ``DATA/SHOT/image`` is the array ``image`` in the group ``SHOT`` of ``DATA``;
this holds for an attribute of the dataset, too, if the group exists.
Rule 2: a group and an array cannot share a path; if they would, the group keeps it, and the array gets a ``_``.
Rule 3: dimensions belong to no group. The name of a dimension is the last part of its name, as in its file, also if a
group around has another of that name and the dimension has a coordinate of its own: `DataTree` refuses two that differ,
as it does for the file. Otherwise `DataTree` would give the dimension the coordinate of the other, and two dimensions
of a name in one group could not be distinguished: then it has its whole name, and ``renamed_dimensions`` of the root
lists it.
Rule 4: if an array has the name of a coordinate of a group around but is no coordinate itself, the attribute
``coordinates`` of its group lists it: `DataTree` would show the outer one in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import xarray as xr

from shotdap.server.protocols.variable_names import get_local_name, get_parent_path, list_ancestors
from shotdap.transforms import UniqueNames, add_underscores
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_name, shorten_path


@dataclass(frozen=True)
class GroupTree:
    """The paths of the variables, groups and dimensions of a dataset."""

    variables: Mapping[str, xr.Variable]
    """The variables in the hierarchy, by their names in the dataset."""

    @cached_property
    def group_paths(self) -> tuple[str, ...]:
        """The paths of all groups but the root, each after the one around it."""
        return tuple(dict.fromkeys(path for name in self.variables for path in list_ancestors(get_parent_path(name))))

    @cached_property
    def variable_paths(self) -> Mapping[str, str]:
        """The path of each variable."""
        groups = set(self.group_paths)
        unique = UniqueNames(groups.union(self.variables), add_underscores)
        return {name: unique.claim(shorten_path(f"{name}_")) if name in groups else name for name in self.variables}

    @cached_property
    def descendants(self) -> Mapping[str, tuple[list[str], list[str]]]:
        """The paths of all variables and of all groups below each group and the root, ``""``."""
        descendants: dict[str, tuple[list[str], list[str]]] = {path: ([], []) for path in ("", *self.group_paths)}
        for path in self.variable_paths.values():
            for group in ("", *list_ancestors(get_parent_path(path))):
                descendants[group][0].append(path)
        for path in self.group_paths:
            for group in ("", *list_ancestors(get_parent_path(path))):
                descendants[group][1].append(path)
        return descendants

    @cached_property
    def dimension_names(self) -> Mapping[str, str]:
        """The name of each dimension, by rule 3."""
        every = dict.fromkeys(str(dimension) for variable in self.variables.values() for dimension in variable.dims)
        unique = UniqueNames(map(get_local_name, every), add_underscores)
        return {
            name: unique.claim(shorten_name(name.replace("/", "_")))
            if name in self._ambiguous_dimensions
            else get_local_name(name)
            for name in every
        }

    @cached_property
    def _ambiguous_dimensions(self) -> frozenset[str]:
        """The dimensions that need their whole name, by rule 3."""
        users: dict[tuple[str, str], set[str]] = {}  # by group and last name
        for name, variable in self.variables.items():
            for dimension in map(str, variable.dims):
                users.setdefault((get_parent_path(name), get_local_name(dimension)), set()).add(dimension)
        ambiguous: set[str] = set()
        for (group, local), dimensions in users.items():
            for dimension in dimensions:
                has_coordinate = dimension in self.variables and self.variables[dimension].dims == (dimension,)
                home = get_parent_path(dimension) if has_coordinate else ""
                around = ("", *list_ancestors(group))
                groups = around[around.index(home) :] if home in around else around
                others = set().union(*(users.get((each, local), ()) for each in groups)) - {dimension}
                if others:
                    ambiguous |= {dimension} if "/" in dimension else others  # names in the root have no group
        return frozenset(ambiguous)

    def split_attributes_by_group(self, attrs: Mapping[Any, object]) -> Mapping[str, Mapping[str, object]]:
        """Return the attributes of the dataset by the groups that they belong to, those of the root under ``""``."""
        sorted_: dict[str, dict[str, object]] = {path: {} for path in ("", *self.group_paths)}
        for key, value in attrs.items():
            group, _, name = str(key).rpartition("/")
            if group in sorted_ and name:
                sorted_[group][name] = value
            else:
                sorted_[""][str(key)] = value
        for group, names in self.hidden_arrays.items():
            sorted_[group]["coordinates"] = " ".join([*str(sorted_[group].get("coordinates", "")).split(), *names])
        renamed = {
            self.dimension_names[name]: name for name in self.dimension_names if name in self._ambiguous_dimensions
        }
        return {**sorted_, "": {**sorted_[""], **list_renamed(sorted_[""], RENAMED_DIMENSIONS, renamed)}}

    @cached_property
    def hidden_arrays(self) -> Mapping[str, list[str]]:
        """The arrays of each group that a coordinate of a group around would hide, by rule 4."""
        dimensions: dict[str, set[str]] = {}  # of the arrays of each group
        indexed: set[str] = set()  # paths of coordinates that `DataTree` inherits
        for name, variable in self.variables.items():
            names = [self.dimension_names[str(dimension)] for dimension in variable.dims]
            dimensions.setdefault(get_parent_path(name), set()).update(names)
            if names == [get_local_name(name)]:
                indexed.add(name)
        hidden: dict[str, list[str]] = {}
        for name in self.variables.keys() - indexed:
            group, local = get_parent_path(name), get_local_name(name)
            outer = (f"{each}/{local}".lstrip("/") for each in ("", *list_ancestors(get_parent_path(group))))
            if group and local not in dimensions[group] and not indexed.isdisjoint(outer):
                hidden.setdefault(group, []).append(local)
        return {group: sorted(names) for group, names in hidden.items()}
