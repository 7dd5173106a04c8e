"""Extractions: which variables of an image, which part of them, and after which transforms.

The REST API uses them for one image, data packages and exports for many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import xarray as xr

from shotdap.server.slice_text import Part
from shotdap.transforms import MARK, BadSelection, Selection

_RAW_SUFFIX: Final = "/raw"
_RESULT_VARIABLE: Final = "result"


@dataclass(frozen=True)
class Extraction:
    """A request for parts of an image."""

    variables: tuple[str, ...] = ()
    """Their names; empty for all."""
    part: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}))
    """Parts of dimensions, by their names; other dimensions are taken whole."""
    transforms: tuple[str, ...] = ()
    """Steps of a variant, ``median_filter-size-5``, in their order; the first is applied to the one variable."""
    raw: bool = False
    """Whether to take the file without any processing."""

    def build_path(self, image: str) -> str:
        """Build the public path to open; if the image is a variant already, the transforms follow its own.

        Raises:
            BadSelection: there are transforms, and more than one variable.
        """
        steps = self.transforms
        if steps:
            if len(self.variables) > 1:
                raise BadSelection("Transforms take one variable; name one, or none for the transform's own.")
            first = steps[0].partition("-")[0]
            steps = (*(name for name in self.variables if name not in {first, _RESULT_VARIABLE}), *steps)
        path = f"{image}{_RAW_SUFFIX}" if self.raw else image
        segment = "".join(f"{MARK}{step}" for step in steps)
        return f"{path}{segment}" if f"/{MARK}" in path else "/".join(filter(None, (path, segment)))

    def apply(self, dataset: xr.Dataset) -> xr.Dataset:
        """Apply the extraction to an opened image, lazily; coordinates of the selected dimensions are kept.

        Raises:
            BadSelection: a name or an index does not fit.
        """
        names = self.resolve_variables(dataset)
        self._check_dimensions(dataset, names)
        dimensions = {dim for name in names if name in dataset.data_vars for dim in dataset.variables[name].dims}
        coordinates = [
            str(name)
            for name, variable in dataset.coords.variables.items()
            if name not in names and variable.dims and set(variable.dims) <= dimensions
        ]
        ranges = {name: part if isinstance(part, slice) else slice(part, part + 1) for name, part in self.part.items()}
        selected = Selection(dict.fromkeys((*names, *coordinates), ()), ranges).apply(dataset)
        indexed = [name for name, part in self.part.items() if not isinstance(part, slice) and name in selected.dims]
        return selected.isel(dict.fromkeys(indexed, 0))

    def resolve_variables(self, dataset: xr.Dataset) -> tuple[str, ...]:
        """Return the names of the variables to take from an opened image; empty for all."""
        return (_RESULT_VARIABLE,) if self.transforms and _RESULT_VARIABLE in dataset.variables else self.variables

    def _check_dimensions(self, dataset: xr.Dataset, names: tuple[str, ...]) -> None:
        """Refuse a part of a dimension that no named variable has: it would have no effect."""
        variables = [variable for name in names if (variable := dataset.variables.get(name)) is not None]
        if len(variables) < len(names):
            return  # a group, whose dimensions are those of its variables; or a wrong name, which `Selection` refuses
        for dimension in self.part:
            if dimension in dataset.dims and variables and not any(dimension in each.dims for each in variables):
                known = ", ".join(dict.fromkeys(str(dim) for each in variables for dim in each.dims))
                subject = f"{', '.join(names)} {'has' if len(names) == 1 else 'have'}"
                raise BadSelection(f"{subject} no dimension {dimension!r}, only these: {known or 'none'}.")
