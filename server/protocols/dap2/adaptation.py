"""A dataset as DAP2 can carry it: ``adapt``.

Strategy: look at names, types and attributes, never at pixels. The outcome depends on the dataset alone, so `adapt`
comes before narrowing; otherwise the types of an answer would change with its constraint.

Rules:

1. Flat names: DAP2 has no groups. A name that had to change is kept in the attribute ``original_name``.
2. A variable of length zero is left out: in a DDS it breaks *other* variables for netCDF-C. So is one of a type that
   DAP2 lacks. The dataset's attribute ``dap2_left_out`` lists both.
3. Types follow `promotion`. Where the type changes, the attribute ``native_type`` names what it was.
4. A 64-bit integer is looked at if that is cheap (at most `LOOK` elements, or a NumPy array already): Int32 if all
   its values fit. Otherwise Float64, and the attribute ``dap2_warning`` says so.
5. ``_FillValue`` and its kin have the type of their variable, or clients fail (xarray#5882, netcdf-c#1614).
6. A String variable says how long its strings are, or netCDF-C cuts them at 64 characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from shotdap.server.protocols.dap2.promotion import ENCODING, MEANT, MEMORY, Dtype, as_meant, native, promoted
from shotdap.server.protocols.dap2.text import safe_names, utf8
from shotdap.transforms import UniqueNames

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIM_NAME", "LOOK", "STRLEN", "adapt"]

LOOK: Final = 4096
"""Elements that may be read to decide a type: what netCDF-C prefetches anyway."""

STRLEN: Final = "DODS.strlen"
DIM_NAME: Final = "DODS.dimName"

_UNSEEN: Final = 256  # bytes; strings of unknown length that are too many to look at

_WARNING: Final = "DAP2 has no 64-bit integers: these are Float64, exact to 2**53. DAP4 serves them exactly."

_OF_THE_VARIABLES_TYPE: Final = (
    "_FillValue",
    "missing_value",
    "valid_min",
    "valid_max",
    "valid_range",
    "flag_values",
    "flag_masks",
)
_MUST_MATCH: Final = ("_FillValue", "missing_value")
"""Left out where they cannot have the variable's type (NaN for integers)."""

_REPLACED: Final = ("_Unsigned", STRLEN, DIM_NAME)
"""Attributes of a file that would contradict what is sent."""


def adapt(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset as DAP2 can carry it, lazily: flat safe names, promoted types, attributes that go with them.

    Apply it before `Selection.apply`. Only small variables of strings and of 64-bit integers are read; if one of
    those cannot be read, that is left for the request that asks for its values.
    """
    names = safe_names(str(name) for name in (*dataset.variables, *dataset.dims))
    unique = UniqueNames(names.values())
    adapted = {
        str(name): _adapted(str(name), variable, kind, names, unique)
        for name, variable in dataset.variables.items()
        if variable.size and (kind := promoted(native(variable)))
    }
    coords = {names[name]: variable for name, variable in adapted.items() if name in dataset.coords}
    return xr.Dataset(
        {names[name]: variable for name, variable in adapted.items() if name not in dataset.coords},
        coords=xr.Coordinates(coords, indexes={}),  # an index would read the coordinate
        attrs={**dataset.attrs, **_left_out(dataset, adapted)},
    )


def _left_out(dataset: xr.Dataset, adapted: Mapping[str, xr.Variable]) -> dict[str, list[str]]:
    missing = [str(name) for name in dataset.variables if name not in adapted]
    return {"dap2_left_out": missing} if missing else {}


def _adapted(name: str, variable: xr.Variable, kind: str, names: Mapping[str, str], unique: UniqueNames) -> xr.Variable:
    meant = native(variable)
    if kind == "String":
        attrs = _text_attributes(variable, unique.claim(f"{names[name]}_strlen"))
    else:
        kind = _narrowest(variable, meant, kind)
        attrs = _number_attributes(variable.attrs, meant, kind)
    if names[name] != name:
        attrs.setdefault("original_name", name)
    adapted = variable.to_base_variable()  # a new object around the same lazy array
    adapted.dims = [names[str(dimension)] for dimension in variable.dims]
    adapted.attrs = attrs
    adapted.encoding = {**variable.encoding, ENCODING: kind}
    if meant.kind != variable.dtype.kind:
        adapted.encoding[MEANT] = meant.str
    return adapted


def _look(variable: xr.Variable) -> np.ndarray[Any, Dtype] | None:
    """A variable's values if they are cheap to have."""
    if variable.size > LOOK and not isinstance(variable._data, np.ndarray):  # noqa: SLF001 - `.data` would read it
        return None
    try:
        return np.asarray(variable.values)
    except Exception:  # noqa: BLE001 - whatever a reader raises: one broken variable must not break the others
        return None


def _is_long(dtype: Dtype) -> bool:
    return dtype.kind in "iu" and dtype.itemsize == np.dtype("i8").itemsize


def _narrowest(variable: xr.Variable, meant: Dtype, kind: str) -> str:
    """The DAP2 type of numbers, by rule 4."""
    seen = _look(variable) if _is_long(meant) else None
    if seen is None:
        return kind
    seen, limits = as_meant(seen, meant), np.iinfo(np.int32)
    return "Int32" if limits.min <= seen.min() and seen.max() <= limits.max else kind


def _number_attributes(attrs: Mapping[Any, Any], meant: Dtype, kind: str) -> dict[str, Any]:
    """The attributes of a variable of numbers, by rules 3, 4 and 5."""
    alike = ((str(key), _alike(key, value, meant, MEMORY[kind])) for key, value in attrs.items())
    kept = {key: value for key, value in alike if key not in _REPLACED and value is not None}
    if meant != MEMORY[kind]:
        kept["native_type"] = meant.name
    if _is_long(meant) and kind != "Int32":
        kept["dap2_warning"] = _WARNING
    return kept


def _alike(key: str, value: object, meant: Dtype, target: Dtype) -> object | None:
    """An attribute's value in the type of its variable, where it needs one; nothing if it must but cannot have it."""
    if key not in _OF_THE_VARIABLES_TYPE:
        return value
    array = np.asarray(value)
    cast = _cast(array, meant, target) if array.dtype.kind in "biuf" else None
    if key not in _MUST_MATCH:
        return value if cast is None else cast
    return cast if key != "_FillValue" or array.size == 1 else None


def _cast(array: np.ndarray[Any, Dtype], meant: Dtype, target: Dtype) -> np.ndarray[Any, Dtype] | None:
    """These numbers by the way that the variable's own take; nothing if that changes an integer."""
    if array.dtype.kind in "iu" and meant.kind in "iu" and array.dtype.itemsize == meant.itemsize:
        array = array.astype(meant)  # -1 beside uint16 means 65535
    with np.errstate(all="ignore"):
        cast = (array.astype(meant) if meant.kind == "f" else array).astype(target)
    return cast if target.kind == "f" or np.array_equal(cast, array) else None


def _text_attributes(variable: xr.Variable, dimension: str) -> dict[str, Any]:
    """The attributes of a variable of strings, by rule 6; a fill value of text is none to netCDF-C."""
    kept = {
        str(key): value for key, value in variable.attrs.items() if key not in (*_REPLACED, *_OF_THE_VARIABLES_TYPE)
    }
    return {**kept, STRLEN: np.int32(max(1, _longest(variable))), DIM_NAME: dimension}


def _longest(variable: xr.Variable) -> int:
    """The number of bytes, in UTF-8, of the longest string, or a bound."""
    seen = _look(variable)
    if seen is not None:
        return max(len(utf8(value)) for value in seen.flat)
    return int(variable.dtype.itemsize) if variable.dtype.kind in "US" else _UNSEEN  # both have room for UTF-8
