r"""What a dataset says of itself, as strict JSON (RFC 8259): for the format ``json``, and inside files of others.

Rules, for everything that JSON lacks; `float`, `int` and NumPy in Python, and ``Number`` and ``BigInt`` in JavaScript,
read what rules 1 and 2 write:

1. NaN and infinities are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
2. An integer beyond ±(2**53 − 1), which many readers would round, is the text of its digits.
3. Every other number is written in the fewest digits that give it back as float64; a float32 as the float64 that it
   equals.
4. A date is its text in ISO 8601, and a span of time its text likewise; one that is not a time is ``null``.
5. Bytes are text: UTF-8, with ``\xff`` for what is none.
6. A complex number is the list of its two parts.
7. What is neither is its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic_core import to_json

from shotdap.server.encoders.netcdf.rules import text

__all__ = ["Json", "described", "strict", "values", "written"]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

_SAFE: Final = 2**53 - 1  # the greatest integer that a double tells from both its neighbours: ECMAScript's too


def written(value: Json, indent: int | None = None) -> bytes:
    """Strict JSON, in UTF-8, by rules 1 and 3; five times as fast as Python's own."""
    return to_json(value, indent=indent, inf_nan_mode="strings")


def described(dataset: xr.Dataset) -> dict[str, Json]:
    """Everything about a dataset but its values: attributes, and of each variable dimensions, type and attributes."""
    return {
        "attributes": attributes(dataset.attrs),
        "dimensions": {str(name): size for name, size in dataset.sizes.items()},
        "variables": {str(name): about(variable) for name, variable in dataset.variables.items()},
        "coordinates": [str(name) for name in dataset.coords],
    }


def about(variable: xr.Variable) -> dict[str, Json]:
    """What a variable says of itself."""
    return {
        "dimensions": [str(name) for name in variable.dims],
        "shape": list(variable.shape),
        "dtype": "text" if variable.dtype.kind in "OUST" else str(variable.dtype.newbyteorder("=")),
        "attributes": attributes(variable.attrs),
    }


def attributes(attrs: Mapping[Any, object]) -> dict[str, Json]:
    """Attributes, each a text, a number, or a list of them."""
    return {text(name): strict(value) for name, value in attrs.items()}


def strict(value: object) -> Json:
    """Anything that an attribute may be."""
    if isinstance(value, np.ndarray | np.generic):
        return values(np.asarray(value))
    if isinstance(value, Mapping):
        return attributes(value)
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _SAFE else str(value)
    return value if isinstance(value, float) else text(value)


def values(array: NDArray[Any]) -> Json:
    """The values of an array, in lists within lists; of one without dimensions, the value."""
    kind = array.dtype.kind
    if kind in "mM":
        times = np.datetime_as_string(array) if kind == "M" else array.astype(str)
        return _texts(np.where(np.isnat(array), np.array(None), times))
    if kind == "c":
        return values(np.stack([np.real(array), np.imag(array)], axis=-1))
    if kind in "OUST":
        return _texts(array.astype(object))
    if kind in "bf" or (kind in "iu" and _are_safe(array)):
        plain: Json = array.tolist()
        return plain
    return _each(array.tolist())


def _are_safe(array: NDArray[Any]) -> bool:
    return array.dtype.itemsize < 8 or not array.size or (array.min() >= -_SAFE and array.max() <= _SAFE)  # noqa: PLR2004


def _each(value: Any) -> Json:  # noqa: ANN401 — numbers, in lists within lists
    return [_each(item) for item in value] if isinstance(value, list) else strict(value)


def _texts(array: NDArray[Any]) -> Json:
    return _nested(array.tolist())


def _nested(value: Any) -> Json:  # noqa: ANN401 — texts, in lists within lists
    if isinstance(value, list):
        return [_nested(item) for item in value]
    return None if value is None else text(value)
