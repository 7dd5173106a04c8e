"""Which variable of a dataset a file is about that holds a single one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import xarray as xr

from shotdap.server.encoders.netcdf import is_text
from shotdap.transforms import BadSelection

__all__ = ["along", "sole"]

_NAMED: Final = 12  # variables in one sentence


def sole(dataset: xr.Dataset, what: str) -> tuple[str, xr.Variable]:
    """The one variable of a dataset, its coordinates left aside; where there are only coordinates, the one of these.

    Args:
        dataset: narrowed to what was asked for.
        what: how the sentence begins that refuses: ``A PNG shows``.

    Raises:
        BadSelection: there are many variables, or none.
    """
    names = [str(name) for name in dataset.data_vars] or [str(name) for name in dataset.coords]
    if len(names) != 1:
        raise BadSelection(f"{what} one variable, and here {_counted(names)}")
    return names[0], dataset.variables[names[0]]


def _counted(names: list[str]) -> str:
    if not names:
        return "is none."
    more = f", … and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"are {len(names)}: {', '.join(names[:_NAMED])}{more}. Ask for one of them, or for nc4, h5 or npz with all."


def along(dataset: xr.Dataset, dimensions: Iterable[object]) -> Iterator[tuple[str, xr.Variable]]:
    """The one-dimensional coordinates of numbers along dimensions, those with the dimensions' own names first."""
    dimensions = tuple(dimensions)
    found = [
        (str(name), variable)
        for name, variable in dataset.coords.variables.items()
        if variable.ndim == 1 and variable.dims[0] in dimensions and not is_text(variable.dtype)
    ]
    yield from sorted(found, key=lambda each: each[0] != each[1].dims[0])
