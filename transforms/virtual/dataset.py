"""Virtual variables: the results of recipes, as lazy variables of a dataset.

Strategy: a virtual variable is a `VirtualArray`, which computes the indexed part. It is wrapped in a dask array of one
chunk, whose optimizer passes a slice down to it; a server that answers many small slices uses the bare array instead,
which saves dask's two or three milliseconds a request. The numbers are the same.
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
from shotdap.transforms.virtual.footprint import Footprint, Sizes, pointwise
from shotdap.transforms.virtual.graph import (
    footprint_of,
    require_compatible_inputs,
    require_inputs,
    result_dimensions,
    topological_order,
)
from shotdap.transforms.virtual.read_cost import is_pointwise, set_read_cost
from shotdap.transforms.virtual.recipe import BadRecipe, Recipe
from shotdap.transforms.virtual.transform import serialize_options
from shotdap.transforms.virtual.variable_traits import set_traits


@dataclass(frozen=True)
class Result:
    """A dataset with its virtual variables."""

    dataset: xr.Dataset
    recipes: tuple[Recipe, ...]
    """The recipes that were followed, with every option known."""
    left_out: Mapping[str, str]
    """The reason for each virtual variable that could not be made."""


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
    result = try_add_variables(dataset, recipes, others=others, remember=remember, chunked=chunked)
    for reason in result.left_out.values():
        raise BadRecipe(reason)
    return result.dataset


def try_add_variables(
    dataset: xr.Dataset,
    recipes: Iterable[Recipe],
    *,
    others: Mapping[str, xr.Dataset] | None = None,
    remember: Memo = no_memo,
    chunked: bool = True,
) -> Result:
    """Add virtual variables to a dataset, as far as they can be made from it. Nothing is read or computed.

    Args:
        dataset: has the inputs, and the attributes that options may be taken from.
        recipes: in any order; one may use the result of another.
        others: other datasets with inputs: ``flat.image`` is the variable ``image`` of ``flat``.
        remember: the memo for results that need their inputs entire. Its keys are unique within this dataset only.
        chunked: make dask arrays of one chunk; otherwise arrays that are just as lazy, without dask.

    Returns:
        The dataset with one more variable for each recipe that is not hidden. Its attributes ``transform``,
        ``inputs`` and ``options`` record how it is made.

    Raises:
        BadRecipe: the recipes need one another.
    """
    inputs = {str(name): variable for name, variable in dataset.variables.items()}
    for name, other in (others or {}).items():
        inputs |= {f"{name}.{each}": variable for each, variable in other.variables.items()}
    builder = _VariableBuilder(inputs, dataset.attrs, remember, chunked=chunked)
    left_out: dict[str, str] = {}
    for recipe in topological_order(recipes):
        try:
            builder.add_recipe(recipe)
        except BadRecipe as error:
            left_out[recipe.name] = str(error)
    extended = dataset.assign(builder.virtual_variables) if builder.virtual_variables else dataset
    if builder.coordinates:
        extended = extended.assign_coords(xr.Coordinates(builder.coordinates, indexes={}))
    return Result(extended, tuple(builder.recipes), left_out)


@dataclass
class _VariableBuilder:
    """All variables that a recipe can use, and those that recipes made."""

    variables: dict[str, xr.Variable]
    attributes: Mapping[Any, Any]
    remember: Memo
    chunked: bool
    recipes: list[Recipe] = field(default_factory=list)
    lineages: dict[str, str] = field(default_factory=dict)
    """For each virtual variable the whole computation, from the files' variables on; the memo's key."""
    virtual_variables: dict[str, xr.Variable] = field(default_factory=dict)
    coordinates: dict[str, xr.Variable] = field(default_factory=dict)
    dimension_coordinates: dict[str, xr.Variable] = field(default_factory=dict)
    """The coordinates of new dimensions, those of hidden variables too."""

    def add_recipe(self, recipe: Recipe) -> None:
        """Make a recipe's variable, and the coordinates of its new dimensions.

        Raises:
            BadRecipe: it cannot be made.
        """
        require_inputs(recipe, self.variables)
        if recipe.name in self.variables:
            raise BadRecipe(f"{recipe.name} = {recipe}: there is a {recipe.name} already.")
        inputs = tuple(self.variables[name] for name in recipe.inputs)
        recipe = recipe.bind(ChainMap(*(dict(each.attrs) for each in inputs), dict(self.attributes)))
        require_compatible_inputs(recipe, inputs)
        sizes = [{str(name): size for name, size in each.sizes.items()} for each in inputs]
        footprint = footprint_of(recipe, sizes)
        names = result_dimensions(recipe, footprint, sizes)
        options = serialize_options(recipe.validated_options)
        lineage = (
            f"{recipe.transform.name}({', '.join(self.lineages.get(name, name) for name in recipe.inputs)}; {options})"
        )
        array = VirtualArray(recipe, inputs, footprint, self.remember, lineage)
        attributes = {
            **recipe.transform.describe_result(inputs, recipe.validated_options),
            "transform": recipe.transform.name,
            "inputs": ", ".join(recipe.inputs),
            "options": options,
        }
        variable = xr.Variable(tuple(names.values()), indexing.LazilyIndexedArray(array), attributes)
        variable = variable.chunk(name=f"{recipe.name}-{uuid4().hex}") if self.chunked else variable
        set_read_cost(variable, array.bytes_read, array.working_memory)
        set_traits(variable, is_pointwise=recipe.transform.footprint is pointwise and all(map(is_pointwise, inputs)))
        self.dimension_coordinates |= self._make_dimension_coordinates(recipe, footprint, names, sizes)
        self.recipes.append(recipe)
        self.lineages[recipe.name] = lineage
        self.variables |= {recipe.name: variable, **self.dimension_coordinates}
        if not recipe.hidden:
            (self.coordinates if recipe.coordinate else self.virtual_variables)[recipe.name] = variable
            self.coordinates |= {
                name: line for name, line in self.dimension_coordinates.items() if name in variable.dims
            }

    def _make_dimension_coordinates(
        self, recipe: Recipe, footprint: Footprint, names: Mapping[str, str], sizes: Sequence[Sizes]
    ) -> dict[str, xr.Variable]:
        """Make the coordinates of new dimensions."""
        coordinates = {}
        input_sizes = {name: size for each in sizes for name, size in each.items()}
        for name, each in footprint.dimensions.items():
            new = names[name]
            if isinstance(each, int):
                compute = recipe.transform.coordinates.get(name)
                if compute:
                    values = np.asarray(compute(recipe.validated_options))
                    coordinates[new] = xr.Variable((new,), values, {"long_name": name})
            elif not each.is_identity(input_sizes):
                coordinate = self.variables.get(each.source)
                if coordinate is not None and coordinate.dims == (each.source,):
                    stop = each.start + each.step * each.size
                    where = slice(each.start, stop if stop >= 0 else None, each.step)
                    variable = coordinate.to_base_variable()[where]
                    if each.step > 1 and each.after:  # a value made from several pixels lies in their middle
                        last = coordinate.to_base_variable()[each.start + each.after :: each.step]
                        variable = xr.Variable(variable.dims, (variable.values + last.values) / 2, variable.attrs)
                    variable.dims = (new,)
                    coordinates[new] = variable
        return coordinates
