"""What a request asks for of a dataset: which variables, and which hyperslab of each.

Strategy: a protocol's parser makes a `Selection` from text without seeing a dataset; `Selection.apply` holds it
against one, and either narrows it lazily or says, in a sentence a client can show, what does not fit. Nothing is
read in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import TypeAlias

import xarray as xr

__all__ = ["BadSelection", "Hyperslab", "Selection"]

Hyperslab: TypeAlias = tuple[slice, ...]
"""One slice for each dimension of a variable; empty for the whole variable."""

Cut: TypeAlias = tuple[int, int, int]
"""Start, stop and step, all known."""


class BadSelection(ValueError):
    """The selection does not fit the dataset; the message says what was wrong and what would be right."""


@dataclass(frozen=True)
class Selection:
    """Variables and the hyperslab of each: ``{"image": (slice(100, 200, 3), slice(7, 900))}``.

    Every slice is half-open, with a start and a stop of zero or more and a step of one or more; a stop of `None`
    means the end. A variable with an empty hyperslab is wanted whole; a selection with no variables wants everything.
    """

    parts: Mapping[str, Hyperslab] = field(default_factory=lambda: MappingProxyType({}))

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
        if not self.parts:
            return dataset
        cuts = self._cuts(dataset)
        names = _dimension_names(cuts, dataset)
        narrowed = {name: _narrow(dataset.variables[name], cuts[name], names) for name in cuts}
        coords = {name: variable for name, variable in narrowed.items() if name in dataset.coords}
        return xr.Dataset(
            {name: variable for name, variable in narrowed.items() if name not in coords},
            coords=xr.Coordinates(coords, indexes={}),  # an index would read the coordinate
            attrs=dataset.attrs,
        )

    def _cuts(self, dataset: xr.Dataset) -> dict[str, dict[str, Cut]]:
        """For each selected variable, in the dataset's order, the cut of each of its dimensions."""
        for name in self.parts:
            if name not in dataset.variables:
                known = ", ".join(str(variable) for variable in dataset.variables)
                raise BadSelection(f"There is no variable {name!r} here. The variables are: {known}.")
        return {
            str(name): _fit(str(name), self.parts[str(name)], variable)
            for name, variable in dataset.variables.items()
            if name in self.parts
        }


def _fit(name: str, hyperslab: Hyperslab, variable: xr.Variable) -> dict[str, Cut]:
    if not hyperslab:
        return {str(dimension): (0, size, 1) for dimension, size in variable.sizes.items()}
    if len(hyperslab) != variable.ndim:
        raise BadSelection(
            f"{name} has {_dimensions_in_words(variable)}, so it takes {variable.ndim} indices"
            f" in brackets, not {len(hyperslab)}."
        )
    return {
        str(dimension): _bounded(f"{name}, dimension {dimension}", piece, size)
        for (dimension, size), piece in zip(variable.sizes.items(), hyperslab, strict=True)
    }


def _dimensions_in_words(variable: xr.Variable) -> str:
    if not variable.ndim:
        return "no dimensions"
    return "the dimensions " + ", ".join(f"{name} ({size})" for name, size in variable.sizes.items())


def _bounded(where: str, piece: slice, size: int) -> Cut:
    start, stop, step = piece.start or 0, piece.stop, piece.step or 1
    if stop is None:
        stop = max(start, size)
    if start < 0 or step < 1 or stop < start:
        raise BadSelection(f"{where}: {start}:{step}:{stop - 1} runs backwards; indices go up, by 1 or more.")
    if size == 0:
        return 0, 0, 1  # pydap asks for [0:1:9223372036854775806] of a dimension of length zero
    if start >= size or stop > size:
        raise BadSelection(f"{where}: index {max(start, stop - 1)} is outside 0 to {size - 1}.")
    return start, stop, step


def _dimension_names(cuts: Mapping[str, Mapping[str, Cut]], dataset: xr.Dataset) -> dict[tuple[str, Cut], str]:
    """A name for each way in which a dimension is cut."""
    ways: defaultdict[str, dict[Cut, None]] = defaultdict(dict)
    for variable in cuts.values():
        for dimension, cut in variable.items():
            ways[dimension][cut] = None
    taken = {str(name) for name in (*dataset.dims, *dataset.variables)}
    names: dict[tuple[str, Cut], str] = {}
    for dimension, different in ways.items():
        fresh = _fresh_names(dimension, taken)
        whole = (0, dataset.sizes[dimension], 1)
        for cut in different:
            names[dimension, cut] = dimension if len(different) == 1 or cut == whole else next(fresh)
    return names


def _fresh_names(dimension: str, taken: set[str]) -> Iterator[str]:
    return (name for number in count(1) if (name := f"{dimension}_{number}") not in taken)


def _narrow(variable: xr.Variable, cuts: Mapping[str, Cut], names: Mapping[tuple[str, Cut], str]) -> xr.Variable:
    narrowed = variable.isel({dimension: slice(*cut) for dimension, cut in cuts.items()})
    renamed = {old: new for old, cut in cuts.items() if (new := names[old, cut]) != old}
    if not renamed:
        return narrowed
    lone = xr.Dataset({"lone": narrowed})  # a Dataset renames dimensions without reading; a Variable does not
    return lone.rename_dims(renamed).variables["lone"]
