"""What is wanted of an image: which variables, which part of them, after which transforms.

The same for one image over the REST API, for those of a data package, and for the thousands of an export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import xarray as xr

from shotdap.transforms import MARK, BadSelection, Selection

__all__ = ["Part", "Wanted"]

Part: TypeAlias = slice | int
"""Of a dimension: a half-open range, or a single index, which drops the dimension."""

_RAW = "/raw"
_RESULT = "result"


@dataclass(frozen=True)
class Wanted:
    """What is wanted of an image."""

    variables: tuple[str, ...] = ()
    """Their names; empty for all."""
    part: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}))
    """What is wanted of a dimension, by its name; all of it where nothing is said."""
    transforms: tuple[str, ...] = ()
    """Steps of a variant, ``median_filter-size-5``, one after the other; the first takes the one variable."""
    raw: bool = False
    """The file as it is."""

    def path(self, image: str) -> str:
        """The public path that opens an image so.

        Raises:
            BadSelection: transforms are asked for, of more than one variable.
        """
        return "/".join(filter(None, (f"{image}{_RAW}" if self.raw else image, self._variant())))

    def _variant(self) -> str:
        if not self.transforms:
            return ""
        if len(self.variables) > 1:
            raise BadSelection("Transforms take one variable; name one, or none for the transform's own.")
        first = self.transforms[0].partition("-")[0]
        taken = [name for name in self.variables if name != first]
        return "".join(f"{MARK}{step}" for step in (*taken, *self.transforms))

    def narrow(self, dataset: xr.Dataset) -> xr.Dataset:
        """What is wanted of an opened image, lazily, with the coordinates of its dimensions.

        Raises:
            BadSelection: a name or an index does not fit.
        """
        ranges = {name: part if isinstance(part, slice) else _alone(part) for name, part in self.part.items()}
        narrowed = Selection(dict.fromkeys(self._names(dataset), ()), ranges).apply(dataset)
        singles = [name for name, part in self.part.items() if not isinstance(part, slice) and name in narrowed.dims]
        return narrowed.isel(dict.fromkeys(singles, 0))

    def _names(self, dataset: xr.Dataset) -> tuple[str, ...]:
        """The variables that are taken, and their coordinates; nothing where all are."""
        made = (_RESULT,) if self.transforms and _RESULT in dataset.variables else self.variables
        dimensions = {dim for name in made if name in dataset.variables for dim in dataset.variables[name].dims}
        coordinates = (
            str(name)
            for name, variable in dataset.coords.variables.items()
            if made and set(variable.dims) <= dimensions and variable.dims
        )
        return tuple(dict.fromkeys((*made, *coordinates)))


def _alone(index: int) -> slice:
    return slice(index, index + 1)
