"""Selections by value, the clauses of DAP2 after ``&``: ``y>=100``, ``shot={1,2,3}``, ``name!="x"``.

Rules:

1. A selection names a one-dimensional variable. It keeps the indices of the dimension for which it is true, in every
   variable with the dimension; several selections keep their intersection.
2. Selections precede indices: ``[0:9]`` are the first ten of the remaining elements. Clients expect it: pydap shows the
   constrained structure, and sends indices into *that* together with the selection.
3. A list is true if one of its values is; ``!=`` if all of them differ.
4. Numbers are decoded before they are compared, also those of a raw file. A missing value, NaN, differs from every
   number, and has no other relation to it.
5. A selection with an empty result is refused. DAP2 has no variables of length zero (see `adaptation`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from shotdap.server.protocols.dap2.promotion import decode_adapted, get_dap2_type
from shotdap.server.protocols.dap2.text import encode_utf8, quote_excerpt
from shotdap.transforms.selection import BadSelection

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

Mask: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"

OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        ">=": operator.ge,
        "<=": operator.le,
        "!=": operator.ne,
        "=": operator.eq,
        ">": operator.gt,
        "<": operator.lt,
    }
)
"""Comparisons; a longer operator precedes its prefixes."""

_MAX_COMPARED_VALUES: Final = 1 << 24  # a row of a camera has some thousand


@dataclass(frozen=True)
class Filter:
    """One selection by value."""

    variable: str
    operator: str
    operands: tuple[int | float | str, ...]

    def __str__(self) -> str:
        """Return the syntax of a client."""
        words: list[str] = []
        for each in self.operands:
            text = str(each).replace("\\", "\\\\").replace('"', '\\"')
            words.append(f'"{text}"' if isinstance(each, str) else text)
        return f"{self.variable}{self.operator}" + (words[0] if len(words) == 1 else f"{{{','.join(words)}}}")

    @property
    def excerpt(self) -> str:
        """The beginning of the selection, for messages."""
        return quote_excerpt(str(self))

    def evaluate(self, variable: xr.Variable) -> Mask:
        """Compare each value of a variable; true for those to keep.

        Raises:
            BadSelection: numbers are compared with text.
        """
        values: Any
        operands: tuple[Any, ...] = self.operands
        words = [each for each in operands if isinstance(each, str)]
        if get_dap2_type(variable) == "String":
            values = np.array([encode_utf8(value).decode() for value in np.asarray(variable.values).flat], dtype=object)
            operands = tuple(map(str, operands))
        elif words:
            raise BadSelection(f"{self.excerpt}: {self.variable} holds numbers, and {quote_excerpt(words[0])} is none.")
        else:
            values = np.asarray(decode_adapted(variable).values)
        masks = [np.asarray(OPERATORS[self.operator](values, operand), dtype=bool) for operand in operands]
        return reduce(np.logical_and if self.operator == "!=" else np.logical_or, masks)


def apply_filters(dataset: xr.Dataset, filters: Iterable[Filter]) -> xr.Dataset:
    """Apply selections by value to an adapted dataset; lazily, except for the compared variables.

    Raises:
        BadSelection: a selection does not fit the dataset, or the result is empty.
    """
    masks: dict[str, Mask] = {}
    for each in filters:
        variable = dataset.variables.get(each.variable)
        if variable is None or variable.ndim != 1:
            names = [str(name) for name, other in dataset.variables.items() if other.ndim == 1]
            raise BadSelection(
                f"{each.excerpt}: selections by value compare variables of one dimension, and"
                f" {quote_excerpt(each.variable)} is none. Those are: {', '.join(names) or 'none here'}."
            )
        if variable.size > _MAX_COMPARED_VALUES:
            raise BadSelection(f"{each.excerpt}: {each.variable} has {variable.size:,} values; too many to compare.")
        (dimension,) = map(str, variable.dims)
        masks[dimension] = each.evaluate(variable) & masks.get(dimension, np.True_)
        if not masks[dimension].any():
            message = f"{each.excerpt}: nothing is left along {dimension}."
            if get_dap2_type(variable) != "String":
                numbers = np.asarray(decode_adapted(variable).values)
                numbers = numbers[~np.isnan(numbers)]
                message += (
                    f" The values of {each.variable} go from {numbers.min()} to {numbers.max()}."
                    if numbers.size
                    else f" All values of {each.variable} are missing."
                )
            raise BadSelection(message)
    indices = {dimension: compute_mask_indices(mask) for dimension, mask in masks.items()}
    return dataset.isel(indices) if indices else dataset


def compute_mask_indices(mask: Mask) -> slice | np.ndarray[Any, Any]:
    """Return the indices where a mask is true; if possible as a slice, which reads no other elements."""
    indices = np.flatnonzero(mask)
    steps = np.diff(indices)
    if steps.size and (steps != steps[0]).any():
        return indices
    return slice(int(indices[0]), int(indices[-1]) + 1, int(steps[0]) if steps.size else 1)
