"""The DAS: one container for each variable, and ``NC_GLOBAL`` for the dataset's own attributes.

Rules:

1. The types of attributes follow the promotion of variables; 64-bit integers are Int32 if they fit, else Float64 if
   that holds them exactly, else a String of their digits.
2. Names are made safe as variables' names are (``DATA/SHOT/x`` → ``DATA_SHOT_x``), and ``renamed_attributes`` lists
   those that had to change; an attribute without values is
   left out, since DAP2 cannot say it.
3. NaN is ``NaN``. No word for infinity suits all: Java reads ``Infinity`` only, which makes pydap refuse the dataset.
   It is ``1e999``, which is infinite to both and to netCDF-C; a comment has the word, for people. (libdap has neither.)
4. A Float32 has the digits of the Float64 that it equals: pydap reads it as one and compares it with the values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotdap.server.protocols.dap2.adaptation import DIM_NAME, STRLEN
from shotdap.server.protocols.dap2.promotion import Dtype, promote_dtype
from shotdap.server.protocols.dap2.text import make_safe_names, quote_text
from shotdap.server.protocols.float_text import format_float
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

_VERBATIM_NAMES: Final = (STRLEN, DIM_NAME)
"""Names with a dot, which netCDF-C looks for."""

_MAX_EXACT_INTEGER: Final = 2**53  # the greatest integer up to which Float64 has all


def render_das(dataset: xr.Dataset) -> str:
    """The DAS of an adapted dataset, narrowed or not."""
    containers = [_render_container(str(name), variable.attrs) for name, variable in dataset.variables.items()]
    return "".join(["Attributes {\n", *containers, _render_container("NC_GLOBAL", dataset.attrs), "}\n"])


def _render_container(name: str, attrs: Mapping[Any, Any]) -> str:
    names = {**make_safe_names(map(str, attrs)), **{name: name for name in _VERBATIM_NAMES}}
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, {safe: own for own, safe in names.items() if own in attrs})
    lines = (_line(names.get(str(key), str(key)), value) for key, value in {**attrs, **renamed}.items())
    return f"    {name} {{\n{''.join(lines)}    }}\n"


def _line(name: str, value: object) -> str:
    kind, words = _encode_value(value)
    return f"        {kind} {name} {', '.join(words)};\n" if words else ""


def _encode_value(value: object) -> tuple[str, list[str]]:
    """The DAP2 type of an attribute's value and its elements as words; no words for one that has no elements."""
    array = _flatten_value(value)
    kind = _infer_type(array)
    if kind == "String":
        return kind, [quote_text(_text(element)) for element in array.tolist()]
    return kind, [_FORMATTERS[kind](element) for element in array]


def _flatten_value(value: object) -> np.ndarray[Any, Dtype]:
    if isinstance(value, str | bytes):  # NumPy would drop NULs, and forget which of U and S it was
        return np.array([value], dtype=object)
    try:
        return np.ravel(np.asarray(value))
    except ValueError:  # lists of different lengths
        return np.array([str(value)], dtype=object)


def _infer_type(array: np.ndarray[Any, Dtype]) -> str:
    """Return the DAP2 type, by rule 1; what DAP2 has no type for is a String of what Python prints."""
    kind = promote_dtype(array.dtype) or "String"
    if array.dtype.kind not in "iu" or array.dtype.itemsize < np.dtype("i8").itemsize or not array.size:
        return kind
    least, greatest = int(array.min()), int(array.max())
    limits = np.iinfo(np.int32)
    if limits.min <= least and greatest <= limits.max:
        return "Int32"
    return kind if least >= -_MAX_EXACT_INTEGER and greatest <= _MAX_EXACT_INTEGER else "String"


def _text(element: object) -> str:
    return element.decode("utf-8", "backslashreplace") if isinstance(element, bytes) else str(element)


def _format_integer(number: np.generic) -> str:
    return str(int(number))


def _format_das_float(number: np.floating[Any]) -> str:
    """Return a number as text, by rules 3 and 4."""
    word = format_float(np.float64(number))
    return f"{word.replace('Infinity', '1e999')} #{word}\n" if math.isinf(number) else word


_FORMATTERS: Final[dict[str, Callable[[Any], str]]] = {
    "Int16": _format_integer,
    "Int32": _format_integer,
    "Float32": _format_das_float,
    "Float64": _format_das_float,
}
