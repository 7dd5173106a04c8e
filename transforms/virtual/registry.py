"""The transforms that a recipe or a URL can name: those that come with shotdap, and those of installed packages.

A package adds its own by an entry point of the group ``shotdap.transforms``, which leads to a `Transform` or to
several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from shotdap.transforms import background, despeckle, flatfield, geometry, imageplate, lineouts, masks, scaling, visar
from shotdap.transforms.film import exposure
from shotdap.transforms.statistics import distribution
from shotdap.transforms.streak import time_axis
from shotdap.transforms.virtual.transform import Transform

__all__ = ["ENTRY_POINT_GROUP", "TRANSFORMS", "BadTransform", "find_transform", "known_transforms"]

ENTRY_POINT_GROUP: Final = "shotdap.transforms"
"""The group of entry points that other packages add transforms by."""

TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
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
"""Those that come with shotdap, by their names."""


class BadTransform(ValueError):
    """A transform is not there, or another package's cannot be used; the message says what is wrong."""


def find_transform(name: str) -> Transform:
    """The transform of a name.

    Raises:
        BadTransform: there is none.
    """
    known = known_transforms()
    if name not in known:
        raise BadTransform(f"There is no transform {name!r}. The transforms are: {', '.join(sorted(known))}.")
    return known[name]


@cache
def known_transforms() -> Mapping[str, Transform]:
    """All transforms, by their names.

    Raises:
        BadTransform: an installed package's cannot be loaded, or takes a name that is taken.
    """
    known = dict(TRANSFORMS)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        for transform in _load_entry_point(point):
            if transform.name in known:
                raise BadTransform(f"The entry point {point.name!r} adds {transform.name!r}, which is there already.")
            known[transform.name] = transform
    return MappingProxyType(known)


def _load_entry_point(point: EntryPoint) -> Iterator[Transform]:
    try:
        found = point.load()
    except Exception as error:  # whatever a stranger's module raises when it is imported
        raise BadTransform(f"The entry point {point.name!r} ({point.value}) cannot be loaded: {error}.") from error
    for each in [found] if isinstance(found, Transform) else found:
        if not isinstance(each, Transform):
            raise BadTransform(f"The entry point {point.name!r} ({point.value}) gives {each!r}, which is no Transform.")
        yield each
