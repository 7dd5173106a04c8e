"""Where in a hierarchy everything goes.

Rule 1: a name with slashes is a path: ``DATA/SHOT/image`` is the array ``image`` in the group ``SHOT`` of ``DATA``; an
attribute of the dataset lives where its name says, where there is such a group.
Rule 2: a group and an array cannot share a path; where they would, the group keeps it, and the array gets a ``_``.
Rule 3: dimensions belong to no group. One is called by the last part of its name, unless another that is called so is
used in the same group or in one around it: `DataTree` would take them for one. Then it has its whole name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import xarray as xr

from shotdap.transforms import UniqueNames, with_underscores

__all__ = ["Tree"]


@dataclass(frozen=True)
class Tree:
    """The paths of what is in a dataset."""

    variables: Mapping[str, xr.Variable]
    """Those that go into the hierarchy, by their names in the dataset."""

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The paths of all groups but the root, each after the one around it."""
        return tuple(dict.fromkeys(path for name in self.variables for path in _around(_parent(name))))

    @cached_property
    def paths(self) -> Mapping[str, str]:
        """The path of each variable."""
        groups = set(self.groups)
        unique = UniqueNames(groups.union(self.variables), with_underscores)
        return {name: unique.claim(f"{name}_") if name in groups else name for name in self.variables}

    @cached_property
    def below(self) -> Mapping[str, tuple[list[str], list[str]]]:
        """For each group and the root, ``""``, the paths of all variables and of all groups below it."""
        found: dict[str, tuple[list[str], list[str]]] = {path: ([], []) for path in ("", *self.groups)}
        for path in self.paths.values():
            for group in ("", *_around(_parent(path))):
                found[group][0].append(path)
        for path in self.groups:
            for group in ("", *_around(_parent(path))):
                found[group][1].append(path)
        return found

    @cached_property
    def dimensions(self) -> Mapping[str, str]:
        """What each dimension is called."""
        ambiguous = self._ambiguous
        return {
            name: name.replace("/", "_") if name in ambiguous else _local(name)
            for variable in self.variables.values()
            for name in map(str, variable.dims)
        }

    @cached_property
    def _ambiguous(self) -> frozenset[str]:
        """The dimensions that share their last name with another one in sight."""
        here: dict[tuple[str, str], set[str]] = {}  # by group and last name
        for name, variable in self.variables.items():
            for dimension in map(str, variable.dims):
                here.setdefault((_parent(name), _local(dimension)), set()).add(dimension)
        found: set[str] = set()
        for (group, local), dimensions in here.items():
            above = (here.get((path, local), set()) for path in ("", *_around(group)))
            in_sight = dimensions.union(*above)
            found |= in_sight if len(in_sight) > 1 else set()
        return frozenset(found)

    def attributes(self, attrs: Mapping[Any, object]) -> Mapping[str, Mapping[str, object]]:
        """The dataset's attributes by the groups that they belong to, the root's under ``""``."""
        sorted_: dict[str, dict[str, object]] = {path: {} for path in ("", *self.groups)}
        for key, value in attrs.items():
            group, _, name = str(key).rpartition("/")
            if group in sorted_ and name:
                sorted_[group][name] = value
            else:
                sorted_[""][str(key)] = value
        return sorted_


def _around(group: str) -> Iterator[str]:
    """A group and those around it but the root, the outermost first."""
    names = group.split("/") if group else []
    return ("/".join(names[: depth + 1]) for depth in range(len(names)))


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _local(path: str) -> str:
    return path.rpartition("/")[2]
