"""The DAS: one container for each variable, and ``NC_GLOBAL`` for the attributes of the dataset.

Rules:

1. The types of attributes follow the promotion of variables; 64-bit integers are Int32 if they fit, else Float64 if
   that holds them exactly, else a String of their digits.
2. Names are made safe like names of variables (``DATA/SHOT/x`` → ``DATA_SHOT_x``), and ``renamed_attributes`` lists
   those that changed; an attribute without values is omitted, since DAP2 cannot express it.
3. NaN is ``NaN``. No word for infinity suits all clients: Java reads ``Infinity`` only, and pydap refuses a dataset
   with it. It is ``1e999``, which both and netCDF-C read as infinity; a comment contains the word for people. (libdap
   reads neither.)
4. A Float32 has the digits of the Float64 that it equals: pydap reads a Float64 and compares it with the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotdap.server.protocols.dap2.adaptation import DIM_NAME, STRLEN
from shotdap.server.protocols.dap2.promotion import promote_dtype
from shotdap.server.protocols.dap2.text import make_safe_names, quote_text
from shotdap.server.protocols.float_text import format_float
from shotdap.transforms.renaming import RENAMED_ATTRIBUTES, list_renamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

_VERBATIM_NAMES: Final = (STRLEN, DIM_NAME)
"""Names with a dot, which netCDF-C searches for."""

_MAX_EXACT_INTEGER: Final = 2**53  # Float64 has all integers up to this one


def render_das(dataset: xr.Dataset) -> str:
    """Render the DAS of an adapted dataset, narrowed or not."""
    containers = [_render_container(str(name), variable.attrs) for name, variable in dataset.variables.items()]
    return "".join(["Attributes {\n", *containers, _render_container("NC_GLOBAL", dataset.attrs), "}\n"])


def _render_container(name: str, attrs: Mapping[Any, Any]) -> str:
    names = {**make_safe_names(map(str, attrs)), **{name: name for name in _VERBATIM_NAMES}}
    renamed = list_renamed(attrs, RENAMED_ATTRIBUTES, {safe: own for own, safe in names.items() if own in attrs})
    lines: list[str] = []
    for key, value in {**attrs, **renamed}.items():
        kind, words = _encode_value(value)
        if words:
            lines.append(f"        {kind} {names.get(str(key), str(key))} {', '.join(words)};\n")
    return f"    {name} {{\n{''.join(lines)}    }}\n"


def _encode_value(value: object) -> tuple[str, list[str]]:
    """Return the DAP2 type of an attribute and its elements as words; no words if there are no elements."""
    if isinstance(value, str | bytes):  # NumPy would drop NULs, and forget which of U and S it was
        array = np.array([value], dtype=object)
    else:
        try:
            array = np.ravel(np.asarray(value))
        except ValueError:  # lists of different lengths
            array = np.array([str(value)], dtype=object)
    kind = promote_dtype(array.dtype) or "String"  # for types that DAP2 does not have
    if array.dtype.kind in "iu" and array.dtype.itemsize >= np.dtype("i8").itemsize and array.size:  # rule 1
        least, greatest, limits = int(array.min()), int(array.max()), np.iinfo(np.int32)
        if limits.min <= least and greatest <= limits.max:
            kind = "Int32"
        elif least < -_MAX_EXACT_INTEGER or greatest > _MAX_EXACT_INTEGER:
            kind = "String"
    if kind == "String":
        texts = (
            each.decode("utf-8", "backslashreplace") if isinstance(each, bytes) else str(each)
            for each in array.tolist()
        )
        return kind, list(map(quote_text, texts))
    if kind in {"Int16", "Int32"}:
        return kind, [str(int(number)) for number in array]
    floats = [format_float(np.float64(number)) for number in array]  # rules 3 and 4
    return kind, [f"{word.replace('Infinity', '1e999')} #{word}\n" if "Infinity" in word else word for word in floats]
