"""The one table between NumPy's types and DAP4's.

Rule 1: data are little-endian always; big-endian strings break pydap.
Rule 2: ``Int8`` and ``UInt8``, never ``Byte``.
Rule 3: what DAP4 does not have becomes the narrowest type that holds it: a truth value is a ``UInt8``, a
half-precision number a ``Float32``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class AtomicType:
    """A DAP4 atomic type: its name in the DMR, and what its values are on the wire (`None` for text)."""

    name: str
    wire_dtype: np.dtype[Any] | None


STRING = AtomicType("String", None)

ATOMIC_TYPES = {
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
TEXT_KINDS = frozenset("SUOT")


def get_atomic_type(dtype: np.dtype[Any]) -> AtomicType:
    """Look up the DAP4 type of a NumPy type, of either byte order.

    Raises:
        TypeError: DAP4 has no such type (complex numbers, dates, records).
    """
    if dtype.kind in TEXT_KINDS:
        return STRING
    try:
        return ATOMIC_TYPES[f"{dtype.kind}{dtype.itemsize}"]
    except KeyError:
        raise TypeError(f"DAP4 has no type for NumPy's {dtype}") from None
