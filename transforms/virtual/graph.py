"""The graph of virtual variables: the order of recipes, and their checks against dimensions and types.

No value is read here. A graph is checked against names, lengths and types, so an error in the configuration is found
when it is loaded, and a missing input when the file is opened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import xarray as xr

from shotdap.transforms.virtual.footprint import Along, Footprint, Sizes
from shotdap.transforms.virtual.recipe import BadRecipe, MissingInput, Recipe


def topological_order(recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """Sort recipes so that each comes after those whose results it needs.

    Raises:
        BadRecipe: two make a variable of the same name, or some need one another.
    """
    named: dict[str, Recipe] = {}
    for recipe in recipes:
        if recipe.name in named:
            raise BadRecipe(f"Two recipes make {recipe.name}: {named[recipe.name]} and {recipe}.")
        named[recipe.name] = recipe
    sorter = TopologicalSorter(
        {name: [each for each in recipe.inputs if each in named] for name, recipe in named.items()}
    )
    try:
        return tuple(named[name] for name in sorter.static_order())
    except CycleError as error:
        ring = list(reversed(error.args[1]))
        steps = "; ".join(f"{name} = {named[name]}" for name in ring[:-1])
        raise BadRecipe(f"These need one another, {' → '.join(ring)}: {steps}.") from error


def dependencies(name: str, recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """Return the recipes that a variable needs, its own included, in the order of `topological_order`."""
    recipes = topological_order(recipes)
    names = {name}
    for recipe in reversed(recipes):
        if recipe.name in names:
            names.update(recipe.inputs)
    return tuple(recipe for recipe in recipes if recipe.name in names)


def check_recipes(recipes: Iterable[Recipe], sizes: Mapping[str, Sizes], unknown: Collection[str] = ()) -> None:
    """Check recipes against the dimensions of the variables that they use.

    Args:
        recipes: in any order; those whose options come from a file's attributes are assumed to fit.
        sizes: of each variable whose dimensions are known; the lengths may be guesses that are long enough.
        unknown: other variables that may exist. A recipe that uses one is assumed to fit.

    Raises:
        BadRecipe: recipes need one another; an input does not exist; or inputs do not fit the transform.
    """
    known = dict(sizes)
    unknown = set(unknown)
    for recipe in topological_order(recipes):
        require_inputs(recipe, {*known, *unknown})
        if recipe.attribute_options or any(name in unknown for name in recipe.inputs):
            unknown.add(recipe.name)
        else:
            inputs = [known[name] for name in recipe.inputs]
            footprint = footprint_of(recipe, inputs)
            names = result_dimensions(recipe, footprint, inputs)
            known[recipe.name] = {names[name]: size for name, size in footprint.sizes.items()}


def require_inputs(recipe: Recipe, names: Collection[str]) -> None:
    """Check that all inputs of a recipe are among these names.

    Raises:
        MissingInput: one is not.
    """
    absent = [name for name in recipe.inputs if name not in names]
    if absent:
        raise MissingInput(f"{recipe.name} = {recipe} needs {', '.join(absent)}, which is not there.")


def require_compatible_inputs(recipe: Recipe, inputs: Sequence[xr.Variable]) -> None:
    """Check that a recipe's inputs have the types and attributes that its transform needs.

    Raises:
        BadRecipe: they do not fit.
    """
    try:
        recipe.transform.fits(inputs, recipe.validated_options)
    except ValueError as error:
        raise BadRecipe(f"{recipe.name} = {recipe} does not fit: {str(error).rstrip('.')}.") from error


def footprint_of(recipe: Recipe, inputs: Sequence[Sizes]) -> Footprint:
    """Compute the footprint of a recipe's result in inputs of these sizes.

    Raises:
        BadRecipe: they do not fit the transform.
    """
    try:
        return recipe.transform.footprint_of(inputs, recipe.validated_options)
    except ValueError as error:
        raise BadRecipe(f"{recipe.name} = {recipe} does not fit: {error}.") from error


def result_dimensions(recipe: Recipe, footprint: Footprint, inputs: Sequence[Sizes]) -> dict[str, str]:
    """Name each dimension of a result in the dataset.

    A dimension whose indices are an input's own keeps its name. Any other gets a name of its own, because a dataset
    cannot have two dimensions of one name: the ``y`` of a crop with the name ``active`` is ``y_active``.
    """
    sizes = {name: size for each in inputs for name, size in each.items()}
    ending = f"_{recipe.suffix or recipe.name}"
    return {
        name: name if isinstance(each, Along) and each.is_identity(sizes) else f"{name.removesuffix(ending)}{ending}"
        for name, each in footprint.dimensions.items()
    }
