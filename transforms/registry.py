"""The transforms that a recipe or a URL can name: those that come with shotdap, and those of installed packages.

A package adds its own by an entry point of the group ``shotdap.transforms``, which refers to a `Transform` or to
several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final

from shotdap.transforms import background, despeckle, flatfield, geometry, imageplate, lineouts, masks, scaling, visar
from shotdap.transforms.film import exposure
from shotdap.transforms.statistics import distribution
from shotdap.transforms.streak import time_axis
from shotdap.transforms.virtual.recipe import BadRecipe, Recipe
from shotdap.transforms.virtual.transform import BadOptions, Transform

_ENTRY_POINT_GROUP: Final = "shotdap.transforms"

TRANSFORMS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        each.name: each
        for module in (
            background,
            despeckle,
            distribution,
            exposure,
            flatfield,
            geometry,
            imageplate,
            lineouts,
            masks,
            scaling,
            time_axis,
            visar,
        )
        for each in module.TRANSFORMS
    }
)
"""The transforms that come with shotdap, by name."""


class BadTransform(ValueError):
    """A transform does not exist, or another package's cannot be used; the message names the fault."""


def find_transform(name: str) -> Transform:
    """Find a transform by its name.

    Raises:
        BadTransform: no transform has this name.
    """
    known = known_transforms()
    if name not in known:
        raise BadTransform(f"There is no transform {name!r}. The transforms are: {', '.join(sorted(known))}.")
    return known[name]


@cache
def known_transforms() -> Mapping[str, Transform]:
    """Load all transforms, by name.

    Raises:
        BadTransform: an installed package's transform cannot be loaded, or its name is in use.
    """
    known = dict(TRANSFORMS)
    for point in entry_points(group=_ENTRY_POINT_GROUP):
        try:
            content = point.load()
        except Exception as error:  # whatever a stranger's module raises when it is imported
            raise BadTransform(f"The entry point {point.name!r} ({point.value}) cannot be loaded: {error}.") from error
        for each in [content] if isinstance(content, Transform) else content:
            if not isinstance(each, Transform):
                raise BadTransform(
                    f"The entry point {point.name!r} ({point.value}) gives {each!r}, which is no Transform."
                )
            if each.name in known:
                raise BadTransform(f"The entry point {point.name!r} adds {each.name!r}, which is there already.")
            known[each.name] = each
    return MappingProxyType(known)


def create_recipe(
    name: str,
    transform: str,
    inputs: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    coordinate: bool = False,
) -> Recipe:
    """Create a recipe from the name of its transform; see `Recipe.create` for the arguments.

    Raises:
        BadRecipe: the transform does not exist, or takes other inputs or options.
    """
    try:
        return Recipe.create(name, find_transform(transform), inputs, options, coordinate=coordinate)
    except (BadTransform, BadOptions) as error:
        raise BadRecipe(f"{name}: {error}") from error
