"""Fill values in the type of their variable, for every protocol and file format.

xarray masks the elements that *equal* a number of ``_FillValue`` or ``missing_value``, compared in the wider of the two
types: 1e300 with a float32, or -1 with a uint16, equals nothing. Protocols and formats need a fill value in the type of
its variable. A conversion that changes the number would mask other elements than the file does: 1e300 becomes infinity,
-1 becomes 65535.

Rule 1: ``_FillValue`` is sent if it is one number that the type represents exactly.
Rule 2: any other becomes ``FillValue``, which masks nothing. Those of its numbers (there can be several) that the type
represents are added to ``missing_value``, which can be a list.
Rule 3: ``missing_value`` has the type of the variable if that represents all of its numbers, else its own type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

Array: TypeAlias = NDArray[Any]

FILL_ATTRIBUTE: Final = "_FillValue"
MISSING_ATTRIBUTE: Final = "missing_value"
UNFIT_FILL_ATTRIBUTE: Final = "FillValue"
"""Name of a ``_FillValue`` that cannot be sent as such."""


def extract_numbers(value: object) -> Array:
    """Return the numbers of an attribute as a one-dimensional array; empty for text and anything else."""
    try:
        array = np.ravel(np.asarray(value))
    except ValueError:  # lists of different lengths
        return np.empty(0)
    return array if array.dtype.kind in "biuf" else np.empty(0)


def convert_exactly(numbers: Array, dtype: np.dtype[Any]) -> Array | None:
    """Convert numbers to another type; return `None` if one of them would change."""
    with np.errstate(all="ignore"):
        cast: Array = numbers.astype(dtype)
        back = cast if dtype.kind == "c" else cast.astype(numbers.dtype)
    # Both comparisons are needed: -1 survives the way to uint16 and back, and 2**53 + 1 equals its float64.
    is_same = all(np.array_equal(each, numbers, equal_nan=numbers.dtype.kind == "f") for each in (cast, back))
    return cast if is_same else None


def fit_fill_values(
    attrs: Mapping[Any, object], dtype: np.dtype[Any], target: np.dtype[Any] | None = None
) -> dict[Any, object]:
    """Return the attributes of a numeric variable, fill values in its type by the rules of this module.

    Args:
        attrs: the attributes of the variable.
        dtype: the logical type of its values.
        target: the type in the response, if it is another. Fill values are converted like the values.
    """

    def fit_numbers(numbers: Array) -> Array | None:
        cast = convert_exactly(numbers, dtype)
        if cast is None or target is None:
            return cast
        return cast.astype(target) if target.kind == "f" else convert_exactly(cast, target)

    fitted: dict[Any, object] = {}
    others: list[Array] = []
    for name, value in attrs.items():
        numbers = extract_numbers(value)
        cast = fit_numbers(numbers) if numbers.size else None
        if name == FILL_ATTRIBUTE and (cast is None or cast.size != 1):
            others = [each for number in numbers if (each := fit_numbers(number.reshape(1))) is not None]
            fitted[UNFIT_FILL_ATTRIBUTE] = value
        elif name == FILL_ATTRIBUTE and cast is not None:
            fitted[FILL_ATTRIBUTE] = cast[0]
        else:
            fitted[name] = cast if name == MISSING_ATTRIBUTE and cast is not None else value
    return add_missing_values(fitted, np.concatenate(others)) if others else fitted


def add_missing_values(attrs: Mapping[Any, object], numbers: Array) -> dict[Any, object]:
    """Add numbers to ``missing_value``, none of them twice."""
    known = extract_numbers(attrs.get(MISSING_ATTRIBUTE))
    return {
        **attrs,
        MISSING_ATTRIBUTE: np.concatenate([known, numbers[~np.isin(numbers, known)]]) if known.size else numbers,
    }
