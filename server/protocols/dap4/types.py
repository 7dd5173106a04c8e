"""The table from NumPy types to DAP4 types.

Rule 1: data are always little-endian; big-endian strings break pydap.
Rule 2: ``Int8`` and ``UInt8``, never ``Byte``.
Rule 3: a type that DAP4 does not have becomes the narrowest type that holds it: a boolean is a ``UInt8``, a
half-precision number a ``Float32``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class AtomicType:
    """A DAP4 atomic type: its name in the DMR, and the type of its values on the wire (`None` for text)."""

    name: str
    wire_dtype: np.dtype[Any] | None


STRING = AtomicType("String", None)

_ATOMIC_TYPES = {
    "b1": AtomicType("UInt8", np.dtype("<u1")),
    "i1": AtomicType("Int8", np.dtype("<i1")),
    "i2": AtomicType("Int16", np.dtype("<i2")),
    "i4": AtomicType("Int32", np.dtype("<i4")),
    "i8": AtomicType("Int64", np.dtype("<i8")),
    "u1": AtomicType("UInt8", np.dtype("<u1")),
    "u2": AtomicType("UInt16", np.dtype("<u2")),
    "u4": AtomicType("UInt32", np.dtype("<u4")),
    "u8": AtomicType("UInt64", np.dtype("<u8")),
    "f2": AtomicType("Float32", np.dtype("<f4")),
    "f4": AtomicType("Float32", np.dtype("<f4")),
    "f8": AtomicType("Float64", np.dtype("<f8")),
}
_TEXT_KINDS = frozenset("SUOT")


def get_atomic_type(dtype: np.dtype[Any]) -> AtomicType:
    """Return the DAP4 type of a NumPy type of either byte order.

    Raises:
        TypeError: DAP4 has no such type (complex numbers, dates, records).
    """
    if dtype.kind in _TEXT_KINDS:
        return STRING
    try:
        return _ATOMIC_TYPES[f"{dtype.kind}{dtype.itemsize}"]
    except KeyError:
        raise TypeError(f"DAP4 has no type for NumPy's {dtype}") from None
