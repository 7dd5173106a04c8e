"""Checks of the virtual variables in a description of a diagnostic.

A description is checked without a file: cycles, inputs that do not exist, and dimensions that do not fit are found when
the configuration is loaded. Faults that depend on a file (a missing attribute, a smaller frame) are found when it is
opened.
"""

from __future__ import annotations

from shotdap.catalog import Diagnostic
from shotdap.transforms import BadRecipe, check_recipes, known_transforms

_UNKNOWN_LENGTH = 1 << 20  # pixels: in place of a length that only the file has; more than any camera has


def check_graph(diagnostic: Diagnostic) -> None:
    """Check a diagnostic's recipes against its variables, and against one another.

    Raises:
        BadRecipe: one cannot be made; the message has the reason.
    """
    for recipe in diagnostic.recipes:
        if recipe.name in known_transforms():
            raise BadRecipe(f"{recipe.name} is a transform; in URLs a virtual variable of that name would hide it.")
    sizes = {name: dict.fromkeys(names, _UNKNOWN_LENGTH) for name, names in diagnostic.dimensions.items()}
    dimensions = {each: {each: _UNKNOWN_LENGTH} for names in sizes.values() for each in names}
    axes = {axis.name: {axis.dimension: _UNKNOWN_LENGTH} for axis in diagnostic.axes}
    variables = {name: sizes[name] for name in diagnostic.variables if name in sizes}
    # Only a file has the dimensions of the other variables, and of those of related images.
    unknown = diagnostic.variables.keys() - diagnostic.dimensions.keys() | _find_related_inputs(diagnostic)
    check_recipes(diagnostic.recipes, dimensions | axes | variables, unknown)


def _find_related_inputs(diagnostic: Diagnostic) -> set[str]:
    """Find the inputs of recipes that are variables of related images, such as ``flat.image``."""
    inputs = set()
    for recipe in diagnostic.recipes:
        for name in recipe.inputs:
            other, dot, _ = name.partition(".")
            if dot and other not in diagnostic.related:
                known = ", ".join(diagnostic.related) or "none"
                raise BadRecipe(
                    f"{recipe.name} = {recipe} takes {name}, but {other} is not related. Related are: {known}."
                )
            if dot:
                inputs.add(name)
    return inputs
