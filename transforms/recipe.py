"""Virtual variables: a recipe says how one is made, `extend` puts it into a dataset, lazily.

Strategy: a virtual variable is an array that computes what it is asked for. Indexing it narrows the *inputs* and
calls the transform on what is left, so ten pixels of a difference cost ten pixels of each frame. Around that array
stands a dask array of one chunk, whose optimizer hands a slice down to it; a server that answers many small slices
asks for the bare array instead and saves dask's two or three milliseconds a request. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from inspect import signature
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import uuid4

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from shotdap.transforms.registry import TRANSFORMS, Transform

__all__ = ["BadRecipe", "Locality", "Recipe", "extend"]

Inputs: TypeAlias = Mapping[str, xr.Variable]


class BadRecipe(ValueError):
    """The recipe names a transform that does not exist, or does not fit the dataset."""


class Locality(Enum):
    """How far one value of the result reaches into the inputs."""

    POINTWISE = "pointwise"
    """The value at an index needs the inputs at that index only."""
    WHOLE = "whole"
    """Any value needs the inputs entire."""


@dataclass(frozen=True)
class Recipe:
    """How one virtual variable is made."""

    name: str
    """The name of the variable it makes."""
    function: Transform
    inputs: tuple[str, ...]
    """Variables of the dataset, virtual ones of earlier recipes included, in the order of the function's arguments."""
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    locality: Locality = Locality.POINTWISE

    @classmethod
    def of(
        cls,
        name: str,
        transform: str,
        inputs: Iterable[str],
        options: Mapping[str, Any] | None = None,
        locality: Locality = Locality.POINTWISE,
    ) -> Recipe:
        """Make a recipe from a transform's name.

        Raises:
            BadRecipe: there is no such transform, or it takes other inputs or options.
        """
        if transform not in TRANSFORMS:
            known = ", ".join(sorted(TRANSFORMS))
            raise BadRecipe(f"There is no transform {transform!r}. The transforms are: {known}.")
        recipe = cls(name, TRANSFORMS[transform], tuple(inputs), MappingProxyType(dict(options or {})), locality)
        try:
            signature(recipe.function).bind(*recipe.inputs, **recipe.options)
        except TypeError as error:
            raise BadRecipe(f"{name} = {recipe} does not fit the transform: {error}.") from error
        return recipe

    def __call__(self, inputs: Inputs) -> xr.DataArray:
        """Apply the transform to inputs in memory."""
        arrays = (xr.DataArray(inputs[name]) for name in self.inputs)
        return self.function(*arrays, **self.options)

    def __str__(self) -> str:
        """The recipe as a call: ``subtract_background(image, background)``."""
        options = (f"{key}={value!r}" for key, value in self.options.items())
        return f"{self.function.__name__}({', '.join((*self.inputs, *options))})"


def extend(dataset: xr.Dataset, recipes: Iterable[Recipe], *, chunked: bool = True) -> xr.Dataset:
    """Add virtual variables to a dataset. Nothing is read or computed.

    Args:
        dataset: holds the inputs.
        recipes: applied in order; a later one may use what an earlier one makes.
        chunked: make dask arrays of one chunk; otherwise arrays that are just as lazy, without dask.

    Returns:
        The dataset with one more variable for each recipe, its attribute ``recipe`` saying how it is made.

    Raises:
        BadRecipe: an input is missing, or the inputs do not fit the transform or one another.
    """
    for recipe in recipes:
        dataset = dataset.assign({recipe.name: _virtual(dataset, recipe, chunked=chunked)})
    return dataset


def _virtual(dataset: xr.Dataset, recipe: Recipe, *, chunked: bool) -> xr.Variable:
    missing = [name for name in recipe.inputs if name not in dataset.variables]
    if missing:
        raise BadRecipe(f"{recipe.name} = {recipe} needs {', '.join(missing)}, which this dataset does not have.")
    inputs = {name: dataset.variables[name] for name in recipe.inputs}
    pattern = _pattern(recipe, inputs)
    sizes = {str(name): size for variable in inputs.values() for name, size in variable.sizes.items()}
    array = _VirtualArray(recipe, inputs, {str(name): sizes[str(name)] for name in pattern.dims}, pattern.dtype)
    variable = xr.Variable(
        pattern.dims,
        indexing.LazilyIndexedArray(array),
        {**pattern.attrs, "recipe": str(recipe)},
    )
    return variable.chunk(name=f"{recipe.name}-{uuid4().hex}") if chunked else variable


def _pattern(recipe: Recipe, inputs: Inputs) -> xr.DataArray:
    """What the transform makes of inputs without a pixel: the result's dimensions, dtype and attributes."""
    empty = {
        name: xr.Variable(variable.dims, np.zeros((0,) * variable.ndim, variable.dtype), variable.attrs)
        for name, variable in inputs.items()
    }
    try:
        pattern = recipe(empty)
    except (TypeError, ValueError) as error:
        raise BadRecipe(f"{recipe.name} = {recipe} does not fit this dataset: {error}.") from error
    if not any(set(pattern.dims) <= set(variable.dims) for variable in inputs.values()):
        shapes = ", ".join(f"{name} ({', '.join(map(str, variable.dims))})" for name, variable in inputs.items())
        raise BadRecipe(f"{recipe.name} = {recipe} needs inputs that share their dimensions, not {shapes}.")
    return pattern


class _VirtualArray(BackendArray):
    """A virtual variable's values, computed for what is indexed."""

    def __init__(self, recipe: Recipe, inputs: Inputs, sizes: Mapping[str, int], dtype: np.dtype[Any]) -> None:
        self.recipe = recipe
        self.inputs = inputs
        self.sizes = sizes
        self.shape = tuple(sizes.values())
        self.dtype = dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 — as xarray's own annotation
        compute = {Locality.POINTWISE: self._narrowed, Locality.WHOLE: self._whole}[self.recipe.locality]
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, compute)

    def _narrowed(self, key: tuple[int | slice, ...]) -> np.ndarray[Any, Any]:
        cuts = dict(zip(self.sizes, key, strict=True))
        inputs = {
            name: variable.isel({str(dim): cuts[str(dim)] for dim in variable.dims}).compute()
            for name, variable in self.inputs.items()
        }
        return np.asarray(self.recipe(inputs).values)

    def _whole(self, key: tuple[int | slice, ...]) -> np.ndarray[Any, Any]:
        inputs = {name: variable.compute() for name, variable in self.inputs.items()}
        return np.asarray(self.recipe(inputs).values[key])
