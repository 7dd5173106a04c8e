"""Values as text, for people: the DDS, a line, and each variable under its name, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from shotdap.server.protocols.dap2.dds import dds
from shotdap.server.protocols.dap2.promotion import MEMORY, type_of, values
from shotdap.server.protocols.dap2.text import quoted, utf8

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ascii_text"]

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_LINE: Final = "-" * 45


def ascii_text(dataset: xr.Dataset, name: str) -> str:
    """An adapted, narrowed dataset, whose values are in memory, as text.

    A row is the last dimension; the indices of the others stand before it, counted from 0 in what was asked for.
    Numbers are written so that they can be read back exactly.
    """
    variables = (_variable(str(key), variable) for key, variable in dataset.variables.items())
    return f"{dds(dataset, name)}{_LINE}\n" + "\n".join(variables)


def _variable(name: str, variable: xr.Variable) -> str:
    shape = "".join(f"[{size}]" for size in variable.shape)
    return f"{name}{shape}\n" + "".join(f"{line}\n" for line in _lines(variable))


def _lines(variable: xr.Variable) -> Iterator[str]:
    kind = type_of(variable)
    array = np.asarray(variable.values) if kind == "String" else values(variable).astype(MEMORY[kind], copy=False)
    write = _WRITTEN[kind]
    if array.ndim < len(("y", "x")):
        yield write(np.atleast_1d(array))
        return
    for index in np.ndindex(array.shape[:-1]):
        yield "".join(f"[{each}]" for each in index) + f", {write(array[index])}"


def _integers(row: Array) -> str:
    return ", ".join(map(str, row.tolist()))


def _doubles(row: Array) -> str:
    return _with_words(", ".join(map(repr, row.tolist())))


def _singles(row: Array) -> str:
    return _with_words(", ".join(row.astype("U").tolist()))  # Python's repr would show their noise


def _with_words(numbers: str) -> str:
    """Return numbers as Python prints them, with the words of `format_float`."""
    return numbers.replace("nan", "NaN").replace("inf", "Infinity")


def _texts(row: Array) -> str:
    return ", ".join(quoted(utf8(value).decode()) for value in row.flat)


_WRITTEN: Final[Mapping[str, Callable[[Array], str]]] = {
    "Int16": _integers,
    "Int32": _integers,
    "Float32": _singles,
    "Float64": _doubles,
    "String": _texts,
}
