"""Which variable of a dataset a file is about that holds a single one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import xarray as xr

from shotdap.server.encoders.netcdf.rules import is_text
from shotdap.transforms import BadSelection

_MAX_NAMES: Final = 12  # variables in one sentence


def get_single_variable(dataset: xr.Dataset, what: str) -> tuple[str, xr.Variable]:
    """The one variable of a dataset, its coordinates left aside; where there are only coordinates, the one of these.

    Args:
        dataset: narrowed to what was asked for.
        what: how the sentence begins that refuses: ``A PNG shows``.

    Raises:
        BadSelection: there are many variables, or none.
    """
    names = [str(name) for name in dataset.data_vars] or [str(name) for name in dataset.coords]
    if len(names) != 1:
        raise BadSelection(f"{what} one variable, and here {_describe_names(names)}")
    return names[0], dataset.variables[names[0]]


def _describe_names(names: list[str]) -> str:
    if not names:
        return "is none."
    more = f", … and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return (
        f"are {len(names)}: {', '.join(names[:_MAX_NAMES])}{more}. Ask for one of them, or for nc4, h5 or npz with all."
    )


@dataclass(frozen=True)
class Axes:
    """The one-dimensional coordinates of numbers in a dataset, found by their dimensions."""

    by_dimension: Mapping[Hashable, Sequence[tuple[int, str, xr.Variable]]]
    """Their places in the dataset, names and values."""

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Axes:
        """Find the axes of a dataset."""
        found: defaultdict[Hashable, list[tuple[int, str, xr.Variable]]] = defaultdict(list)
        for place, (name, variable) in enumerate(dataset.coords.variables.items()):
            if variable.ndim == 1 and not is_text(variable.dtype):
                found[variable.dims[0]].append((place, str(name), variable))
        return cls(found)

    def iter_axes(self, dimensions: Iterable[Hashable]) -> Iterator[tuple[str, xr.Variable]]:
        """Yield the axes of some dimensions, those with the dimensions' own names first."""
        found = (each for name in dict.fromkeys(dimensions) for each in self.by_dimension.get(name, ()))
        for _, name, variable in sorted(found, key=lambda each: (each[1] != each[2].dims[0], each[0])):
            yield name, variable
