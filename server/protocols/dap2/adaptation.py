"""Adapt a dataset to what DAP2 can carry.

Strategy: use names, types and attributes, never pixels. The result depends on the dataset alone, so `adapt_dataset`
comes before narrowing; otherwise the types in a response would change with its constraint.

Rules:

1. Flat names: DAP2 has no groups. The attribute ``original_name`` is the name before the change; the attribute
   ``renamed_dimensions`` of the dataset lists the renamed dimensions without a coordinate.
2. A variable of length zero is omitted: in a DDS it breaks *other* variables for netCDF-C. So is one of a type that
   DAP2 does not have. The attribute ``dap2_left_out`` of the dataset lists both.
3. Types follow `promotion`. If the type changes, the attribute ``native_type`` is the original type.
4. The values of a 64-bit integer are examined if that is cheap (at most `MAX_PROBED_ELEMENTS` elements, or already a
   NumPy array): Int32 if all values fit. Otherwise Float64, and the attribute ``dap2_warning`` explains it.
5. ``_FillValue`` and similar attributes have the type of their variable, or clients fail (xarray#5882, netcdf-c#1614);
   see `fill_values`.
6. A String variable has an attribute with the length of its strings, or netCDF-C cuts them at 64 characters; an array
   also has its encoding, UTF-8, or xarray shows bytes. ``dap2_warning`` names clients that misread a text, if any text
   is affected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shotdap.server.protocols.dap2.promotion import (
    MEMORY_DTYPES,
    Dtype,
    promote_dtype,
    reinterpret_numbers,
    resolve_logical_dtype,
)
from shotdap.server.protocols.dap2.text import encode_utf8, make_safe_names
from shotdap.server.protocols.fill_values import FILL_ATTRIBUTE, MISSING_ATTRIBUTE, extract_numbers, fit_fill_values
from shotdap.transforms import UniqueNames
from shotdap.transforms.renaming import RENAMED_DIMENSIONS, list_renamed, shorten_name
from shotdap.transforms.virtual.assembly import assemble_dataset
from shotdap.transforms.virtual.variable_traits import set_traits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

MAX_PROBED_ELEMENTS: Final = 4096
"""Number of elements that may be read to decide a type; netCDF-C prefetches as many."""

STRLEN: Final = "DODS.strlen"
DIM_NAME: Final = "DODS.dimName"

_DEFAULT_STRLEN: Final = 256  # bytes; for strings of unknown length that are too many to read

_INT64_WARNING: Final = "DAP2 has no 64-bit integers: these are Float64, exact to 2**53. DAP4 serves them exactly."

_BACKSLASH_WARNING: Final = "A backslash is sent as two, which netCDF makes one again; pydap and getdap show both."
_NON_ASCII_WARNING: Final = "Some of these texts are beyond ASCII, which pydap cannot read."

_TYPED_ATTRIBUTES: Final = ("valid_min", "valid_max", "valid_range", "flag_values", "flag_masks")

_PACKING_ATTRIBUTES: Final = frozenset({"scale_factor", "add_offset"})

_DROPPED_ATTRIBUTES: Final = ("_Unsigned", "_Encoding", STRLEN, DIM_NAME)
"""Attributes of a file that would contradict the response."""


def adapt_dataset(dataset: xr.Dataset) -> xr.Dataset:
    """Adapt a dataset to DAP2, lazily: flat safe names, promoted types, and matching attributes.

    Apply it before `Selection.apply`. Only small variables of strings and of 64-bit integers are read; if one of them
    cannot be read, the request for its values fails instead.
    """
    names = make_safe_names(str(name) for name in (*dataset.variables, *dataset.dims))
    unique = UniqueNames(names.values())
    adapted = {
        str(name): _adapt_variable(str(name), variable, kind, names, unique)
        for name, variable in dataset.variables.items()
        if variable.size and (kind := promote_dtype(resolve_logical_dtype(variable)))
    }
    omitted = [str(name) for name in dataset.variables if name not in adapted]
    own = {names[name]: name for name in map(str, dataset.dims) if name not in dataset.variables}
    renamed = list_renamed(dataset.attrs, RENAMED_DIMENSIONS, own)  # coordinates have `original_name`, by rule 1
    return assemble_dataset(
        {names[name]: variable for name, variable in adapted.items()},
        {names[str(name)] for name in dataset.coords},
        {**dataset.attrs, **({"dap2_left_out": omitted} if omitted else {}), **renamed},
    )


def _adapt_variable(
    name: str, variable: xr.Variable, kind: str, names: Mapping[str, str], unique: UniqueNames
) -> xr.Variable:
    logical = resolve_logical_dtype(variable)
    if kind == "String":
        attrs = _build_text_attributes(variable, unique.claim(shorten_name(f"{names[name]}_strlen")))
    else:
        values = _probe_values(variable) if _is_64_bit_integer(logical) else None
        if values is not None:  # rule 4
            values, limits = reinterpret_numbers(values, logical), np.iinfo(np.int32)
            kind = "Int32" if limits.min <= values.min() and values.max() <= limits.max else kind
        attrs = _build_number_attributes(variable, logical, kind)
    if names[name] != name:
        attrs.setdefault("original_name", name)
    adapted = variable.to_base_variable()  # a new object around the same lazy array
    adapted.dims = tuple(names[str(dimension)] for dimension in variable.dims)
    adapted.attrs = attrs
    return set_traits(adapted, dap2_type=kind, logical_dtype=logical.str if logical.kind != variable.dtype.kind else "")


def _probe_values(variable: xr.Variable) -> np.ndarray[Any, Dtype] | None:
    """Return the values of a variable if that is cheap."""
    if variable.size > MAX_PROBED_ELEMENTS and not isinstance(variable._data, np.ndarray):  # noqa: SLF001 - `.data` would read it
        return None
    try:
        return np.asarray(variable.values)
    except Exception:  # noqa: BLE001 - any error of a reader: one broken variable must not break the others
        return None


def _is_64_bit_integer(dtype: Dtype) -> bool:
    return dtype.kind in "iu" and dtype.itemsize == np.dtype("i8").itemsize


def _build_number_attributes(variable: xr.Variable, logical: Dtype, kind: str) -> dict[str, Any]:
    """Return the attributes of a variable of numbers, by rules 3, 4 and 5."""
    stored, target = variable.dtype.newbyteorder("="), MEMORY_DTYPES[kind]
    attrs = {str(key): value for key, value in variable.attrs.items() if key not in _DROPPED_ATTRIBUTES}
    fill = extract_numbers(attrs.get(FILL_ATTRIBUTE))
    if logical != stored and fill.size and fill.dtype.kind in "iu":
        attrs[FILL_ATTRIBUTE] = fill.astype(stored).view(logical)  # xarray reinterprets this attribute, and no other
    attrs = {str(key): value for key, value in fit_fill_values(attrs, logical, target).items()}
    for key in attrs.keys() & set(_TYPED_ATTRIBUTES):
        numbers = extract_numbers(attrs[key])
        if not numbers.size:
            continue
        if logical != stored and numbers.dtype == stored:
            numbers = numbers.view(logical)  # -1 means 65535
        with np.errstate(all="ignore"):
            cast = (numbers.astype(logical) if logical.kind == "f" else numbers).astype(target)
        if target.kind == "f" or np.array_equal(cast, numbers):  # no integer changes
            attrs[key] = cast
    if logical.kind in "iu" and target.kind == "f":  # clients unpack in the type of these, and Float32 is too coarse
        packing = {key: extract_numbers(attrs[key]) for key in _PACKING_ATTRIBUTES & attrs.keys()}
        attrs |= {key: numbers.astype(target) for key, numbers in packing.items() if numbers.size}
    if logical != target:
        attrs["native_type"] = logical.name
    if _is_64_bit_integer(logical) and kind != "Int32":
        attrs["dap2_warning"] = _INT64_WARNING
    return attrs


def _build_text_attributes(variable: xr.Variable, dimension: str) -> dict[str, Any]:
    """Return the attributes of a variable of strings, by rule 6; for netCDF-C, no text is a fill value."""
    dropped = (*_DROPPED_ATTRIBUTES, *_TYPED_ATTRIBUTES, FILL_ATTRIBUTE, MISSING_ATTRIBUTE)
    attrs = {str(key): value for key, value in variable.attrs.items() if key not in dropped}
    values = _probe_values(variable)
    texts = [] if values is None else [encode_utf8(value) for value in values.flat]
    warnings = [_BACKSLASH_WARNING] if any(b"\\" in text for text in texts) else []
    warnings += [] if all(map(bytes.isascii, texts)) else [_NON_ASCII_WARNING]
    if values is not None:
        longest = max(map(len, texts))
    else:  # a bound; a type of fixed size has room for UTF-8
        longest = int(variable.dtype.itemsize) if variable.dtype.kind in "US" else _DEFAULT_STRLEN
    return {
        **attrs,
        **({"dap2_warning": " ".join(warnings)} if warnings else {}),
        **({"_Encoding": "utf-8"} if variable.ndim else {}),  # xarray fails to decode a single string from pydap
        STRLEN: np.int32(max(1, longest)),
        DIM_NAME: dimension,
    }
