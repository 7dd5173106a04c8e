"""The types that a dataset's values take on in DAP2.

Strategy: one table from NumPy's types to the narrowest DAP2 type that *every* client reads right, which is seldom the
obvious one: netCDF-C, hence MATLAB, IDL and Octave, shows Byte, UInt16 and UInt32 as signed numbers and wraps the
values. DAP2 has no 64-bit integers at all; they are Int32 where the values are seen to fit, else Float64, which is
exact to 2**53.

The decision for a variable is made once, by `adapt_dataset`, on the whole variable, and is kept in its ``encoding``, which
narrowing and loading preserve: a constrained answer has the types of the whole one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from shotdap.transforms.decoding import decode_variable

if TYPE_CHECKING:
    import xarray as xr

Dtype: TypeAlias = np.dtype[Any]

DAP2_TYPE_KEY: Final = "dap2"
"""The key of a variable's ``encoding`` that holds its DAP2 type."""

LOGICAL_DTYPE_KEY: Final = "dap2_meant"
"""The key that holds the type its numbers mean, where ``_Unsigned`` says another than the array's."""

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
"""From NumPy's kind and size to the DAP2 type of numbers."""

TEXT_KINDS: Final = "USOT"
"""NumPy's kinds of strings."""

WIRE_DTYPES: Final[dict[str, Dtype]] = {
    "Byte": np.dtype(">u1"),
    "Int16": np.dtype(">i4"),  # XDR knows no integers of two bytes
    "UInt16": np.dtype(">u4"),
    "Int32": np.dtype(">i4"),
    "UInt32": np.dtype(">u4"),
    "Float32": np.dtype(">f4"),
    "Float64": np.dtype(">f8"),
}
"""A number's type on the wire."""

MEMORY_DTYPES: Final[dict[str, Dtype]] = {
    "Int16": np.dtype("i2"),
    "Int32": np.dtype("i4"),
    "Float32": np.dtype("f4"),
    "Float64": np.dtype("f8"),
}
"""The NumPy type of the numbers that a promoted type holds."""


def promote_dtype(dtype: Dtype) -> str | None:
    """The DAP2 type for a NumPy type; nothing for one that DAP2 cannot carry (complex, records, times)."""
    return "String" if dtype.kind in TEXT_KINDS else PROMOTED_TYPES.get(f"{dtype.kind}{dtype.itemsize}")


def resolve_logical_dtype(variable: xr.Variable) -> Dtype:
    """The type that a variable's numbers mean, in this machine's byte order.

    The attribute ``_Unsigned`` (netCDF-3's way to keep unsigned numbers in signed ones, or the reverse) is heeded
    here and goes no further: a client that applied it to promoted values would wrap them.
    """
    dtype = variable.dtype.newbyteorder("=")
    kind = {"true": "u", "false": "i"}.get(str(variable.attrs.get("_Unsigned")).lower())
    return np.dtype(f"{kind}{dtype.itemsize}") if kind and dtype.kind in "iu" else dtype


def get_dap2_type(variable: xr.Variable) -> str:
    """The DAP2 type of a variable of an adapted dataset."""
    return str(variable.encoding[DAP2_TYPE_KEY])


def reinterpret_numbers(stored: np.ndarray[Any, Dtype], meant: Dtype) -> np.ndarray[Any, Dtype]:
    """Stored numbers read as another type of the same size, in the byte order they are stored in. No copy."""
    return stored if stored.dtype.kind == meant.kind else stored.view(meant.newbyteorder(stored.dtype.byteorder))


def get_logical_values(variable: xr.Variable) -> np.ndarray[Any, Dtype]:
    """The numbers of a variable of an adapted dataset as they are meant. No copy, if they are in memory."""
    stored = np.asarray(variable.values)
    return reinterpret_numbers(stored, np.dtype(variable.encoding.get(LOGICAL_DTYPE_KEY, stored.dtype)))


def decode_adapted(variable: xr.Variable) -> xr.Variable:
    """Return what the numbers of a variable of an adapted dataset mean, lazily; see `shotdap.transforms.decoding`.

    Functions and selections compute with these, while the variable itself travels as it is stored.
    """
    encoding = dict(variable.encoding)
    meant = encoding.pop(LOGICAL_DTYPE_KEY, None)
    stored = variable.to_base_variable().copy(deep=False)
    if meant is not None:
        stored.attrs = {**variable.attrs, "_Unsigned": "true" if np.dtype(meant).kind == "u" else "false"}
    decoded = decode_variable(stored)
    decoded.encoding = encoding
    return decoded
