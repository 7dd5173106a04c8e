"""The graph of virtual variables: which is made of which, and whether that can be.

Nothing here looks at a value. A graph is held against names, lengths and types, so what is wrong with a configuration
is found when it is loaded, and what a file lacks when it is opened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import xarray as xr

from shotdap.transforms.virtual.footprint import Along, Footprint, Sizes
from shotdap.transforms.virtual.recipe import BadRecipe, MissingInput, Recipe


def topological_order(recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """Recipes in an order in which each comes after those whose results it needs.

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
    """The recipes that a variable needs, its own included, in the order of `topological_order`."""
    recipes = topological_order(recipes)
    wanted = {name}
    for recipe in reversed(recipes):
        if recipe.name in wanted:
            wanted.update(recipe.inputs)
    return tuple(recipe for recipe in recipes if recipe.name in wanted)


def check_recipes(recipes: Iterable[Recipe], sizes: Mapping[str, Sizes], unknown: Collection[str] = ()) -> None:
    """Hold recipes against the dimensions of the variables there are.

    Args:
        recipes: in any order; those whose options a file's attributes say are taken to fit.
        sizes: of each variable whose dimensions are known; the lengths may be guesses that are long enough.
        unknown: other variables that there can be. What is made of one is taken to fit.

    Raises:
        BadRecipe: recipes need one another; an input is not there; or inputs do not fit the transform.
    """
    known = dict(sizes)
    unknown = set(unknown)
    for recipe in topological_order(recipes):
        require_inputs(recipe, {*known, *unknown})
        if recipe.attribute_options or any(name in unknown for name in recipe.inputs):
            unknown.add(recipe.name)
        else:
            known[recipe.name] = _compute_result_sizes(recipe, known)


def _compute_result_sizes(recipe: Recipe, known: Mapping[str, Sizes]) -> dict[str, int]:
    """The dimensions of what a recipe makes."""
    inputs = [known[name] for name in recipe.inputs]
    footprint = footprint_of(recipe, inputs)
    names = result_dimensions(recipe, footprint, inputs)
    return {names[name]: size for name, size in footprint.sizes.items()}


def require_inputs(recipe: Recipe, there: Collection[str]) -> None:
    """Refuse a recipe whose inputs are not all there.

    Raises:
        Missing: one is not.
    """
    absent = [name for name in recipe.inputs if name not in there]
    if absent:
        raise MissingInput(f"{recipe.name} = {recipe} needs {', '.join(absent)}, which is not there.")


def require_compatible_inputs(recipe: Recipe, inputs: Sequence[xr.Variable]) -> None:
    """Refuse a recipe whose inputs are of types, or lack attributes, that its transform cannot work with.

    Raises:
        BadRecipe: they do not fit.
    """
    try:
        recipe.transform.fits(inputs, recipe.validated_options)
    except ValueError as error:
        raise BadRecipe(f"{recipe.name} = {recipe} does not fit: {str(error).rstrip('.')}.") from error


def footprint_of(recipe: Recipe, inputs: Sequence[Sizes]) -> Footprint:
    """How a recipe's result lies in inputs of these sizes.

    Raises:
        BadRecipe: they do not fit the transform.
    """
    try:
        return recipe.transform.footprint_of(inputs, recipe.validated_options)
    except ValueError as error:
        raise BadRecipe(f"{recipe.name} = {recipe} does not fit: {error}.") from error


def result_dimensions(recipe: Recipe, footprint: Footprint, inputs: Sequence[Sizes]) -> dict[str, str]:
    """What each dimension of a result is called in the dataset.

    One whose indices are an input's own keeps its name. Any other is a dimension of its own, or a dataset could not
    hold both: the ``y`` of a crop called ``active`` is ``y_active``.
    """
    sizes = {name: size for each in inputs for name, size in each.items()}
    ending = f"_{recipe.suffix or recipe.name}"
    return {
        name: name if isinstance(each, Along) and each.is_identity(sizes) else f"{name.removesuffix(ending)}{ending}"
        for name, each in footprint.dimensions.items()
    }
