"""Where in a hierarchy everything goes.

Rule 1: a name with slashes is a path: ``DATA/SHOT/image`` is the array ``image`` in the group ``SHOT`` of ``DATA``; an
attribute of the dataset lives where its name says, where there is such a group.
Rule 2: a group and an array cannot share a path; where they would, the group keeps it, and the array gets a ``_``.
Rule 3: dimensions belong to no group. One is called by the last part of its name, as in its file, also where a group
around has another of that name, if it has a coordinate of its own: `DataTree` refuses two that differ, as it does for
the file. Otherwise `DataTree` would give the dimension the other's coordinate, and where one group uses two of a name,
nothing could tell them apart: then it has its whole name, and the root's ``renamed_dimensions`` lists it.
Rule 4: where a group has an array that is called like a coordinate of a group around but is none itself, the group's
attribute ``coordinates`` names it: `DataTree` would show the outer one in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import xarray as xr

from shotdap.transforms import UniqueNames, add_underscores
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_name, shorten_path


@dataclass(frozen=True)
class GroupTree:
    """The paths of what is in a dataset."""

    variables: Mapping[str, xr.Variable]
    """Those that go into the hierarchy, by their names in the dataset."""

    @cached_property
    def group_paths(self) -> tuple[str, ...]:
        """The paths of all groups but the root, each after the one around it."""
        return tuple(dict.fromkeys(path for name in self.variables for path in _list_ancestors(_get_parent_path(name))))

    @cached_property
    def variable_paths(self) -> Mapping[str, str]:
        """The path of each variable."""
        groups = set(self.group_paths)
        unique = UniqueNames(groups.union(self.variables), add_underscores)
        return {name: unique.claim(shorten_path(f"{name}_")) if name in groups else name for name in self.variables}

    @cached_property
    def descendants(self) -> Mapping[str, tuple[list[str], list[str]]]:
        """For each group and the root, ``""``, the paths of all variables and of all groups below it."""
        found: dict[str, tuple[list[str], list[str]]] = {path: ([], []) for path in ("", *self.group_paths)}
        for path in self.variable_paths.values():
            for group in ("", *_list_ancestors(_get_parent_path(path))):
                found[group][0].append(path)
        for path in self.group_paths:
            for group in ("", *_list_ancestors(_get_parent_path(path))):
                found[group][1].append(path)
        return found

    @cached_property
    def dimension_names(self) -> Mapping[str, str]:
        """What each dimension is called, by rule 3."""
        every = dict.fromkeys(str(dimension) for variable in self.variables.values() for dimension in variable.dims)
        unique = UniqueNames(map(_get_local_name, every), add_underscores)
        return {
            name: unique.claim(shorten_name(name.replace("/", "_")))
            if name in self._ambiguous_dimensions
            else _get_local_name(name)
            for name in every
        }

    @cached_property
    def _ambiguous_dimensions(self) -> frozenset[str]:
        """The dimensions that need their whole name, by rule 3."""
        here: dict[tuple[str, str], set[str]] = {}  # by group and last name
        for name, variable in self.variables.items():
            for dimension in map(str, variable.dims):
                here.setdefault((_get_parent_path(name), _get_local_name(dimension)), set()).add(dimension)
        found: set[str] = set()
        for (group, local), dimensions in here.items():
            for dimension in dimensions:
                home = _get_parent_path(dimension) if self._is_coordinate(dimension) else ""
                around = ("", *_list_ancestors(group))
                groups = around[around.index(home) :] if home in around else around
                others = set().union(*(here.get((each, local), ()) for each in groups)) - {dimension}
                if others:
                    found |= {dimension} if "/" in dimension else others  # a root's dimension has no longer name
        return frozenset(found)

    def _is_coordinate(self, name: str) -> bool:
        return name in self.variables and self.variables[name].dims == (name,)

    def split_attributes_by_group(self, attrs: Mapping[Any, object]) -> Mapping[str, Mapping[str, object]]:
        """The dataset's attributes by the groups that they belong to, the root's under ``""``."""
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
        """For each group the arrays in it that a coordinate of a group around would hide, by rule 4."""
        dimensions: dict[str, set[str]] = {}  # the names of those that a group's arrays have
        indexed: set[str] = set()  # the paths of coordinates that `DataTree` hands down
        for name, variable in self.variables.items():
            names = [self.dimension_names[str(dimension)] for dimension in variable.dims]
            dimensions.setdefault(_get_parent_path(name), set()).update(names)
            if names == [_get_local_name(name)]:
                indexed.add(name)
        hidden: dict[str, list[str]] = {}
        for name in self.variables.keys() - indexed:
            group, local = _get_parent_path(name), _get_local_name(name)
            outer = (f"{each}/{local}".lstrip("/") for each in ("", *_list_ancestors(_get_parent_path(group))))
            if group and local not in dimensions[group] and not indexed.isdisjoint(outer):
                hidden.setdefault(group, []).append(local)
        return {group: sorted(names) for group, names in hidden.items()}


def _list_ancestors(group: str) -> Iterator[str]:
    """A group and those around it but the root, the outermost first."""
    names = group.split("/") if group else []
    return ("/".join(names[: depth + 1]) for depth in range(len(names)))


def _get_parent_path(path: str) -> str:
    return path.rpartition("/")[0]


def _get_local_name(path: str) -> str:
    return path.rpartition("/")[2]
