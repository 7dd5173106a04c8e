"""What is wanted of an image: which variables, which part of them, after which transforms.

The same for one image over the REST API, for those of a data package, and for the thousands of an export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import xarray as xr

from shotdap.server.slice_text import Part
from shotdap.transforms import MARK, BadSelection, Selection

__all__ = ["Extraction"]

_RAW_SUFFIX = "/raw"
_RESULT_VARIABLE = "result"


@dataclass(frozen=True)
class Extraction:
    """What is wanted of an image."""

    variables: tuple[str, ...] = ()
    """Their names; empty for all."""
    part: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}))
    """What is wanted of a dimension, by its name; all of it where nothing is said."""
    transforms: tuple[str, ...] = ()
    """Steps of a variant, ``median_filter-size-5``, one after the other; the first takes the one variable."""
    raw: bool = False
    """The file as it is."""

    def build_path(self, image: str) -> str:
        """The public path that opens an image so; one that is a variant already takes the transforms after its own.

        Raises:
            BadSelection: transforms are asked for, of more than one variable.
        """
        path = f"{image}{_RAW_SUFFIX}" if self.raw else image
        steps = "".join(f"{MARK}{step}" for step in self._variant_steps())
        return f"{path}{steps}" if f"/{MARK}" in path else "/".join(filter(None, (path, steps)))

    def _variant_steps(self) -> tuple[str, ...]:
        if not self.transforms:
            return ()
        if len(self.variables) > 1:
            raise BadSelection("Transforms take one variable; name one, or none for the transform's own.")
        first = self.transforms[0].partition("-")[0]
        return (*(name for name in self.variables if name not in {first, _RESULT_VARIABLE}), *self.transforms)

    def apply(self, dataset: xr.Dataset) -> xr.Dataset:
        """What is wanted of an opened image, lazily, with the coordinates of its dimensions.

        Raises:
            BadSelection: a name or an index does not fit.
        """
        names = self.resolve_variables(dataset)
        self._check_dimensions(dataset, names)
        ranges = {name: part if isinstance(part, slice) else _alone(part) for name, part in self.part.items()}
        narrowed = Selection(dict.fromkeys((*names, *_find_coordinates(dataset, names)), ()), ranges).apply(dataset)
        singles = [name for name, part in self.part.items() if not isinstance(part, slice) and name in narrowed.dims]
        return narrowed.isel(dict.fromkeys(singles, 0))

    def resolve_variables(self, dataset: xr.Dataset) -> tuple[str, ...]:
        """The variables that are taken of an opened image; nothing where all are."""
        return (_RESULT_VARIABLE,) if self.transforms and _RESULT_VARIABLE in dataset.variables else self.variables

    def _check_dimensions(self, dataset: xr.Dataset, names: tuple[str, ...]) -> None:
        """Refuse a part of a dimension that no named variable has: it would be left out of account in silence."""
        named = [variable for name in names if (variable := dataset.variables.get(name)) is not None]
        if len(named) < len(names):
            return  # a group, whose dimensions are its variables'; or a name that is none, which `Selection` refuses
        for dimension in self.part:
            if dimension in dataset.dims and named and not any(dimension in each.dims for each in named):
                known = ", ".join(dict.fromkeys(str(dim) for each in named for dim in each.dims))
                what = f"{', '.join(names)} {'has' if len(names) == 1 else 'have'}"
                raise BadSelection(f"{what} no dimension {dimension!r}, only these: {known or 'none'}.")


def _find_coordinates(dataset: xr.Dataset, names: tuple[str, ...]) -> list[str]:
    """The coordinates that lie along dimensions of some variables; what is one itself goes alone."""
    dimensions = {dim for name in names if name in dataset.data_vars for dim in dataset.variables[name].dims}
    return [
        str(name)
        for name, variable in dataset.coords.variables.items()
        if name not in names and variable.dims and set(variable.dims) <= dimensions
    ]


def _alone(index: int) -> slice:
    return slice(index, index + 1)
