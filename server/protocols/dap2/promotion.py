"""Types of values in DAP2.

Strategy: one table from NumPy types to the narrowest DAP2 type that *every* client reads correctly. It is often not the
obvious one: netCDF-C, hence MATLAB, IDL and Octave, shows Byte, UInt16 and UInt32 as signed numbers and wraps the
values. DAP2 has no 64-bit integers; they are Int32 if the values are known to fit, else Float64, which is exact to
2**53.

`adapt_dataset` decides once for the whole variable, and keeps the type in its traits, which narrowing and loading
preserve: a constrained response has the types of the whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from shotdap.transforms.decoding import decode_variable
from shotdap.transforms.virtual.variable_traits import get_traits, set_traits

if TYPE_CHECKING:
    import xarray as xr

Dtype: TypeAlias = np.dtype[Any]

PROMOTED_TYPES: Final = {
    "b1": "Int16",
    "i1": "Int16",
    "u1": "Int16",
    "i2": "Int16",
    "u2": "Int32",
    "i4": "Int32",
    "u4": "Float64",
    "i8": "Float64",
    "u8": "Float64",
    "f2": "Float32",
    "f4": "Float32",
    "f8": "Float64",
    "f16": "Float64",
}
"""From the kind and size of a NumPy type to the DAP2 type of numbers."""

_TEXT_KINDS: Final = "USOT"
"""Kinds of NumPy types that are strings."""

WIRE_DTYPES: Final[dict[str, Dtype]] = {
    "Byte": np.dtype(">u1"),
    "Int16": np.dtype(">i4"),  # XDR knows no integers of two bytes
    "UInt16": np.dtype(">u4"),
    "Int32": np.dtype(">i4"),
    "UInt32": np.dtype(">u4"),
    "Float32": np.dtype(">f4"),
    "Float64": np.dtype(">f8"),
}
"""The type of numbers on the wire."""

MEMORY_DTYPES: Final[dict[str, Dtype]] = {
    "Int16": np.dtype("i2"),
    "Int32": np.dtype("i4"),
    "Float32": np.dtype("f4"),
    "Float64": np.dtype("f8"),
}
"""The NumPy type of a promoted type."""


def promote_dtype(dtype: Dtype) -> str | None:
    """Return the DAP2 type for a NumPy type; `None` for types that DAP2 lacks (complex, records, times)."""
    return "String" if dtype.kind in _TEXT_KINDS else PROMOTED_TYPES.get(f"{dtype.kind}{dtype.itemsize}")


def resolve_logical_dtype(variable: xr.Variable) -> Dtype:
    """Return the type that the numbers of a variable mean, in the byte order of this machine.

    The attribute ``_Unsigned`` (netCDF-3 stores unsigned numbers in signed types, or the reverse) is applied here and
    not sent: a client that applied it to promoted values would wrap them.
    """
    dtype = variable.dtype.newbyteorder("=")
    kind = {"true": "u", "false": "i"}.get(str(variable.attrs.get("_Unsigned")).lower())
    return np.dtype(f"{kind}{dtype.itemsize}") if kind and dtype.kind in "iu" else dtype


def get_dap2_type(variable: xr.Variable) -> str:
    """Return the DAP2 type of a variable of an adapted dataset.

    Raises:
        ValueError: the dataset is not adapted.
    """
    dap2_type = get_traits(variable).dap2_type
    if not dap2_type:
        raise ValueError("The dataset of this variable is not adapted to DAP2.")
    return dap2_type


def reinterpret_numbers(stored: np.ndarray[Any, Dtype], logical: Dtype) -> np.ndarray[Any, Dtype]:
    """Reinterpret stored numbers as another type of the same size, in the same byte order. No copy."""
    return stored if stored.dtype.kind == logical.kind else stored.view(logical.newbyteorder(stored.dtype.byteorder))


def get_logical_values(variable: xr.Variable) -> np.ndarray[Any, Dtype]:
    """Return the numbers of a variable of an adapted dataset in their logical type. No copy, if they are in memory."""
    stored = np.asarray(variable.values)
    return reinterpret_numbers(stored, np.dtype(get_traits(variable).logical_dtype or stored.dtype))


def decode_adapted(variable: xr.Variable) -> xr.Variable:
    """Decode a variable of an adapted dataset, lazily; see `shotdap.transforms.decoding`.

    Functions and selections compute with decoded values, while the variable itself is sent as stored.
    """
    logical = get_traits(variable).logical_dtype
    stored = variable.to_base_variable().copy(deep=False)
    if logical:
        stored.attrs = {**variable.attrs, "_Unsigned": "true" if np.dtype(logical).kind == "u" else "false"}
    decoded = decode_variable(stored)
    decoded.encoding = dict(variable.encoding)
    return set_traits(decoded, logical_dtype="")
