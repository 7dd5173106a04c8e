"""Whether the virtual variables that a description of a diagnostic speaks of can be made at all.

What a description says is held against itself, with no file at hand: cycles, inputs that nobody makes, and dimensions
that do not fit are found when the configuration is loaded. What only a file can tell (an attribute that is missing, a
frame that is smaller) is found when it is opened.
"""

from __future__ import annotations

from collections.abc import Iterator

from shotdap.catalog import Diagnostic
from shotdap.transforms import BadRecipe, check_recipes, known_transforms

_UNKNOWN_LENGTH = 1 << 20  # pixels: stands for a length that only a file can tell, more than any camera has


def check_graph(diagnostic: Diagnostic) -> None:
    """Hold a diagnostic's recipes against its variables, and against one another.

    Raises:
        BadRecipe: one cannot be made; the message says why.
    """
    for recipe in diagnostic.recipes:
        if recipe.name in known_transforms():
            raise BadRecipe(f"{recipe.name} is a transform; in URLs a virtual variable of that name would hide it.")
    check_recipes(diagnostic.recipes, _collect_sizes(diagnostic), set(_iter_unknown_variables(diagnostic)))


def _collect_sizes(diagnostic: Diagnostic) -> dict[str, dict[str, int]]:
    """The dimensions of what the description names, and says the dimensions of."""
    sizes = {name: dict.fromkeys(names, _UNKNOWN_LENGTH) for name, names in diagnostic.dimensions.items()}
    dimensions = {each: {each: _UNKNOWN_LENGTH} for names in sizes.values() for each in names}
    axes = {axis.name: {axis.dimension: _UNKNOWN_LENGTH} for axis in diagnostic.axes}
    return dimensions | axes | {name: sizes[name] for name in diagnostic.variables if name in sizes}


def _iter_unknown_variables(diagnostic: Diagnostic) -> Iterator[str]:
    """The variables whose dimensions only a file can tell: the others, and those of related images."""
    yield from diagnostic.variables.keys() - diagnostic.dimensions.keys()
    for recipe in diagnostic.recipes:
        for name in recipe.inputs:
            other, dot, _ = name.partition(".")
            if dot and other not in diagnostic.related:
                known = ", ".join(diagnostic.related) or "none"
                raise BadRecipe(
                    f"{recipe.name} = {recipe} takes {name}, but {other} is not related. Related are: {known}."
                )
            if dot:
                yield name
