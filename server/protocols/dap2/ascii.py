"""The ASCII response, for people: the DDS, a line, and each variable under its name, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from shotdap.server.protocols.dap2.dds import render_dds
from shotdap.server.protocols.dap2.promotion import MEMORY_DTYPES, get_dap2_type, get_logical_values
from shotdap.server.protocols.dap2.text import encode_utf8, quote_text

if TYPE_CHECKING:
    import xarray as xr

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_SEPARATOR: Final = "-" * 45


def render_ascii(dataset: xr.Dataset, name: str) -> str:
    """Render an adapted, narrowed dataset, whose values are in memory, as text.

    A row is the last dimension; the indices of the others precede it, counted from 0 in the selection. Numbers have all
    digits that are needed to read them back exactly.
    """
    variables: list[str] = []
    for key, variable in dataset.variables.items():
        kind = get_dap2_type(variable)
        array = np.asarray(variable.values)
        if kind != "String":
            array = get_logical_values(variable).astype(MEMORY_DTYPES[kind], copy=False)
        lines = [str(key) + "".join(f"[{size}]" for size in variable.shape)]
        if array.ndim < len(("y", "x")):
            lines.append(_format_row(np.atleast_1d(array), kind))
        else:
            lines += [
                "".join(f"[{each}]" for each in index) + f", {_format_row(array[index], kind)}"
                for index in np.ndindex(array.shape[:-1])
            ]
        variables.append("".join(f"{line}\n" for line in lines))
    return f"{render_dds(dataset, name)}{_SEPARATOR}\n" + "\n".join(variables)


def _format_row(row: Array, kind: str) -> str:
    if kind == "String":
        return ", ".join(quote_text(encode_utf8(value).decode()) for value in row.flat)
    # `repr` would show digits of float64 for a float32.
    words = row.astype("U").tolist() if kind == "Float32" else map(repr, row.tolist())
    return ", ".join(words).replace("nan", "NaN").replace("inf", "Infinity")  # the words of `format_float`
