"""The only variable of a dataset, and its axes, for formats that hold one variable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import xarray as xr

from shotdap.server.encoders.netcdf.rules import is_text
from shotdap.transforms import BadSelection

_MAX_NAMES: Final = 12  # names in one sentence


def get_single_variable(dataset: xr.Dataset, what: str) -> tuple[str, xr.Variable]:
    """Return the only variable of a dataset, coordinates ignored; or the only coordinate if there is nothing else.

    Args:
        dataset: the selected variables.
        what: the beginning of the sentence that refuses others: ``A PNG shows``.

    Raises:
        BadSelection: there are several variables, or none.
    """
    names = [str(name) for name in dataset.data_vars] or [str(name) for name in dataset.coords]
    if not names:
        raise BadSelection(f"{what} one variable, and here is none.")
    if len(names) > 1:
        more = f", … and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        raise BadSelection(
            f"{what} one variable, and here are {len(names)}: {', '.join(names[:_MAX_NAMES])}{more}."
            " Ask for one of them, or for nc4, h5 or npz with all."
        )
    return names[0], dataset.variables[names[0]]


@dataclass(frozen=True)
class Axes:
    """The one-dimensional numeric coordinates of a dataset, by their dimensions."""

    by_dimension: Mapping[Hashable, Sequence[tuple[int, str, xr.Variable]]]
    """Their positions in the dataset, names and values."""

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Axes:
        """Find the axes of a dataset."""
        axes: defaultdict[Hashable, list[tuple[int, str, xr.Variable]]] = defaultdict(list)
        for place, (name, variable) in enumerate(dataset.coords.variables.items()):
            if variable.ndim == 1 and not is_text(variable.dtype):
                axes[variable.dims[0]].append((place, str(name), variable))
        return cls(axes)

    def iter_axes(self, dimensions: Iterable[Hashable]) -> Iterator[tuple[str, xr.Variable]]:
        """Yield the axes of some dimensions, those with the dimensions' own names first."""
        axes = (each for name in dict.fromkeys(dimensions) for each in self.by_dimension.get(name, ()))
        for _, name, variable in sorted(axes, key=lambda each: (each[1] != each[2].dims[0], each[0])):
            yield name, variable
