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

from shotdap.transforms.virtual.array import Memo, VirtualArray, no_memo
from shotdap.transforms.virtual.footprint import Along, Footprint, Sizes
from shotdap.transforms.virtual.graph import (
    footprint_of,
    require_compatible_inputs,
    require_inputs,
    result_dimensions,
    topological_order,
)
from shotdap.transforms.virtual.read_cost import set_read_cost
from shotdap.transforms.virtual.recipe import BadRecipe, Recipe
from shotdap.transforms.virtual.transform import serialize_options

__all__ = ["Result", "add_variables", "try_add_variables"]


@dataclass(frozen=True)
class Result:
    """A dataset with its virtual variables."""

    dataset: xr.Dataset
    recipes: tuple[Recipe, ...]
    """Those that could be followed, every option known."""
    left_out: Mapping[str, str]
    """For each virtual variable that could not be made, why."""


def add_variables(
    dataset: xr.Dataset,
    recipes: Iterable[Recipe],
    *,
    others: Mapping[str, xr.Dataset] | None = None,
    remember: Memo = no_memo,
    chunked: bool = True,
) -> xr.Dataset:
    """Add virtual variables to a dataset; see `try_add_variables`.

    Raises:
        BadRecipe: one of them cannot be made.
    """
    done = try_add_variables(dataset, recipes, others=others, remember=remember, chunked=chunked)
    for reason in done.left_out.values():
        raise BadRecipe(reason)
    return done.dataset


def try_add_variables(
    dataset: xr.Dataset,
    recipes: Iterable[Recipe],
    *,
    others: Mapping[str, xr.Dataset] | None = None,
    remember: Memo = no_memo,
    chunked: bool = True,
) -> Result:
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
    pool = _VariableBuilder(_collect_inputs(dataset, others or {}), dataset.attrs, remember, chunked=chunked)
    left_out: dict[str, str] = {}
    for recipe in topological_order(recipes):
        try:
            pool.add_recipe(recipe)
        except BadRecipe as error:
            left_out[recipe.name] = str(error)
    made = dataset.assign(pool.virtual_variables) if pool.virtual_variables else dataset
    if pool.coordinates:
        made = made.assign_coords(xr.Coordinates(pool.coordinates, indexes={}))
    return Result(made, tuple(pool.recipes), left_out)


def _collect_inputs(dataset: xr.Dataset, others: Mapping[str, xr.Dataset]) -> dict[str, xr.Variable]:
    """All that a recipe can take as an input."""
    named = {str(name): variable for name, variable in dataset.variables.items()}
    for name, other in others.items():
        named |= {f"{name}.{each}": variable for each, variable in other.variables.items()}
    return named


@dataclass
class _VariableBuilder:
    """All variables that a recipe can use, and those among them that recipes made."""

    variables: dict[str, xr.Variable]
    attributes: Mapping[Any, Any]
    remember: Memo
    chunked: bool
    recipes: list[Recipe] = field(default_factory=list)
    lineages: dict[str, str] = field(default_factory=dict)
    """How each virtual variable is made, down to the files."""
    virtual_variables: dict[str, xr.Variable] = field(default_factory=dict)
    coordinates: dict[str, xr.Variable] = field(default_factory=dict)
    dimension_coordinates: dict[str, xr.Variable] = field(default_factory=dict)
    """Where the values of each new dimension lie, those of hidden variables too."""

    def add_recipe(self, recipe: Recipe) -> None:
        """Make a recipe's variable, and the coordinates of its new dimensions.

        Raises:
            BadRecipe: it cannot be made.
        """
        inputs = self._find_inputs(recipe)
        recipe = recipe.bind(ChainMap(*(dict(each.attrs) for each in inputs), dict(self.attributes)))
        require_compatible_inputs(recipe, inputs)
        sizes = [{str(name): size for name, size in each.sizes.items()} for each in inputs]
        footprint = footprint_of(recipe, sizes)
        names = result_dimensions(recipe, footprint, sizes)
        array = VirtualArray(recipe, inputs, footprint, self.remember, self._format_lineage(recipe))
        variable = self._make_variable(recipe, array, names)
        self.dimension_coordinates |= self._make_dimension_coordinates(recipe, footprint, names, sizes)
        self.recipes.append(recipe)
        self.lineages[recipe.name] = array.lineage
        self.variables |= {recipe.name: variable, **self.dimension_coordinates}
        if not recipe.hidden:
            (self.coordinates if recipe.coordinate else self.virtual_variables)[recipe.name] = variable
            self.coordinates |= {
                name: line for name, line in self.dimension_coordinates.items() if name in variable.dims
            }

    def _find_inputs(self, recipe: Recipe) -> tuple[xr.Variable, ...]:
        require_inputs(recipe, self.variables)
        if recipe.name in self.variables:
            raise BadRecipe(f"{recipe.name} = {recipe}: there is a {recipe.name} already.")
        return tuple(self.variables[name] for name in recipe.inputs)

    def _format_lineage(self, recipe: Recipe) -> str:
        inputs = (self.lineages.get(name, name) for name in recipe.inputs)
        return f"{recipe.transform.name}({', '.join(inputs)}; {serialize_options(recipe.validated_options)})"

    def _make_variable(self, recipe: Recipe, array: VirtualArray, names: Mapping[str, str]) -> xr.Variable:
        attributes = {
            **recipe.transform.describe_result(array.inputs, recipe.validated_options),
            "transform": recipe.transform.name,
            "inputs": ", ".join(recipe.inputs),
            "options": serialize_options(recipe.validated_options),
        }
        lazy = indexing.LazilyIndexedArray(array)
        variable = xr.Variable(tuple(names.values()), lazy, attributes)
        variable = variable.chunk(name=f"{recipe.name}-{uuid4().hex}") if self.chunked else variable
        return set_read_cost(variable, array.bytes_read, array.working_memory)

    def _make_dimension_coordinates(
        self, recipe: Recipe, footprint: Footprint, names: Mapping[str, str], sizes: Sequence[Sizes]
    ) -> dict[str, xr.Variable]:
        """For each new dimension, where its values lie."""
        found = {}
        every = {name: size for each in sizes for name, size in each.items()}
        for name, each in footprint.dimensions.items():
            new = names[name]
            if isinstance(each, Along) and each.is_identity(every):
                continue
            if isinstance(each, int):
                values = recipe.transform.coordinates.get(name)
                if values:
                    found[new] = xr.Variable((new,), np.asarray(values(recipe.validated_options)), {"long_name": name})
            elif each.source in self.variables and self.variables[each.source].dims == (each.source,):
                found[new] = _resample_coordinate(self.variables[each.source], each, new)
        return found


def _resample_coordinate(coordinate: xr.Variable, each: Along, name: str) -> xr.Variable:
    """A coordinate of the inputs for the indices of a result; where a value is made of several, their middle."""
    stop = each.start + each.step * each.size
    where = slice(each.start, stop if stop >= 0 else None, each.step)
    variable = coordinate.to_base_variable()[where]
    if each.step > 1 and each.after:
        last = coordinate.to_base_variable()[each.start + each.after :: each.step]
        variable = xr.Variable(variable.dims, (variable.values + last.values) / 2, variable.attrs)
    variable.dims = (name,)
    return variable
