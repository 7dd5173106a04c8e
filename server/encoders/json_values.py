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

from shotdap.server.encoders.netcdf.rules import normalize_text

__all__ = ["Json", "convert_array", "convert_to_json", "describe_dataset", "dump_json"]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

_MAX_SAFE_INTEGER: Final = (
    2**53 - 1
)  # the greatest integer that a double tells from both its neighbours: ECMAScript's too


def dump_json(value: Json, indent: int | None = None) -> bytes:
    """Strict JSON, in UTF-8, by rules 1 and 3; five times as fast as Python's own."""
    return to_json(value, indent=indent, inf_nan_mode="strings")


def describe_dataset(dataset: xr.Dataset) -> dict[str, Json]:
    """Everything about a dataset but its values: attributes, and of each variable dimensions, type and attributes."""
    return {
        "attributes": describe_attributes(dataset.attrs),
        "dimensions": {str(name): size for name, size in dataset.sizes.items()},
        "variables": {str(name): describe_variable(variable) for name, variable in dataset.variables.items()},
        "coordinates": [str(name) for name in dataset.coords],
    }


def describe_variable(variable: xr.Variable) -> dict[str, Json]:
    """What a variable says of itself."""
    return {
        "dimensions": [str(name) for name in variable.dims],
        "shape": list(variable.shape),
        "dtype": "text" if variable.dtype.kind in "OUST" else str(variable.dtype.newbyteorder("=")),
        "attributes": describe_attributes(variable.attrs),
    }


def describe_attributes(attrs: Mapping[Any, object]) -> dict[str, Json]:
    """Attributes, each a text, a number, or a list of them."""
    return {normalize_text(name): convert_to_json(value) for name, value in attrs.items()}


def convert_to_json(value: object) -> Json:
    """Anything that an attribute may be."""
    if isinstance(value, np.ndarray | np.generic):
        return convert_array(np.asarray(value))
    if isinstance(value, Mapping):
        return describe_attributes(value)
    if isinstance(value, list | tuple):
        return [convert_to_json(item) for item in value]
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_SAFE_INTEGER else str(value)
    return value if isinstance(value, float) else normalize_text(value)


def convert_array(array: NDArray[Any]) -> Json:
    """The values of an array, in lists within lists; of one without dimensions, the value."""
    kind = array.dtype.kind
    if kind in "mM":
        times = np.datetime_as_string(array) if kind == "M" else array.astype(str)
        return _convert_texts(np.where(np.isnat(array), np.array(None), times))
    if kind == "c":
        return convert_array(np.stack([np.real(array), np.imag(array)], axis=-1))
    if kind in "OUST":
        return _convert_texts(array.astype(object))
    if kind in "bf" or (kind in "iu" and _are_safe(array)):
        plain: Json = array.tolist()
        return plain
    return _convert_numbers(array.tolist())


def _are_safe(array: NDArray[Any]) -> bool:
    return (
        array.dtype.itemsize < 8
        or not array.size
        or (array.min() >= -_MAX_SAFE_INTEGER and array.max() <= _MAX_SAFE_INTEGER)
    )  # noqa: PLR2004


def _convert_numbers(value: Any) -> Json:  # noqa: ANN401 — numbers, in lists within lists
    return [_convert_numbers(item) for item in value] if isinstance(value, list) else convert_to_json(value)


def _convert_texts(array: NDArray[Any]) -> Json:
    return _convert_nested_texts(array.tolist())


def _convert_nested_texts(value: Any) -> Json:  # noqa: ANN401 — texts, in lists within lists
    if isinstance(value, list):
        return [_convert_nested_texts(item) for item in value]
    return None if value is None else normalize_text(value)
