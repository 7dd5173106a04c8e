"""Selections by value, DAP2's clauses after ``&``: ``y>=100``, ``shot={1,2,3}``, ``name!="x"``.

Rules:

1. A selection names a variable of one dimension. It keeps those indices of the dimension for which it holds, in every
   variable that has the dimension; several selections keep what all of them keep.
2. Selections come before indices: ``[0:9]`` takes the first ten of what they left. Clients count so: pydap shows the
   constrained structure, and sends indices into *that* along with the selection.
3. A list holds if one of its values does; ``!=`` if all of them differ.
4. Numbers are compared as what they mean: those of a raw file are decoded first. A missing value, NaN, differs from
   every number, and has no other relation to it.
5. A selection that leaves nothing is refused. DAP2 has no variables of length zero (see `adaptation`).
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
"""The comparisons, a longer one before one that it begins with."""

MAX_COMPARED_VALUES: Final = 1 << 24  # of a variable that is compared; a camera's row has some thousand


@dataclass(frozen=True)
class Filter:
    """One selection by value."""

    variable: str
    operator: str
    operands: tuple[int | float | str, ...]

    def __str__(self) -> str:
        """The selection as a client writes it."""
        words = [_quoted(each) if isinstance(each, str) else str(each) for each in self.operands]
        return f"{self.variable}{self.operator}" + (words[0] if len(words) == 1 else f"{{{','.join(words)}}}")

    @property
    def excerpt(self) -> str:
        """Its beginning, as a message quotes it."""
        return quote_excerpt(str(self))

    def evaluate(self, variable: xr.Variable) -> Mask:
        """For each value of a variable, whether it is wanted.

        Raises:
            BadSelection: numbers are compared with text.
        """
        compare = OPERATORS[self.operator]
        comparable, operands = self._prepare_operands(variable)
        found = [np.asarray(compare(comparable, operand), dtype=bool) for operand in operands]
        return reduce(np.logical_and if self.operator == "!=" else np.logical_or, found)

    def _prepare_operands(self, variable: xr.Variable) -> tuple[Any, tuple[Any, ...]]:
        if get_dap2_type(variable) == "String":
            texts = np.array([encode_utf8(value).decode() for value in np.asarray(variable.values).flat], dtype=object)
            return texts, tuple(map(str, self.operands))
        words = [each for each in self.operands if isinstance(each, str)]
        if words:
            raise BadSelection(f"{self.excerpt}: {self.variable} holds numbers, and {quote_excerpt(words[0])} is none.")
        return np.asarray(decode_adapted(variable).values), self.operands


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def apply_filters(dataset: xr.Dataset, filters: Iterable[Filter]) -> xr.Dataset:
    """What selections by value leave of an adapted dataset; lazy, but for the variables that they name.

    Raises:
        BadSelection: a selection does not fit the dataset, or nothing is left.
    """
    kept: dict[str, Mask] = {}
    for each in filters:
        variable = _get_filter_variable(dataset, each)
        (dimension,) = map(str, variable.dims)
        kept[dimension] = each.evaluate(variable) & kept.get(dimension, np.True_)
        if not kept[dimension].any():
            raise BadSelection(f"{each.excerpt}: nothing is left along {dimension}.{_describe_range(each, variable)}")
    return (
        dataset.isel({dimension: compute_mask_indices(mask) for dimension, mask in kept.items()}) if kept else dataset
    )


def _get_filter_variable(dataset: xr.Dataset, wanted: Filter) -> xr.Variable:
    variable = dataset.variables.get(wanted.variable)
    lines = [str(name) for name, each in dataset.variables.items() if each.ndim == 1]
    if variable is None or variable.ndim != 1:
        raise BadSelection(
            f"{wanted.excerpt}: selections by value compare variables of one dimension, and {quote_excerpt(wanted.variable)} is"
            f" none. Those are: {', '.join(lines) or 'none here'}."
        )
    if variable.size > MAX_COMPARED_VALUES:
        raise BadSelection(f"{wanted.excerpt}: {wanted.variable} has {variable.size:,} values; too many to compare.")
    return variable


def _describe_range(wanted: Filter, variable: xr.Variable) -> str:
    if get_dap2_type(variable) == "String":
        return ""
    numbers = np.asarray(decode_adapted(variable).values)
    numbers = numbers[~np.isnan(numbers)]
    if not numbers.size:
        return f" All values of {wanted.variable} are missing."
    return f" The values of {wanted.variable} go from {numbers.min()} to {numbers.max()}."


def compute_mask_indices(mask: Mask) -> slice | np.ndarray[Any, Any]:
    """The indices that are kept; as a slice, if it can be one, since that reads no more than it keeps."""
    found = np.flatnonzero(mask)
    steps = np.diff(found)
    if steps.size and (steps != steps[0]).any():
        return found
    return slice(int(found[0]), int(found[-1]) + 1, int(steps[0]) if steps.size else 1)
