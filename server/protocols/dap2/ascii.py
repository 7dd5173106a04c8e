"""The ASCII response, for people: the DDS, a line, and each variable under its name, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
        shape = "".join(f"[{size}]" for size in variable.shape)
        variables.append(f"{key}{shape}\n" + "".join(f"{line}\n" for line in _render_rows(variable)))
    return f"{render_dds(dataset, name)}{_SEPARATOR}\n" + "\n".join(variables)


def _render_rows(variable: xr.Variable) -> Iterator[str]:
    kind = get_dap2_type(variable)
    array = (
        np.asarray(variable.values)
        if kind == "String"
        else get_logical_values(variable).astype(MEMORY_DTYPES[kind], copy=False)
    )
    format_row = _ROW_FORMATTERS[kind]
    if array.ndim < len(("y", "x")):
        yield format_row(np.atleast_1d(array))
        return
    for index in np.ndindex(array.shape[:-1]):
        yield "".join(f"[{each}]" for each in index) + f", {format_row(array[index])}"


def _format_integers(row: Array) -> str:
    return ", ".join(map(str, row.tolist()))


def _format_doubles(row: Array) -> str:
    return _normalize_non_finite(", ".join(map(repr, row.tolist())))


def _format_singles(row: Array) -> str:
    return _normalize_non_finite(", ".join(row.astype("U").tolist()))  # `repr` would show digits of float64


def _normalize_non_finite(numbers: str) -> str:
    """Replace the names of NaN and infinity in Python by those of `format_float`."""
    return numbers.replace("nan", "NaN").replace("inf", "Infinity")


def _format_texts(row: Array) -> str:
    return ", ".join(quote_text(encode_utf8(value).decode()) for value in row.flat)


_ROW_FORMATTERS: Final[Mapping[str, Callable[[Array], str]]] = {
    "Int16": _format_integers,
    "Int32": _format_integers,
    "Float32": _format_singles,
    "Float64": _format_doubles,
    "String": _format_texts,
}
