"""What stored numbers mean: which are missing, and what packed ones stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["Numbers"]

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Numbers:
    """What a variable's stored numbers mean."""

    dtype: np.dtype[Any]
    fills: tuple[Any, ...]
    scale: float
    offset: float

    @classmethod
    def of(cls, variable: xr.Variable) -> Numbers:
        """As the attributes say it."""
        found = {name: _numbers(value) for name, value in variable.attrs.items()}
        return cls(
            variable.dtype.newbyteorder("="),
            found.get("_FillValue", ()) + found.get("missing_value", ()),
            float(next(iter(found.get("scale_factor", ())), 1)),
            float(next(iter(found.get("add_offset", ())), 0)),
        )

    @property
    def are_packed(self) -> bool:
        """Whether they stand for others."""
        return (self.scale, self.offset) != (1, 0)

    @property
    def are_plain(self) -> bool:
        """Whether they are integers that mean themselves, all of them there."""
        return self.dtype.kind in "iu" and not self.fills and not self.are_packed

    def missing(self, values: Array) -> Array | None:
        """Which of them are missing; nothing where none are."""
        found = np.isnan(values) if self.dtype.kind == "f" else np.zeros((), bool)
        for fill in self.fills:
            found = found | (values == fill)
        return found if found.any() else None

    def unpacked(self, values: Array) -> Array:
        """What they mean, in float64."""
        return values * np.float64(self.scale) + self.offset


def _numbers(value: object) -> tuple[Any, ...]:
    array = np.ravel(np.asarray(value, dtype=object if isinstance(value, list) else None))
    return tuple(array) if array.dtype.kind in "iuf" else ()
