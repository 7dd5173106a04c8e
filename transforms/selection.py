"""What a request asks for of a dataset: which variables, and which hyperslab of each.

Strategy: a protocol's parser makes a `Selection` from text without seeing a dataset; `Selection.apply` holds it
against one, and either narrows it lazily or says, in a sentence a client can show, what does not fit. Nothing is
read in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

DimensionIndex: TypeAlias = slice | tuple[int, ...]
"""A part of one dimension: a range of it, or single indices in any order."""

Hyperslab: TypeAlias = tuple[DimensionIndex, ...]
"""One index for each dimension of a variable; empty for the whole variable."""

FULL_SLICE = slice(None)
"""A dimension that no index was given for."""

ResolvedIndex: TypeAlias = range | tuple[int, ...]
"""The indices of one dimension, all known."""


class BadSelection(ValueError):
    """The selection does not fit the dataset; the message says what was wrong and what would be right."""


@dataclass(frozen=True)
class Selection:
    """Variables and the hyperslab of each: ``{"image": (slice(100, 200, 3), slice(7, 900))}``.

    Every slice is half-open, with a start and a stop of zero or more and a step of one or more; a stop of `None`
    means the end. A tuple of indices takes these, in their order. A variable with an empty hyperslab is wanted whole,
    the name of a group stands for all that the group holds, and a selection with no variables wants everything.
    """

    hyperslabs: Mapping[str, Hyperslab] = field(default_factory=lambda: MappingProxyType({}))
    dimensions: Mapping[str, DimensionIndex] = field(default_factory=lambda: MappingProxyType({}))
    """What is left of a dimension: for whole variables, and where a hyperslab says ``slice(None)``."""

    def apply(self, dataset: xr.Dataset) -> xr.Dataset:
        """Narrow a dataset, lazily, to the selected variables, in the dataset's own order.

        Two variables that share a dimension may be cut differently; a dimension cut in more than one way keeps its
        name where it is whole, and is called ``<dimension>_1``, ``<dimension>_2``, … elsewhere.

        Args:
            dataset: what the names and indices refer to.

        Returns:
            The selected variables with their attributes, and the dataset's attributes. No value has been read.

        Raises:
            BadSelection: a name, a number of indices or an index does not fit.
        """
        if not self.hyperslabs and not self.dimensions:
            return dataset
        cuts = self._resolve_indices(dataset)
        names = _name_dimensions(cuts, self._resolve_default_indices(dataset), dataset.variables)
        narrowed = {name: _narrow_variable(dataset.variables[name], cuts[name], names) for name in cuts}
        coords = {name: variable for name, variable in narrowed.items() if name in dataset.coords}
        selected = xr.Dataset(
            {name: variable for name, variable in narrowed.items() if name not in coords},
            coords=xr.Coordinates(coords, indexes={}),  # an index would read the coordinate
            attrs=dataset.attrs,
        )
        selected.encoding = dict(dataset.encoding)
        return selected

    def _resolve_indices(self, dataset: xr.Dataset) -> dict[str, dict[str, ResolvedIndex]]:
        """For each selected variable, in the dataset's order, the cut of each of its dimensions."""
        for dimension in self.dimensions:
            if dimension not in dataset.dims:
                known = ", ".join(map(str, dataset.dims))
                raise BadSelection(f"There is no dimension {dimension!r} here. The dimensions are: {known}.")
        wanted = self._expand_groups(dataset)
        return {
            str(name): _resolve_hyperslab(str(name), wanted[str(name)], variable, self.dimensions)
            for name, variable in dataset.variables.items()
            if name in wanted
        }

    def _resolve_default_indices(self, dataset: xr.Dataset) -> dict[str, ResolvedIndex]:
        """How each dimension is cut where no index was given."""
        return {
            str(name): _resolve_index(f"dimension {name}", self.dimensions.get(str(name), FULL_SLICE), size)
            for name, size in dataset.sizes.items()
        }

    def _expand_groups(self, dataset: xr.Dataset) -> dict[str, Hyperslab]:
        """The hyperslab of each variable that is wanted, those of wanted groups included."""
        variables = list(map(str, dataset.variables))
        if not self.hyperslabs:
            return dict.fromkeys(variables, ())
        groups = [name for name in self.hyperslabs if name not in dataset.variables]
        wanted: dict[str, Hyperslab] = {}
        for group in groups:
            wanted |= dict.fromkeys(_list_group_members(group, variables, dataset), ())
            if self.hyperslabs[group]:
                raise BadSelection(f"{group} is a group, which takes no indices; ask for its variables.")
        return wanted | {name: hyperslab for name, hyperslab in self.hyperslabs.items() if name not in groups}


def _list_group_members(group: str, variables: Iterable[str], dataset: xr.Dataset) -> list[str]:
    """The variables in a group and in those below it."""
    members = [name for name in variables if name.startswith(f"{group}/")]
    if not members and not any(str(name).startswith(f"{group}/") for name in dataset.attrs):
        known = ", ".join(variables)
        raise BadSelection(f"There is no variable {group!r} here. The variables are: {known}.")
    return members


def _resolve_hyperslab(
    name: str, hyperslab: Hyperslab, variable: xr.Variable, redefined: Mapping[str, DimensionIndex]
) -> dict[str, ResolvedIndex]:
    if hyperslab and len(hyperslab) != variable.ndim:
        raise BadSelection(
            f"{name} has {_format_dimensions(variable)}, so it takes {variable.ndim} indices"
            f" in brackets, not {len(hyperslab)}."
        )
    pieces = hyperslab or (FULL_SLICE,) * variable.ndim
    return {
        str(dimension): _resolve_index(
            f"{name}, dimension {dimension}",
            redefined.get(str(dimension), piece) if piece == FULL_SLICE else piece,
            size,
        )
        for (dimension, size), piece in zip(variable.sizes.items(), pieces, strict=True)
    }


def _format_dimensions(variable: xr.Variable) -> str:
    if not variable.ndim:
        return "no dimensions"
    return "the dimensions " + ", ".join(f"{name} ({size})" for name, size in variable.sizes.items())


def _resolve_index(where: str, piece: DimensionIndex, size: int) -> ResolvedIndex:
    return _resolve_slice(where, piece, size) if isinstance(piece, slice) else _check_indices(where, piece, size)


def _check_indices(where: str, indices: tuple[int, ...], size: int) -> ResolvedIndex:
    for index in indices:
        if not 0 <= index < size:
            raise BadSelection(
                f"{where}: index {index} is outside {f'0 to {size - 1}' if size else 'its length of 0'}."
            )
    return indices


def _resolve_slice(where: str, piece: slice, size: int) -> ResolvedIndex:
    start = 0 if piece.start is None else piece.start
    stop = max(start, size) if piece.stop is None else piece.stop
    step = 1 if piece.step is None else piece.step
    if start < 0:
        raise BadSelection(f"{where}: there is no index {start}; indices count from 0.")
    if step < 1 or stop < start:
        raise BadSelection(f"{where}: {start}:{step}:{stop - 1} does not go up; indices do, by 1 or more.")
    if size == 0:
        return range(0)  # pydap asks for [0:1:9223372036854775806] of a dimension of length zero
    if start >= size or stop > size:
        raise BadSelection(f"{where}: index {max(start, stop - 1)} is outside 0 to {size - 1}.")
    return range(start, stop, step)


def _name_dimensions(
    cuts: Mapping[str, Mapping[str, ResolvedIndex]], wholes: Mapping[str, ResolvedIndex], variables: Iterable[Hashable]
) -> dict[tuple[str, ResolvedIndex], str]:
    """A name for each way in which a dimension is cut."""
    ways: defaultdict[str, dict[ResolvedIndex, None]] = defaultdict(dict)
    for variable in cuts.values():
        for dimension, cut in variable.items():
            ways[dimension][cut] = None
    taken = {*wholes, *map(str, variables)}
    names: dict[tuple[str, ResolvedIndex], str] = {}
    for dimension, different in ways.items():
        fresh = _fresh_names(dimension, taken)
        for cut in different:
            names[dimension, cut] = dimension if len(different) == 1 or cut == wholes[dimension] else next(fresh)
    return names


def _fresh_names(dimension: str, taken: set[str]) -> Iterator[str]:
    return (name for number in count(1) if (name := f"{dimension}_{number}") not in taken)


def _narrow_variable(
    variable: xr.Variable, cuts: Mapping[str, ResolvedIndex], names: Mapping[tuple[str, ResolvedIndex], str]
) -> xr.Variable:
    narrowed = variable.to_base_variable().isel({dimension: _indexer(cut) for dimension, cut in cuts.items()})
    narrowed.dims = tuple(names[dimension, cut] for dimension, cut in cuts.items())
    return narrowed


def _indexer(cut: ResolvedIndex) -> slice | np.ndarray[Any, Any]:
    return slice(cut.start, cut.stop, cut.step) if isinstance(cut, range) else np.array(cut, np.intp)
