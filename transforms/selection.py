"""Selections: the variables of a dataset that a request asks for, with a hyperslab of each.

Strategy: a protocol's parser makes a `Selection` from text, without a dataset; `Selection.apply` checks it against a
dataset, and either subsets that lazily or raises an error whose message a client can show. No value is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import xarray as xr

from shotdap.transforms.virtual.assembly import assemble_dataset

DimensionIndex: TypeAlias = slice | tuple[int, ...]
"""A part of one dimension: a range, or single indices in any order."""

Hyperslab: TypeAlias = tuple[DimensionIndex, ...]
"""One index for each dimension of a variable; empty for the whole variable."""

_FULL_SLICE: Final = slice(None)  # for a dimension without an index

_ResolvedIndex: TypeAlias = range | tuple[int, ...]
"""All indices of one dimension, checked."""


class BadSelection(ValueError):
    """The selection does not fit the dataset; the message says what is wrong and what would be right."""


@dataclass(frozen=True)
class Selection:
    """Variables and the hyperslab of each: ``{"image": (slice(100, 200, 3), slice(7, 900))}``.

    Every slice is half-open, with a start and a stop of zero or more and a step of one or more; a stop of `None`
    means the end. A tuple has single indices, in their order. An empty hyperslab selects the whole variable, the name
    of a group all of its variables, and a selection without variables the whole dataset.
    """

    hyperslabs: Mapping[str, Hyperslab] = field(default_factory=lambda: MappingProxyType({}))
    dimensions: Mapping[str, DimensionIndex] = field(default_factory=lambda: MappingProxyType({}))
    """The index of a dimension for whole variables, and in place of ``slice(None)`` in a hyperslab."""

    def apply(self, dataset: xr.Dataset) -> xr.Dataset:
        """Subset a dataset, lazily, to the selected variables, in the dataset's own order.

        Two variables that share a dimension may have different indices; a dimension with different indices keeps its
        name where it is whole, and has the name ``<dimension>_1``, ``<dimension>_2``, … elsewhere.

        Args:
            dataset: has the variables of the selection.

        Returns:
            The selected variables with their attributes, and the dataset's attributes, the caller's own. No value has
            been read.

        Raises:
            BadSelection: a name, a number of indices or an index does not fit.
        """
        if not self.hyperslabs and not self.dimensions:
            return dataset.copy(deep=False)
        for dimension in self.dimensions:
            if dimension not in dataset.dims:
                known = ", ".join(map(str, dataset.dims))
                raise BadSelection(f"There is no dimension {dimension!r} here. The dimensions are: {known}.")
        hyperslabs = self._expand_groups(dataset)
        indices = {
            str(name): self._resolve_hyperslab(str(name), hyperslabs[str(name)], variable)
            for name, variable in dataset.variables.items()
            if name in hyperslabs
        }
        names = _name_dimensions(dataset, indices, self.dimensions)
        selected: dict[str, xr.Variable] = {}
        for name, by_dimension in indices.items():
            indexers = {
                dimension: slice(each.start, each.stop, each.step)
                if isinstance(each, range)
                else np.array(each, np.intp)
                for dimension, each in by_dimension.items()
            }
            selected[name] = dataset.variables[name].to_base_variable().isel(indexers)
            selected[name].dims = tuple(names[each] for each in by_dimension.items())
        result = assemble_dataset(selected, dataset.coords, dataset.attrs)
        result.encoding = dict(dataset.encoding)
        return result

    def _expand_groups(self, dataset: xr.Dataset) -> dict[str, Hyperslab]:
        """Return the hyperslab of each selected variable, with those of selected groups and the groups below them."""
        variables = list(map(str, dataset.variables))
        if not self.hyperslabs:
            return dict.fromkeys(variables, ())
        hyperslabs: dict[str, Hyperslab] = {}
        groups = [name for name in self.hyperslabs if name not in dataset.variables]
        for group in groups:
            members = [name for name in variables if name.startswith(f"{group}/")]
            if not members and not any(str(name).startswith(f"{group}/") for name in dataset.attrs):
                known = ", ".join(variables)
                raise BadSelection(f"There is no variable {group!r} here. The variables are: {known}.")
            if self.hyperslabs[group]:
                raise BadSelection(f"{group} is a group, which takes no indices; ask for its variables.")
            hyperslabs |= dict.fromkeys(members, ())
        return hyperslabs | {name: hyperslab for name, hyperslab in self.hyperslabs.items() if name not in groups}

    def _resolve_hyperslab(self, name: str, hyperslab: Hyperslab, variable: xr.Variable) -> dict[str, _ResolvedIndex]:
        if hyperslab and len(hyperslab) != variable.ndim:
            dimensions = ", ".join(f"{each} ({size})" for each, size in variable.sizes.items())
            raise BadSelection(
                f"{name} has {f'the dimensions {dimensions}' if dimensions else 'no dimensions'}, so it takes"
                f" {variable.ndim} indices in brackets, not {len(hyperslab)}."
            )
        return {
            str(dimension): _resolve_index(
                f"{name}, dimension {dimension}",
                self.dimensions.get(str(dimension), index) if index == _FULL_SLICE else index,
                size,
            )
            for (dimension, size), index in zip(
                variable.sizes.items(), hyperslab or (_FULL_SLICE,) * variable.ndim, strict=True
            )
        }


def _resolve_index(where: str, index: DimensionIndex, size: int) -> _ResolvedIndex:
    if not isinstance(index, slice):
        for each in index:
            if not 0 <= each < size:
                bounds = f"0 to {size - 1}" if size else "its length of 0"
                raise BadSelection(f"{where}: index {each} is outside {bounds}.")
        return index
    start = 0 if index.start is None else index.start
    stop = max(start, size) if index.stop is None else index.stop
    step = 1 if index.step is None else index.step
    if start < 0:
        raise BadSelection(f"{where}: there is no index {start}; indices count from 0.")
    if step < 1 or stop < start:
        raise BadSelection(f"{where}: {start}:{step}:{stop - 1} does not go up; indices do, by 1 or more.")
    if size == 0:
        return range(0)  # pydap requests [0:1:9223372036854775806] of a dimension whose length is zero
    if start >= size or stop > size:
        raise BadSelection(f"{where}: index {max(start, stop - 1)} is outside 0 to {size - 1}.")
    return range(start, stop, step)


def _name_dimensions(
    dataset: xr.Dataset, indices: Mapping[str, Mapping[str, _ResolvedIndex]], defaults: Mapping[str, DimensionIndex]
) -> dict[tuple[str, _ResolvedIndex], str]:
    """Name each dimension, once for each of its different indices."""
    by_dimension: defaultdict[str, dict[_ResolvedIndex, None]] = defaultdict(dict)
    for variable in indices.values():
        for dimension, index in variable.items():
            by_dimension[dimension][index] = None
    used = {*map(str, dataset.sizes), *map(str, dataset.variables)}
    names: dict[tuple[str, _ResolvedIndex], str] = {}
    for hashable, size in dataset.sizes.items():
        name = str(hashable)
        default = _resolve_index(f"dimension {name}", defaults.get(name, _FULL_SLICE), size)
        numbered = (each for number in count(1) if (each := f"{name}_{number}") not in used)
        for index in by_dimension[name]:
            names[name, index] = name if len(by_dimension[name]) == 1 or index == default else next(numbered)
    return names
