"""Virtual variables: what recipes make, as lazy variables of a dataset.

Strategy: a virtual variable is an array that computes what it is asked for; see `narrowing`. Around that array stands a
dask array of one chunk, whose optimizer hands a slice down to it; a server that answers many small slices asks for the
bare array instead and saves dask's two or three milliseconds a request. The numbers are the same.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import xarray as xr
from xarray.core import indexing

from shotdap.transforms.virtual.array import Remember, VirtualArray, forget
from shotdap.transforms.virtual.footprint import Along, Footprint, Sizes
from shotdap.transforms.virtual.graph import lies, ordered, refuse_absent, refuse_unfit, renamed
from shotdap.transforms.virtual.read_cost import costing
from shotdap.transforms.virtual.recipe import BadRecipe, Recipe
from shotdap.transforms.virtual.transform import written

__all__ = ["Extended", "extend", "extended"]


@dataclass(frozen=True)
class Extended:
    """A dataset with its virtual variables."""

    dataset: xr.Dataset
    recipes: tuple[Recipe, ...]
    """Those that could be followed, every option known."""
    left_out: Mapping[str, str]
    """For each virtual variable that could not be made, why."""


def extend(
    dataset: xr.Dataset,
    recipes: Iterable[Recipe],
    *,
    others: Mapping[str, xr.Dataset] | None = None,
    remember: Remember = forget,
    chunked: bool = True,
) -> xr.Dataset:
    """Add virtual variables to a dataset; see `extended`.

    Raises:
        BadRecipe: one of them cannot be made.
    """
    done = extended(dataset, recipes, others=others, remember=remember, chunked=chunked)
    for reason in done.left_out.values():
        raise BadRecipe(reason)
    return done.dataset


def extended(
    dataset: xr.Dataset,
    recipes: Iterable[Recipe],
    *,
    others: Mapping[str, xr.Dataset] | None = None,
    remember: Remember = forget,
    chunked: bool = True,
) -> Extended:
    """Add the virtual variables to a dataset that can be made of it. Nothing is read or computed.

    Args:
        dataset: holds the inputs; options that attributes say are its attributes', or its inputs' own.
        recipes: in any order; one may use what another makes.
        others: other datasets that inputs are taken from: ``flat.image`` is the variable ``image`` of ``flat``.
        remember: keeps results that need their inputs entire. Their names tell them apart within this dataset.
        chunked: make dask arrays of one chunk; otherwise arrays that are just as lazy, without dask.

    Returns:
        The dataset with one more variable for each recipe that is not hidden. Its attributes ``transform``,
        ``inputs`` and ``options`` say how it is made.

    Raises:
        BadRecipe: the recipes need one another.
    """
    pool = _Pool(_variables(dataset, others or {}), dataset.attrs, remember, chunked=chunked)
    left_out: dict[str, str] = {}
    for recipe in ordered(recipes):
        try:
            pool.add(recipe)
        except BadRecipe as error:
            left_out[recipe.name] = str(error)
    made = dataset.assign(pool.made) if pool.made else dataset
    if pool.coordinates:
        made = made.assign_coords(xr.Coordinates(pool.coordinates, indexes={}))
    return Extended(made, tuple(pool.recipes), left_out)


def _variables(dataset: xr.Dataset, others: Mapping[str, xr.Dataset]) -> dict[str, xr.Variable]:
    """All that a recipe can take as an input."""
    named = {str(name): variable for name, variable in dataset.variables.items()}
    for name, other in others.items():
        named |= {f"{name}.{each}": variable for each, variable in other.variables.items()}
    return named


@dataclass
class _Pool:
    """All variables that a recipe can use, and those among them that recipes made."""

    variables: dict[str, xr.Variable]
    attributes: Mapping[Any, Any]
    remember: Remember
    chunked: bool
    recipes: list[Recipe] = field(default_factory=list)
    lineages: dict[str, str] = field(default_factory=dict)
    """How each virtual variable is made, down to the files."""
    made: dict[str, xr.Variable] = field(default_factory=dict)
    coordinates: dict[str, xr.Variable] = field(default_factory=dict)
    lines: dict[str, xr.Variable] = field(default_factory=dict)
    """Where the values of each new dimension lie, those of hidden variables too."""

    def add(self, recipe: Recipe) -> None:
        """Make a recipe's variable, and the coordinates of its new dimensions.

        Raises:
            BadRecipe: it cannot be made.
        """
        inputs = self._inputs(recipe)
        recipe = recipe.settled(ChainMap(*(dict(each.attrs) for each in inputs), dict(self.attributes)))
        refuse_unfit(recipe, inputs)
        sizes = [{str(name): size for name, size in each.sizes.items()} for each in inputs]
        footprint = lies(recipe, sizes)
        names = renamed(recipe, footprint, sizes)
        array = VirtualArray(recipe, inputs, footprint, self.remember, self._lineage(recipe))
        variable = self._variable(recipe, array, names)
        self.lines |= self._lines(recipe, footprint, names, sizes)
        self.recipes.append(recipe)
        self.lineages[recipe.name] = array.lineage
        self.variables |= {recipe.name: variable, **self.lines}
        if not recipe.hidden:
            (self.coordinates if recipe.coordinate else self.made)[recipe.name] = variable
            self.coordinates |= {name: line for name, line in self.lines.items() if name in variable.dims}

    def _inputs(self, recipe: Recipe) -> tuple[xr.Variable, ...]:
        refuse_absent(recipe, self.variables)
        if recipe.name in self.variables:
            raise BadRecipe(f"{recipe.name} = {recipe}: there is a {recipe.name} already.")
        return tuple(self.variables[name] for name in recipe.inputs)

    def _lineage(self, recipe: Recipe) -> str:
        inputs = (self.lineages.get(name, name) for name in recipe.inputs)
        return f"{recipe.transform.name}({', '.join(inputs)}; {written(recipe.checked)})"

    def _variable(self, recipe: Recipe, array: VirtualArray, names: Mapping[str, str]) -> xr.Variable:
        attributes = {
            **recipe.transform.described(array.inputs, recipe.checked),
            "transform": recipe.transform.name,
            "inputs": ", ".join(recipe.inputs),
            "options": written(recipe.checked),
        }
        lazy = indexing.LazilyIndexedArray(array)
        variable = xr.Variable(tuple(names.values()), lazy, attributes)
        variable = variable.chunk(name=f"{recipe.name}-{uuid4().hex}") if self.chunked else variable
        return costing(variable, array.bytes_read, array.working_memory)

    def _lines(
        self, recipe: Recipe, footprint: Footprint, names: Mapping[str, str], sizes: Sequence[Sizes]
    ) -> dict[str, xr.Variable]:
        """For each new dimension, where its values lie."""
        found = {}
        every = {name: size for each in sizes for name, size in each.items()}
        for name, each in footprint.dimensions.items():
            new = names[name]
            if isinstance(each, Along) and each.is_same(every):
                continue
            if isinstance(each, int):
                values = recipe.transform.coordinates.get(name)
                if values:
                    found[new] = xr.Variable((new,), np.asarray(values(recipe.checked)), {"long_name": name})
            elif each.source in self.variables and self.variables[each.source].dims == (each.source,):
                found[new] = _along(self.variables[each.source], each, new)
        return found


def _along(coordinate: xr.Variable, each: Along, name: str) -> xr.Variable:
    """A coordinate of the inputs for the indices of a result; where a value is made of several, their middle."""
    stop = each.start + each.step * each.size
    where = slice(each.start, stop if stop >= 0 else None, each.step)
    variable = coordinate.to_base_variable()[where]
    if each.step > 1 and each.after:
        last = coordinate.to_base_variable()[each.start + each.after :: each.step]
        variable = xr.Variable(variable.dims, (variable.values + last.values) / 2, variable.attrs)
    variable.dims = (name,)
    return variable
